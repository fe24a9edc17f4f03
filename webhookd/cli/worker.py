"""`webhookd worker`: task workers and deliver workers of one machine, under a supervisor."""

import asyncio
from collections.abc import Iterable
from typing import Annotated, Final

import typer

from webhookd.adapters.supervised import ChildSpec
from webhookd.adapters.telemetry import configure_logging
from webhookd.cli.plan import Plan, become_host, hold_signals
from webhookd.cli.processes import decided_environment, deliver_process, tasks_process
from webhookd.cli.stop_signals import StopSignals
from webhookd.core.errors import SettingsError
from webhookd.core.model import DELIVER_QUEUE
from webhookd.settings import Settings
from webhookd.taskset import load_task_sets
from webhookd.wiring.checked import checked_settings
from webhookd.wiring.process import broker_url, load_vault, open_store

app = typer.Typer(add_completion=False)

_MOST_PROCESSES: Final = 256


@app.command()
def worker(
    *,
    queues: Annotated[
        str, typer.Option(help=f"Comma-separated queues; '{DELIVER_QUEUE}' sends webhooks. All if left out.")
    ] = "",
    processes: Annotated[int, typer.Option(min=1, max=_MOST_PROCESSES, help="Task worker processes.")] = 1,
    threads: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Tasks a process runs at a time. [WEBHOOKD_WORKER_THREADS]"),
    ] = None,
) -> None:
    """Run tasks and deliver webhooks until SIGTERM or Ctrl-C.

    Task queues get --processes workers and the queue `deliver` gets one; alone, it gets --processes.
    """
    settings = checked_settings(worker_threads=threads)
    settings = settings.model_copy(update={"broker_url": broker_url(settings)})
    configure_logging(log_format=settings.log_format, level=settings.log_level, process="worker")
    known = (*load_task_sets(settings.tasks).queues, DELIVER_QUEUE)
    chosen = tuple(dict.fromkeys(name.strip() for name in queues.split(",") if name.strip()))
    for name in chosen:
        if name not in known:
            raise SettingsError(f"--queues: there is no queue {name!r}; there are {', '.join(known)}.")
    specs = _processes(settings, chosen or known, processes)
    plan = Plan(
        name="worker",
        processes=tuple(specs),
        environment=decided_environment(settings),
        log_format=settings.log_format,
        log_level=settings.log_level,
    )
    if asyncio.run(_can_start(settings)):
        become_host(plan)


def _processes(settings: Settings, queues: tuple[str, ...], count: int) -> Iterable[ChildSpec]:
    tasks = tuple(name for name in queues if name != DELIVER_QUEUE)
    if not tasks:
        return [deliver_process(number, settings) for number in range(1, count + 1)]
    specs = [tasks_process(number, settings, tasks) for number in range(1, count + 1)]
    return [*specs, deliver_process(1, settings)] if DELIVER_QUEUE in queues else specs


async def _can_start(settings: Settings) -> bool:
    """See that the processes can open the store. False: a signal has ended it."""
    with StopSignals() as signals:
        try:
            store = await open_store(settings, load_vault(settings), "ses_worker")
            await store.close()
            await hold_signals()
        except asyncio.CancelledError:
            if not signals.came:
                raise
            return False
    return True
