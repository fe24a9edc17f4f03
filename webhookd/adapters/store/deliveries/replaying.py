"""Putting ended deliveries back to work: the same message, the same bytes, a fresh budget of attempts.

Used for one delivery, one dead letter and replays of many. Attempt numbers go on where they were. A
delivery to a disabled endpoint is parked, one to a deleted endpoint stays as it is. Tasks go back through
`tasks.replay_task`.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, Text, bindparam, case, or_, select

from webhookd.adapters.store.lanes.release import LaneKey, lock_lanes, release_lanes
from webhookd.adapters.store.lanes.rows import due_unless_under_way
from webhookd.adapters.store.rowset import Id, between, rowset
from webhookd.adapters.store.schema import deliveries, endpoints
from webhookd.adapters.store.statement import Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.model import DELIVERIES, DeliveryMove, DeliveryState, EndpointState


class _Replayed(NamedTuple):
    id: str
    lane_id: str
    partner_id: str
    endpoint_id: str | None
    endpoint_state: str | None
    deleted_ms: int | None
    ordering: str | None


class _NewState(NamedTuple):
    id: str
    state: str


def _known(dialect: str) -> Any:
    rows = rowset(dialect, "ids", Id)
    return (
        select(
            deliveries.c.id,
            deliveries.c.lane_id,
            deliveries.c.partner_id,
            deliveries.c.endpoint_id,
            endpoints.c.state.label("endpoint_state"),
            endpoints.c.deleted_ms,
            endpoints.c.ordering,
        )
        .join(rows, rows.c.id == deliveries.c.id)
        .outerjoin(endpoints, endpoints.c.id == deliveries.c.endpoint_id)
    )


def _replay(dialect: str) -> Any:
    r = rowset(dialect, "moves", _NewState).c
    return (
        deliveries.update()
        .where(
            deliveries.c.id == r.id,
            between(dialect, deliveries.c.id, "moves"),
            or_(*(deliveries.c.state == state.value for state in DELIVERIES.sources(DeliveryMove.REPLAY))),
        )
        .values(
            state=r.state,
            attempts_before=deliveries.c.attempts,
            replay_id=bindparam("replay_id", type_=Text),
            replayed_attempts=deliveries.c.attempts,
            due_ms=due_unless_under_way(
                case((r.state == DeliveryState.PENDING.value, bindparam("now", type_=BigInteger)), else_=None)
            ),
            dead_reason=None,
            discarded_ms=None,
            ended_ms=None,
        )
        .returning(deliveries.c.id, deliveries.c.state)
    )


_KNOWN: Final = Query(_Replayed, _known)
_REPLAY: Final = Query(_NewState, _replay)


def replay_deliveries(
    tx: Tx, delivery_ids: Sequence[str], *, now_ms: int, replay_id: str | None = None
) -> dict[str, str]:
    """Deliver these again. Returns the new state (`pending` or `parked`) of each that was moved.

    Those still pending or parked, and those whose endpoint is deleted, are left alone. One that was cancelled
    and is under way still goes out again when that attempt has failed. `replay_id` is the replay of many
    whose doing it is.
    """
    if not delivery_ids:
        return {}
    ids = [Id(delivery_id) for delivery_id in sorted(delivery_ids)]
    lock_lanes(tx, [row.lane_id for row in tx.run(_KNOWN, ids=ids)])
    # Read after the lanes are locked: whoever disables or deletes an endpoint holds its lane meanwhile.
    open_rows = [row for row in tx.run(_KNOWN, ids=ids) if row.deleted_ms is None]
    pending = DELIVERIES.next(DeliveryState.DEAD, DeliveryMove.REPLAY)
    parked = DELIVERIES.next(pending, DeliveryMove.PARK)
    wanted = {
        row.id: parked if row.endpoint_state == EndpointState.DISABLED else pending for row in open_rows
    }
    moves = [_NewState(delivery_id, state.value) for delivery_id, state in sorted(wanted.items())]
    states = {row.id: row.state for row in tx.run(_REPLAY, moves=moves, now=now_ms, replay_id=replay_id)}
    woken = {
        row.lane_id: LaneKey(
            id=row.lane_id,
            partner_id=row.partner_id,
            endpoint_id=row.endpoint_id,
            fifo=row.ordering == "fifo",
        )
        for row in open_rows
        if states.get(row.id) == pending.value
    }
    release_lanes(tx, list(woken.values()), now_ms=now_ms)
    return states
