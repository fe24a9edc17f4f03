"""The statements that write outcomes; `records` runs them in this order.

Each is made once per dialect, and serves any number of outcomes at once.
"""

from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Boolean, Integer, Text, and_, case, select

from webhookd.adapters.store.lanes.rows import next_due
from webhookd.adapters.store.rowset import insert_rows, rowset
from webhookd.adapters.store.schema import attempts, deliveries, endpoints, lanes
from webhookd.core.model import DeliveryState


@cache
def lock_lanes(dialect: str) -> Any:
    """Lock lanes in the order of their ids and return them with their endpoints. Parameters: lane_ids."""
    rows = rowset(dialect, "lane_ids", {"id": Text})
    return (
        select(
            lanes,
            endpoints.c.state.label("endpoint_state"),
            endpoints.c.deleted_ms.label("endpoint_deleted_ms"),
            endpoints.c.failing_since_ms,
            endpoints.c.max_concurrency,
            endpoints.c.retry_cap_seconds,
        )
        .join(rows, rows.c.id == lanes.c.id)
        .outerjoin(endpoints, endpoints.c.id == lanes.c.endpoint_id)
        .order_by(lanes.c.id)
        .with_for_update(of=lanes)
    )


@cache
def write_outcomes(dialect: str) -> Any:
    """Write what became of deliveries, where the fence still holds. Parameters: outcomes."""
    r = rowset(
        dialect,
        "outcomes",
        {
            "id": Text,
            "session_id": Text,
            "token": Integer,
            "state": Text,
            "due_ms": BigInteger,
            "attempts_back": Integer,
            "last_status": Integer,
            "last_error": Text,
            "dead_reason": Text,
            "ended_ms": BigInteger,
        },
    ).c
    # Somebody cancelled it meanwhile: the lane is released, the state stays theirs.
    open_still = deliveries.c.state == DeliveryState.PENDING.value
    unsent = and_(r.attempts_back == 1, r.last_error.is_(None))
    transient = and_(deliveries.c.once.is_(True), r.state == DeliveryState.DEAD.value)
    return (
        deliveries.update()
        .where(
            deliveries.c.id == r.id,
            deliveries.c.session_id.is_not_distinct_from(r.session_id),  # by id, not by ix_deliveries_held
            deliveries.c.token == r.token,
        )
        .values(
            session_id=None,
            state=case((open_still, r.state), else_=deliveries.c.state),
            due_ms=case((open_still, r.due_ms), else_=None),
            attempts=deliveries.c.attempts - r.attempts_back,
            last_status=case((unsent, deliveries.c.last_status), else_=r.last_status),
            last_error=case((unsent, deliveries.c.last_error), else_=r.last_error),
            dead_reason=case((open_still, r.dead_reason), else_=deliveries.c.dead_reason),
            discarded_ms=case((transient, r.ended_ms), else_=deliveries.c.discarded_ms),
            ended_ms=case((open_still, r.ended_ms), else_=deliveries.c.ended_ms),
        )
        .returning(deliveries.c.id, deliveries.c.token)
    )


@cache
def insert_attempts(dialect: str) -> Any:
    """Add to the log of attempts; what is there already stays. Parameters: attempts_in."""
    return insert_rows(
        dialect,
        attempts,
        "attempts_in",
        (
            "delivery_id",
            "number",
            "at_ms",
            "duration_us",
            "dns_us",
            "connect_us",
            "tls_us",
            "first_byte_us",
            "status",
            "error",
            "headers",
            "excerpt",
            "resent",
        ),
    ).on_conflict_do_nothing()


@cache
def settle_lanes(dialect: str) -> Any:
    """Free the lanes of what has ended, and write their pace. Parameters: settled."""
    r = rowset(
        dialect,
        "settled",
        {
            "id": Text,
            "count": Integer,
            "hold_ms": BigInteger,
            "cap": Integer,
            "slow": Boolean,
            "heard": Boolean,
            "pace": Text,
        },
    ).c
    left = lanes.c.in_flight - r["count"]
    return (
        lanes.update()
        .where(lanes.c.id == r.id)
        .values(
            in_flight=case((left < 0, 0), else_=left),
            hold_ms=r.hold_ms,
            cap=r.cap,
            slow=r.slow,
            heard=r.heard,
            pace=r.pace,
            ready_ms=case((lanes.c.fifo, next_due(fifo=True)), else_=next_due(fifo=False)),
        )
        .returning(lanes.c.id, lanes.c.ready_ms, lanes.c.hold_ms)
    )
