"""Lanes that a person set going again: made if missing, holds dropped, looked at at once.

The order of locks is that of the whole store: lanes by id first, then endpoints, then deliveries that are
not under way. Whoever changes a delivery or an endpoint by hand calls `lock_lanes` before anything else.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from sqlalchemy import select

from webhookd.adapters.store.lanes.rows import INITIAL_PACE, pace_from_text, pace_to_text
from webhookd.adapters.store.rowset import Id, between, insert_rows, named, rowset
from webhookd.adapters.store.schema import deliveries, endpoints, lanes
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.model import DELIVER_QUEUE
from webhookd.core.pacing import INITIAL_CAP, ready_ms, released


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneKey:
    """What a lane's row needs to be made."""

    id: str
    partner_id: str
    endpoint_id: str | None
    fifo: bool


_LOCK: Final = Query(
    Id,
    lambda dialect: (
        select(lanes.c.id).where(named(dialect, lanes.c.id, "ids")).order_by(lanes.c.id).with_for_update()
    ),
)


def lock_lanes(tx: Tx, lane_ids: Iterable[str]) -> None:
    """Lock these lanes' rows, in the order of their ids; lanes that do not exist are left out."""
    tx.run(_LOCK, ids=lane_ids)


class _Lane(NamedTuple):
    lane_id: str
    partner_id: str
    endpoint_id: str | None
    ordering: str | None


def _lanes_of(dialect: str) -> Any:
    rows = rowset(dialect, "ids", Id)
    return (
        select(deliveries.c.lane_id, deliveries.c.partner_id, deliveries.c.endpoint_id, endpoints.c.ordering)
        .join(rows, rows.c.id == deliveries.c.id)
        .outerjoin(endpoints, endpoints.c.id == deliveries.c.endpoint_id)
        .where(between(dialect, deliveries.c.id, "ids"))
        .distinct()
    )


_LANES_OF: Final = Query(_Lane, _lanes_of)


def lock_lanes_of(tx: Tx, delivery_ids: Iterable[str]) -> list[LaneKey]:
    """Lock the lanes of these deliveries, as `lock_lanes` does, and return them."""
    found = [
        LaneKey(
            id=row.lane_id,
            partner_id=row.partner_id,
            endpoint_id=row.endpoint_id,
            fifo=row.ordering == "fifo",
        )
        for row in tx.run(_LANES_OF, ids=map(Id, sorted(delivery_ids)))
    ]
    lock_lanes(tx, [key.id for key in found])
    return found


class _NewLane(NamedTuple):
    id: str
    partner_id: str
    endpoint_id: str | None
    fifo: bool
    ready_ms: int
    hold_ms: int
    served_ms: int
    in_flight: int
    cap: int
    slow: bool
    heard: bool
    pace: str


class _HeldLane(NamedTuple):
    id: str
    ready_ms: int | None
    pace: str


class _Released(NamedTuple):
    id: str
    ready_ms: int
    hold_ms: int
    pace: str
    open_until_ms: int | None
    fifo: bool


def _release(dialect: str) -> Any:
    released = rowset(dialect, "released", _Released).c
    return (
        lanes.update()
        .where(lanes.c.id == released.id)
        .values(
            ready_ms=released.ready_ms,
            hold_ms=released.hold_ms,
            pace=released.pace,
            open_until_ms=released.open_until_ms,
            fifo=released.fifo,
        )
    )


_MAKE: Final = Change(lambda dialect: insert_rows(dialect, lanes, "made", _NewLane).on_conflict_do_nothing())
_LOCK_PACES: Final = Query(
    _HeldLane,
    lambda dialect: (
        select(lanes.c.id, lanes.c.ready_ms, lanes.c.pace)
        .where(named(dialect, lanes.c.id, "ids"))
        .order_by(lanes.c.id)
        .with_for_update()
    ),
)
_RELEASE: Final = Change(_release)


def release_lanes(tx: Tx, keys: Sequence[LaneKey], *, now_ms: int, forget_rate: bool = False) -> None:
    """Let these lanes be served now: no hold, an open breaker half open. Makes those that are missing.

    `forget_rate` drops what the rate limiter remembers, for a limit that has changed.
    """
    if not keys:
        return
    tx.wakes.ring(DELIVER_QUEUE)
    tx.run(_MAKE, made=[_new(key, now_ms) for key in sorted(keys, key=lambda key: key.id)])
    fifo = {key.id: key.fifo for key in keys}
    changes = []
    for row in tx.run(_LOCK_PACES, ids=fifo):
        stored = pace_from_text(row.pace)
        pace = released(stored.pace, now_ms)
        tat_ms = 0.0 if forget_rate else stored.tat_ms
        changes.append(
            _Released(
                id=row.id,
                ready_ms=now_ms if row.ready_ms is None else min(row.ready_ms, now_ms),
                hold_ms=ready_ms(pace),
                pace=pace_to_text(replace(stored, pace=pace, tat_ms=tat_ms)),
                open_until_ms=pace.open_until_ms,
                fifo=fifo[row.id],
            )
        )
    tx.run(_RELEASE, released=changes)


def _new(key: LaneKey, now_ms: int) -> _NewLane:
    return _NewLane(
        id=key.id,
        partner_id=key.partner_id,
        endpoint_id=key.endpoint_id,
        fifo=key.fifo,
        ready_ms=now_ms,
        hold_ms=0,
        served_ms=0,
        in_flight=0,
        cap=INITIAL_CAP,
        slow=False,
        heard=False,
        pace=INITIAL_PACE,
    )
