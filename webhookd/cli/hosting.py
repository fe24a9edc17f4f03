"""Keeps the processes of one machine, an embedded broker and the number of workers: what stays of a command.

`python -m webhookd.cli.hosting FILE` carries out the plan that `up` or `worker` has become it for. The demo
has a plan carried out beside itself. Imports are few on purpose: this process does nothing most of the
time, and a test holds what it may cost. The store is opened where it is needed: to give up the session of a
process that has died, and to see how many workers there should be.
"""

import webhookd.runtime.lean_imports  # noqa: F401 - before whatever logs

# isort: split
import asyncio
import contextlib
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import structlog

from webhookd.adapters.embedded import EmbeddedValkey
from webhookd.adapters.heartbeat import Left
from webhookd.adapters.log_writer import LogWriter
from webhookd.adapters.supervised import ChildEvent, ChildFact, ChildSpec
from webhookd.adapters.supervisor import Supervisor
from webhookd.adapters.telemetry import configure_logging
from webhookd.cli.plan import STOPPING, Plan, read_plan
from webhookd.cli.stop_signals import StopSignals
from webhookd.core.errors import Unavailable, WebhookdError
from webhookd.core.scaling import WorkerRange
from webhookd.runtime.every import every
from webhookd.runtime.outage import Outage

if TYPE_CHECKING:
    from webhookd.adapters.store.store import Store

log = structlog.get_logger(__name__)

_BROKER_VARIABLE: Final = "WEBHOOKD_BROKER_URL"
_READY_SECONDS: Final = 60.0
_ANSWER_SECONDS: Final = 5.0
_DEATHS_TOO_MANY: Final = 5
_BROKER_LOOK_SECONDS: Final = 0.5
_BROKER_PAUSE_SECONDS: Final = 2.0

OpenStore = Callable[[], Awaitable["Store"]]


@contextlib.asynccontextmanager
async def hosted(
    plan: Plan, *, open_store: OpenStore, on_supervisor: Callable[[Supervisor], None]
) -> AsyncIterator[Supervisor]:
    """Start everything, and stop it at the end: the processes in order, then the broker.

    `on_supervisor` is told the supervisor before its processes start, so that a person who cannot wait can
    have them killed. Raises SettingsError, Unavailable.
    """
    async with contextlib.AsyncExitStack() as stack:
        environment = {**os.environ, **plan.environment}
        if plan.broker_folder is not None:
            broker = EmbeddedValkey(Path(plan.broker_folder))
            stack.callback(broker.stop)
            broker.start()
            environment[_BROKER_VARIABLE] = broker.url
            await stack.enter_async_context(_background(_keep_broker(broker)))
        store = _StoreWhereNeeded(open_store)
        stack.push_async_callback(store.close)
        watch = _Watch()
        specs = [replace(spec, env=environment) for spec in plan.processes]
        supervisor = Supervisor(specs, on_event=watch, on_left=store.end_left, forerunners=plan.forerunners)
        on_supervisor(supervisor)
        await stack.enter_async_context(_supervised(supervisor))
        if plan.url is not None:
            await _ready(plan.url, supervisor, watch, {spec.name for spec in specs})
        if plan.most > plan.least:
            await stack.enter_async_context(_background(await _autoscaling(plan, supervisor, store, specs)))
        yield supervisor


class _StoreWhereNeeded:
    """The store, opened at its first use."""

    def __init__(self, open_store: OpenStore) -> None:
        self._open = open_store
        self._opening = asyncio.Lock()
        self._store: Store | None = None

    async def get(self) -> "Store":
        """Return it. Raises SettingsError, Unavailable."""
        async with self._opening:
            if self._store is None:
                self._store = await self._open()
            return self._store

    async def end_left(self, left: Left) -> None:
        """Give up the session of a dead process, so that what it held is taken back at once."""
        try:
            store = await self.get()
            await store.clock.sync()
            ago = left.overran_seconds_ago
            overran_ms = None if ago is None else store.clock.now_ms() - int(ago * 1000)
            await store.sessions.end(left.session_id, overran_ms=overran_ms)
        except WebhookdError as error:
            log.info("session_not_ended", session=left.session_id, reason=error.detail)

    async def close(self) -> None:
        if self._store is not None:
            await self._store.close()


class _Watch:
    """Hears of every child and logs it; knows whether one cannot even start."""

    def __init__(self) -> None:
        self.hopeless: ChildEvent | None = None

    def __call__(self, event: ChildEvent) -> None:
        facts = {"name": event.name, "pid": event.pid}
        if event.fact is ChildFact.FROZEN:
            log.error("process_frozen", **facts, silent_seconds=event.silent_seconds)
        elif event.fact is ChildFact.DIED:
            facts["exit_code"] = event.exit_code
            log.warning("process_died", **facts, again_in_seconds=event.pause_seconds)
            if event.quick_deaths >= _DEATHS_TOO_MANY:
                self.hopeless = event
        else:
            log.debug("process", fact=event.fact, **facts, exit_code=event.exit_code)


@contextlib.asynccontextmanager
async def _supervised(supervisor: Supervisor) -> AsyncIterator[None]:
    running = asyncio.create_task(supervisor.run(), name="supervisor")
    try:
        yield
    finally:
        supervisor.stop()
        await running


async def _ready(url: str, supervisor: Supervisor, watch: _Watch, names: set[str]) -> None:
    """Wait until the API serves and every process has begun its session.

    One whose disk is nearly full serves: it takes no task in, and what it has taken goes on. An operator who
    starts it again meanwhile wants no outage of that as well.
    """
    give_up_at = time.monotonic() + _READY_SECONDS
    while True:
        left = names - supervisor.begun
        reason = f"{len(left)} of {len(names)} processes have not begun" if left else await _unready(url)
        if reason is None:
            return
        if (event := watch.hopeless) is not None:
            raise Unavailable(
                f"The process {event.name} ended {event.quick_deaths} times in a row at its start "
                f"(exit code {event.exit_code}); what it said is above."
            )
        if time.monotonic() > give_up_at:
            raise Unavailable(f"The service was not ready within {_READY_SECONDS:.0f} s: {reason}.")
        await asyncio.sleep(0.05)


async def _unready(url: str) -> str | None:
    """Ask the API; return why it does not serve, None where it does."""
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            with contextlib.closing(writer):
                request = f"GET /readyz HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
                writer.write(request.encode())
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        status = int(head.split(maxsplit=2)[1])
        told = {} if status == 200 else json.loads(body)
    except (OSError, ValueError, LookupError):  # TimeoutError is an OSError
        return "the API does not answer"
    if status == 200:
        return None
    reason = str(told.get("detail", status)).rstrip(".")
    if told.get("database", {}).get("status") != "ok":
        return reason
    log.warning("not_ready", reason=reason)
    return None


async def _keep_broker(broker: EmbeddedValkey) -> None:
    """Start the embedded broker again when it dies. Nothing is lost by that: its content is hints."""

    async def look() -> None:
        if (exit_code := broker.poll()) is not None:
            log.warning("broker_died", exit_code=exit_code)
            broker.restart()  # blocks for some 70 ms, and must run in the main thread

    outage = Outage("service", "the embedded broker")
    await every(_BROKER_LOOK_SECONDS, look, outage=outage, after_failure_seconds=_BROKER_PAUSE_SECONDS)


async def _autoscaling(
    plan: Plan, supervisor: Supervisor, store: _StoreWhereNeeded, specs: list[ChildSpec]
) -> Awaitable[None]:
    opened = await store.get()
    # Imported where it is used: it reads the store.
    from webhookd.cli.autoscale import autoscale

    (first,) = (spec for spec in specs if spec.name == "tasks-1")
    bounds = WorkerRange(least=plan.least, most=plan.most)
    return autoscale(opened, supervisor, bounds, lambda number: replace(first, name=f"tasks-{number}"))


@contextlib.asynccontextmanager
async def _background(work: Any) -> AsyncIterator[None]:
    running = asyncio.ensure_future(work)
    try:
        yield
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def _open_store() -> "Store":
    # It takes half a second, in which the processes go on being watched.
    await asyncio.to_thread(importlib.import_module, "webhookd.wiring.process")
    from webhookd.settings import load_settings
    from webhookd.wiring.process import load_vault, open_store

    settings = load_settings()
    # The session is only named here, never begun: this process claims nothing.
    return await open_store(settings, load_vault(settings), "ses_host")


async def _host(plan: Plan) -> None:
    unsaid = plan.unsaid
    with StopSignals() as signals:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        try:
            async with hosted(plan, open_store=_open_store, on_supervisor=signals.supervises):
                # Its reader may stall like any other, and must not keep us from hearing a signal.
                LogWriter(sys.stdout).put(plan.said.encode())
                unsaid = ""
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not signals.came:
                raise
        finally:
            if unsaid:
                signals.say(unsaid)
        if plan.url is not None:
            signals.say("webhookd: stopped")


def main() -> int:
    """Carry out the plan; return the exit code."""
    plan = read_plan(int(sys.argv[1]))
    for kept in plan.kept_files:
        os.set_inheritable(kept, False)
    os.environ.update(plan.environment)
    configure_logging(log_format=plan.log_format, level=plan.log_level, process=plan.name)
    try:
        asyncio.run(_host(plan))
    except Exception as error:
        if plan.log_level == "debug":
            raise
        from webhookd.cli.command_line import failure_line

        LogWriter(sys.stderr).put(f"{failure_line(error)}\n".encode())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
