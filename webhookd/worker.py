"""A worker as a process: `python -m webhookd.worker tasks|deliver`. SIGTERM ends it gracefully with 0.

Operators' code and delivery never share a process, so a busy function cannot slow deliveries down.
"""

import gc

if __name__ == "__main__":
    gc.set_threshold(0)  # until `settle_collector`: a tenth of a start went on garbage among modules

import webhookd.runtime.lean_redis  # noqa: F401 - before whatever logs, or talks to the broker

# isort: split
import argparse
import asyncio
import logging
import os
import signal
import sys
import threading
from typing import Final

import structlog

from webhookd.adapters.forerunner import wait_to_be_told
from webhookd.adapters.forks import shield_from_children
from webhookd.adapters.supervised import REPLACE_ME
from webhookd.adapters.telemetry import configure_logging
from webhookd.core.errors import WebhookdError
from webhookd.runtime.loop_policy import allow_many_files, keep_files_private, loop_factory, settle_collector
from webhookd.settings import Settings
from webhookd.taskset import load_task_sets
from webhookd.wiring.checked import checked_settings
from webhookd.wiring.worker import Role, worker_process

log = structlog.get_logger(__name__)


GRACE_SECONDS: Final = 10.0
"""How much longer than running work the end of the process may take."""
LEFTOVER_SECONDS: Final = 3.0
"""How long the interpreter may take to end: it waits for children and threads that functions left behind."""


async def work(settings: Settings, role: Role, queues: tuple[str, ...]) -> int:
    """Work until SIGTERM or SIGINT, then finish or hand back what is under way. Returns the exit code.

    Where a function does not stop, work ends as well, and the process is to be replaced.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with worker_process(settings, role, queues) as lost:
        settle_collector()
        log.info("worker_ready", role=role, queues=",".join(queues))
        ends = [asyncio.create_task(one.wait()) for one in (stopped, lost)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for one in ends:
            one.cancel()
        log.info("worker_stopping", role=role)
        _end_within(settings.shutdown_seconds + GRACE_SECONDS, 1)
    return REPLACE_ME if lost.is_set() else 0


def _end_within(seconds: float, exit_code: int) -> None:
    """End this process after so long, whatever still runs in it."""
    timer = threading.Timer(seconds, _end, (exit_code,))
    timer.daemon = True
    timer.start()


def _end(exit_code: int) -> None:
    logging.shutdown()
    os._exit(exit_code)


def main() -> int:
    """Run one worker process; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m webhookd.worker")
    parser.add_argument("role", choices=("tasks", "deliver"))
    parser.add_argument("--queues", default="", help="comma-separated; all of WEBHOOKD_TASKS if left out")
    arguments = parser.parse_args()
    wait_to_be_told()
    try:
        settings = checked_settings()
        keep_files_private()
        allow_many_files()
        shield_from_children()
        configure_logging(log_format=settings.log_format, level=settings.log_level, process=arguments.role)
        queues = tuple(one for one in arguments.queues.split(",") if one)
        if arguments.role == "tasks":
            queues = queues or load_task_sets(settings.tasks).queues
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            exit_code = runner.run(work(settings, arguments.role, queues))
    except WebhookdError as error:
        print(f"webhookd worker: {error.detail}", file=sys.stderr)
        return 1
    if exit_code == REPLACE_ME:  # the thread of the function is still there
        _end(exit_code)
    _end_within(LEFTOVER_SECONDS, exit_code)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
