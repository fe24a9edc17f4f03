"""Putting ended deliveries back to work: the same message, the same bytes, a fresh budget of attempts.

Used for one delivery, one dead letter and replays of many. Attempt numbers go on where they were. A
delivery to a disabled endpoint is parked, one to a deleted endpoint stays as it is. Tasks go back through
`tasks.TaskMoves`.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Text, bindparam, case, select

from webhookd.adapters.store.lanes.release import LaneKey, lock_lanes, release_lanes
from webhookd.adapters.store.rowset import pack, rowset
from webhookd.adapters.store.schema import deliveries, endpoints
from webhookd.adapters.store.tx import Tx
from webhookd.core.model import DELIVERIES, DeliveryMove, DeliveryState


def replay_deliveries(tx: Tx, delivery_ids: Sequence[str], *, now_ms: int) -> dict[str, str]:
    """Deliver these again. Returns the new state (`pending` or `parked`) of each that was moved.

    Those still pending or parked, and those whose endpoint is deleted, are left alone.
    """
    if not delivery_ids:
        return {}
    dialect = tx.dialect
    ids = {"ids": pack((delivery_id,) for delivery_id in sorted(delivery_ids))}
    known = tx.execute(_known(dialect), ids).all()
    lock_lanes(tx, (row.lane_id for row in known))
    # Read after the lanes are locked: whoever disables or deletes an endpoint holds its lane meanwhile.
    open_rows = [row for row in tx.execute(_known(dialect), ids) if row.deleted_ms is None]
    pending = DELIVERIES.next(DeliveryState.DEAD, DeliveryMove.REPLAY)
    parked = DELIVERIES.next(pending, DeliveryMove.PARK)
    wanted = {row.id: parked if row.endpoint_state == "disabled" else pending for row in open_rows}
    moved = tx.execute(
        _replay(dialect),
        {"moves": pack((i, state.value) for i, state in sorted(wanted.items())), "now": now_ms},
    ).all()
    states = {row.id: row.state for row in moved}
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


@cache
def _known(dialect: str) -> Any:
    rows = rowset(dialect, "ids", {"id": Text})
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


@cache
def _replay(dialect: str) -> Any:
    r = rowset(dialect, "moves", {"id": Text, "state": Text}).c
    return (
        deliveries.update()
        .where(
            deliveries.c.id == r.id,
            deliveries.c.state.in_([state.value for state in DELIVERIES.sources(DeliveryMove.REPLAY)]),
        )
        .values(
            state=r.state,
            attempts_before=deliveries.c.attempts,
            due_ms=case(
                (r.state == DeliveryState.PENDING.value, bindparam("now", type_=BigInteger)), else_=None
            ),
            dead_reason=None,
            discarded_ms=None,
            ended_ms=None,
        )
        .returning(deliveries.c.id, deliveries.c.state)
    )
