"""What every process has: vault, store, lease, bell, signals, metrics; built and taken down in order."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from webhookd.adapters.broker import Ringer
from webhookd.adapters.entropy import new_id
from webhookd.adapters.metrics import (
    BrokerTotals,
    Metrics,
    ring_figures,
    store_figures,
)
from webhookd.adapters.signals import Signals
from webhookd.adapters.store.migrate import current_revision, newest_revision
from webhookd.adapters.store.store import Store, StoreOptions
from webhookd.adapters.vault import Vault
from webhookd.core import ids
from webhookd.core.errors import SettingsError
from webhookd.flows.lease import Lease
from webhookd.settings import Settings

KEYS_FILE = "encryption.keys"


@dataclass(slots=True, kw_only=True)
class Process:
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
async def running_process(settings: Settings, kind: str, detail: dict[str, Any]) -> AsyncIterator[Process]:
    """Run what every process has; `kind` is `api`, `tasks` or `deliver`."""
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
        async with background(lease.keep()), background(metrics.run()):
            yield Process(
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


@contextlib.asynccontextmanager
async def background(work: Any) -> AsyncIterator[None]:
    """Run a coroutine as long as the context."""
    running = asyncio.ensure_future(work)
    try:
        yield
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
