"""Reading batches and their tasks. Adding to one is `batch_room`, closing and cancelling `batch_moves`."""

from typing import Final

from sqlalchemy import Integer, bindparam, select

from webhookd.adapters.store.paging import first_id, take_page
from webhookd.adapters.store.rowset import Id
from webhookd.adapters.store.schema import batches, tasks
from webhookd.adapters.store.statement import Listing, narrowed
from webhookd.adapters.store.tasks.batch_ends import BatchRow, batch_from, select_batches
from webhookd.adapters.store.tasks.task_rows import TaskRow, select_tasks
from webhookd.adapters.store.tasks.tasks import get_tasks
from webhookd.adapters.store.tx import Tx
from webhookd.core import ids
from webhookd.core.batches import Batch, BatchFilter, BatchTasks
from webhookd.core.records import Bounds, Task

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
    tx: Tx, partner_id: str | None, wanted: BatchFilter, page: Bounds
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


def tasks_of_batch(tx: Tx, wanted: BatchTasks, page: Bounds) -> tuple[list[Task], str | None]:
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
