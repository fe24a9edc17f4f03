"""The statements of a turn over the lanes; `claims` runs them in this order.

Each is made once per dialect, and serves any number of lanes or deliveries at once.
"""

from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Integer,
    Text,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    text,
)

from webhookd.adapters.store.lanes.rows import next_due, open_lane
from webhookd.adapters.store.rowset import POSTGRESQL, first_of_each, rowset
from webhookd.adapters.store.schema import deliveries, endpoints, lanes, messages, partners

_SENT = (
    messages.c.body,
    messages.c.trace_id,
    messages.c.trace_parent_id,
    messages.c.trace_flags,
    messages.c.trace_state,
)


@cache
def pick_lanes(dialect: str) -> Any:
    """Lock the lanes that are ready, those served longest ago first.

    Parameters: now, slow, unheard_too, most; full and full_unheard (partners that have their share).
    """
    full, full_unheard = (rowset(dialect, name, {"id": Text}) for name in ("full", "full_unheard"))
    now = bindparam("now", type_=BigInteger)
    statement = (
        select(
            lanes,
            partners.c.weight,
            endpoints.c.url,
            endpoints.c.headers_sealed,
            endpoints.c.rate_limit,
            endpoints.c.max_concurrency,
            endpoints.c.retry_max_attempts,
            endpoints.c.retry_base_seconds,
            endpoints.c.retry_factor,
            endpoints.c.retry_cap_seconds,
        )
        .outerjoin(partners, partners.c.id == lanes.c.partner_id)
        .outerjoin(endpoints, endpoints.c.id == lanes.c.endpoint_id)
        .where(
            lanes.c.ready_ms <= now,
            lanes.c.hold_ms <= now,
            lanes.c.in_flight < lanes.c.cap,
            lanes.c.slow == bindparam("slow", type_=Boolean),
            or_(
                lanes.c.heard,
                and_(
                    bindparam("unheard_too", type_=Boolean),
                    lanes.c.partner_id.not_in(select(full_unheard.c.id)),
                ),
            ),
            lanes.c.partner_id.not_in(select(full.c.id)),
            open_lane(),
        )
        .order_by(lanes.c.served_ms, lanes.c.id)
        .limit(bindparam("most", type_=Integer))
    )
    return statement.with_for_update(of=lanes, skip_locked=True) if dialect == POSTGRESQL else statement


@cache
def first_due(dialect: str) -> Any:
    """Return the first due deliveries of each wanted lane. Parameters: wanted, now, most."""
    wanted = rowset(dialect, "wanted", {"lane_id": Text})
    inner = deliveries.alias("inner_deliveries")
    line = (
        select(inner.c.id)
        .where(
            text("inner_deliveries.state = 'pending' AND inner_deliveries.session_id IS NULL"),
            inner.c.lane_id == wanted.c.lane_id,
            inner.c.due_ms <= bindparam("now", type_=BigInteger),
        )
        .order_by(inner.c.due_ms, inner.c.id)
        .limit(bindparam("most", type_=Integer))
        .correlate(wanted)
    )
    return first_of_each(
        dialect, wanted, inner, line, give=("id", "lane_id", "url"), order=("lane_id", "due_ms", "id")
    )


@cache
def fifo_heads(dialect: str) -> Any:
    """Return the head of each wanted fifo lane, if it is due and not under way. Parameters: wanted, now."""
    wanted = rowset(dialect, "wanted", {"lane_id": Text})
    inner = deliveries.alias("inner_deliveries")
    head = (
        select(func.min(inner.c.id))
        .where(text("inner_deliveries.state = 'pending'"), inner.c.lane_id == wanted.c.lane_id)
        .correlate(wanted)
        .scalar_subquery()
    )
    return (
        select(deliveries.c.id, deliveries.c.lane_id, deliveries.c.url)
        .select_from(wanted)
        .join(deliveries, deliveries.c.id == head)
        .where(
            deliveries.c.session_id.is_(None),
            deliveries.c.due_ms <= bindparam("now", type_=BigInteger),
        )
    )


@cache
def take(dialect: str) -> Any:
    """Take deliveries for a session: attempt and fencing token + 1. Parameters: ids, session, due.

    PostgreSQL returns them as `with_messages` does, SQLite their ids: its RETURNING sees one table.
    """
    rows = rowset(dialect, "ids", {"id": Text})
    statement = (
        deliveries.update()
        .where(
            deliveries.c.id == rows.c.id,
            deliveries.c.state == "pending",
            deliveries.c.session_id.is_(None),
        )
        .values(
            attempts=deliveries.c.attempts + 1,
            token=deliveries.c.token + 1,
            session_id=bindparam("session", type_=Text),
            due_ms=bindparam("due", type_=BigInteger),
        )
    )
    if dialect == POSTGRESQL:
        return statement.where(messages.c.id == deliveries.c.message_id).returning(deliveries, *_SENT)
    return statement.returning(deliveries.c.id)


@cache
def with_messages(dialect: str) -> Any:
    """Return deliveries with the bytes and the trace of their messages. Parameters: ids."""
    rows = rowset(dialect, "ids", {"id": Text})
    return (
        select(deliveries, *_SENT)
        .join(rows, rows.c.id == deliveries.c.id)
        .join(messages, messages.c.id == deliveries.c.message_id)
    )


@cache
def move_lanes(dialect: str) -> Any:
    """Write what a turn did to its lanes, and when each is ready next. Parameters: moved."""
    r = rowset(
        dialect,
        "moved",
        {
            "id": Text,
            "count": Integer,
            "served_ms": BigInteger,
            "hold_ms": BigInteger,
            "cap": Integer,
            "pace": Text,
        },
    ).c
    return (
        lanes.update()
        .where(lanes.c.id == r.id)
        .values(
            in_flight=lanes.c.in_flight + r["count"],
            served_ms=r.served_ms,
            hold_ms=r.hold_ms,
            cap=r.cap,
            pace=r.pace,
            ready_ms=case((lanes.c.fifo, next_due(fifo=True)), else_=next_due(fifo=False)),
        )
    )
