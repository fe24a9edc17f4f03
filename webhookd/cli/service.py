"""A whole service on this machine: the embedded broker, the database's schema, and the supervised processes.

`up` and the demo are two faces of this. What a person can have done wrong is found before a process is
started, and raised as an error of one line.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import httpx
import structlog

from webhookd.adapters.broker import BrokerHealth
from webhookd.adapters.embedded import EmbeddedValkey
from webhookd.adapters.store.migrate import migrate
from webhookd.adapters.store.store import Store
from webhookd.adapters.supervisor import ChildEvent, ChildFact, Supervisor
from webhookd.adapters.vault import Vault
from webhookd.cli.autoscale import autoscale
from webhookd.cli.data_dir import make_encryption_key
from webhookd.cli.processes import api_process, deliver_process, end_sessions, log_child, tasks_process
from webhookd.core.errors import SettingsError, Unavailable
from webhookd.core.scaling import WorkerRange
from webhookd.runtime.every import every
from webhookd.runtime.outage import Outage
from webhookd.settings import Settings
from webhookd.taskset import load_task_sets
from webhookd.wiring.checked import check
from webhookd.wiring.listening import listen
from webhookd.wiring.process import load_vault, open_store

log = structlog.get_logger(__name__)

_READY_SECONDS: Final = 60.0
_DEATHS_TOO_MANY: Final = 5
_BROKER_LOOK_SECONDS: Final = 0.5
_BROKER_PAUSE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service that is up. `settings` are as its processes have them: the real port, the broker's URL."""

    settings: Settings
    store: Store
    vault: Vault
    supervisor: Supervisor
    broker: EmbeddedValkey | None

    @property
    def url(self) -> str:
        """Where the API answers, seen from this machine."""
        return local_url(self.settings)


def local_url(settings: Settings) -> str:
    """Return the API's base URL for callers on this machine."""
    host = settings.local_host
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


@contextlib.asynccontextmanager
async def running_service(
    settings: Settings, workers: WorkerRange, *, on_supervisor: Any = None
) -> AsyncIterator[Service]:
    """Start everything, and stop it at the end: the processes in order, then the broker.

    The data dir must be claimed. `on_supervisor` is told the supervisor before its processes start, so
    that a person who cannot wait can have them killed. Raises SettingsError, Unavailable.
    """
    async with contextlib.AsyncExitStack() as stack:
        settings = _checked(settings)
        broker = None
        if not settings.broker_url:
            broker = EmbeddedValkey(settings.data_dir / "broker")
            stack.callback(broker.stop)
            broker.start()
            settings = settings.model_copy(update={"broker_url": broker.url})
        else:
            await _require_broker(settings.broker_url)
        store, vault = await _prepared_store(settings)
        stack.push_async_callback(store.close)
        watch = _Watch()
        supervisor = Supervisor(
            (
                *(tasks_process(number, settings) for number in range(1, workers.least + 1)),
                deliver_process(1, settings),
                api_process(settings),
            ),
            on_event=watch,
            on_left=end_sessions(store),
        )
        if on_supervisor is not None:
            on_supervisor(supervisor)
        service = Service(settings=settings, store=store, vault=vault, supervisor=supervisor, broker=broker)
        if broker is not None:
            await stack.enter_async_context(_background(_keep_broker(broker)))
        await stack.enter_async_context(_supervised(supervisor))
        await _ready(service, watch, processes=workers.least + 2)
        if workers.most > workers.least:
            await stack.enter_async_context(
                _background(
                    autoscale(store, supervisor, workers, lambda number: tasks_process(number, settings))
                )
            )
        yield service


def _checked(settings: Settings) -> Settings:
    """Find what a person can have done wrong. Return the settings with the real port."""
    check(settings)
    load_task_sets(settings.tasks)
    with listen(settings) as probe:
        return settings.model_copy(update={"port": probe.getsockname()[1]})


async def _require_broker(url: str) -> None:
    health = BrokerHealth(url, queues=())
    try:
        status = await health.check()
    finally:
        await health.aclose()
    if not status.ok:
        raise SettingsError(
            f"WEBHOOKD_BROKER_URL: the broker there does not serve ({status.reason}); start it, mend the "
            "URL, or leave the setting empty for an embedded one."
        )


async def _prepared_store(settings: Settings) -> tuple[Store, Vault]:
    made = make_encryption_key(settings)
    try:
        await migrate(settings.resolved_database_url)
        vault = load_vault(settings)
        # The session is only named here, never begun: this process claims nothing.
        return await open_store(settings, vault, "ses_up"), vault
    except BaseException:
        if made is not None:  # it fits no database, and would hide that the right one is missing
            made.unlink(missing_ok=True)
        raise


class _Watch:
    """Hears of every child; knows whether one cannot even start."""

    def __init__(self) -> None:
        self.hopeless: ChildEvent | None = None

    def __call__(self, event: ChildEvent) -> None:
        log_child(event)
        if event.fact is ChildFact.DIED and event.quick_deaths >= _DEATHS_TOO_MANY:
            self.hopeless = event


@contextlib.asynccontextmanager
async def _supervised(supervisor: Supervisor) -> AsyncIterator[None]:
    running = asyncio.create_task(supervisor.run(), name="supervisor")
    try:
        yield
    finally:
        supervisor.stop()
        await running


async def _ready(service: Service, watch: _Watch, *, processes: int) -> None:
    """Wait until the API says it is ready and every process has begun its session."""
    give_up_at = time.monotonic() + _READY_SECONDS
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log every look
    async with httpx.AsyncClient(base_url=service.url, trust_env=False, timeout=5.0) as client:
        while True:
            reason = await _what_is_missing(service, client, processes)
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


async def _what_is_missing(service: Service, client: httpx.AsyncClient, processes: int) -> str | None:
    ours = service.supervisor.pids.values()
    sessions = await service.store.sessions.live(service.store.clock.now_ms())
    begun = {session["pid"] for session in sessions}.intersection(ours)
    if len(begun) < processes:
        return f"{processes - len(begun)} of {processes} processes have not begun"
    try:
        answer = await client.get("/readyz")
    except httpx.HTTPError:
        return "the API does not answer"
    return None if answer.is_success else str(answer.json().get("detail", answer.status_code)).rstrip(".")


async def _keep_broker(broker: EmbeddedValkey) -> None:
    """Start the embedded broker again when it dies. Nothing is lost by that: its content is hints."""

    async def look() -> None:
        if (exit_code := broker.poll()) is not None:
            log.warning("broker_died", exit_code=exit_code)
            broker.restart()  # blocks for some 70 ms, and must run in the main thread

    outage = Outage("service", "the embedded broker")
    await every(_BROKER_LOOK_SECONDS, look, outage=outage, after_failure_seconds=_BROKER_PAUSE_SECONDS)


@contextlib.asynccontextmanager
async def _background(work: Any) -> AsyncIterator[None]:
    running = asyncio.ensure_future(work)
    try:
        yield
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
