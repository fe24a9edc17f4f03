"""Tasks as the API sees them: reading, cancelling, replaying. Lists are `task_listings`."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from sqlalchemy import Select, bindparam, select

from webhookd.adapters.store.deliveries.delivery_rows import CountsRow, counts_from, select_counts
from webhookd.adapters.store.rowset import Id, named, rowset
from webhookd.adapters.store.schema import deliveries, runs, tasks
from webhookd.adapters.store.statement import Change, Listing, Query, narrowed
from webhookd.adapters.store.tasks.ends import BodyIn, announce_ended, read_tasks, write_bodies
from webhookd.adapters.store.tasks.run_rows import ShortRunRow, run_from
from webhookd.adapters.store.tasks.task_files import attach_results
from webhookd.adapters.store.tasks.task_rows import QueueRow, TaskRow, select_tasks, task_from
from webhookd.adapters.store.tx import Tx
from webhookd.core.model import TASKS, TaskMove, TaskState
from webhookd.core.records import DeliveryCounts, Run, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelledTask:
    """The task after the call. `was_done`: it had ended before, nothing changed."""

    task: Task
    was_done: bool


_OWNED: Final = tasks.c.partner_id == bindparam("partner_id")
_ONE: Final = Listing(
    TaskRow,
    lambda _, given: narrowed(
        select_tasks().where(tasks.c.id == bindparam("task_id")), given, partner_id=_OWNED
    ),
)
_COUNTS: Final = Query(
    CountsRow, lambda _: select_counts().where(deliveries.c.task_id == bindparam("task_id"))
)


def get_task(tx: Tx, task_id: str, partner_id: str | None) -> Task | None:
    """Return a task with its delivery counts; None where it does not exist or is another partner's."""
    row = tx.first(_ONE, task_id=task_id, partner_id=partner_id)
    if row is None:
        return None
    counts = tx.first(_COUNTS, task_id=task_id)
    return task_from(row, counts_from(counts) if counts is not None else None)


def get_tasks(tx: Tx, task_ids: Iterable[str]) -> list[Task]:
    """Return tasks with their delivery counts, in the order of the ids; unknown ones are left out."""
    return with_counts(tx, read_tasks(tx, task_ids))


class _Version(NamedTuple):
    id: str
    version: int


def _versions(dialect: str) -> Select[Any]:
    wanted = rowset(dialect, "ids", Id)
    return select(tasks.c.id, tasks.c.version).join(wanted, wanted.c.id == tasks.c.id)


_VERSIONS: Final = Query(_Version, _versions)


def versions(tx: Tx, task_ids: Iterable[str]) -> dict[str, int]:
    """Return the present version of each task that exists: what the watchers' poll compares."""
    return {row.id: row.version for row in tx.run(_VERSIONS, ids=map(Id, task_ids))}


_RUNS: Final = Query(
    ShortRunRow,
    lambda _: (
        select(*(runs.c[name] for name in ShortRunRow._fields))
        .where(runs.c.task_id == bindparam("task_id"))
        .order_by(runs.c.token)
    ),
)


def list_runs(tx: Tx, task_id: str) -> list[Run]:
    """Return the finished tries of a task's function, oldest first."""
    return [run_from(row) for row in tx.run(_RUNS, task_id=task_id)]


_LOCK: Final = Listing(
    QueueRow,
    lambda _, given: narrowed(
        select(tasks).where(tasks.c.id == bindparam("task_id")).with_for_update(), given, partner_id=_OWNED
    ),
)
_CANCEL: Final = Change(
    lambda _: (
        tasks.update()
        .where(tasks.c.id == bindparam("task_id"))
        .values(state=bindparam("state"), version=bindparam("version"), finished_ms=bindparam("finished_ms"))
    )
)
_ASK_TO_STOP: Final = Change(
    lambda _: (
        tasks.update()
        .where(tasks.c.id == bindparam("task_id"))
        .values(cancel_requested_ms=bindparam("now_ms"), version=bindparam("version"))
    )
)


def cancel_task(tx: Tx, task_id: str, partner_id: str | None) -> CancelledTask | None:
    """Cancel a waiting task at once; note the wish for a running one. None: unknown, or a foreign one."""
    row = tx.first(_LOCK, task_id=task_id, partner_id=partner_id)
    if row is None:
        return None
    state = TaskState(row.state)
    if row.finished_ms is not None:
        return CancelledTask(task=get_tasks(tx, [task_id])[0], was_done=True)
    version = row.version + 1
    if TASKS.allows(state, TaskMove.CANCEL):
        after = TASKS.next(state, TaskMove.CANCEL)
        tx.run(_CANCEL, task_id=task_id, state=after, version=version, finished_ms=tx.now_ms)
        tx.depths.move(row.queue, row.partner_id, state, after, batch_id=row.batch_id)
        tx.wakes.changed(task_id, row.partner_id, version)
        announce_ended(tx, [task_id], now_ms=tx.now_ms)
    elif row.cancel_requested_ms is None:
        tx.run(_ASK_TO_STOP, task_id=task_id, now_ms=tx.now_ms, version=version)
        tx.wakes.changed(task_id, row.partner_id, version)
    return CancelledTask(task=get_tasks(tx, [task_id])[0], was_done=False)


_REPLAY: Final = Change(
    lambda _: (
        tasks.update()
        .where(tasks.c.id == bindparam("task_id"))
        .values(
            state=bindparam("state"),
            version=bindparam("version"),
            attempts_before=bindparam("attempts"),
            due_ms=bindparam("now_ms"),
            expires_ms=None,
            started_ms=None,
            finished_ms=None,
            cancel_requested_ms=None,
            progress_percent=None,
            progress_message=None,
            suspect=False,
            dead_ms=None,
            dead_reason=None,
        )
    )
)


def replay_task(tx: Tx, task_id: str, partner_id: str | None) -> Task | None:
    """Return a dead task to its queue with fresh attempts. None: unknown, foreign, or no dead letter."""
    row = tx.first(_LOCK, task_id=task_id, partner_id=partner_id)
    if row is None or row.dead_ms is None:
        return None
    before, version = TaskState(row.state), row.version + 1
    after = TASKS.next(before, TaskMove.REPLAY)
    tx.run(_REPLAY, task_id=task_id, state=after, version=version, attempts=row.attempts, now_ms=tx.now_ms)
    write_bodies(tx, [BodyIn(task_id, None, None, None)])
    attach_results(tx, {task_id: ()})
    tx.depths.move(row.queue, row.partner_id, before, after, batch_id=row.batch_id)
    tx.wakes.ring(row.queue)
    tx.wakes.changed(task_id, row.partner_id, version)
    return get_tasks(tx, [task_id])[0]


_TO_STOP: Final = Query(
    Id,
    lambda _: select(tasks.c.id).where(
        tasks.c.session_id == bindparam("session_id"), tasks.c.cancel_requested_ms.is_not(None)
    ),
)


def cancel_requests(tx: Tx, session_id: str) -> list[str]:
    """Return the ids of the tasks this process runs whose cancellation somebody asked for."""
    return [row.id for row in tx.run(_TO_STOP, session_id=session_id)]


_COUNTS_OF: Final = Query(
    CountsRow, lambda dialect: select_counts().where(named(dialect, deliveries.c.task_id, "ids"))
)


def with_counts(tx: Tx, found: list[Task]) -> list[Task]:
    """Return tasks with how their deliveries stand."""
    counts: dict[str, DeliveryCounts] = {}
    if found:
        rows = tx.run(_COUNTS_OF, ids=[task.id for task in found])
        counts = {row.task_id: counts_from(row) for row in rows}
    return [replace(task, deliveries=counts.get(task.id, DeliveryCounts())) for task in found]
