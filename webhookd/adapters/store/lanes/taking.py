"""Which deliveries of the picked lanes are due, and taking those that are dealt out."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Integer, Text, bindparam, func, select, text

from webhookd.adapters.store.lanes.picking import PickedLane
from webhookd.adapters.store.rowset import POSTGRESQL, Id, first_of_each, rowset
from webhookd.adapters.store.schema import deliveries, messages
from webhookd.adapters.store.statement import Query
from webhookd.adapters.store.trace_columns import trace_of
from webhookd.adapters.store.tx import Tx
from webhookd.core.dispatch import ClaimDeliveries, DueDelivery, LaneTarget
from webhookd.core.model import DeliveryState

UNDER_WAY_MOST_MS = 300_000
"""When what is under way is no longer believed to be: its claim's answer, or its record, was lost."""


class WaitingRow(NamedTuple):
    """A delivery that is due. `url` None: its endpoint's."""

    id: str
    lane_id: str
    url: str | None


class SentRow(NamedTuple):
    """What an attempt needs of a delivery, and the bytes and the trace of its message."""

    id: str
    message_id: str
    task_id: str | None
    lane_id: str
    url: str | None
    event: str
    once: bool
    attempts: int
    attempts_before: int
    max_attempts: int
    token: int
    created_ms: int
    body: str
    trace_id: str
    trace_parent_id: str
    trace_flags: int
    trace_state: str


class _Wanted(NamedTuple):
    lane_id: str


def _first_due(dialect: str) -> Any:
    """Return the first due deliveries of each wanted lane."""
    wanted = rowset(dialect, "wanted", _Wanted)
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
        dialect, wanted, inner, line, give=WaitingRow._fields, order=("lane_id", "due_ms", "id")
    )


def _fifo_heads(dialect: str) -> Any:
    """Return the head of each wanted fifo lane, if it is due and not under way."""
    wanted = rowset(dialect, "wanted", _Wanted)
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


_FIRST_DUE: Final = Query(WaitingRow, _first_due)
_FIFO_HEADS: Final = Query(WaitingRow, _fifo_heads)


def due_in_lanes(
    tx: Tx, request: ClaimDeliveries, picked: Sequence[PickedLane], room: dict[str, int]
) -> dict[str, list[WaitingRow]]:
    """Return the due deliveries of each lane, in its own order, as many as it may start."""
    even_share = -(-2 * request.free // len(picked)) + 1
    open_lanes = [row for row in picked if room[row.id] > 0]
    wanted = [_Wanted(row.id) for row in open_lanes if not row.fifo]
    heads = [_Wanted(row.id) for row in open_lanes if row.fifo]
    found: dict[str, list[WaitingRow]] = {row.id: [] for row in picked}
    if wanted:
        most = min(even_share, max(room.values()))
        for row in tx.run(_FIRST_DUE, wanted=wanted, now=request.now_ms, most=most):
            if len(found[row.lane_id]) < room[row.lane_id]:
                found[row.lane_id].append(row)
    if heads:
        for row in tx.run(_FIFO_HEADS, wanted=heads, now=request.now_ms):
            found[row.lane_id].append(row)
    return found


_OWN: Final = tuple(deliveries.c[name] for name in SentRow._fields if name in deliveries.c)
_SENT: Final = tuple(messages.c[name] for name in SentRow._fields if name not in deliveries.c)


def _take(dialect: str) -> Any:
    """Take deliveries for a session: attempt and fencing token + 1."""
    rows = rowset(dialect, "ids", Id)
    return (
        deliveries.update()
        .where(
            deliveries.c.id == rows.c.id,
            deliveries.c.state.is_not_distinct_from(DeliveryState.PENDING.value),  # by id, not by what waits
            deliveries.c.session_id.is_(None),
        )
        .values(
            attempts=deliveries.c.attempts + 1,
            token=deliveries.c.token + 1,
            session_id=bindparam("session", type_=Text),
            due_ms=bindparam("due", type_=BigInteger),
        )
    )


def _take_with_messages(dialect: str) -> Any:
    taking = _take(dialect)
    if dialect == POSTGRESQL:
        return taking.where(messages.c.id == deliveries.c.message_id).returning(*_OWN, *_SENT)
    return taking.returning(*_OWN, *map(_in_its_place, _SENT))


def _in_its_place(sent: ColumnElement[Any]) -> Any:
    """Return a value of the message for RETURNING on SQLite, which knows no other table there."""
    found = select(sent).where(messages.c.id == deliveries.c.message_id).correlate(deliveries)
    return found.scalar_subquery().label(sent.key)


_TAKE_WITH_MESSAGES: Final = Query(SentRow, _take_with_messages)


def take(tx: Tx, request: ClaimDeliveries, chosen: Iterable[str]) -> list[SentRow]:
    """Take deliveries for the session of a claim, and return what is sent."""
    ids, due_ms = map(Id, chosen), request.now_ms + UNDER_WAY_MOST_MS
    return tx.run(_TAKE_WITH_MESSAGES, ids=ids, session=request.session_id, due=due_ms)


def _with_messages(dialect: str) -> Any:
    rows = rowset(dialect, "ids", Id)
    return (
        select(*_OWN, *_SENT)
        .join(rows, rows.c.id == deliveries.c.id)
        .join(messages, messages.c.id == deliveries.c.message_id)
    )


_WITH_MESSAGES: Final = Query(SentRow, _with_messages)


def with_messages(tx: Tx, delivery_ids: Iterable[Id]) -> list[SentRow]:
    """Return deliveries with what is sent."""
    return tx.run(_WITH_MESSAGES, ids=delivery_ids)


def due_delivery(row: SentRow, target: LaneTarget) -> DueDelivery:
    """Return a claimed delivery, from its row as the claim left it."""
    return DueDelivery(
        id=row.id,
        message_id=row.message_id,
        url=row.url,
        event=row.event,
        body=row.body,
        attempt=row.attempts,
        attempts_in_budget=row.attempts - row.attempts_before,
        max_attempts=row.max_attempts,
        once=row.once,
        token=row.token,
        task_id=row.task_id,
        created_ms=row.created_ms,
        trace=trace_of(row),
        target=target,
    )
