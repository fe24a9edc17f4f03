"""Endpoints that fail: since when, and disabling those that have failed for too long or are gone."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import bindparam, select, text

from webhookd.adapters.store.lanes.settling import LockedLanes
from webhookd.adapters.store.rowset import named
from webhookd.adapters.store.schema import deliveries, endpoints
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.delivery import Delivered, GiveUp
from webhookd.core.dispatch import AttemptDone
from webhookd.core.model import (
    DELIVERIES,
    ENDPOINTS,
    DeliveryMove,
    DeliveryState,
    EndpointMove,
    EndpointState,
)
from webhookd.core.pacing import LaneSign


class _Holder(NamedTuple):
    id: str
    session_id: str | None
    token: int


_HOLDERS: Final = Query(
    _Holder,
    lambda dialect: select(deliveries.c.id, deliveries.c.session_id, deliveries.c.token).where(
        named(dialect, deliveries.c.id, "ids")
    ),
)


def to_disable(tx: Tx, done: Sequence[AttemptDone], locked: LockedLanes) -> dict[str, str]:
    """Return the lanes whose endpoints are to be disabled now, with the reason."""
    reasons = _reasons(tx, done, locked)
    if not reasons:
        return reasons
    # Rare, and grave: only what still holds its delivery may say so. The lanes are locked, so it stays so.
    held = set(tx.run(_HOLDERS, ids=[one.delivery.id for one in done]))
    holding = [one for one in done if (one.delivery.id, one.session_id, one.delivery.token) in held]
    return _reasons(tx, holding, locked)


def _reasons(tx: Tx, done: Sequence[AttemptDone], locked: LockedLanes) -> dict[str, str]:
    reasons: dict[str, str] = {}
    well: set[str] = set()
    for one in done:
        lane = locked.get(one.delivery.target.lane_id)
        if lane is None or lane.endpoint_id is None or lane.endpoint_state != EndpointState.ENABLED:
            continue
        if isinstance(one.verdict, GiveUp) and one.verdict.disable_endpoint:
            reasons[lane.id] = "gone"
        elif isinstance(one.verdict, Delivered):
            well.add(lane.id)
            if reasons.get(lane.id) == "failing":
                del reasons[lane.id]
        elif (
            one.outcome.kind is not LaneSign.NEUTRAL
            and lane.id not in well
            and lane.failing_since_ms is not None
            and one.now_ms - lane.failing_since_ms >= tx.policy.disable_after_ms
        ):
            reasons.setdefault(lane.id, "failing")
    return reasons


_FAILING: Final = Change(
    lambda _: (
        endpoints.update()
        .where(endpoints.c.id == bindparam("endpoint_id"))
        .values(failing_since_ms=bindparam("since_ms"), failing_told_ms=bindparam("told_ms"))
    )
)


def write_health(
    tx: Tx, done: Sequence[AttemptDone], locked: LockedLanes, disabled: Mapping[str, str]
) -> list[str]:
    """Write since when endpoints fail, and disable those that are to be.

    Return the endpoints that have taken something after others were told that they fail.
    """
    since: dict[str, int | None] = {}
    recovered: set[str] = set()
    for one in done:
        lane = locked.get(one.delivery.target.lane_id)
        if lane is None or lane.endpoint_id is None:
            continue
        current = since.get(lane.endpoint_id, lane.failing_since_ms)
        if one.outcome.kind is LaneSign.SUCCESS:
            since[lane.endpoint_id] = None
            if lane.failing_told_ms is not None:
                recovered.add(lane.endpoint_id)
        elif one.outcome.kind is not LaneSign.NEUTRAL:
            since[lane.endpoint_id] = current if current is not None else one.now_ms
    known = {lane.endpoint_id: lane for lane in locked.values() if lane.endpoint_id is not None}
    for endpoint_id, failing_since_ms in sorted(since.items()):
        if known[endpoint_id].failing_since_ms != failing_since_ms:
            told_ms = None if endpoint_id in recovered else known[endpoint_id].failing_told_ms
            tx.run(_FAILING, endpoint_id=endpoint_id, since_ms=failing_since_ms, told_ms=told_ms)
    now_ms = max((one.now_ms for one in done), default=0)
    for lane_id, reason in sorted(disabled.items()):
        _disable(tx, locked[lane_id].endpoint_id, reason=reason, now_ms=now_ms)
    return sorted(recovered - disabled.keys())


_DISABLE: Final = Change(
    lambda _: (
        endpoints.update()
        .where(endpoints.c.id == bindparam("endpoint_id"))
        .values(
            state=ENDPOINTS.next(EndpointState.ENABLED, EndpointMove.DISABLE).value,
            disabled_reason=bindparam("reason"),
            updated_ms=bindparam("now_ms"),
        )
    )
)
_PARK: Final = Change(
    lambda _: (
        deliveries.update()
        .where(
            deliveries.c.lane_id == bindparam("endpoint"),
            text("deliveries.state = 'pending' AND deliveries.session_id IS NULL"),
        )
        .values(state=DELIVERIES.next(DeliveryState.PENDING, DeliveryMove.PARK).value, due_ms=None)
    )
)


def _disable(tx: Tx, endpoint_id: str | None, *, reason: str, now_ms: int) -> None:
    """Disable an endpoint and park what is waiting for it; what is under way is settled by its record."""
    tx.run(_DISABLE, endpoint_id=endpoint_id, reason=reason, now_ms=now_ms)
    tx.run(_PARK, endpoint=endpoint_id)
