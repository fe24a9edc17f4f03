"""Writing how tasks end: state, result, run, message and deliveries, all in one transaction.

Every write is fenced: it happens only while the session and token of the claim still hold the task, so
a process that was frozen past its lease cannot overwrite what another one did since.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from sqlalchemy import Select, Text, and_, case, func, literal, or_, select

from webhookd.adapters.store.deliveries.publish import NO_SPANS, announce_tasks
from webhookd.adapters.store.rowset import POSTGRESQL, SQLITE, Id, Int4, between, named, rowset
from webhookd.adapters.store.schema import task_bodies, tasks
from webhookd.adapters.store.statement import Change, Query
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


class ErrorIn(NamedTuple):
    """Why the last try of a task failed, for its body; None: it did not."""

    task_id: str
    error_code: str | None
    error_message: str | None


def _write_errors(dialect: str) -> Any:
    r = rowset(dialect, "errors", ErrorIn).c
    return (
        task_bodies.update()
        .where(task_bodies.c.task_id == r.task_id)
        .values(error_code=r.error_code, error_message=r.error_message)
    )


_WRITE_ERRORS: Final = Change(_write_errors)


def write_errors(tx: Tx, errors: Iterable[ErrorIn]) -> None:
    """Write why tasks failed, or that they did not."""
    tx.run(_WRITE_ERRORS, errors=errors)


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
    """Do so, write the errors that are new into the bodies, and return what these were before."""
    ended = _ending(dialect, "error_code", "error_message").cte("ended")
    own = task_bodies.c.task_id == ended.c.id
    error = {name: ended.c[name] for name in ("error_code", "error_message")}
    new = or_(*(task_bodies.c[name].is_distinct_from(value) for name, value in error.items()))
    written = task_bodies.update().where(own, new).values(error).cte("written")
    queued = (ended.c[name] for name in QueueRow._fields)
    return select(*queued, *_BODY).select_from(ended.join(task_bodies, own)).add_cte(written)


def _bodies_by_id(dialect: str) -> Select[Any]:
    return select(*_BODY).where(named(dialect, task_bodies.c.task_id, "ids"))


_BODY: Final = tuple(task_bodies.c[name] for name in BodyRow._fields)
_END: Final = Query(QueueRow, _ending, only=SQLITE)
_BODIES: Final = Query(BodyRow, _bodies_by_id, only=SQLITE)
_END_WHOLE: Final = Query(TaskRow, _ending_whole, only=POSTGRESQL)


def _write_ends(tx: Tx, ends: Sequence[TaskEnd]) -> dict[tuple[str, int], TaskRow]:
    """Write the ends whose fence still holds; return these tasks as they are then, by id and token.

    A result is not written here: the message that tells of it is where it is kept.
    """
    rows = list(map(_end_in, ends))
    if tx.dialect == POSTGRESQL:
        found = tx.run(_END_WHOLE, ends=rows)
    else:
        queued = tx.run(_END, ends=rows)
        bodies = (
            {row.task_id: row for row in tx.run(_BODIES, ids=[row.id for row in queued])} if queued else {}
        )
        found = [TaskRow(row, bodies[row.id]) for row in queued]
    ended = {(end.task.id, end.task.token): end for end in ends}
    written, errors = {}, []
    for row in found:
        key = (row.queued.id, row.queued.token)
        error = ErrorIn(row.queued.id, ended[key].error_code, ended[key].error_message)
        if error[1:] != (row.body.error_code, row.body.error_message):
            errors.append(error)
        body = row.body._replace(**error._asdict(), result=ended[key].result_json)
        written[key] = TaskRow(row.queued, body)
    if errors and tx.dialect == SQLITE:
        write_errors(tx, errors)
    return written


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
        results = {task.id: task.result_json for task in ended}
        with_files = read_tasks(tx, results)
        ended = [replace(task, result_json=results[task.id]) for task in with_files]
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


def _end_in(end: TaskEnd) -> _EndIn:
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
        error_code=end.error_code,
        error_message=end.error_message,
    )
