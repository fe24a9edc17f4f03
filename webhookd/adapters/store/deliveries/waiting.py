"""Deliveries that wait for their next attempt: picking some by a filter, and letting them be due now.

A replay walks through them in the order of an index that has nothing else in it, a piece at a time: one
partner's by age, those of an endpoint or of everybody lane by lane.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, Integer, Select, Text, bindparam, case, func, or_, select, text

from webhookd.adapters.store.deliveries.letter_filters import (
    OF_DELIVERIES_IN_FULL,
    endpoint_parameters,
    filter_parameters,
)
from webhookd.adapters.store.lanes.release import lock_lanes_of, release_lanes
from webhookd.adapters.store.paging import first_id
from webhookd.adapters.store.rowset import Id, between, rowset
from webhookd.adapters.store.schema import deliveries, endpoints
from webhookd.adapters.store.statement import Listing, Query, UnnamedCount, narrowed
from webhookd.adapters.store.tx import Tx
from webhookd.core import ids
from webhookd.core.model import DELIVERIES, DeliveryMove
from webhookd.core.replay import DeadLetterFilter, Place, Replay


class WaitingDelivery(NamedTuple):
    """A delivery that waits, and its place in the walk."""

    id: str
    lane_id: str


_WAITS: Final = text("deliveries.state = 'pending' AND deliveries.session_id IS NULL")


def _waiting(given: frozenset[str]) -> Select[Any]:
    statement = (
        select(deliveries.c.id, deliveries.c.lane_id)
        .outerjoin(endpoints, endpoints.c.id == deliveries.c.endpoint_id)
        .where(_WAITS)
    )
    return narrowed(
        statement,
        given,
        partner_id=deliveries.c.partner_id == bindparam("partner_id"),
        endpoint_id=deliveries.c.lane_id == bindparam("endpoint_id"),  # an endpoint's lane has its id
        no_endpoint=deliveries.c.endpoint_id.is_(None),
        since_id=deliveries.c.id >= bindparam("since_id"),
        until_id=deliveries.c.id < bindparam("until_id"),
        after_id=deliveries.c.id > bindparam("after_id"),
        after_lane=(deliveries.c.lane_id >= bindparam("after_lane"))
        & or_(deliveries.c.lane_id > bindparam("after_lane"), deliveries.c.id > bindparam("after_in_lane")),
        **OF_DELIVERIES_IN_FULL,
    )


def _walk(given: frozenset[str], *order: Any) -> Select[Any]:
    return _waiting(given).order_by(*order).limit(bindparam("most", type_=Integer))


_BY_AGE: Final = Listing(WaitingDelivery, lambda _, given: _walk(given, deliveries.c.id))
_BY_LANE: Final = Listing(
    WaitingDelivery, lambda _, given: _walk(given, deliveries.c.lane_id, deliveries.c.id)
)
_COUNT: Final = Listing(UnnamedCount, lambda _, given: _waiting(given).with_only_columns(func.count()))


def count_waiting(tx: Tx, partner_id: str | None, wanted: DeadLetterFilter) -> int:
    """Return how many deliveries wait and match; those under way do not wait."""
    (counted,) = tx.run(_COUNT, **_given(partner_id, wanted))
    return counted.count_1


def read_waiting(tx: Tx, replay: Replay, *, limit: int) -> list[WaitingDelivery]:
    """Return the next deliveries that wait and match, from the replay's place on."""
    given, place = _given(replay.partner_id, replay.wanted), replay.place
    if replay.partner_id is not None and replay.filter.named_endpoint is None:
        return tx.run(_BY_AGE, **given, after_id=None if place is None else place.id, most=limit)
    lane_id, after = (None, None) if place is None else (place.lane_id, place.id)
    return tx.run(_BY_LANE, **given, after_lane=lane_id, after_in_lane=after, most=limit)


def place_of(last: WaitingDelivery, next_ms: float) -> Place:
    """Return the place of a replay that has come to this delivery."""
    return Place(at_ms=0, id=last.id, lane_id=last.lane_id, next_ms=next_ms)


def _given(partner_id: str | None, wanted: DeadLetterFilter) -> dict[str, Any]:
    since_ms, until_ms = wanted.since_ms, wanted.until_ms
    return {
        **filter_parameters(wanted),
        "partner_id": partner_id,
        **endpoint_parameters(wanted),
        "since_id": None if since_ms is None else first_id(ids.DELIVERY, since_ms),
        "until_id": None if until_ms is None else first_id(ids.DELIVERY, until_ms),
    }


def _hasten(dialect: str) -> Any:
    rows = rowset(dialect, "ids", Id)
    now, replay_id = bindparam("now", type_=BigInteger), bindparam("replay_id", type_=Text)
    after = DELIVERIES.next(DELIVERIES.sources(DeliveryMove.HASTEN)[0], DeliveryMove.HASTEN)
    return (
        deliveries.update()
        .where(
            deliveries.c.id == rows.c.id,
            # By id, and not along everything that waits in the lane.
            between(dialect, deliveries.c.id, "ids"),
            _WAITS,
        )
        .values(
            state=after.value,
            due_ms=case((deliveries.c.due_ms > now, now), else_=deliveries.c.due_ms),
            replay_id=func.coalesce(replay_id, deliveries.c.replay_id),
            replayed_attempts=case(
                (replay_id.is_(None), deliveries.c.replayed_attempts), else_=deliveries.c.attempts
            ),
        )
        .returning(deliveries.c.id)
    )


_HASTEN: Final = Query(Id, _hasten)


def hasten(tx: Tx, delivery_ids: Sequence[str], *, now_ms: int, replay_id: str | None = None) -> int:
    """Let these be due now, their budgets as they are; drop what holds their lanes. Returns how many were.

    Those that are under way, or wait no more, are left alone. `replay_id` is whose doing it is.
    """
    if not delivery_ids:
        return 0
    keys = lock_lanes_of(tx, delivery_ids)
    wanted = [Id(delivery_id) for delivery_id in sorted(delivery_ids)]
    moved = tx.run(_HASTEN, ids=wanted, now=now_ms, replay_id=replay_id)
    if moved:
        release_lanes(tx, keys, now_ms=now_ms)
    return len(moved)
