"""Writing how tasks end: state, result, run, message and deliveries, all in one transaction.

Every write is fenced: it happens only while the session and token of the claim still hold the task, so
a process that was frozen past its lease cannot overwrite what another one did since.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Select

from webhookd.adapters.store import end_statements as statements
from webhookd.adapters.store.files import attach_results
from webhookd.adapters.store.publish import NO_SPANS, announce_tasks
from webhookd.adapters.store.rows import TaskRow, select_tasks, task_from
from webhookd.adapters.store.rowset import Id, pack, rowset
from webhookd.adapters.store.schema import tasks
from webhookd.adapters.store.statement import Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.execution import End, Progress, Recorded, TaskEnd
from webhookd.core.model import TASK_DONE, TASKS, TaskMove, TaskState
from webhookd.core.records import Run, Task, TaskSignal

_MOVES = {
    End.SUCCEEDED: TaskMove.SUCCEED,
    End.FAILED: TaskMove.FAIL,
    End.CANCELLED: TaskMove.STOP,
    End.RETRY: TaskMove.RETRY,
    End.HANDED_BACK: TaskMove.HAND_BACK,
}


def record(tx: Tx, ends: Sequence[TaskEnd]) -> list[Recorded | Exception]:
    """Write the ends of tries. A try whose task was taken away is answered `lost`."""
    now_ms = max(end.now_ms for end in ends)
    written = {
        (row.id, row.token): row
        for row in tx.execute(statements.end(tx.dialect), {"ends": pack(map(_end_row, ends))})
    }
    kept = [end for end in ends if (end.task.id, end.task.token) in written]
    if not kept:
        return [Recorded(lost=True) for _ in ends]
    write_bodies(tx, [(e.task.id, e.result_json, e.error_code, e.error_message) for e in kept])
    write_runs(tx, [_run(end) for end in kept])
    attached = {end.task.id: end.files for end in kept if end.files and _state_after(end) in TASK_DONE}
    if attached:
        attach_results(tx, attached)
    for end in kept:
        row = written[end.task.id, end.task.token]
        tx.depths.move(row.queue, row.partner_id, TaskState.RUNNING, TaskState(row.state))
    deliveries = announce_ended(
        tx,
        [row.id for row in written.values() if row.state in TASK_DONE],
        now_ms=now_ms,
        span_ids={end.task.id: end.span_id for end in kept},
    )
    results: list[Recorded | Exception] = []
    for end in ends:
        if (end.task.id, end.task.token) not in written:
            results.append(Recorded(lost=True))
            continue
        row = written[end.task.id, end.task.token]
        signal = TaskSignal(task_id=row.id, partner_id=row.partner_id, version=row.version)
        results.append(Recorded(lost=False, signal=signal, deliveries=deliveries.get(row.id, 0)))
    return results


def announce_ended(
    tx: Tx,
    task_ids: Sequence[str],
    *,
    now_ms: int,
    span_ids: Mapping[str, str] = NO_SPANS,
) -> dict[str, int]:
    """Announce tasks that have just reached a final state; return the sendable deliveries of each.

    `span_ids` as in `announce_tasks`.
    """
    if not task_ids:
        return {}
    ended = read_tasks(tx, task_ids)
    announced = announce_tasks(
        tx,
        [(task, f"task.{task.state.value}") for task in ended],
        now_ms=now_ms,
        span_ids=span_ids,
    )
    return {
        task.id: len(a.delivery_ids) if a is not None and a.sendable else 0
        for task, a in zip(ended, announced, strict=True)
    }


def progress(tx: Tx, reports: Sequence[Progress]) -> list[TaskSignal | Exception | None]:
    """Write the newest progress of running tasks and announce it. None: the task was taken away."""
    newest = {(report.task_id, report.token): report for report in reports}
    rows = {
        (row.id, row.token): row
        for row in tx.execute(
            statements.progress(tx.dialect),
            {
                "reports": pack(
                    (r.task_id, r.session_id, r.token, r.percent, r.message) for r in newest.values()
                )
            },
        )
    }
    if rows:
        moved = read_tasks(tx, [row.id for row in rows.values()])
        announce_tasks(
            tx,
            [(task, "task.progress") for task in moved],
            now_ms=max(r.now_ms for r in reports),
            span_ids={report.task_id: report.span_id for report in newest.values()},
        )
    return [
        None
        if (row := rows.get((report.task_id, report.token))) is None
        else TaskSignal(task_id=row.id, partner_id=row.partner_id, version=row.version)
        for report in reports
    ]


def _tasks_by_id(dialect: str) -> Select[Any]:
    wanted = rowset(dialect, "ids", Id)
    return select_tasks().join(wanted, wanted.c.id == tasks.c.id)


_TASKS: Final = Query(TaskRow, _tasks_by_id)


def read_tasks(tx: Tx, task_ids: Iterable[str]) -> list[Task]:
    """Return whole tasks (without delivery counts), in the order of the ids; unknown ones are left out."""
    wanted = list(task_ids)
    found = {row.id: task_from(row) for row in tx.run(_TASKS, ids=map(Id, wanted))}
    return [found[task_id] for task_id in wanted if task_id in found]


def write_bodies(tx: Tx, rows: Sequence[tuple[str, str | None, str | None, str | None]]) -> None:
    """Write `(task_id, result, error_code, error_message)`."""
    tx.execute(statements.bodies(tx.dialect), {"bodies": pack(rows)})


def write_runs(tx: Tx, finished: Sequence[Run]) -> None:
    """Add runs to the tasks' histories."""
    tx.execute(
        statements.insert_runs(tx.dialect),
        {
            "runs_in": pack(
                (
                    run.task_id,
                    run.token,
                    run.attempt,
                    run.started_ms,
                    run.finished_ms,
                    run.outcome,
                    run.error_code,
                    run.error_message,
                    run.host,
                    run.pid,
                    orjson.dumps(run.log).decode() if run.log else None,
                    None if run.raised is None else orjson.dumps(run.raised).decode(),
                )
                for run in finished
            )
        },
    )


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


def _end_row(end: TaskEnd) -> tuple[object, ...]:
    state = _state_after(end)
    dead = end.end is End.FAILED
    return (
        end.task.id,
        end.session_id,
        end.task.token,
        state.value,
        end.now_ms,
        end.due_ms if end.due_ms is not None else end.task.due_ms,
        1 if end.end is End.HANDED_BACK else 0,
        end.now_ms if state in TASK_DONE else None,
        end.now_ms if dead else None,
        (end.reason or "task_failed") if dead else None,
        end.progress_percent,
        end.progress_message,
    )
