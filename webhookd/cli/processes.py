"""The processes of one machine, as the supervisor takes them: their command lines, environment and order.

At the end the API goes first, so that nothing new comes in; then the task workers, whose last results
still become deliveries; then the deliver workers. The embedded broker, which is none of these, goes last.
"""

import sys
from dataclasses import replace
from typing import Final

from webhookd.adapters.supervised import ChildSpec
from webhookd.core.scaling import WorkerRange
from webhookd.settings import Settings, environment_name

_API_STAGE, _TASKS_STAGE, _DELIVER_STAGE = 3, 2, 1
# What the command line, or `up` itself, may have decided: the children's own look must give the same.
_DECIDED: Final = ("data_dir", "broker_url", "host", "port", "egress_allow", "worker_threads")
_GRACE_SECONDS: Final = 10.0
"""How much longer than its own deadline a process may take to end before it is killed."""


def decided_environment(settings: Settings) -> dict[str, str]:
    """Return the settings of the processes that their environment might not have."""
    return {environment_name(field): str(getattr(settings, field)) for field in _DECIDED}


def service_processes(settings: Settings, workers: WorkerRange) -> tuple[ChildSpec, ...]:
    """All that a service on one machine starts with."""
    return (
        *(tasks_process(number, settings) for number in range(1, workers.least + 1)),
        deliver_process(1, settings),
        api_process(settings),
    )


def api_process(settings: Settings) -> ChildSpec:
    """The HTTP API."""
    spec = _spec("api", ("-m", "webhookd.asgi"), settings, _API_STAGE)
    return replace(
        spec,
        stop_seconds=spec.stop_seconds + settings.drain_seconds,
        hurries=settings.drain_seconds > 0,
    )


def tasks_process(number: int, settings: Settings, queues: tuple[str, ...] = ()) -> ChildSpec:
    """One task worker; no queues means all of WEBHOOKD_TASKS."""
    chosen = ("--queues", ",".join(queues)) if queues else ()
    return _spec(f"tasks-{number}", ("-m", "webhookd.worker", "tasks", *chosen), settings, _TASKS_STAGE)


def deliver_process(number: int, settings: Settings) -> ChildSpec:
    """One deliver worker."""
    return _spec(f"deliver-{number}", ("-m", "webhookd.worker", "deliver"), settings, _DELIVER_STAGE)


def _spec(name: str, arguments: tuple[str, ...], settings: Settings, stage: int) -> ChildSpec:
    return ChildSpec(
        name=name,
        argv=(sys.executable, *arguments),
        stop_seconds=settings.shutdown_seconds + _GRACE_SECONDS,
        lease_seconds=settings.lease_seconds,
        stage=stage,
    )
