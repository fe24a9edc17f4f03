"""Taking tasks for a process: attempt and fencing token + 1, and what a run needs of each."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Text, bindparam, exists, or_, select

from webhookd.adapters.store.counters import write_depths
from webhookd.adapters.store.deliveries.publish import announce_tasks
from webhookd.adapters.store.rowset import POSTGRESQL, Id, between, rowset
from webhookd.adapters.store.schema import endpoints, partners, task_bodies, tasks
from webhookd.adapters.store.statement import Query
from webhookd.adapters.store.tasks.ends import read_tasks
from webhookd.adapters.store.trace_columns import trace_of
from webhookd.adapters.store.tx import Tx
from webhookd.core.execution import ClaimTasks
from webhookd.core.model import TASKS, Priority, TaskMove, TaskState
from webhookd.core.records import ClaimedTask

_STARTED: Final = "task.started"


class TakenRow(NamedTuple):
    """A task as its claim leaves it, with what a run needs of its body.

    `addressed`: it says itself where its events go. `listens`: an endpoint of its partner names
    `task.started`.
    """

    id: str
    partner_id: str
    type: str
    queue: str
    priority: int
    version: int
    attempts: int
    attempts_before: int
    max_attempts: int
    token: int
    suspect: bool
    trace_id: str
    batch_id: str | None
    created_ms: int
    due_ms: int
    started_ms: int
    partner_name: str | None
    input: str
    metadata: str
    events: str | None
    trace_parent_id: str
    trace_flags: int
    trace_state: str
    addressed: bool
    listens: bool


def taken_columns(of_body: Callable[[ColumnElement[Any]], Any] = lambda column: column) -> list[Any]:
    """Return the columns of a TakenRow, of `tasks`; `of_body` makes one of what is in `task_bodies`."""
    name = select(partners.c.name).where(partners.c.id == tasks.c.partner_id).correlate(tasks)
    listens = exists().where(
        endpoints.c.partner_id == tasks.c.partner_id,
        endpoints.c.deleted_ms.is_(None),
        endpoints.c.events.contains(f'"{_STARTED}"'),
    )
    addressed = or_(task_bodies.c.callback_url.is_not(None), task_bodies.c.endpoint_ids.is_not(None))
    others = {
        "partner_name": name.scalar_subquery(),
        "addressed": of_body(addressed),
        "listens": listens.correlate(tasks),
    }
    return [
        (
            others[field]
            if field in others
            else tasks.c[field]
            if field in tasks.c
            else of_body(task_bodies.c[field])
        ).label(field)
        for field in TakenRow._fields
    ]


def _in_its_place(column: ColumnElement[Any]) -> Any:
    """Return a value of the task's body for RETURNING on SQLite, which knows no other table there."""
    return select(column).where(task_bodies.c.task_id == tasks.c.id).correlate(tasks).scalar_subquery()


class _Timeout(NamedTuple):
    type: str
    timeout_ms: int


def _taking(dialect: str) -> Any:
    """Take tasks for a session: attempt and fencing token + 1."""
    ids = rowset(dialect, "ids", Id)
    timeouts = rowset(dialect, "timeouts", _Timeout)
    now_ms = bindparam("now_ms", type_=BigInteger)
    states = [state.value for state in TASKS.sources(TaskMove.CLAIM)]
    taking = (
        tasks.update()
        .where(
            tasks.c.id == ids.c.id,
            timeouts.c.type == tasks.c.type,
            or_(*(tasks.c.state.is_not_distinct_from(state) for state in states)),  # by id, not ix_tasks_age
        )
        .values(
            state=TaskState.RUNNING.value,
            version=tasks.c.version + 1,
            attempts=tasks.c.attempts + 1,
            token=tasks.c.token + 1,
            session_id=bindparam("session_id", type_=Text),
            started_ms=now_ms,
            deadline_ms=now_ms + timeouts.c.timeout_ms,
            progress_percent=None,
            progress_message=None,
        )
    )
    if dialect != POSTGRESQL:
        return taking.returning(*taken_columns(_in_its_place))
    body = (task_bodies.c.task_id == tasks.c.id, between(dialect, task_bodies.c.task_id, "ids"))
    return taking.where(*body).returning(*taken_columns())


_TAKE: Final = Query(TakenRow, _taking)


def take(tx: Tx, request: ClaimTasks, chosen: Mapping[str, str | None]) -> list[ClaimedTask]:
    """Take these tasks as far as they still wait, each named with its partner (None: not known).

    That they run is counted along with the taking, which on PostgreSQL saves a round trip.
    """
    counted = {task_id: partner_id for task_id, partner_id in chosen.items() if partner_id is not None}
    for partner_id in counted.values():
        tx.depths.move(request.queue, partner_id, TaskState.QUEUED, TaskState.RUNNING, batch_id=None)
    write_depths(tx)
    rows = tx.run_with_later(
        _TAKE,
        ids=map(Id, chosen),
        now_ms=request.now_ms,
        session_id=request.session_id,
        timeouts=[_Timeout(limit.type, limit.timeout_ms) for limit in request.limits],
    )
    # RETURNING promises no order; they are to start in the order they were chosen.
    by_id = {row.id: row for row in rows}
    taken = [by_id[task_id] for task_id in chosen if task_id in by_id]
    for task_id in counted.keys() - by_id.keys():  # cancelled or expired since it was looked at
        tx.depths.move(request.queue, counted[task_id], TaskState.RUNNING, TaskState.QUEUED, batch_id=None)
    for row in taken:
        if row.id not in counted:
            tx.depths.move(row.queue, row.partner_id, TaskState.QUEUED, TaskState.RUNNING, batch_id=None)
        tx.depths.move_in_batch(row.batch_id, TaskState.QUEUED, TaskState.RUNNING)
        tx.wakes.changed(row.id, row.partner_id, row.version)
    _announce_started(tx, taken, request.now_ms)
    return [claimed_task(row) for row in taken]


def _announce_started(tx: Tx, taken: list[TakenRow], now_ms: int) -> None:
    """Announce `task.started` where somebody asked for it by name."""
    heard = [row.id for row in taken if _STARTED in (row.events or "") or (row.listens and not row.addressed)]
    if heard:
        announce_tasks(tx, [(task, _STARTED) for task in read_tasks(tx, heard)], now_ms=now_ms)


def claimed_task(row: TakenRow) -> ClaimedTask:
    """Return a claimed task, from its row as the claim left it."""
    return ClaimedTask(
        id=row.id,
        partner_id=row.partner_id,
        partner_name=row.partner_name or "",
        type=row.type,
        priority=Priority(row.priority),
        metadata_json=row.metadata,
        queue=row.queue,
        version=row.version,
        attempt=row.attempts,
        budget_attempt=row.attempts - row.attempts_before,
        max_attempts=row.max_attempts,
        token=row.token,
        suspect=row.suspect,
        trace=trace_of(row),
        input_json=row.input,
        created_ms=row.created_ms,
        due_ms=row.due_ms,
        claimed_ms=row.started_ms,
    )
