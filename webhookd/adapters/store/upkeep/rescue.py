"""The rescue of what ended processes held, and of what a live one holds without knowing of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import bindparam, select

from webhookd.adapters.store.deliveries.lost_deliveries import OF_SESSION, UNHEARD_OF, rescue_deliveries
from webhookd.adapters.store.schema import sessions, tasks
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tasks.ends import BodyIn, announce_ended, write_bodies
from webhookd.adapters.store.tasks.run_rows import write_runs
from webhookd.adapters.store.tasks.task_rows import QueueRow
from webhookd.adapters.store.tx import Tx
from webhookd.adapters.store.upkeep.sessions import overran_ms
from webhookd.core.model import TASKS, TaskMove, TaskState
from webhookd.core.records import Run

ROWS_A_SWEEP = 500
OVERDUE_MS = 60_000
"""How long after its deadline a task may still be written off by the process that runs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loss:
    """How a running task was lost. `suspicious`: it may have been what ended its process.

    `charged`: whether it costs an attempt; None: only where the task was the only one that was lost.
    """

    code: str | None
    message: str | None
    dead_reason: str
    suspicious: bool
    charged: bool | None = None
    outcome: str = "crashed"


_CRASHED = _Loss(
    code="worker_crashed",
    message="The worker process ended while it ran this task.",
    dead_reason="worker_crashed",
    suspicious=True,
)
_OVERRUN = _Loss(
    code="timeout",
    message="It was not heard of again within its time limit.",
    dead_reason="task_failed",
    suspicious=False,
)
_HELD_THE_PROCESS = _Loss(
    code="timeout",
    message="It did not end within its time limit and stopped its worker process.",
    dead_reason="task_failed",
    suspicious=True,
    charged=True,
)
_BESIDE = _Loss(
    code=None,
    message=None,
    dead_reason="worker_crashed",
    suspicious=False,
    charged=False,
    outcome="handed_back",
)


class _Session(NamedTuple):
    id: str
    host: str
    pid: int
    detail: str


_ENDED_SESSION: Final = Query(
    _Session,
    lambda _: (
        select(*(sessions.c[name] for name in _Session._fields))
        .where(sessions.c.lease_until_ms <= bindparam("now_ms"))
        .order_by(sessions.c.lease_until_ms)
        .limit(1)
        .with_for_update(skip_locked=True)
    ),
)
_FORGET_SESSION: Final = Change(lambda _: sessions.delete().where(sessions.c.id == bindparam("session_id")))
_HELD: Final = Query(
    QueueRow,
    lambda _: (
        select(tasks)
        .where(tasks.c.session_id == bindparam("session_id"))
        .order_by(tasks.c.id)
        .with_for_update()
    ),
)
_LATE: Final = Query(
    QueueRow,
    lambda _: (
        select(tasks)
        # Unordered, lest SQLite walk all tasks by their id instead of those that are held.
        .where(tasks.c.session_id.is_not(None), tasks.c.deadline_ms < bindparam("late_ms"))
        .limit(ROWS_A_SWEEP)
        .with_for_update(skip_locked=True)
    ),
)


def rescue(tx: Tx, now_ms: int) -> bool:
    """Take back what one process with an expired lease held. False: there is none.

    A crash is charged to a task only when it ran alone; where several ran together, each becomes
    a suspect, runs again alone, and keeps its attempt. Where the process was killed because a function
    held it beyond its time, and one task alone had had its time by then, that one is charged and the
    others go back as they were.
    """
    ended = tx.first(_ENDED_SESSION, now_ms=now_ms)
    if ended is None:
        return False
    held = tx.run(_HELD, session_id=ended.id)
    killed_ms = overran_ms(ended.detail)
    late = [row for row in held if killed_ms is not None and (row.deadline_ms or 0) <= killed_ms]
    if len(late) == 1:
        _lose(tx, late, now_ms, _HELD_THE_PROCESS, ended)
        _lose(tx, [row for row in held if row is not late[0]], now_ms, _BESIDE, ended)
    else:
        _lose(tx, held, now_ms, _CRASHED, ended)
    rescue_deliveries(tx, OF_SESSION, now_ms=now_ms, holder_id=ended.id)
    tx.run(_FORGET_SESSION, session_id=ended.id)
    return True


def rescue_overdue(tx: Tx, now_ms: int) -> None:
    """Take back what a live process holds far beyond its time: it does not know of it.

    That happens where the answer to a claim was lost with the connection, so nobody runs the row.
    """
    for row in tx.run(_LATE, late_ms=now_ms - OVERDUE_MS):
        _lose(tx, [row], now_ms, _OVERRUN)
    rescue_deliveries(tx, UNHEARD_OF, now_ms=now_ms)


_LOSE: Final = Change(
    lambda _: (
        tasks.update()
        .where(tasks.c.id == bindparam("task_id"))
        .values(
            state=bindparam("state"),
            version=bindparam("version"),
            attempts=bindparam("attempts"),
            suspect=bindparam("suspect"),
            session_id=None,
            deadline_ms=None,
            finished_ms=bindparam("finished_ms"),
            dead_ms=bindparam("dead_ms"),
            dead_reason=bindparam("dead_reason"),
        )
    )
)


def _lose(tx: Tx, held: Sequence[QueueRow], now_ms: int, loss: _Loss, holder: _Session | None = None) -> None:
    charged = len(held) == 1 if loss.charged is None else loss.charged
    final, failures, lost = [], [], []
    for row in held:
        state = _state_after(row, charged=charged)
        over, failed = state is not TaskState.QUEUED, state is TaskState.FAILED
        tx.run(
            _LOSE,
            task_id=row.id,
            state=state,
            version=row.version + 1,
            attempts=row.attempts if charged or over else row.attempts - 1,
            suspect=loss.suspicious and not over,
            finished_ms=now_ms if over else None,
            dead_ms=now_ms if failed else None,
            dead_reason=loss.dead_reason if failed else None,
        )
        tx.depths.move(row.queue, row.partner_id, TaskState.RUNNING, state, batch_id=row.batch_id)
        tx.wakes.changed(row.id, row.partner_id, row.version + 1)
        if over:
            final.append(row.id)
        else:
            tx.wakes.ring(row.queue)
        if failed:
            failures.append(BodyIn(row.id, None, loss.code, loss.message))
        lost.append(_run(row, now_ms, loss, holder))
    if failures:
        write_bodies(tx, failures)
    if lost:
        write_runs(tx, lost)
    announce_ended(tx, final, now_ms=now_ms)


def _state_after(row: QueueRow, *, charged: bool) -> TaskState:
    if row.cancel_requested_ms is not None:
        return TASKS.next(TaskState.RUNNING, TaskMove.STOP)
    if charged and row.attempts - row.attempts_before >= row.max_attempts:
        return TASKS.next(TaskState.RUNNING, TaskMove.FAIL)
    return TASKS.next(TaskState.RUNNING, TaskMove.LOSE)


def _run(row: QueueRow, now_ms: int, loss: _Loss, holder: _Session | None) -> Run:
    return Run(
        task_id=row.id,
        attempt=row.attempts,
        token=row.token,
        started_ms=row.started_ms or now_ms,
        finished_ms=now_ms,
        outcome=loss.outcome,
        error_code=loss.code,
        error_message=loss.message,
        host=None if holder is None else holder.host,
        pid=None if holder is None else holder.pid,
    )
