"""Taking back deliveries whose process has ended or lost sight of them: lanes first, then their places."""

from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, bindparam, case, func, select

from webhookd.adapters.store.lanes.rows import lanes_wake
from webhookd.adapters.store.rowset import Id, Int4, named, rowset
from webhookd.adapters.store.schema import deliveries, endpoints, lanes
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.model import DeliveryState, EndpointState


class _LostDelivery(NamedTuple):
    id: str
    lane_id: str


class LaneCount(NamedTuple):
    """How many deliveries of a lane."""

    lane_id: str
    n: int


class _Fewer(NamedTuple):
    lane_id: str
    fewer: Int4


class _Deliveries:
    """The statements that take back the deliveries of one condition."""

    def __init__(self, which: ColumnElement[bool]) -> None:
        self.held = Query(
            _LostDelivery,
            lambda _: (
                select(deliveries.c.id, deliveries.c.lane_id)
                .where(which)
                .order_by(deliveries.c.lane_id, deliveries.c.id)
            ),
        )
        self.counts = Query(
            LaneCount,
            lambda _: (
                select(deliveries.c.lane_id, func.count().label("n"))
                .where(which)
                .group_by(deliveries.c.lane_id)
            ),
        )
        pending = deliveries.update().where(which, deliveries.c.state == DeliveryState.PENDING.value)
        over: dict[str, Any] = {
            "session_id": None,
            "due_ms": None,
            "state": DeliveryState.DEAD.value,
            "ended_ms": bindparam("ended_ms", type_=BigInteger),
        }
        self.sent_once = Change(
            lambda _: pending.where(deliveries.c.once.is_(True)).values(
                **over, dead_reason="exhausted", discarded_ms=bindparam("ended_ms", type_=BigInteger)
            )
        )

        def of_endpoints(dialect: str, condition: ColumnElement[bool]) -> Any:
            gone = select(endpoints.c.id).where(named(dialect, endpoints.c.id, "lane_ids"), condition)
            return pending.where(deliveries.c.lane_id.in_(gone))

        self.of_deleted = Change(
            lambda dialect: of_endpoints(dialect, endpoints.c.deleted_ms.is_not(None)).values(
                **over, dead_reason="endpoint_deleted"
            )
        )
        self.of_disabled = Change(
            lambda dialect: of_endpoints(dialect, endpoints.c.state == EndpointState.DISABLED.value).values(
                session_id=None, due_ms=None, state=DeliveryState.PARKED.value
            )
        )
        self.due = Change(lambda _: pending.values(session_id=None, due_ms=bindparam("due_ms")))
        self.ended = Change(lambda _: deliveries.update().where(which).values(session_id=None))


OF_SESSION: Final = _Deliveries(deliveries.c.session_id == bindparam("holder_id"))
UNHEARD_OF: Final = _Deliveries(
    deliveries.c.session_id.is_not(None) & (deliveries.c.due_ms < bindparam("now_ms", type_=BigInteger))
)
_LOCK_LANES: Final = Query(
    Id,
    lambda dialect: (
        select(lanes.c.id).where(named(dialect, lanes.c.id, "ids")).order_by(lanes.c.id).with_for_update()
    ),
)


def _fewer(dialect: str) -> Any:
    rows = rowset(dialect, "fewer", _Fewer).c
    return (
        lanes.update()
        .where(lanes.c.id == rows.lane_id)
        .values(in_flight=case((lanes.c.in_flight > rows.fewer, lanes.c.in_flight - rows.fewer), else_=0))
    )


_FEWER: Final = Change(_fewer)


def rescue_deliveries(tx: Tx, of: _Deliveries, *, now_ms: int, **which: Any) -> None:
    """Make deliveries under way due again: they may have arrived, so they are sent once more.

    What is only sent once is not: whether it arrived will never be known.
    """
    which["now_ms"] = now_ms
    held = tx.run(of.held, **which)
    if not held:
        return
    lane_ids = {row.lane_id for row in held}
    tx.run(_LOCK_LANES, ids=lane_ids)
    # Again under the lanes' locks: what was recorded meanwhile is no longer held.
    counts = tx.run(of.counts, **which)
    tx.run(of.sent_once, ended_ms=now_ms, **which)
    tx.run(of.of_deleted, lane_ids=lane_ids, ended_ms=now_ms, **which)
    tx.run(of.of_disabled, lane_ids=lane_ids, **which)
    tx.run(of.due, due_ms=now_ms, **which)
    tx.run(of.ended, **which)
    tx.run(_FEWER, fewer=[_Fewer(row.lane_id, row.n) for row in sorted(counts)])
    lanes_wake(tx, {row.lane_id: now_ms for row in counts})
