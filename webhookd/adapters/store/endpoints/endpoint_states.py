"""Turning endpoints on and off, deleting and testing them, and making their deliveries follow.

A change of state is one small transaction that takes the first deliveries along; `settle` moves the rest
in bounded batches, by whoever made the change and, should that process die, by the sweep. Deliveries under
way are left to the record of their attempt.
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Integer, Select, bindparam, case, or_, select, text

from webhookd.adapters.store.deliveries.publish import Announcement, announce, announce_to_others
from webhookd.adapters.store.deliveries.subscribers import subscriber_from
from webhookd.adapters.store.endpoints.endpoint_rows import EndpointRow, endpoint_from
from webhookd.adapters.store.endpoints.endpoint_settings import lane_of, lock_endpoint
from webhookd.adapters.store.lanes.release import lock_lanes, release_lanes
from webhookd.adapters.store.lanes.rows import due_unless_under_way
from webhookd.adapters.store.schema import deliveries, endpoints, lanes, secrets
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.errors import Conflict
from webhookd.core.model import (
    DELIVERIES,
    ENDPOINTS,
    TEST_EVENT,
    DeliveryMove,
    DeliveryState,
    EndpointMove,
    EndpointState,
)
from webhookd.core.render import endpoint_document, event_body, tested_endpoint_document
from webhookd.core.routing import to_endpoint
from webhookd.core.trace import TraceContext

ROWS_A_STEP: Final = 500
_WAITING: Final = text("deliveries.state = 'pending' AND deliveries.session_id IS NULL")
_PARKED: Final = text("deliveries.state = 'parked'")

REQUESTED: Final = "requested"
"""The `disabled_reason` of an endpoint that somebody disabled by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What a step of settling did. `more`: call again; `woken`: deliveries may be sent now."""

    more: bool = False
    woken: bool = False


_OF_ENDPOINT: Final = endpoints.c.id == bindparam("endpoint_id")
_ONE: Final = Query(EndpointRow, lambda _: select(endpoints).where(_OF_ENDPOINT))
_DISABLE: Final = Change(
    lambda _: (
        endpoints.update()
        .where(_OF_ENDPOINT)
        .values(state=bindparam("state"), disabled_reason=REQUESTED, updated_ms=bindparam("now_ms"))
    )
)
_ENABLE: Final = Change(
    lambda _: (
        endpoints.update()
        .where(_OF_ENDPOINT)
        .values(
            state=bindparam("state"),
            disabled_reason=None,
            failing_since_ms=None,
            failing_told_ms=None,
            updated_ms=bindparam("now_ms"),
        )
    )
)
_DELETE: Final = Change(
    lambda _: (
        endpoints.update()
        .where(_OF_ENDPOINT)
        .values(
            state=bindparam("state"),
            disabled_reason="deleted",
            deleted_ms=bindparam("now_ms"),
            updated_ms=bindparam("now_ms"),
            headers_sealed=None,
        )
    )
)
_DELETE_SECRETS: Final = Change(
    lambda _: secrets.delete().where(secrets.c.endpoint_id == bindparam("endpoint_id"))
)


class EndpointStates:
    """Moves of endpoints; functions for `Database.write`."""

    def disable(self, tx: Tx, endpoint_id: str, partner_id: str | None, now_ms: int) -> Settled | None:
        """Disable an endpoint and park what waits for it; one disabled already stays so. None: unknown."""
        endpoint = lock_endpoint(tx, endpoint_id, partner_id)
        if endpoint is None:
            return None
        if ENDPOINTS.allows(endpoint.state, EndpointMove.DISABLE):
            after = ENDPOINTS.next(endpoint.state, EndpointMove.DISABLE)
            tx.run(_DISABLE, endpoint_id=endpoint_id, state=after, now_ms=now_ms)
            changed = lock_endpoint(tx, endpoint_id, partner_id)
            if changed is not None:
                announce_to_others(
                    tx,
                    partner_id=endpoint.partner_id,
                    event="endpoint.disabled",
                    data=endpoint_document(changed),
                    but_endpoint_id=endpoint_id,
                    now_ms=now_ms,
                )
        return settle(tx, endpoint_id, now_ms)

    def enable(self, tx: Tx, endpoint_id: str, partner_id: str | None, now_ms: int) -> Settled | None:
        """Enable an endpoint and release what was parked for it; its lane starts afresh. None: unknown."""
        endpoint = lock_endpoint(tx, endpoint_id, partner_id)
        if endpoint is None:
            return None
        if ENDPOINTS.allows(endpoint.state, EndpointMove.ENABLE):
            after = ENDPOINTS.next(endpoint.state, EndpointMove.ENABLE)
            tx.run(_ENABLE, endpoint_id=endpoint_id, state=after, now_ms=now_ms)
        release_lanes(tx, [lane_of(endpoint)], now_ms=now_ms)
        return settle(tx, endpoint_id, now_ms)

    def delete(self, tx: Tx, endpoint_id: str, partner_id: str | None, now_ms: int) -> Settled | None:
        """Delete an endpoint, and its secrets with it; what waits for it ends dead. None: unknown."""
        endpoint = lock_endpoint(tx, endpoint_id, partner_id)
        if endpoint is None:
            return None
        # Disabled too, because that is what the claim of deliveries looks at.
        after = ENDPOINTS.next(endpoint.state, EndpointMove.DELETE)
        tx.run(_DELETE, endpoint_id=endpoint_id, state=after, now_ms=now_ms)
        tx.run(_DELETE_SECRETS, endpoint_id=endpoint_id)
        return settle(tx, endpoint_id, now_ms)

    def send_test(
        self,
        tx: Tx,
        endpoint_id: str,
        partner_id: str | None,
        now_ms: int,
        trace: TraceContext | None = None,
    ) -> str | None:
        """Make a `webhookd.test` message for this endpoint only; return its delivery's id. None: unknown.

        Its attempts are in `trace`, or in a new one. Raises Conflict for a disabled endpoint: a parked test
        tells nobody anything.
        """
        endpoint = lock_endpoint(tx, endpoint_id, partner_id)
        if endpoint is None:
            return None
        if endpoint.state is not EndpointState.ENABLED:
            raise Conflict("The endpoint is disabled, so a test would only be parked; enable it first.")
        row = tx.one(_ONE, endpoint_id=endpoint_id)
        data = tested_endpoint_document(endpoint_id)
        announcement = Announcement(
            partner_id=endpoint.partner_id,
            event=TEST_EVENT,
            body=event_body(TEST_EVENT, timestamp_ms=now_ms, data=data),
            recipients=(to_endpoint(subscriber_from(tx, row)),),
            trace=trace,
        )
        announced = announce(tx, [announcement], now_ms=now_ms)[0]
        release_lanes(tx, [lane_of(endpoint)], now_ms=now_ms)
        return announced.delivery_ids[0]


_STATE_NOW: Final = Query(EndpointRow, lambda _: select(endpoints).where(_OF_ENDPOINT).with_for_update())


def settle(tx: Tx, endpoint_id: str, now_ms: int, *, limit: int = ROWS_A_STEP) -> Settled:
    """Move up to `limit` of an endpoint's deliveries to where its state wants them.

    Enabled: parked ones become pending, due now. Disabled: waiting ones are parked. Deleted: both end dead.
    """
    lock_lanes(tx, [endpoint_id])
    row = tx.first(_STATE_NOW, endpoint_id=endpoint_id)
    if row is None:
        return Settled()
    if row.deleted_ms is not None or row.state == EndpointState.DISABLED:
        return Settled(more=_close(tx, row, now_ms, limit))
    moved = tx.run(_RELEASE, owner=endpoint_id, now_ms=now_ms, most=limit)
    if moved:
        release_lanes(tx, [lane_of(endpoint_from(row))], now_ms=now_ms)
    return Settled(more=moved == limit, woken=moved > 0)


def _move(which: Any, owner: ColumnElement[str], values: dict[str, Any]) -> Change:
    chosen = (
        select(deliveries.c.id)
        .where(which, owner == bindparam("owner"))
        .limit(bindparam("most", type_=Integer))
    )
    return Change(lambda _: deliveries.update().where(deliveries.c.id.in_(chosen), which).values(**values))


_NOW: Final = bindparam("now_ms", type_=BigInteger)
_DEAD: Final = {
    "state": DELIVERIES.next(DeliveryState.PARKED, DeliveryMove.GIVE_UP).value,
    "dead_reason": "endpoint_deleted",
    "due_ms": None,
    "ended_ms": _NOW,
    # What is only sent once is never a dead letter.
    "discarded_ms": case((deliveries.c.once.is_(True), _NOW), else_=None),
}
_RELEASE: Final = _move(
    _PARKED,
    deliveries.c.endpoint_id,
    {
        "state": DELIVERIES.next(DeliveryState.PARKED, DeliveryMove.RELEASE).value,
        "due_ms": due_unless_under_way(_NOW),
    },
)
_PARK: Final = _move(
    _WAITING,
    deliveries.c.lane_id,
    {"state": DELIVERIES.next(DeliveryState.PENDING, DeliveryMove.PARK).value, "due_ms": None},
)
_END_WAITING: Final = _move(_WAITING, deliveries.c.lane_id, _DEAD)
_END_PARKED: Final = _move(_PARKED, deliveries.c.endpoint_id, _DEAD)
_STOP_LANE: Final = Change(
    lambda _: lanes.update().where(lanes.c.id == bindparam("lane_id")).values(ready_ms=None)
)


def _close(tx: Tx, row: EndpointRow, now_ms: int, limit: int) -> bool:
    """Move what waits for a disabled or deleted endpoint out of its lane. True while there is more."""
    if row.deleted_ms is None:
        moved = tx.run(_PARK, owner=row.id, most=limit)
    else:
        moved = tx.run(_END_WAITING, owner=row.id, now_ms=now_ms, most=limit)
        moved += tx.run(_END_PARKED, owner=row.id, now_ms=now_ms, most=limit - moved)
    if moved < limit:
        tx.run(_STOP_LANE, lane_id=row.id)
    return moved == limit


class _Stray(NamedTuple):
    endpoint_id: str


def _waiting_for_closed(_dialect: str) -> Select[Any]:
    closed = or_(endpoints.c.state == EndpointState.DISABLED.value, endpoints.c.deleted_ms.is_not(None))
    return (
        select(lanes.c.endpoint_id)
        .join(endpoints, endpoints.c.id == lanes.c.endpoint_id)
        .where(
            text("lanes.ready_ms IS NOT NULL"),
            closed,
            select(deliveries.c.id)
            .where(_WAITING, deliveries.c.lane_id == lanes.c.id)
            .correlate(lanes)
            .limit(1)
            .exists(),
        )
    )


def _parked_for_open(_dialect: str) -> Select[Any]:
    first = (
        select(deliveries.c.endpoint_id)
        .where(_PARKED)
        .order_by(deliveries.c.endpoint_id)
        .limit(1)
        .subquery("first_parked")
    )
    hops = select(first.c.endpoint_id).cte("hops", recursive=True)
    onward = (
        select(deliveries.c.endpoint_id)
        .where(_PARKED, deliveries.c.endpoint_id > hops.c.endpoint_id)
        .order_by(deliveries.c.endpoint_id)
        .limit(1)
        .correlate(hops)
        .scalar_subquery()
    )
    hops = hops.union_all(select(onward).where(hops.c.endpoint_id.is_not(None)))
    wanting = or_(endpoints.c.state == EndpointState.ENABLED.value, endpoints.c.deleted_ms.is_not(None))
    return select(hops.c.endpoint_id).join(endpoints, endpoints.c.id == hops.c.endpoint_id).where(wanting)


_STRAYS: Final = (Query(_Stray, _waiting_for_closed), Query(_Stray, _parked_for_open))


def stray_endpoints(tx: Tx) -> list[str]:
    """Return endpoints with deliveries that are not where the endpoint's state wants them; for the sweep.

    Costs a probe for every ready lane and for every endpoint with parked deliveries.
    """
    return sorted({row.endpoint_id for statement in _STRAYS for row in tx.run(statement)})
