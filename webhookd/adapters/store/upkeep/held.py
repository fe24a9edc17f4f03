"""What a process holds, read again: for when the answer to a claim was lost with the connection.

The claim may have been committed all the same. Then what it took belongs to this process, and no other
takes it back before its time is far over (`rescue_overdue`). So the process asks what it holds and begins it.
"""

from typing import Final

from sqlalchemy import bindparam, select

from webhookd.adapters.store.lanes.taking import due_delivery, with_messages
from webhookd.adapters.store.lanes.targets import targets_of
from webhookd.adapters.store.rowset import Id
from webhookd.adapters.store.schema import deliveries, task_bodies, tasks
from webhookd.adapters.store.statement import Query
from webhookd.adapters.store.tasks.taken import TakenRow, claimed_task, taken_columns
from webhookd.adapters.store.tx import Tx
from webhookd.core.dispatch import DueDelivery
from webhookd.core.model import DeliveryState
from webhookd.core.records import ClaimedTask

_HELD_TASKS: Final = Query(
    TakenRow,
    lambda _: (
        select(*taken_columns())
        .join_from(tasks, task_bodies, task_bodies.c.task_id == tasks.c.id)
        .where(tasks.c.session_id == bindparam("session_id"))
        .order_by(tasks.c.id)
    ),
)


def held_tasks(tx: Tx, session_id: str) -> list[ClaimedTask]:
    """Return every task the session holds, as its claim returned it."""
    return [claimed_task(row) for row in tx.run(_HELD_TASKS, session_id=session_id)]


_HELD: Final = Query(
    Id,
    lambda _: select(deliveries.c.id).where(
        deliveries.c.session_id == bindparam("session_id"),
        deliveries.c.state == DeliveryState.PENDING.value,
    ),
)


def held_deliveries(tx: Tx, session_id: str, now_ms: int) -> list[DueDelivery]:
    """Return every delivery the session holds and may send; `now_ms` decides which secrets sign."""
    rows = sorted(with_messages(tx, tx.run(_HELD, session_id=session_id)), key=lambda row: row.id)
    targets = targets_of(tx, now_ms, {row.lane_id for row in rows})
    return [due_delivery(row, targets[row.lane_id]) for row in rows if row.lane_id in targets]
