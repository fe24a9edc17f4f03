"""Closing a batch and cancelling it, a step at a time. Its end is `batch_ends`."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, Text, bindparam, select

from webhookd.adapters.store.rowset import Id
from webhookd.adapters.store.schema import batches, tasks
from webhookd.adapters.store.statement import Change, Listing, Query, narrowed
from webhookd.adapters.store.tasks.batch_ends import complete_closed
from webhookd.adapters.store.tasks.batches import get_batch
from webhookd.adapters.store.tasks.ends import announce_ended
from webhookd.adapters.store.tx import Tx
from webhookd.core.batches import Batch
from webhookd.core.model import BATCHES, TASKS, BatchMove, BatchState, TaskMove, TaskState

CANCELLED_A_STEP: Final = 500
"""Tasks of a batch cancelled in one transaction."""


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
