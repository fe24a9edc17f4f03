"""Database rows to records, and the column lists that go with them."""

from typing import Any, NamedTuple

import orjson
from sqlalchemy import Select, case, func, select

from webhookd.adapters.store.schema import deliveries, endpoints, lanes, task_bodies, tasks
from webhookd.core.files import File, FileKind, FileState
from webhookd.core.model import DeliveryState, Priority, TaskState
from webhookd.core.records import Delivery, DeliveryCounts, Run, Task


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


class TaskRow(NamedTuple):
    """A row of `select_tasks`: everything of a task but its input."""

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
    cancel_requested_ms: int | None
    progress_percent: float | None
    progress_message: str | None
    trace_id: str
    batch_id: str | None
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


class RunRow(NamedTuple):
    """What a timeline reads of a row of `runs`; the rest may be large."""

    task_id: str
    token: int
    attempt: int
    started_ms: int
    finished_ms: int
    outcome: str
    error_code: str | None
    error_message: str | None


class DeliveryRow(NamedTuple):
    """A row of `select_deliveries`."""

    id: str
    message_id: str
    partner_id: str
    task_id: str | None
    task_type: str | None
    endpoint_id: str | None
    lane_id: str
    url: str | None
    event: str
    state: str
    once: bool
    attempts: int
    attempts_before: int
    max_attempts: int
    due_ms: int | None
    session_id: str | None
    token: int
    last_status: int | None
    last_error: str | None
    dead_reason: str | None
    discarded_ms: int | None
    created_ms: int
    ended_ms: int | None
    replay_id: str | None
    replayed_attempts: int | None
    target_url: str
    next_ms: int | None


class CountsRow(NamedTuple):
    """A row of `select_counts`."""

    task_id: str
    pending: int
    delivered: int
    dead: int
    parked: int


def names(text_or_none: str | None) -> tuple[str, ...]:
    """Return a stored JSON array of strings; NULL is empty."""
    return () if text_or_none is None else tuple(orjson.loads(text_or_none))


def names_json(values: tuple[str, ...]) -> str | None:
    """Return `values` for a column that stores a JSON array of strings; empty is NULL."""
    return orjson.dumps(values).decode() if values else None


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
    columns = (tasks.c[name] if name in tasks.c else task_bodies.c[name] for name in TaskRow._fields)
    return select(*columns).join(task_bodies, task_bodies.c.task_id == tasks.c.id)


def task_from(row: TaskRow, counts: DeliveryCounts | None = None) -> Task:
    """Return the task of a row of `select_tasks`."""
    return Task(
        id=row.id,
        partner_id=row.partner_id,
        type=row.type,
        queue=row.queue,
        state=TaskState(row.state),
        priority=Priority(row.priority),
        version=row.version,
        attempts=row.attempts - row.attempts_before,
        max_attempts=row.max_attempts,
        progress_percent=row.progress_percent,
        progress_message=row.progress_message,
        trace_id=row.trace_id,
        trace_parent_id=row.trace_parent_id,
        trace_flags=row.trace_flags,
        trace_state=row.trace_state,
        callback_url=row.callback_url,
        callback_origin=row.callback_origin,
        endpoint_ids=None if row.endpoint_ids is None else names(row.endpoint_ids),
        events=names(row.events),
        metadata_json=row.metadata,
        result_json=row.result,
        error_code=row.error_code,
        error_message=row.error_message,
        files=shown_files(row.files),
        created_ms=row.created_ms,
        run_at_ms=row.run_at_ms,
        due_ms=row.due_ms,
        expires_ms=row.expires_ms,
        started_ms=row.started_ms,
        finished_ms=row.finished_ms,
        cancel_requested=row.cancel_requested_ms is not None,
        batch_id=row.batch_id,
        deliveries=counts or DeliveryCounts(),
    )


def run_from(row: RunRow) -> Run:
    """Return the run of a whole row."""
    return Run(**row._asdict())


def select_counts() -> Select[Any]:
    """Select `task_id, pending, delivered, dead, parked`; add a WHERE on deliveries.task_id."""

    def counted(state: DeliveryState) -> Any:
        return func.sum(case((deliveries.c.state == state.value, 1), else_=0)).label(state.value)

    return select(
        deliveries.c.task_id,
        counted(DeliveryState.PENDING),
        counted(DeliveryState.DELIVERED),
        counted(DeliveryState.DEAD),
        counted(DeliveryState.PARKED),
    ).group_by(deliveries.c.task_id)


def counts_from(row: CountsRow) -> DeliveryCounts:
    """Return the counts of a row of `select_counts`."""
    return DeliveryCounts(
        pending=int(row.pending), delivered=int(row.delivered), dead=int(row.dead), parked=int(row.parked)
    )


def select_deliveries() -> Select[Any]:
    """Select deliveries with the URL they go to now, and not before when (their lane may be held)."""
    held = case((lanes.c.hold_ms > deliveries.c.due_ms, lanes.c.hold_ms), else_=deliveries.c.due_ms)
    return (
        select(
            deliveries,
            func.coalesce(deliveries.c.url, endpoints.c.url, "").label("target_url"),
            held.label("next_ms"),
        )
        .outerjoin(endpoints, endpoints.c.id == deliveries.c.endpoint_id)
        .outerjoin(lanes, lanes.c.id == deliveries.c.lane_id)
    )


def delivery_from(row: DeliveryRow) -> Delivery:
    """Return the delivery of a row of `select_deliveries`."""
    return Delivery(
        id=row.id,
        message_id=row.message_id,
        partner_id=row.partner_id,
        task_id=row.task_id,
        task_type=row.task_type,
        endpoint_id=row.endpoint_id,
        lane_id=row.lane_id,
        url=row.target_url,
        event=row.event,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        attempts_in_budget=row.attempts - row.attempts_before,
        max_attempts=row.max_attempts,
        due_ms=row.next_ms,
        in_flight=row.session_id is not None,
        last_status=row.last_status,
        last_error=row.last_error,
        dead_reason=row.dead_reason,
        created_ms=row.created_ms,
        delivered_ms=row.ended_ms if row.state == DeliveryState.DELIVERED else None,
        ended_ms=row.ended_ms,
    )
