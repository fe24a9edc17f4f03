"""Deliveries on their way through the store, as a deliver worker would take and judge them."""

from typing import Any

from sqlalchemy import func, select

from tests.support.seeds import SESSION
from webhookd.adapters.store.schema import deliveries, lanes
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Tx
from webhookd.core.delivery import error_code, judge
from webhookd.core.dispatch import AttemptDone, AttemptRecorded, ClaimDeliveries, DueDelivery, Turn
from webhookd.core.hosts import Hosts
from webhookd.core.pacing import outcome_of
from webhookd.core.records import Attempt
from webhookd.core.reply import ErrorCode, Reply, Timing
from webhookd.core.retry import RetryPolicy

PAUSE_MS = 60_000
POLICY = RetryPolicy(max_attempts=14, base_seconds=PAUSE_MS / 1_000, factor=1, cap_seconds=3_600, jitter=0)


async def turn(
    store: Store,
    now_ms: int,
    *,
    free: int = 100,
    slow_free: int = 25,
    unheard_free: int = 50,
    by: str = SESSION,
    before: Turn | None = None,
    braked: frozenset[str] = frozenset(),
    **more: Any,
) -> Turn:
    """One turn over the lanes; `before` is this process's last one."""
    return await store.lanes.claim(
        ClaimDeliveries(
            session_id=by,
            free=free,
            slow_free=slow_free,
            unheard_free=unheard_free,
            now_ms=now_ms,
            clock=before.clock if before else 0.0,
            partner_vtimes=before.partner_vtimes if before else {},
            hosts=Hosts(states=before.host_states if before else {}, braked=braked),
            **more,
        )
    )


async def answer(
    store: Store,
    delivery: DueDelivery,
    status: int | None = None,
    *,
    now_ms: int,
    error: ErrorCode | None = None,
    retry_after: str | None = None,
    took_us: int = 5_000,
    by: str = SESSION,
) -> AttemptRecorded:
    """Record what the receiver said, judged as the engine does it, with pauses of PAUSE_MS."""
    said = Reply(status=status, error=error, retry_after=retry_after, timing=Timing(total_us=took_us))
    verdict = judge(
        said,
        attempt=delivery.attempts_in_budget,
        max_attempts=delivery.max_attempts,
        policy=POLICY,
        now_ms=now_ms,
        chance=0.5,
        inline=delivery.target.endpoint_id is None,
    )
    attempt = Attempt(
        delivery_id=delivery.id,
        number=delivery.attempt,
        at_ms=now_ms,
        duration_us=took_us,
        dns_us=None,
        connect_us=None,
        tls_us=None,
        first_byte_us=None,
        status=status,
        error=error_code(said),
        headers=(),
        excerpt="",
    )
    return await store.lanes.record(
        AttemptDone(
            delivery=delivery,
            session_id=by,
            attempt=attempt,
            verdict=verdict,
            outcome=outcome_of(said, now_ms=now_ms),
            now_ms=now_ms,
        )
    )


async def lane(store: Store, lane_id: str) -> Any:
    """A lane's row."""
    return await store.db.read(lambda tx: tx.conn.execute(select(lanes).where(lanes.c.id == lane_id)).one())


async def row_of(store: Store, delivery_id: str) -> Any:
    """A delivery's row."""
    wanted = select(deliveries).where(deliveries.c.id == delivery_id)
    return await store.db.read(lambda tx: tx.conn.execute(wanted).one())


async def assert_in_flight_is_true(store: Store) -> None:
    """Every lane's count equals a full count."""

    def compare(tx: Tx) -> tuple[dict[str, int], dict[str, int]]:
        kept = {
            r.id: r.in_flight for r in tx.conn.execute(select(lanes.c.id, lanes.c.in_flight)) if r.in_flight
        }
        counted = tx.conn.execute(
            select(deliveries.c.lane_id, func.count().label("n"))
            .where(deliveries.c.session_id.is_not(None))
            .group_by(deliveries.c.lane_id)
        )
        return kept, {r.lane_id: r.n for r in counted}

    kept, counted = await store.db.read(compare)
    assert kept == counted
