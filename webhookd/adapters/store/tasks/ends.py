"""Writing how tasks end: state, result, run, message and deliveries, all in one transaction.

Every write is fenced: it happens only while the session and token of the claim still hold the task, so
a process that was frozen past its lease cannot overwrite what another one did since.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Select, Text, and_, case, func, literal

from webhookd.adapters.store.deliveries.publish import NO_SPANS, announce_tasks
from webhookd.adapters.store.rowset import POSTGRESQL, SQLITE, Id, Int4, between, rowset
from webhookd.adapters.store.schema import task_bodies, tasks
from webhookd.adapters.store.statement import Query
from webhookd.adapters.store.tasks.batch_ends import complete_batches, wake_receivers_in_time
from webhookd.adapters.store.tasks.run_rows import write_runs
from webhookd.adapters.store.tasks.task_files import attach_results
from webhookd.adapters.store.tasks.task_rows import BodyRow, QueueRow, TaskRow, select_tasks, task_from
from webhookd.adapters.store.tx import Tx
from webhookd.core.execution import End, Recorded, TaskEnd
from webhookd.core.model import TASK_DONE, TASKS, TaskMove, TaskState
from webhookd.core.records import Run, Task

_MOVES = {
    End.SUCCEEDED: TaskMove.SUCCEED,
    End.FAILED: TaskMove.FAIL,
    End.CANCELLED: TaskMove.STOP,
    End.RETRY: TaskMove.RETRY,
    End.HANDED_BACK: TaskMove.HAND_BACK,
}


class BodyIn(NamedTuple):
    """What an end writes into a task's body."""

    task_id: str
    result: str | None
    error_code: str | None
    error_message: str | None


def _write_bodies(dialect: str) -> Any:
    r = rowset(dialect, "bodies", BodyIn).c
    return (
        task_bodies.update()
        .where(task_bodies.c.task_id == r.task_id)
        .values(result=r.result, error_code=r.error_code, error_message=r.error_message)
        .returning(*(task_bodies.c[name] for name in BodyRow._fields))
    )


_WRITE_BODIES: Final = Query(BodyRow, _write_bodies)


def write_bodies(tx: Tx, ended: Iterable[BodyIn]) -> dict[str, BodyRow]:
    """Write results and errors; return the bodies as they are then, by task."""
    return {row.task_id: row for row in tx.run(_WRITE_BODIES, bodies=ended)}


class _EndIn(NamedTuple):
    id: str
    session_id: str
    token: Int4
    state: str
    now_ms: int
    due_ms: int
    attempts_back: Int4
    finished_ms: int | None
    dead_ms: int | None
    dead_reason: str | None
    progress_percent: float | None
    progress_message: str | None
    result: str | None
    error_code: str | None
    error_message: str | None


def _ending(dialect: str, *more: str) -> Any:
    """Write what became of tasks, where the fence still holds, and return them, with `more` of what ends."""
    r = rowset(dialect, "ends", _EndIn).c
    # Somebody cancelled it meanwhile: it does not go back into the queue.
    stopped = and_(tasks.c.cancel_requested_ms.is_not(None), r.finished_ms.is_(None))
    return (
        tasks.update()
        .where(
            tasks.c.id == r.id,
            between(dialect, tasks.c.id, "ends"),
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
        .returning(tasks, *(r[name] for name in more))
    )


def _ending_whole(dialect: str) -> Any:
    """Do so, and write the bodies along."""
    into_body = BodyIn._fields[1:]
    ended = _ending(dialect, *into_body).cte("ended")
    queued = (ended.c[name] for name in QueueRow._fields)
    bodies = (task_bodies.c[name] for name in BodyRow._fields)
    return (
        task_bodies.update()
        .where(task_bodies.c.task_id == ended.c.id)
        .values({name: ended.c[name] for name in into_body})
        .returning(*queued, *bodies)
    )


_NO_BODY: Final = BodyIn("", None, None, None)
_END: Final = Query(QueueRow, _ending, only=SQLITE)
_END_WHOLE: Final = Query(TaskRow, _ending_whole, only=POSTGRESQL)


def _write_ends(tx: Tx, ends: Sequence[TaskEnd]) -> dict[tuple[str, int], TaskRow]:
    """Write the ends whose fence still holds; return these tasks as they are then, by id and token."""
    if tx.dialect == POSTGRESQL:
        whole = tx.run(_END_WHOLE, ends=[_end_in(end, _body_in(end)) for end in ends])
        return {(row.queued.id, row.queued.token): row for row in whole}
    found = tx.run(_END, ends=[_end_in(end, _NO_BODY) for end in ends])
    queued = {(row.id, row.token): row for row in found}
    kept = [_body_in(end) for end in ends if (end.task.id, end.task.token) in queued]
    bodies = write_bodies(tx, kept) if kept else {}
    return {key: TaskRow(row, bodies[row.id]) for key, row in queued.items()}


def record(tx: Tx, ends: Sequence[TaskEnd]) -> list[Recorded | Exception]:
    """Write the ends of tries. A try whose task was taken away is answered `lost`."""
    written = _write_ends(tx, ends)
    kept = [end for end in ends if (end.task.id, end.task.token) in written]
    if not kept:
        return [Recorded(lost=True) for _ in ends]
    attached = {end.task.id: end.files for end in kept if end.files and _state_after(end) in TASK_DONE}
    if attached:
        attach_results(tx, attached)
    ended = []
    for end in kept:
        row, body = written[end.task.id, end.task.token]
        after = TaskState(row.state)
        tx.depths.move(row.queue, row.partner_id, TaskState.RUNNING, after, batch_id=row.batch_id)
        tx.wakes.changed(row.id, row.partner_id, row.version)
        if after is TaskState.QUEUED:
            tx.wakes.ring(row.queue)
        if after in TASK_DONE:
            ended.append(task_from(TaskRow(row, body)))
    if attached:
        ended = read_tasks(tx, [task.id for task in ended])  # with their files
    _announce(
        tx,
        ended,
        now_ms=max(end.now_ms for end in ends),
        span_ids={end.task.id: end.span_id for end in kept},
    )
    write_runs(tx, map(_run, kept))
    return [Recorded(lost=(end.task.id, end.task.token) not in written) for end in ends]


def announce_ended(tx: Tx, task_ids: Sequence[str], *, now_ms: int) -> None:
    """Announce tasks that have just reached a final state."""
    if task_ids:
        _announce(tx, read_tasks(tx, task_ids), now_ms=now_ms)


def _announce(tx: Tx, ended: Sequence[Task], *, now_ms: int, span_ids: Mapping[str, str] = NO_SPANS) -> None:
    happenings = [(task, f"task.{task.state.value}") for task in ended]
    of_batches = Counter(task.batch_id for task in ended if task.batch_id is not None)
    if of_batches:
        wake_receivers_in_time(tx, of_batches, now_ms=now_ms)
    announce_tasks(tx, happenings, now_ms=now_ms, span_ids=span_ids)
    if of_batches:
        complete_batches(tx, of_batches, now_ms=now_ms)


def _tasks_by_id(dialect: str) -> Select[Any]:
    wanted = rowset(dialect, "ids", Id)
    return select_tasks().join(wanted, wanted.c.id == tasks.c.id)


_TASKS: Final = Query(TaskRow, _tasks_by_id)


def read_tasks(tx: Tx, task_ids: Iterable[str]) -> list[Task]:
    """Return whole tasks (without delivery counts), in the order of the ids; unknown ones are left out."""
    wanted = list(task_ids)
    found = {row.queued.id: task_from(row) for row in tx.run(_TASKS, ids=map(Id, wanted))}
    return [found[task_id] for task_id in wanted if task_id in found]


def _run(end: TaskEnd) -> Run:
    return Run(
        task_id=end.task.id,
        attempt=end.task.attempt,
        token=end.task.token,
        started_ms=end.started_ms,
        finished_ms=end.now_ms,
        outcome=end.end.value,
        error_code=end.error_code,
        error_message=end.error_message,
        host=end.host,
        pid=end.pid,
        log=end.log,
        raised=end.raised,
    )


def _state_after(end: TaskEnd) -> TaskState:
    return TASKS.next(TaskState.RUNNING, _MOVES[end.end])


def _body_in(end: TaskEnd) -> BodyIn:
    return BodyIn(end.task.id, end.result_json, end.error_code, end.error_message)


def _end_in(end: TaskEnd, body: BodyIn) -> _EndIn:
    state = _state_after(end)
    dead = end.end is End.FAILED
    return _EndIn(
        id=end.task.id,
        session_id=end.session_id,
        token=end.task.token,
        state=state,
        now_ms=end.now_ms,
        due_ms=end.due_ms if end.due_ms is not None else end.task.due_ms,
        attempts_back=1 if end.end is End.HANDED_BACK else 0,
        finished_ms=end.now_ms if state in TASK_DONE else None,
        dead_ms=end.now_ms if dead else None,
        dead_reason=(end.reason or "task_failed") if dead else None,
        progress_percent=end.progress_percent,
        progress_message=end.progress_message,
        result=body.result,
        error_code=body.error_code,
        error_message=body.error_message,
    )
