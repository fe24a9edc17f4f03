"""The only place that knows concretes: settings in, running parts out.

`api_process` and `worker_process` build everything one process needs and take it down again in order.
"""

import asyncio
import contextlib
import os
import shutil
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal

from starlette.types import ASGIApp

import webhookd
from webhookd.adapters.broker import DELIVER_QUEUE, BrokerHealth, Ringer, TurnWorker
from webhookd.adapters.entropy import chance, new_id, new_span_id
from webhookd.adapters.log_facts import log_attempt, log_refused_addresses, log_request, log_run
from webhookd.adapters.metrics import (
    BrokerTotals,
    Metrics,
    count_attempt,
    count_refused_addresses,
    count_request,
    count_run,
    ring_figures,
    store_figures,
)
from webhookd.adapters.runner import Runner
from webhookd.adapters.sender import AddressesRefused, build_sender
from webhookd.adapters.signals import Signals
from webhookd.adapters.store.migrate import current_revision, newest_revision
from webhookd.adapters.store.retention import Retention, RetentionPolicy
from webhookd.adapters.store.store import Store, StoreOptions
from webhookd.adapters.vault import Vault
from webhookd.api.app import create_app
from webhookd.api.parts import ApiOptions, ApiParts
from webhookd.api.watch import key_review
from webhookd.core import ids
from webhookd.core.admission import Ceilings
from webhookd.core.api_keys import operator_key_hash
from webhookd.core.egress import EgressPolicy
from webhookd.core.errors import SettingsError
from webhookd.core.retry import RetryPolicy
from webhookd.flows.alarm import Alarm
from webhookd.flows.deliver import DeliveryEngine
from webhookd.flows.execute import Executor
from webhookd.flows.lease import Lease
from webhookd.flows.load import LoadGauge
from webhookd.flows.rates import PartnerRates
from webhookd.flows.replay import ReplayFlow
from webhookd.flows.submit import SubmitTasks
from webhookd.flows.sweep import Chore, Sweeper
from webhookd.flows.watch import Watchers
from webhookd.settings import Settings
from webhookd.taskset import load_task_sets

DAY_MS = 86_400_000
KEYS_FILE = "encryption.keys"

Role = Literal["tasks", "deliver"]


@dataclass(slots=True, kw_only=True)
class Common:
    """What every process has: store, lease, bell, signals, metrics."""

    settings: Settings
    store: Store
    vault: Vault
    lease: Lease
    ringer: Ringer
    signals: Signals
    metrics: Metrics


def broker_url(settings: Settings) -> str:
    """Return the broker's URL. Raises SettingsError where this process was given none."""
    if not settings.broker_url:
        raise SettingsError(
            "WEBHOOKD_BROKER_URL is not set; give a redis:// URL, or use `webhookd up`, which brings its own."
        )
    return settings.broker_url


def load_vault(settings: Settings) -> Vault:
    """Return the vault on the configured keys, or on those `up` keeps in the data dir."""
    keys = settings.encryption_keys
    kept = settings.data_dir / KEYS_FILE
    if not keys and kept.is_file():
        keys = tuple(line for line in kept.read_text().splitlines() if line)
    if not keys:
        raise SettingsError(
            "WEBHOOKD_ENCRYPTION_KEYS is not set; make a key with "
            "`openssl rand -base64 32` and give it to every process."
        )
    return Vault(keys)


def delivery_policy(settings: Settings) -> RetryPolicy:
    """Return the default retry policy of deliveries."""
    return RetryPolicy(
        max_attempts=settings.retry_max_attempts,
        base_seconds=settings.retry_base_seconds,
        factor=settings.retry_factor,
        cap_seconds=settings.retry_cap_seconds,
    )


async def open_store(settings: Settings, vault: Vault, session_id: str) -> Store:
    """Connect, and refuse a database that is not at this release's schema, or sealed with other keys."""
    store = await Store.open(
        settings.resolved_database_url,
        vault,
        StoreOptions(
            session_id=session_id,
            default_max_attempts=settings.retry_max_attempts,
            base_url=settings.public_url,
            lane_concurrency=settings.delivery_per_host,
            retry_cap_seconds=settings.retry_cap_seconds,
            disable_after_ms=int(settings.disable_after_seconds * 1000),
            idempotency_keep_ms=int(settings.idempotency_hours * 3_600_000),
        ),
    )
    try:
        _require_revision(await store.db.read(current_revision))
        vault.require(await store.keys_in_use())
    except BaseException:
        await store.close()
        raise
    return store


def _require_revision(revision: str | None) -> None:
    if revision != newest_revision():
        raise SettingsError(
            f"WEBHOOKD_DATABASE_URL: the database is at revision {revision}, this release needs "
            f"{newest_revision()}; run `webhookd migrate`."
        )


@contextlib.asynccontextmanager
async def _common(settings: Settings, kind: str, detail: dict[str, Any]) -> AsyncIterator[Common]:
    vault = load_vault(settings)
    url = broker_url(settings)
    first_id = new_id(ids.SESSION, int(time.time() * 1000))
    store = await open_store(settings, vault, first_id)
    given = iter((first_id,))
    lease = Lease(
        store.sessions,
        store.clock,
        new_id=lambda: next(given, None) or new_id(ids.SESSION, store.clock.now_ms()),
        kind=kind,
        host=socket.gethostname(),
        pid=os.getpid(),
        detail=detail,
        lease_seconds=settings.lease_seconds,
    )
    ringer = Ringer(url)
    signals = Signals(url)
    totals = BrokerTotals(url)
    metrics = Metrics(totals, figures=(store_figures(store.db.figures, kind), ring_figures(ringer)))
    try:
        await lease.begin()
        async with _background(lease.keep()), _background(metrics.run()):
            yield Common(
                settings=settings,
                store=store,
                vault=vault,
                lease=lease,
                ringer=ringer,
                signals=signals,
                metrics=metrics,
            )
        await lease.end()
    finally:
        await ringer.aclose()
        await signals.aclose()
        await store.close()
        await metrics.tell()
        await totals.aclose()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiProcess:
    """The application, and those who wait in it: they must be drained before it can stop."""

    app: ASGIApp
    watchers: Watchers


@contextlib.asynccontextmanager
async def api_process(settings: Settings) -> AsyncIterator[ApiProcess]:
    """Build the API on real parts; what it needs in the background runs as long as the context."""
    task_set = load_task_sets(settings.tasks)
    health = BrokerHealth(broker_url(settings), queues=(*task_set.queues, DELIVER_QUEUE))
    async with (
        _common(settings, "api", {"port": settings.port}) as common,
        contextlib.AsyncExitStack() as stack,
    ):
        stack.push_async_callback(health.aclose)
        store, ringer, signals = common.store, common.ringer, common.signals
        load = LoadGauge(
            store.queues,
            look_at_broker=health.check,
            free_disk_bytes=_free_disk(settings),
            monotonic=time.monotonic,
        )
        watchers = Watchers(
            store.tasks,
            store.changes,
            is_good_key=key_review(store.keys.find, store.clock.now_ms),
            base_url=settings.public_url,
        )
        for work in (load.run(), watchers.run(), signals.listen(watchers.hear)):
            await stack.enter_async_context(_background(work))
        parts = ApiParts(
            options=ApiOptions(
                base_url=settings.public_url,
                admin_key_hash=operator_key_hash(settings.admin_key) if settings.admin_key else None,
                max_input_bytes=settings.max_input_bytes,
                trusted_proxies=_networks(settings),
            ),
            store=store,
            task_types=task_set,
            egress=EgressPolicy.parse(settings.egress_allow),
            vault=common.vault,
            submit=SubmitTasks(
                intake=store.tasks,
                memory=store.idempotency,
                load=load,
                rates=PartnerRates(rate=settings.partner_rate, burst=settings.partner_burst),
                bell=ringer,
                announcer=signals,
                ceilings=Ceilings(
                    max_queued=settings.max_queued,
                    partner_max_queued=settings.partner_max_queued,
                    min_free_disk_bytes=settings.min_free_disk_bytes,
                ),
            ),
            load=load,
            bell=ringer,
            signals=signals,
            watchers=watchers,
            now_ms=store.clock.now_ms,
            metrics=common.metrics,
            listeners=(log_request(), count_request(common.metrics.tally)),
        )
        yield ApiProcess(app=create_app(parts), watchers=watchers)


@contextlib.asynccontextmanager
async def worker_process(settings: Settings, role: Role, queues: tuple[str, ...]) -> AsyncIterator[None]:
    """Run a task worker for `queues`, or a deliver worker, as long as the context; then end gracefully."""
    detail = {"queues": list(queues), "slots": settings.worker_threads if role == "tasks" else 0}
    async with _common(settings, role, detail) as common:
        alarm = Alarm(common.ringer.ring, common.store.clock.now_ms)
        work = _executor(common, alarm, queues) if role == "tasks" else _engine(common, alarm)
        sweeper = _sweeper(common, alarm)
        turns = TurnWorker(
            broker_url(settings),
            queues=queues if role == "tasks" else (DELIVER_QUEUE,),
            on_turn=work.turn,
            loop=asyncio.get_running_loop(),
        )
        turns.start()
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(_background(sweeper.run()))
            if isinstance(work, Executor):
                await stack.enter_async_context(_background(work.watch_cancellations()))
            try:
                yield
            finally:
                async with asyncio.TaskGroup() as ending:
                    ending.create_task(work.stop(settings.shutdown_seconds))
                    ending.create_task(turns.stop(settings.shutdown_seconds))
                alarm.close()


def _executor(common: Common, alarm: Alarm, queues: tuple[str, ...]) -> Executor:
    settings = common.settings
    task_set = load_task_sets(settings.tasks)
    unknown = sorted(set(queues) - set(task_set.queues))
    if unknown:
        raise SettingsError(
            f"--queues: no task type uses the queue {unknown[0]!r}; "
            f"the queues of WEBHOOKD_TASKS are {', '.join(task_set.queues)}."
        )
    return Executor(
        tasks=common.store.tasks,
        runner=Runner(
            slots=settings.worker_threads,
            task_spec=settings.tasks,
            log_format=settings.log_format,
            log_level=settings.log_level,
        ),
        task_set=task_set,
        lease=common.lease,
        alarm=alarm,
        ring=common.ringer.ring,
        publish=common.signals.publish,
        now_ms=common.store.clock.now_ms,
        listeners=(log_run(), count_run(common.metrics.tally)),
    )


def _engine(common: Common, alarm: Alarm) -> DeliveryEngine:
    settings, tally = common.settings, common.metrics.tally
    security_events = (log_refused_addresses(), count_refused_addresses(tally))

    def refused(event: AddressesRefused) -> None:
        for listen in security_events:
            listen(event)

    return DeliveryEngine(
        lanes=common.store.lanes,
        sender=build_sender(
            EgressPolicy.parse(settings.egress_allow),
            timeout_seconds=settings.delivery_timeout_seconds,
            proxy_url=settings.egress_proxy or None,
            max_connections=settings.delivery_connections,
            max_per_host=settings.delivery_per_host,
            on_security_event=refused,
        ),
        vault=common.vault,
        lease=common.lease,
        alarm=alarm,
        ring=common.ringer.ring,
        now_ms=common.store.clock.now_ms,
        new_span_id=new_span_id,
        chance=chance,
        policy=delivery_policy(settings),
        connections=settings.delivery_connections,
        user_agent=f"webhookd/{webhookd.__version__}",
        listeners=(log_attempt(), count_attempt(tally)),
    )


def _sweeper(common: Common, alarm: Alarm) -> Sweeper:
    settings, store = common.settings, common.store
    replays = ReplayFlow(store.replays, bell=common.ringer, signals=common.signals)
    retention = Retention(store.db, _retention_policy(settings))
    now_ms = store.clock.now_ms

    async def replay() -> bool:
        await replays.step(now_ms())
        return False

    async def settle() -> bool:
        if await store.endpoints.settle_strays(now_ms()):
            common.ringer.ring(DELIVER_QUEUE)
        return False

    async def forget() -> bool:
        return await retention.step(now_ms())

    return Sweeper(
        repairs=store.sweeps,
        alarm=alarm,
        ring=common.ringer.ring,
        publish=common.signals.publish,
        now_ms=now_ms,
        every_seconds=settings.sweep_seconds,
        chores=(
            Chore(name="replay", every_seconds=settings.sweep_seconds, step=replay),
            Chore(name="settle", every_seconds=settings.sweep_seconds, step=settle),
            Chore(name="retention", every_seconds=60.0, step=forget),
        ),
    )


def _retention_policy(settings: Settings) -> RetentionPolicy:
    def ms(days: float | None) -> int | None:
        return None if days is None else int(days * DAY_MS)

    return RetentionPolicy(
        tasks_ms=ms(settings.retention_tasks_days),
        attempts_ms=ms(settings.retention_attempts_days),
        dead_letters_ms=ms(settings.retention_dead_letters_days),
        audit_ms=ms(settings.retention_audit_days),
        idempotency_ms=int(settings.idempotency_hours * 3_600_000),
    )


def _free_disk(settings: Settings) -> Callable[[], int | None]:
    """Watch the disk only where the database is a file of ours."""
    if settings.database_url and not settings.database_url.startswith("sqlite"):
        return lambda: None
    path = Path(settings.resolved_database_url.removeprefix("sqlite:///")).parent
    return lambda: shutil.disk_usage(path).free


def _networks(settings: Settings) -> tuple[Any, ...]:
    try:
        return tuple(ip_network(one, strict=False) for one in settings.trusted_proxies)
    except ValueError as error:
        raise SettingsError(
            f"WEBHOOKD_TRUSTED_PROXIES: {error}; give addresses or networks such as 10.0.0.0/8."
        ) from None


@contextlib.asynccontextmanager
async def _background(work: Any) -> AsyncIterator[None]:
    """Run a coroutine as long as the context."""
    running = asyncio.ensure_future(work)
    try:
        yield
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
