"""A worker as a process: `python -m webhookd.worker tasks|deliver`. SIGTERM ends it gracefully with 0.

Operators' code and delivery never share a process, so a busy function cannot slow deliveries down.
"""

import argparse
import asyncio
import signal
import sys

import structlog

from webhookd.adapters.forks import shield_from_children
from webhookd.adapters.telemetry import configure_logging
from webhookd.core.errors import WebhookdError
from webhookd.loops import allow_many_files, loop_factory, settle_collector
from webhookd.settings import Settings, load_settings
from webhookd.taskset import load_task_sets
from webhookd.wiring.worker import Role, worker_process

log = structlog.get_logger(__name__)


async def work(settings: Settings, role: Role, queues: tuple[str, ...]) -> None:
    """Work until SIGTERM or SIGINT, then finish or hand back what is under way."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with worker_process(settings, role, queues):
        settle_collector()
        log.info("worker_ready", role=role, queues=",".join(queues))
        await stopped.wait()
        log.info("worker_stopping", role=role)


def main() -> int:
    """Run one worker process; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m webhookd.worker")
    parser.add_argument("role", choices=("tasks", "deliver"))
    parser.add_argument("--queues", default="", help="comma-separated; all of WEBHOOKD_TASKS if left out")
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        allow_many_files()
        shield_from_children()
        configure_logging(log_format=settings.log_format, level=settings.log_level, process=arguments.role)
        queues = tuple(one for one in arguments.queues.split(",") if one)
        if arguments.role == "tasks":
            queues = queues or load_task_sets(settings.tasks).queues
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(work(settings, arguments.role, queues))
    except WebhookdError as error:
        print(f"webhookd worker: {error.detail}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
