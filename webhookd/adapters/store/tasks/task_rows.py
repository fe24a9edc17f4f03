"""The rows of tasks, and the tasks they stand for."""

from typing import Any, NamedTuple

import orjson
from sqlalchemy import Select, select

from webhookd.adapters.store.rows import filled, names, opt_names
from webhookd.adapters.store.schema import task_bodies, tasks
from webhookd.core.files import File, FileKind, FileState
from webhookd.core.model import Priority, TaskState
from webhookd.core.records import DeliveryCounts, Task
from webhookd.core.trace import TraceContext


class QueueRow(NamedTuple):
    """A row of `tasks`: what decides when and where it runs."""

    id: str
    partner_id: str
    type: str
    queue: str
    state: str
    priority: int
    version: int
    attempts: int
    attempts_before: int
    max_attempts: int
    due_ms: int
    run_at_ms: int | None
    expires_ms: int | None
    created_ms: int
    started_ms: int | None
    finished_ms: int | None
    session_id: str | None
    token: int
    deadline_ms: int | None
    cancel_requested_ms: int | None
    suspect: bool
    progress_percent: float | None
    progress_message: str | None
    trace_id: str
    dead_ms: int | None
    dead_reason: str | None
    batch_id: str | None


class BodyRow(NamedTuple):
    """A row of `task_bodies` without the input."""

    task_id: str
    metadata: str
    callback_url: str | None
    callback_origin: str | None
    endpoint_ids: str | None
    events: str | None
    trace_parent_id: str
    trace_flags: int
    trace_state: str
    result: str | None
    error_code: str | None
    error_message: str | None
    files: str | None
    rerun_of: str | None


class TaskRow(NamedTuple):
    """A row of `select_tasks`: everything of a task but its input."""

    queued: QueueRow
    body: BodyRow


def shown_files(text: str | None) -> tuple[File, ...]:
    """Return the files that a task's body names."""
    if text is None:
        return ()
    return tuple(
        File(**{**one, "state": FileState(one["state"]), "kind": FileKind(one["kind"])})
        for one in orjson.loads(text)
    )


def select_tasks() -> Select[Any]:
    """Select whole tasks; add a WHERE."""
    bodies = (task_bodies.c[name] for name in BodyRow._fields)
    return select(tasks, *bodies).join(task_bodies, task_bodies.c.task_id == tasks.c.id)


def task_from(row: TaskRow, counts: DeliveryCounts | None = None) -> Task:
    """Return the task of a row of `select_tasks`.

    A cancelled one has no error: that of a try before its end is why that try failed, and stands in its runs.
    """
    queued, body = row
    state = TaskState(queued.state)
    failed_before = body.error_code is not None and state is TaskState.CANCELLED
    return filled(
        Task,
        queued,
        body._replace(error_code=None, error_message=None) if failed_before else body,
        state=state,
        priority=Priority(queued.priority),
        attempts=queued.attempts - queued.attempts_before,
        trace=TraceContext(
            trace_id=queued.trace_id,
            parent_id=body.trace_parent_id,
            flags=body.trace_flags,
            state=body.trace_state,
        ),
        endpoint_ids=opt_names(body.endpoint_ids),
        events=names(body.events),
        metadata_json=body.metadata,
        result_json=body.result,
        files=shown_files(body.files),
        deliveries=counts or DeliveryCounts(),
    )
