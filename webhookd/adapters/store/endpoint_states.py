"""Turning endpoints on and off, deleting and testing them, and making their deliveries follow.

A change of state is one small transaction that takes the first deliveries along; `settle` moves the rest
in bounded batches, by whoever made the change and, should that process die, by the sweep. Deliveries under
way are left to the record of their attempt.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Row, case, or_, select, text

from webhookd.adapters.store.endpoint_settings import lane_of, lock_endpoint
from webhookd.adapters.store.lanes.release import lock_lanes, release_lanes
from webhookd.adapters.store.publish import Announcement, announce, announce_to_others, subscriber_from
from webhookd.adapters.store.rows import endpoint_from
from webhookd.adapters.store.schema import deliveries, endpoints, lanes, secrets
from webhookd.adapters.store.tx import Tx
from webhookd.core.errors import Conflict
from webhookd.core.model import DELIVERIES, TEST_EVENT, DeliveryMove, DeliveryState
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


class EndpointStates:
    """Moves of endpoints; functions for `Database.write`."""

    def disable(self, tx: Tx, endpoint_id: str, partner_id: str | None, now_ms: int) -> Settled | None:
        """Disable an endpoint and park what waits for it; one disabled already stays so. None: unknown."""
        endpoint = lock_endpoint(tx, endpoint_id, partner_id)
        if endpoint is None:
            return None
        if endpoint.state == "enabled":
            _write(tx, endpoint_id, state="disabled", disabled_reason=REQUESTED, updated_ms=now_ms)
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
        if endpoint.state != "enabled":
            _write(
                tx,
                endpoint_id,
                state="enabled",
                disabled_reason=None,
                failing_since_ms=None,
                updated_ms=now_ms,
            )
        release_lanes(tx, [lane_of(endpoint)], now_ms=now_ms)
        return settle(tx, endpoint_id, now_ms)

    def delete(self, tx: Tx, endpoint_id: str, partner_id: str | None, now_ms: int) -> Settled | None:
        """Delete an endpoint, and its secrets with it; what waits for it ends dead. None: unknown."""
        endpoint = lock_endpoint(tx, endpoint_id, partner_id)
        if endpoint is None:
            return None
        # Disabled too, because that is what the claim of deliveries looks at.
        _write(
            tx,
            endpoint_id,
            state="disabled",
            disabled_reason="deleted",
            deleted_ms=now_ms,
            updated_ms=now_ms,
            headers_sealed=None,
        )
        tx.execute(secrets.delete().where(secrets.c.endpoint_id == endpoint_id))
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
        if endpoint.state != "enabled":
            raise Conflict("The endpoint is disabled, so a test would only be parked; enable it first.")
        row = tx.execute(select(endpoints).where(endpoints.c.id == endpoint_id)).one()
        data = tested_endpoint_document(endpoint_id)
        announcement = Announcement(
            partner_id=endpoint.partner_id,
            event=TEST_EVENT,
            body=event_body(TEST_EVENT, timestamp_ms=now_ms, data=data),
            recipients=(to_endpoint(subscriber_from(tx, row)),),
        )
        if trace is not None:
            announcement = replace(
                announcement,
                trace_id=trace.trace_id,
                trace_parent_id=trace.parent_id,
                trace_flags=trace.flags,
                trace_state=trace.state,
            )
        announced = announce(tx, [announcement], now_ms=now_ms)[0]
        release_lanes(tx, [lane_of(endpoint)], now_ms=now_ms)
        return announced.delivery_ids[0]


def settle(tx: Tx, endpoint_id: str, now_ms: int, *, limit: int = ROWS_A_STEP) -> Settled:
    """Move up to `limit` of an endpoint's deliveries to where its state wants them.

    Enabled: parked ones become pending, due now. Disabled: waiting ones are parked. Deleted: both end dead.
    """
    lock_lanes(tx, [endpoint_id])
    row = tx.execute(select(endpoints).where(endpoints.c.id == endpoint_id).with_for_update()).one_or_none()
    if row is None:
        return Settled()
    if row.deleted_ms is not None or row.state == "disabled":
        return Settled(more=_close(tx, row, now_ms, limit))
    values = {"state": DELIVERIES.next(DeliveryState.PARKED, DeliveryMove.RELEASE).value, "due_ms": now_ms}
    moved = _move(tx, _PARKED, endpoint_id, values, limit)
    if moved:
        release_lanes(tx, [lane_of(endpoint_from(row))], now_ms=now_ms)
    return Settled(more=moved == limit, woken=moved > 0)


def _close(tx: Tx, row: Row[Any], now_ms: int, limit: int) -> bool:
    """Move what waits for a disabled or deleted endpoint out of its lane. True while there is more."""
    if row.deleted_ms is None:
        parked = {"state": DELIVERIES.next(DeliveryState.PENDING, DeliveryMove.PARK).value, "due_ms": None}
        moved = _move(tx, _WAITING, row.id, parked, limit)
    else:
        dead = {
            "state": DELIVERIES.next(DeliveryState.PARKED, DeliveryMove.GIVE_UP).value,
            "dead_reason": "endpoint_deleted",
            "due_ms": None,
            "ended_ms": now_ms,
            # What is only sent once is never a dead letter.
            "discarded_ms": case((deliveries.c.once.is_(True), now_ms), else_=None),
        }
        moved = _move(tx, _WAITING, row.id, dead, limit)
        moved += _move(tx, _PARKED, row.id, dead, limit - moved)
    if moved < limit:
        tx.execute(lanes.update().where(lanes.c.id == row.id).values(ready_ms=None))
    return moved == limit


def stray_endpoints(tx: Tx) -> list[str]:
    """Return endpoints with deliveries that are not where the endpoint's state wants them; for the sweep.

    Costs a probe for every ready lane and for every endpoint with parked deliveries.
    """
    closed = or_(endpoints.c.state == "disabled", endpoints.c.deleted_ms.is_not(None))
    waiting = (
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
    parked = (
        select(hops.c.endpoint_id)
        .join(endpoints, endpoints.c.id == hops.c.endpoint_id)
        .where(or_(endpoints.c.state == "enabled", endpoints.c.deleted_ms.is_not(None)))
    )
    return sorted({row.endpoint_id for query in (waiting, parked) for row in tx.execute(query)})


def _move(tx: Tx, which: Any, endpoint_id: str, values: dict[str, Any], limit: int) -> int:
    owner = deliveries.c.lane_id if which is _WAITING else deliveries.c.endpoint_id
    chosen = select(deliveries.c.id).where(which, owner == endpoint_id).limit(limit)
    return tx.execute(deliveries.update().where(deliveries.c.id.in_(chosen), which).values(**values)).rowcount


def _write(tx: Tx, endpoint_id: str, **values: Any) -> None:
    tx.execute(endpoints.update().where(endpoints.c.id == endpoint_id).values(**values))
