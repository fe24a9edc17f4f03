"""What a process holds, read again: for when the answer to a claim was lost with the connection.

The claim may have been committed all the same. What it took is this process's then, and nobody else would
touch it before its time is far over (`Sweeps.overdue`); so the process asks, and begins what it knew not of.
"""

from typing import Any

from sqlalchemy import Row, select

from webhookd.adapters.store.claims import claimed_task, read_bodies
from webhookd.adapters.store.lanes.claims import due_delivery, with_messages
from webhookd.adapters.store.lanes.rows import open_lane
from webhookd.adapters.store.lanes.targets import read_targets
from webhookd.adapters.store.rowset import among
from webhookd.adapters.store.schema import deliveries, endpoints, lanes, partners, tasks
from webhookd.adapters.store.tx import Tx
from webhookd.core.dispatch import DueDelivery
from webhookd.core.model import DeliveryState
from webhookd.core.records import ClaimedTask


def held_tasks(tx: Tx, session_id: str) -> list[ClaimedTask]:
    """Return every task the session holds, as its claim returned it."""
    rows = tx.execute(select(tasks).where(tasks.c.session_id == session_id).order_by(tasks.c.id)).all()
    bodies = read_bodies(tx, rows)
    return [claimed_task(row, bodies[row.id], claimed_ms=row.started_ms) for row in rows]


def held_deliveries(tx: Tx, session_id: str, now_ms: int) -> list[DueDelivery]:
    """Return every delivery the session holds and may send; `now_ms` decides which secrets sign."""
    held = select(deliveries.c.id).where(
        deliveries.c.session_id == session_id, deliveries.c.state == DeliveryState.PENDING.value
    )
    rows = sorted(with_messages(tx, list(tx.execute(held).scalars())), key=lambda row: row.id)
    targets = read_targets(tx, now_ms, _open_lanes(tx, {row.lane_id for row in rows}))
    return [due_delivery(row, targets[row.lane_id]) for row in rows if row.lane_id in targets]


def _open_lanes(tx: Tx, lane_ids: set[str]) -> list[Row[Any]]:
    wanted = (
        select(
            lanes,
            partners.c.weight,
            endpoints.c.url,
            endpoints.c.headers_sealed,
            endpoints.c.retry_max_attempts,
            endpoints.c.retry_base_seconds,
            endpoints.c.retry_factor,
            endpoints.c.retry_cap_seconds,
        )
        .outerjoin(partners, partners.c.id == lanes.c.partner_id)
        .outerjoin(endpoints, endpoints.c.id == lanes.c.endpoint_id)
        .where(among(tx, lanes.c.id, lane_ids), open_lane())
    )
    return list(tx.execute(wanted))
