"""Writing a batch down, and adding to one that is open: adders of one batch stand in line."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from sqlalchemy import BigInteger, bindparam, select

from webhookd.adapters.entropy import new_id
from webhookd.adapters.store.insert import Insert
from webhookd.adapters.store.rows import opt_names_json
from webhookd.adapters.store.rowset import named
from webhookd.adapters.store.schema import batches
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tx import Tx
from webhookd.core import ids
from webhookd.core.batches import MAX_TASKS, NewBatch
from webhookd.core.errors import Conflict
from webhookd.core.model import BatchState
from webhookd.core.records import NewTask


class _FilledBatch(NamedTuple):
    batch: NewBatch
    tasks: Sequence[NewTask]


_INSERT: Final = Insert(
    batches,
    _FilledBatch,
    "batch",
    total=lambda new: len(new.tasks),
    version=lambda _: 1,
    last_task_id=lambda new: new.tasks[-1].id if new.tasks else None,
    metadata=lambda new: new.batch.metadata_json,
    defaults=lambda new: new.batch.defaults_json,
    endpoint_ids=lambda new: opt_names_json(new.batch.endpoint_ids),
    trace_id=lambda new: new.batch.trace.trace_id,
    trace_parent_id=lambda new: new.batch.trace.parent_id,
    trace_flags=lambda new: new.batch.trace.flags,
    trace_state=lambda new: new.batch.trace.state,
    closed_ms=lambda new: None if new.batch.state is BatchState.OPEN else new.batch.created_ms,
)


def insert_batch(tx: Tx, batch: NewBatch, its_tasks: Sequence[NewTask]) -> None:
    """Write a new batch down; its tasks follow in the same transaction."""
    tx.run(_INSERT, rows=_INSERT.rows([_FilledBatch(batch, its_tasks)]))


class _Room(NamedTuple):
    id: str
    state: str
    total: int
    last_task_id: str | None


_LOCK_ROOM: Final = Query(
    _Room,
    lambda dialect: (
        select(*(batches.c[name] for name in _Room._fields))
        .where(named(dialect, batches.c.id, "ids"))
        .order_by(batches.c.id)
        .with_for_update()
    ),
)
_ADDED: Final = Change(
    lambda _: (
        batches.update()
        .where(batches.c.id == bindparam("batch_id"))
        .values(
            total=batches.c.total + bindparam("more", type_=BigInteger),
            version=batches.c.version + 1,
            last_task_id=bindparam("last_task_id"),
        )
    )
)


@dataclass(slots=True)
class Room:
    """What is left of an open batch, its row locked: adders of one batch stand in line here."""

    state: str
    total: int
    last_task_id: str | None

    def behind(self, more: Sequence[NewTask]) -> tuple[NewTask, ...]:
        """Return the tasks with ids that sort behind those the batch has: its order is that of the ids."""
        if self.last_task_id is not None and more and more[0].id <= self.last_task_id:
            later_ms = (ids.made_ms(self.last_task_id) or 0) + 1
            fresh_ids = sorted(new_id(ids.TASK, later_ms) for _ in more)
            more = [replace(task, id=task_id) for task, task_id in zip(more, fresh_ids, strict=True)]
        if more:
            self.last_task_id = more[-1].id
        return tuple(more)

    def refuse(self, count: int) -> None:
        """Raise Conflict where so many more tasks cannot come in."""
        if self.state != BatchState.OPEN:
            raise Conflict("The batch is closed: no more tasks can be added.")
        if self.total + count > MAX_TASKS:
            raise Conflict(f"The batch has {self.total:,} tasks, and may have {MAX_TASKS:,}.")


def lock_room(tx: Tx, batch_ids: Iterable[str]) -> dict[str, Room]:
    """Lock batches that get more tasks, in the order of their ids."""
    wanted = set(batch_ids)
    if not wanted:
        return {}
    return {row.id: Room(row.state, row.total, row.last_task_id) for row in tx.run(_LOCK_ROOM, ids=wanted)}


def note_added(tx: Tx, batch_id: str, more: Sequence[NewTask]) -> None:
    """Note tasks that were added to a batch whose room is locked."""
    tx.run(_ADDED, batch_id=batch_id, more=len(more), last_task_id=more[-1].id)
