"""Batches as the API sees them: making, adding, closing, cancelling, reading. Their end is `batch_ends`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import BigInteger, Integer, Text, bindparam, select

from webhookd.adapters.entropy import new_id
from webhookd.adapters.store.paging import first_id, take_page
from webhookd.adapters.store.rowset import Id, insert_rows, named
from webhookd.adapters.store.schema import batches, tasks
from webhookd.adapters.store.statement import Change, Listing, Query, narrowed
from webhookd.adapters.store.tasks.batch_ends import BatchRow, batch_from, complete_closed, select_batches
from webhookd.adapters.store.tasks.ends import announce_ended
from webhookd.adapters.store.tasks.task_rows import TaskRow, select_tasks
from webhookd.adapters.store.tasks.tasks import get_tasks
from webhookd.adapters.store.tx import Tx
from webhookd.core import ids
from webhookd.core.batches import MAX_TASKS, Batch, BatchFilter, BatchTasks, NewBatch
from webhookd.core.errors import Conflict
from webhookd.core.model import BATCHES, TASKS, BatchMove, BatchState, TaskMove, TaskState
from webhookd.core.records import NewTask, Page, Task

CANCELLED_A_STEP: Final = 500
"""Tasks of a batch cancelled in one transaction."""


class _BatchIn(NamedTuple):
    id: str
    partner_id: str
    state: str
    total: int
    version: int
    last_task_id: str | None
    metadata: str
    defaults: str
    callback_url: str | None
    callback_origin: str | None
    endpoint_ids: str | None
    trace_id: str
    trace_parent_id: str
    trace_flags: int
    trace_state: str
    created_ms: int
    closed_ms: int | None


_INSERT: Final = Change(lambda dialect: insert_rows(dialect, batches, "rows", _BatchIn))


def insert_batch(tx: Tx, batch: NewBatch, its_tasks: Sequence[NewTask]) -> None:
    """Write a new batch down; its tasks follow in the same transaction."""
    tx.run(
        _INSERT,
        rows=[
            _BatchIn(
                id=batch.id,
                partner_id=batch.partner_id,
                state=batch.state,
                total=len(its_tasks),
                version=1,
                last_task_id=its_tasks[-1].id if its_tasks else None,
                metadata=batch.metadata_json,
                defaults=batch.defaults_json,
                callback_url=batch.callback_url,
                callback_origin=batch.callback_origin,
                endpoint_ids=None
                if batch.endpoint_ids is None
                else orjson.dumps(batch.endpoint_ids).decode(),
                trace_id=batch.trace.trace_id,
                trace_parent_id=batch.trace.parent_id,
                trace_flags=batch.trace.flags,
                trace_state=batch.trace.state,
                created_ms=batch.created_ms,
                closed_ms=None if batch.state is BatchState.OPEN else batch.created_ms,
            )
        ],
    )


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


_ONE: Final = Listing(
    BatchRow,
    lambda dialect, given: narrowed(
        select_batches(dialect, "ids"), given, partner_id=batches.c.partner_id == bindparam("partner_id")
    ),
)


def get_batch(tx: Tx, batch_id: str, partner_id: str | None) -> Batch | None:
    """Return a batch; None where it does not exist or is another partner's."""
    row = tx.first(_ONE, ids=[batch_id], partner_id=partner_id)
    return None if row is None else batch_from(row)


_PAGE: Final = Listing(
    Id,
    lambda _, given: narrowed(
        select(batches.c.id).order_by(batches.c.id.desc()).limit(bindparam("most", type_=Integer)),
        given,
        partner_id=batches.c.partner_id == bindparam("partner_id"),
        cursor=batches.c.id < bindparam("cursor"),
        state=batches.c.state == bindparam("state"),
        since=batches.c.id >= bindparam("since"),
        until=batches.c.id < bindparam("until"),
    ),
)


def list_batches(
    tx: Tx, partner_id: str | None, wanted: BatchFilter, page: Page
) -> tuple[list[Batch], str | None]:
    """Return a page of batches, newest first, and the cursor of the next page or None."""
    found = tx.run(
        _PAGE,
        partner_id=partner_id,
        cursor=page.cursor,
        state=wanted.state,
        since=None if wanted.since_ms is None else first_id(ids.BATCH, wanted.since_ms),
        until=None if wanted.until_ms is None else first_id(ids.BATCH, wanted.until_ms),
        most=page.limit + 1,
    )
    shown = [row.id for row in found[: page.limit]]
    rows = {row.id: batch_from(row) for row in tx.run(_ONE, ids=shown, partner_id=None)} if shown else {}
    return [rows[one] for one in shown if one in rows], shown[-1] if len(found) > page.limit else None


_OF_BATCH: Final = Listing(
    TaskRow,
    lambda _, given: narrowed(
        select_tasks()
        .where(tasks.c.batch_id == bindparam("batch_id"))
        .order_by(tasks.c.id)
        .limit(bindparam("most", type_=Integer)),
        given,
        cursor=tasks.c.id > bindparam("cursor"),
        state=tasks.c.state == bindparam("state"),
        ended=tasks.c.finished_ms.is_not(None),
    ),
)


def tasks_of_batch(tx: Tx, wanted: BatchTasks, page: Page) -> tuple[list[Task], str | None]:
    """Return a page of a batch's tasks, in the order of their submission, and the next cursor or None."""
    rows = tx.stream(
        _OF_BATCH,
        batch_id=wanted.batch_id,
        cursor=page.cursor,
        state=wanted.state,
        ended=wanted.ended or None,
        most=page.limit + 1,
    )
    found, more = take_page(rows, page.limit)
    shown = get_tasks(tx, [row.queued.id for row in found])
    return shown, shown[-1].id if more and shown else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A batch after the call; `changed` is False where it stood so before."""

    batch: Batch
    changed: bool


_LOCK: Final = Listing(
    Id,
    lambda _, given: narrowed(
        select(batches.c.id).where(batches.c.id == bindparam("batch_id")).with_for_update(),
        given,
        partner_id=batches.c.partner_id == bindparam("partner_id"),
    ),
)
_SET: Final = Change(
    lambda _: (
        batches.update()
        .where(batches.c.id == bindparam("batch_id"))
        .values(
            state=bindparam("state", type_=Text),
            version=batches.c.version + 1,
            closed_ms=bindparam("closed_ms", type_=BigInteger),
            cancel_requested_ms=bindparam("cancel_requested_ms", type_=BigInteger),
        )
    )
)


def close_batch(tx: Tx, batch_id: str, partner_id: str | None) -> Moved | None:
    """Let no more tasks come, so that it can be completed; None: unknown, or a foreign one."""
    return _close(tx, batch_id, partner_id, cancels=False)


def cancel_batch(tx: Tx, batch_id: str, partner_id: str | None) -> Moved | None:
    """Note that a batch is to be cancelled, and close it: `cancel_some` does the rest, a step at a time."""
    return _close(tx, batch_id, partner_id, cancels=True)


def _close(tx: Tx, batch_id: str, partner_id: str | None, *, cancels: bool) -> Moved | None:
    if tx.first(_LOCK, batch_id=batch_id, partner_id=partner_id) is None:
        return None
    before = _known(tx, batch_id)
    closes = before.state is BatchState.OPEN
    asks = cancels and not before.done and before.cancel_requested_ms is None
    if not closes and not asks:
        return Moved(batch=before, changed=False)
    tx.run(
        _SET,
        batch_id=batch_id,
        state=BATCHES.next(before.state, BatchMove.CLOSE) if closes else before.state,
        closed_ms=tx.now_ms if closes else before.closed_ms,
        cancel_requested_ms=tx.now_ms if asks else before.cancel_requested_ms,
    )
    if closes:
        complete_closed(tx, before, now_ms=tx.now_ms)
    after = _known(tx, batch_id)
    tx.wakes.changed(batch_id, after.partner_id, after.version)
    return Moved(batch=after, changed=True)


def _known(tx: Tx, batch_id: str) -> Batch:
    batch = get_batch(tx, batch_id, None)
    if batch is None:
        raise LookupError(batch_id)  # its row is locked
    return batch


_TO_CANCEL: Final = Query(
    Id,
    lambda _: (
        select(batches.c.id)
        .where(
            batches.c.cancel_requested_ms.is_not(None),
            batches.c.state == BatchState.RUNNING.value,
            batches.c.id > bindparam("after"),
        )
        .order_by(batches.c.id)
        .limit(1)
    ),
)


class _Stopped(NamedTuple):
    id: str
    partner_id: str
    queue: str
    version: int
    batch_id: str | None


def _stopping(before: TaskState, values: dict[str, Any]) -> Query[_Stopped]:
    """Return the statement that changes some tasks of a batch in a state, those nobody else has locked."""
    chosen = (
        select(tasks.c.id)
        .where(
            tasks.c.batch_id == bindparam("batch_id"),
            tasks.c.state == before.value,
            tasks.c.cancel_requested_ms.is_(None),
        )
        .order_by(tasks.c.id)
        .limit(CANCELLED_A_STEP)
        .with_for_update(skip_locked=True)
    )
    return Query(
        _Stopped,
        lambda _: (
            tasks.update()
            .where(tasks.c.id.in_(chosen), tasks.c.state == before.value)
            .values(version=tasks.c.version + 1, **values)
            .returning(*(tasks.c[name] for name in _Stopped._fields))
        ),
    )


_NOW: Final = bindparam("now_ms", type_=BigInteger)
_CANCEL: Final = {
    state: _stopping(state, {"state": TASKS.next(state, TaskMove.CANCEL).value, "finished_ms": _NOW})
    for state in TASKS.sources(TaskMove.CANCEL)
}
_ASK_TO_STOP: Final = _stopping(TaskState.RUNNING, {"cancel_requested_ms": _NOW})


def cancel_some(tx: Tx, batch_id: str) -> bool:
    """Cancel some tasks of a batch that is to be cancelled. True: there may be more."""
    more = False
    for before, statement in _CANCEL.items():
        rows = tx.run(statement, batch_id=batch_id, now_ms=tx.now_ms)
        after = TASKS.next(before, TaskMove.CANCEL)
        for row in rows:
            tx.depths.move(row.queue, row.partner_id, before, after, batch_id=row.batch_id)
            tx.wakes.changed(row.id, row.partner_id, row.version)
        announce_ended(tx, [row.id for row in rows], now_ms=tx.now_ms)
        more = more or len(rows) == CANCELLED_A_STEP
    asked = tx.run(_ASK_TO_STOP, batch_id=batch_id, now_ms=tx.now_ms)
    for row in asked:
        tx.wakes.changed(row.id, row.partner_id, row.version)
    return more or len(asked) == CANCELLED_A_STEP


def batch_to_cancel(tx: Tx, after: str) -> str | None:
    """Return the next batch behind `after` whose tasks are to be cancelled."""
    row = tx.first(_TO_CANCEL, after=after)
    return None if row is None else row.id
