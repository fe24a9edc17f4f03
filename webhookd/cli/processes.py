"""The processes of one machine, as the supervisor takes them: their command lines, environment and order.

At the end the API goes first, so that nothing new comes in; then the task workers, whose last results
still become deliveries; then the deliver workers. The embedded broker, which is none of these, goes last.
"""

import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

import structlog

from webhookd.adapters.heartbeat import Left
from webhookd.adapters.store.store import Store
from webhookd.adapters.supervisor import ChildEvent, ChildFact, ChildSpec
from webhookd.core.errors import ServiceError
from webhookd.settings import Settings, environment_name

log = structlog.get_logger(__name__)

_API_STAGE, _TASKS_STAGE, _DELIVER_STAGE = 3, 2, 1
# What the command line, or `up` itself, may have decided: the children's own look must give the same.
_DECIDED: Final = ("data_dir", "broker_url", "host", "port", "egress_allow", "worker_threads")
_GRACE_SECONDS: Final = 10.0
"""How much longer than its own deadline a process may take to end before it is killed."""


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
    decided = {environment_name(field): str(getattr(settings, field)) for field in _DECIDED}
    return ChildSpec(
        name=name,
        argv=(sys.executable, *arguments),
        env={**os.environ, **decided},
        stop_seconds=settings.shutdown_seconds + _GRACE_SECONDS,
        lease_seconds=settings.lease_seconds,
        stage=stage,
    )


def log_child(event: ChildEvent) -> None:
    """Log what happened to a child."""
    if event.fact is ChildFact.FROZEN:
        log.error("process_frozen", name=event.name, pid=event.pid, silent_seconds=event.silent_seconds)
    elif event.fact is ChildFact.DIED:
        log.warning(
            "process_died",
            name=event.name,
            pid=event.pid,
            exit_code=event.exit_code,
            again_in_seconds=event.pause_seconds,
        )
    else:
        log.debug("process", fact=event.fact, name=event.name, pid=event.pid, exit_code=event.exit_code)


def end_sessions(store: Store) -> Callable[[Left], Awaitable[None]]:
    """Return what gives up the session of a dead process, so that what it held is taken back at once."""

    async def end(left: Left) -> None:
        try:
            await store.clock.sync()
            ago = left.overran_seconds_ago
            overran_ms = None if ago is None else store.clock.now_ms() - int(ago * 1000)
            await store.sessions.end(left.session_id, overran_ms=overran_ms)
        except ServiceError as error:
            log.info("session_not_ended", session=left.session_id, reason=error.detail)

    return end
