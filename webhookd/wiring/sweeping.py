"""What every worker sweeps, joined: repairs, replays, retention, what partners are told, files."""

from typing import Final

from webhookd.adapters.files import open_bucket
from webhookd.adapters.store.deliveries.dead_digests import tell_of_dead
from webhookd.adapters.store.endpoints.endpoint_trouble import tell_of_failing
from webhookd.adapters.store.upkeep.retention import Retention, RetentionPolicy
from webhookd.core.model import DELIVER_QUEUE
from webhookd.core.submission import REST_SECONDS
from webhookd.flows.alarm import Alarm
from webhookd.flows.replay import ReplayFlow
from webhookd.flows.sweep import Chore, Sweeper
from webhookd.flows.sweep_files import FileSweeper
from webhookd.settings import Settings
from webhookd.wiring.process import Process, days_ms

TELL_SECONDS: Final = 5.0
"""As often as a worker at rest sweeps."""


def sweeper_of(common: Process, alarm: Alarm) -> Sweeper:
    """Return the sweeper of a worker, with its chores."""
    settings, store = common.settings, common.store
    replays = ReplayFlow(store.replays.running, store.replays.advance)
    retention = Retention(store.db, _retention_policy(settings))
    now_ms = store.clock.now_ms

    async def replay() -> bool:
        await replays.step(now_ms())
        return False

    async def settle() -> bool:
        if await store.endpoints.settle_strays(now_ms()):
            common.ringer.ring(DELIVER_QUEUE)
        return False

    async def tell() -> bool:
        more = [await store.write(tell_of_failing, now_ms()), await store.write(tell_of_dead, now_ms())]
        return any(more)

    async def forget() -> bool:
        return await retention.step(now_ms())

    return Sweeper(
        repairs=store.sweeps,
        alarm=alarm,
        ring=common.ringer.ring,
        now_ms=now_ms,
        every_seconds=settings.sweep_seconds,
        lease_seconds=settings.lease_seconds,
        is_written=lambda: common.lease.renewed,
        chores=(
            Chore(name="replay", every_seconds=settings.sweep_seconds, step=replay),
            Chore(name="settle", every_seconds=settings.sweep_seconds, step=settle),
            Chore(name="batches", every_seconds=REST_SECONDS, step=store.sweeps.cancel_batches),
            Chore(name="tell", every_seconds=_tell_seconds(settings), step=tell),
            Chore(name="retention", every_seconds=60.0, step=forget),
        ),
    )


def _tell_seconds(settings: Settings) -> float:
    """Return how often to look for trouble that partners are to be told of."""
    return min(TELL_SECONDS, settings.failing_after_seconds / 4)


def file_sweeper_of(common: Process) -> FileSweeper:
    """Return what removes files past their time, and bytes that no row names."""
    return FileSweeper(
        rows=common.store.files,
        store=open_bucket(common.settings.resolved_files_url),
        now_ms=common.store.clock.now_ms,
    )


def _retention_policy(settings: Settings) -> RetentionPolicy:
    return RetentionPolicy(
        tasks_ms=days_ms(settings.retention_tasks_days),
        attempts_ms=days_ms(settings.retention_attempts_days),
        dead_letters_ms=days_ms(settings.retention_dead_letters_days),
        audit_ms=days_ms(settings.retention_audit_days),
        replays_ms=days_ms(settings.retention_replays_days),
        idempotency_ms=int(settings.idempotency_hours * 3_600_000),
    )
