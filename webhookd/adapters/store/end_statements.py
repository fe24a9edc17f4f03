"""The statements that end tasks and report progress; `ends` runs them. Each is made once per dialect."""

from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Float,
    Integer,
    Text,
    and_,
    case,
    func,
    literal,
)

from webhookd.adapters.store.rows import TaskRow
from webhookd.adapters.store.rowset import insert_rows, named_in, rowset
from webhookd.adapters.store.schema import runs, task_bodies, tasks
from webhookd.core.model import TaskState


@cache
def end(dialect: str) -> Any:
    """Write what became of tasks, where the fence still holds, and return them. Parameters: ends."""
    r = rowset(
        dialect,
        "ends",
        {
            "id": Text,
            "session_id": Text,
            "token": Integer,
            "state": Text,
            "now_ms": BigInteger,
            "due_ms": BigInteger,
            "attempts_back": Integer,
            "finished_ms": BigInteger,
            "dead_ms": BigInteger,
            "dead_reason": Text,
            "progress_percent": Float,
            "progress_message": Text,
        },
    ).c
    # Somebody cancelled it meanwhile: it does not go back into the queue.
    stopped = and_(tasks.c.cancel_requested_ms.is_not(None), r.finished_ms.is_(None))
    return (
        tasks.update()
        .where(
            tasks.c.id == r.id,
            named_in(dialect, tasks.c.id, "ends"),
            tasks.c.session_id.is_not_distinct_from(r.session_id),  # by id, not by ix_tasks_held
            tasks.c.token == r.token,
            tasks.c.state == TaskState.RUNNING.value,
        )
        .values(
            state=case((stopped, literal(TaskState.CANCELLED.value, Text)), else_=r.state),
            version=tasks.c.version + 1,
            attempts=tasks.c.attempts - r.attempts_back,
            due_ms=r.due_ms,
            finished_ms=case((stopped, r.now_ms), else_=r.finished_ms),
            session_id=None,
            deadline_ms=None,
            # What was handed back did not run, so it is still to run alone.
            suspect=and_(tasks.c.suspect, r.attempts_back == 1),
            dead_ms=r.dead_ms,
            dead_reason=r.dead_reason,
            progress_percent=func.coalesce(r.progress_percent, tasks.c.progress_percent),
            progress_message=func.coalesce(r.progress_message, tasks.c.progress_message),
        )
        .returning(*(tasks.c[name] for name in TaskRow._fields if name in tasks.c), tasks.c.token)
    )


@cache
def progress(dialect: str) -> Any:
    """Write progress, where the fence still holds, and return the tasks. Parameters: reports."""
    r = rowset(
        dialect,
        "reports",
        {"id": Text, "session_id": Text, "token": Integer, "percent": Float, "message": Text},
    ).c
    return (
        tasks.update()
        .where(
            tasks.c.id == r.id,
            named_in(dialect, tasks.c.id, "reports"),
            tasks.c.session_id.is_not_distinct_from(r.session_id),  # by id, not by ix_tasks_held
            tasks.c.token == r.token,
            tasks.c.state == TaskState.RUNNING.value,
        )
        .values(
            version=tasks.c.version + 1,
            progress_percent=func.coalesce(r.percent, tasks.c.progress_percent),
            progress_message=r.message,
        )
        .returning(tasks.c.id, tasks.c.token, tasks.c.partner_id, tasks.c.version)
    )


@cache
def bodies(dialect: str) -> Any:
    """Write results and errors into the tasks' bodies. Parameters: bodies."""
    r = rowset(
        dialect, "bodies", {"task_id": Text, "result": Text, "error_code": Text, "error_message": Text}
    ).c
    return (
        task_bodies.update()
        .where(task_bodies.c.task_id == r.task_id)
        .values(result=r.result, error_code=r.error_code, error_message=r.error_message)
    )


@cache
def insert_runs(dialect: str) -> Any:
    """Add to the log of runs. Parameters: runs_in."""
    return insert_rows(
        dialect,
        runs,
        "runs_in",
        (
            "task_id",
            "token",
            "attempt",
            "started_ms",
            "finished_ms",
            "outcome",
            "error_code",
            "error_message",
            "host",
            "pid",
            "log",
            "raised",
        ),
    )
