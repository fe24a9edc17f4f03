"""The tries of a task's function in full: worker, log, exception, and the one under way."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Integer, bindparam, select

from webhookd.adapters.store.paging import take_page
from webhookd.adapters.store.schema import runs, sessions, tasks
from webhookd.adapters.store.statement import Listing, narrowed
from webhookd.adapters.store.tasks.run_rows import RunRow, run_from
from webhookd.adapters.store.tx import Tx
from webhookd.core.model import TaskState
from webhookd.core.records import Bounds, Run

_BEHIND: Final = "run."
"""What a cursor begins with; the token of the last run shown follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunUnderWay:
    """The try that a worker makes now."""

    attempt: int
    started_ms: int
    host: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRuns:
    """A page of a task's tries, oldest first; `now` stands at the end of the last page."""

    type: str
    runs: list[Run]
    next_cursor: str | None
    now: RunUnderWay | None


class _RunningTask(NamedTuple):
    type: str
    state: str
    attempts: int
    started_ms: int
    host: str | None
    pid: int


_TASK: Final = Listing(
    _RunningTask,
    lambda _, given: narrowed(
        select(
            tasks.c.type,
            tasks.c.state,
            tasks.c.attempts,
            tasks.c.started_ms,
            sessions.c.host,
            sessions.c.pid,
        )
        .outerjoin(sessions, sessions.c.id == tasks.c.session_id)
        .where(tasks.c.id == bindparam("task_id")),
        given,
        partner_id=tasks.c.partner_id == bindparam("partner_id"),
    ),
)
_RUNS: Final = Listing(
    RunRow,
    lambda _, given: narrowed(
        select(runs)
        .where(runs.c.task_id == bindparam("task_id"))
        .order_by(runs.c.token)
        .limit(bindparam("most", type_=Integer)),
        given,
        after=runs.c.token > bindparam("after"),
    ),
)


def read_runs(tx: Tx, task_id: str, partner_id: str | None, page: Bounds) -> TaskRuns | None:
    """Return a page of a task's tries; None where it is unknown or another partner's."""
    task = tx.first(_TASK, task_id=task_id, partner_id=partner_id)
    if task is None:
        return None
    after = None if page.cursor is None else int(page.cursor.removeprefix(_BEHIND))
    rows, more = take_page(tx.stream(_RUNS, task_id=task_id, after=after, most=page.limit + 1), page.limit)
    runs_now = task.state == TaskState.RUNNING.value and task.host is not None
    more = more or (runs_now and len(rows) == page.limit)
    return TaskRuns(
        type=task.type,
        runs=[run_from(row) for row in rows],
        next_cursor=f"{_BEHIND}{rows[-1].token}" if more else None,
        now=_under_way(task) if runs_now and not more else None,
    )


def _under_way(task: _RunningTask) -> RunUnderWay:
    return RunUnderWay(attempt=task.attempts, started_ms=task.started_ms, host=task.host or "", pid=task.pid)
