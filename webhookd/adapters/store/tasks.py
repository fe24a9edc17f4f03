"""Tasks as the API sees them: reading, listing, cancelling, replaying. The hot writes live elsewhere."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, Text, select

from webhookd.adapters.store.counters import DepthChange
from webhookd.adapters.store.ends import Ends, read_tasks, write_bodies
from webhookd.adapters.store.files import attach_results
from webhookd.adapters.store.paging import first_id, read_page
from webhookd.adapters.store.rows import counts_from, select_counts, select_tasks, task_from
from webhookd.adapters.store.rowset import among, pack, rowset
from webhookd.adapters.store.schema import deliveries, runs, tasks
from webhookd.core import ids
from webhookd.core.listing import TaskFilter
from webhookd.core.model import TASKS, TaskMove, TaskState
from webhookd.core.records import DeliveryCounts, Page, Run, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """The task after the call. `was_done`: it had ended before, nothing changed."""

    task: Task
    was_done: bool


def get_task(conn: Connection, task_id: str, partner_id: str | None) -> Task | None:
    """Return a task with its delivery counts; None where it does not exist or is another partner's."""
    statement = _owned(select_tasks().where(tasks.c.id == task_id), partner_id)
    row = conn.execute(statement).one_or_none()
    if row is None:
        return None
    counts = conn.execute(select_counts().where(deliveries.c.task_id == task_id)).one_or_none()
    return task_from(row, counts_from(counts) if counts is not None else None)


def get_tasks(conn: Connection, task_ids: Iterable[str]) -> list[Task]:
    """Return tasks with their delivery counts, in the order of the ids; unknown ones are left out."""
    return _counted(conn, read_tasks(conn, task_ids))


def list_tasks(
    conn: Connection, partner_id: str | None, wanted: TaskFilter, page: Page
) -> tuple[list[Task], str | None]:
    """Return a page of tasks, newest first, and the cursor of the next page or None."""
    statement = _owned(select_tasks(), partner_id).order_by(tasks.c.id.desc())
    if page.cursor is not None:
        statement = statement.where(tasks.c.id < page.cursor)
    if wanted.state is not None:
        statement = statement.where(tasks.c.state == wanted.state.value)
    if wanted.type is not None:
        statement = statement.where(tasks.c.type == wanted.type)
    if wanted.since_ms is not None:
        statement = statement.where(tasks.c.id >= first_id(ids.TASK, wanted.since_ms))
    if wanted.until_ms is not None:
        statement = statement.where(tasks.c.id < first_id(ids.TASK, wanted.until_ms))
    rows, more = read_page(conn, statement, page.limit)
    shown = _counted(conn, [task_from(row) for row in rows])
    return shown, shown[-1].id if more else None


def versions(conn: Connection, task_ids: Iterable[str]) -> dict[str, int]:
    """Return the present version of each task that exists: what the watchers' poll compares."""
    rows = conn.execute(_versions(conn.dialect.name), {"ids": pack((task_id,) for task_id in task_ids)})
    return {row.id: row.version for row in rows}


def list_runs(conn: Connection, task_id: str) -> list[Run]:
    """Return the finished tries of a task's function, oldest first."""
    rows = conn.execute(select(runs).where(runs.c.task_id == task_id).order_by(runs.c.token))
    return [
        Run(
            task_id=row.task_id,
            attempt=row.attempt,
            token=row.token,
            started_ms=row.started_ms,
            finished_ms=row.finished_ms,
            outcome=row.outcome,
            error_code=row.error_code,
            error_message=row.error_message,
        )
        for row in rows
    ]


class TaskMoves:
    """Moves a person asks for; functions for `Database.write`."""

    def __init__(self, *, shard: str, ends: Ends) -> None:
        self._shard = shard
        self._ends = ends

    def cancel(self, conn: Connection, task_id: str, partner_id: str | None, now_ms: int) -> Cancelled | None:
        """Cancel a waiting task at once; note the wish for a running one. None: unknown, or a foreign one."""
        row = _lock(conn, task_id, partner_id)
        if row is None:
            return None
        state = TaskState(row.state)
        if row.finished_ms is not None:
            return Cancelled(task=get_tasks(conn, [task_id])[0], was_done=True)
        if TASKS.allows(state, TaskMove.CANCEL):
            after = TASKS.next(state, TaskMove.CANCEL)
            conn.execute(
                tasks.update()
                .where(tasks.c.id == task_id)
                .values(state=after.value, version=row.version + 1, finished_ms=now_ms)
            )
            depth = DepthChange(self._shard)
            depth.move(row.queue, row.partner_id, state, after)
            self._ends.announce_ended(conn, [task_id], now_ms=now_ms)
            depth.write(conn)
        elif row.cancel_requested_ms is None:
            conn.execute(
                tasks.update()
                .where(tasks.c.id == task_id)
                .values(cancel_requested_ms=now_ms, version=row.version + 1)
            )
        return Cancelled(task=get_tasks(conn, [task_id])[0], was_done=False)

    def replay(self, conn: Connection, task_id: str, partner_id: str | None, now_ms: int) -> Task | None:
        """Return a dead task to its queue with fresh attempts. None: unknown, foreign, or no dead letter."""
        row = _lock(conn, task_id, partner_id)
        if row is None or row.dead_ms is None:
            return None
        after = TASKS.next(TaskState(row.state), TaskMove.REPLAY)
        conn.execute(
            tasks.update()
            .where(tasks.c.id == task_id)
            .values(
                state=after.value,
                version=row.version + 1,
                attempts_before=row.attempts,
                due_ms=now_ms,
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
        write_bodies(conn, [(task_id, None, None, None)])
        attach_results(conn, {task_id: ()})
        depth = DepthChange(self._shard)
        depth.move(row.queue, row.partner_id, TaskState(row.state), after)
        depth.write(conn)
        return get_tasks(conn, [task_id])[0]


def cancel_requests(conn: Connection, session_id: str) -> list[str]:
    """Return the ids of the tasks this process runs whose cancellation somebody asked for."""
    rows = conn.execute(
        select(tasks.c.id).where(tasks.c.session_id == session_id, tasks.c.cancel_requested_ms.is_not(None))
    )
    return [row.id for row in rows]


def _lock(conn: Connection, task_id: str, partner_id: str | None) -> Any:
    statement = _owned(select(tasks).where(tasks.c.id == task_id), partner_id)
    return conn.execute(statement.with_for_update()).one_or_none()


def _owned(statement: Select[Any], partner_id: str | None) -> Select[Any]:
    return statement if partner_id is None else statement.where(tasks.c.partner_id == partner_id)


def _counted(conn: Connection, found: list[Task]) -> list[Task]:
    counts: dict[str, DeliveryCounts] = {}
    if found:
        wanted = among(conn, deliveries.c.task_id, [task.id for task in found])
        counts = {row.task_id: counts_from(row) for row in conn.execute(select_counts().where(wanted))}
    return [replace(task, deliveries=counts.get(task.id, DeliveryCounts())) for task in found]


@cache
def _versions(dialect: str) -> Any:
    rows = rowset(dialect, "ids", {"id": Text})
    return select(tasks.c.id, tasks.c.version).join(rows, rows.c.id == tasks.c.id)
