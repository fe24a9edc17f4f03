"""The tries of a task's function in full: worker, log, exception, and the one under way."""

from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Row, select

from webhookd.adapters.store.paging import read_page
from webhookd.adapters.store.schema import runs, sessions, tasks
from webhookd.adapters.store.tx import Tx
from webhookd.core.model import TaskState
from webhookd.core.outcome import Raised
from webhookd.core.records import Page, Run

RUN_COLUMNS: Final = tuple(column for column in runs.c if column.name not in ("host", "pid", "log", "raised"))
"""What a timeline reads of a run: the rest may be large."""


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


def read_runs(tx: Tx, task_id: str, partner_id: str | None, page: Page) -> TaskRuns | None:
    """Return a page of a task's tries; None where it is unknown or another partner's."""
    wanted = (
        select(
            tasks.c.type,
            tasks.c.state,
            tasks.c.attempts,
            tasks.c.started_ms,
            sessions.c.host,
            sessions.c.pid,
        )
        .outerjoin(sessions, sessions.c.id == tasks.c.session_id)
        .where(tasks.c.id == task_id)
    )
    if partner_id is not None:
        wanted = wanted.where(tasks.c.partner_id == partner_id)
    task = tx.execute(wanted).one_or_none()
    if task is None:
        return None
    made = select(runs).where(runs.c.task_id == task_id).order_by(runs.c.token)
    if page.cursor is not None:
        made = made.where(runs.c.token > int(page.cursor))
    rows, more = read_page(tx, made, page.limit)
    runs_now = task.state == TaskState.RUNNING.value and task.host is not None
    more = more or (runs_now and len(rows) == page.limit)
    return TaskRuns(
        type=task.type,
        runs=[_run_from(row) for row in rows],
        next_cursor=str(rows[-1].token) if more else None,
        now=_under_way(task) if runs_now and not more else None,
    )


def _under_way(task: Any) -> RunUnderWay:
    return RunUnderWay(attempt=task.attempts, started_ms=task.started_ms, host=task.host, pid=task.pid)


def _run_from(row: Row[Any]) -> Run:
    fields = dict(row._mapping)
    fields["log"] = tuple(orjson.loads(row.log)) if row.log is not None else ()
    fields["raised"] = None if row.raised is None else Raised(**orjson.loads(row.raised))
    return Run(**fields)
