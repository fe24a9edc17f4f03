"""What every process has (vault, store, lease, bell, signals, metrics, spans), built and ended in order."""

import asyncio
import contextlib
import os
import shutil
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from webhookd.adapters.broker import Ringer
from webhookd.adapters.entropy import new_id
from webhookd.adapters.heartbeat import Heartbeat
from webhookd.adapters.keys_file import KeysFile
from webhookd.adapters.metrics import (
    BrokerTotals,
    Metrics,
    forged_figures,
    log_figures,
    ring_figures,
    store_figures,
)
from webhookd.adapters.signals import Signals
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.drivers import parse_url
from webhookd.adapters.store.migrate import current_revision, newest_revision
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Policy, Wakes
from webhookd.adapters.vault import Vault
from webhookd.core import ids
from webhookd.core.errors import ServiceError, SettingsError
from webhookd.flows.lease import Lease
from webhookd.settings import Settings
from webhookd.wiring.tracing import Tracing, open_tracing, wants_spans

log = structlog.get_logger(__name__)

KEYS_FILE = "encryption.keys"
DAY_MS = 86_400_000


@dataclass(slots=True, kw_only=True)
class Process:
    """What every process has: store, lease, bell, signals, metrics, spans where they are wanted."""

    settings: Settings
    store: Store
    vault: Vault
    lease: Lease
    heartbeat: Heartbeat
    ringer: Ringer
    signals: Signals
    metrics: Metrics
    tracing: Tracing


def broker_url(settings: Settings) -> str:
    """Return the broker's URL. Raises SettingsError where this process was given none."""
    if not settings.broker_url:
        raise SettingsError(
            "WEBHOOKD_BROKER_URL is not set; give a redis:// URL, or use `webhookd up`, which brings its own."
        )
    return settings.broker_url


def keys_file(settings: Settings) -> Path | None:
    """Return the file `up` keeps the encryption keys in; None where they are a setting."""
    return None if settings.encryption_keys else settings.data_dir.absolute() / KEYS_FILE


def load_vault(settings: Settings) -> Vault:
    """Return the vault on the configured keys, or on those `up` keeps in the data dir.

    The latter are looked at again when their file changes. Raises SettingsError.
    """
    path = keys_file(settings)
    if path is None:
        return Vault(settings.encryption_keys)
    kept = KeysFile(path)
    keys = kept.read()
    if not keys:
        raise SettingsError(
            "WEBHOOKD_ENCRYPTION_KEYS is not set; make a key with "
            "`openssl rand -base64 32` and give it to every process."
        )
    return Vault(keys, changed=kept.changed)


def require_database(settings: Settings) -> None:
    """Refuse to make a database by looking for one. Raises SettingsError where a SQLite file is not there."""
    path = sqlite_path(settings)
    if path is not None and not path.is_file():
        raise SettingsError(
            f"There is no installation here ({path} does not exist): start one with `webhookd up`, "
            "set WEBHOOKD_DATA_DIR to its data dir, or give WEBHOOKD_KEY and WEBHOOKD_URL of one elsewhere."
        )


async def open_store(
    settings: Settings,
    vault: Vault,
    session_id: str,
    *,
    wake: Callable[[Wakes], None] = lambda _: None,
    writes_apart: bool = False,
) -> Store:
    """Connect, and refuse a database that is not at this release's schema, or sealed with other keys."""
    store = await Store.open(
        settings.resolved_database_url,
        vault,
        Policy(
            session_id=session_id,
            default_max_attempts=settings.retry_max_attempts,
            base_url=settings.public_url,
            lane_concurrency=settings.delivery_per_host,
            host_rate=settings.delivery_host_rate,
            lease_seconds=settings.lease_seconds,
            retry_cap_seconds=settings.retry_cap_seconds,
            failing_after_ms=int(settings.failing_after_seconds * 1000),
            disable_after_ms=int(settings.disable_after_seconds * 1000),
            idempotency_keep_ms=int(settings.idempotency_hours * 3_600_000),
        ),
        wake=wake,
        writes_apart=writes_apart,
    )
    try:
        await require_revision(store.db)
        vault.require(await store.keys_in_use())
    except BaseException:
        await store.close()
        raise
    return store


def sqlite_path(settings: Settings) -> Path | None:
    """Return the database's file; None where it is PostgreSQL. Raises SettingsError for a wrong URL."""
    url = parse_url(settings.resolved_database_url)
    return Path(url.database or "") if url.get_backend_name() == "sqlite" else None


def free_disk(settings: Settings) -> Callable[[], int | None]:
    """Watch the disk only where the database is a file of ours."""
    path = sqlite_path(settings)
    return lambda: None if path is None else shutil.disk_usage(path.parent).free


def days_ms(days: float | None) -> int | None:
    """Return a setting of days in ms; None is for ever."""
    return None if days is None else int(days * DAY_MS)


async def require_revision(db: Database) -> None:
    """Refuse a database that is not at this release's schema. Raises SettingsError."""
    revision = await db.read(current_revision)
    if revision != newest_revision():
        at = "empty" if revision is None else f"at revision {revision}"
        raise SettingsError(
            f"WEBHOOKD_DATABASE_URL: the database is {at}, this release needs revision "
            f"{newest_revision()}; run `webhookd migrate`."
        )


@contextlib.asynccontextmanager
async def running_process(settings: Settings, kind: str, detail: dict[str, Any]) -> AsyncIterator[Process]:
    """Run what every process has; `kind` is `api`, `tasks` or `deliver`."""
    vault = load_vault(settings)
    url = broker_url(settings)
    wants_spans(settings)
    first_id = new_id(ids.SESSION, int(time.time() * 1000))
    ringer = Ringer(url)
    signals = Signals(url)

    def wake(wakes: Wakes) -> None:
        for queue in wakes.queues:
            ringer.ring(queue)
        signals.publish(wakes.tasks)

    try:
        store = await open_store(settings, vault, first_id, wake=wake, writes_apart=kind == "deliver")
    except BaseException:
        await ringer.aclose()
        await signals.aclose()
        raise
    given = iter((first_id,))
    lease = Lease(
        store.sessions,
        store.clock,
        new_id=lambda: next(given, None) or new_id(ids.SESSION, store.clock.now_ms()),
        kind=kind,
        host=socket.gethostname(),
        pid=os.getpid(),
        detail={
            **detail,
            "lease_seconds": settings.lease_seconds,
            "keys": list(vault.key_ids),
            "keys_file": str(keys_file(settings) or ""),
            "egress_allow": settings.egress_allow,
        },
        lease_seconds=settings.lease_seconds,
    )
    tracing = open_tracing(settings, kind, store.clock.now_ms)
    totals = BrokerTotals(url)
    figures = (
        store_figures(store.db.figures, kind),
        ring_figures(ringer),
        forged_figures(signals, totals),
        log_figures(kind),
    )
    metrics = Metrics(totals, figures=figures)
    heartbeat = Heartbeat.inherited()
    beating = asyncio.create_task(heartbeat.keep(settings.lease_seconds), name="heartbeat")
    try:
        await lease.begin()
        heartbeat.holds(lease.id)
        lease.on_lost.append(lambda: heartbeat.holds(lease.id))
        async with background(lease.keep()), background(metrics.run()):
            yield Process(
                settings=settings,
                store=store,
                vault=vault,
                lease=lease,
                heartbeat=heartbeat,
                ringer=ringer,
                signals=signals,
                metrics=metrics,
                tracing=tracing,
            )
        try:
            await lease.end()
        except ServiceError as error:  # it runs out by itself; the process has done its work
            log.warning("lease_not_ended", session=lease.id, reason=error.detail)
        heartbeat.holds("")
    finally:
        await ringer.aclose()
        await signals.aclose()
        await store.close()
        await metrics.tell()
        await totals.aclose()
        if tracing.spans is not None:
            await tracing.spans.aclose()
        beating.cancel()


@contextlib.asynccontextmanager
async def background(work: Any) -> AsyncIterator[None]:
    """Run a coroutine as long as the context; should it fail, the context is cancelled and fails with it.

    A process that renews no lease or sweeps no more is better started again than kept as if it worked.
    """
    owner = asyncio.current_task()
    running = asyncio.ensure_future(work)

    def ended(done: asyncio.Future[Any]) -> None:
        if owner is not None and not done.cancelled() and done.exception() is not None:
            owner.cancel()

    running.add_done_callback(ended)
    try:
        yield
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
