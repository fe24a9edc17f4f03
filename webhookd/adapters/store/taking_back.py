"""Taking back what ended processes held, and what a live one holds without knowing of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, case, func, select

from webhookd.adapters.store.ends import announce_ended, write_bodies, write_runs
from webhookd.adapters.store.lanes.rows import lanes_wake
from webhookd.adapters.store.rowset import among
from webhookd.adapters.store.schema import deliveries, endpoints, lanes, sessions, tasks
from webhookd.adapters.store.sessions import overran_ms
from webhookd.adapters.store.tx import Tx
from webhookd.core.model import TASKS, DeliveryState, TaskMove, TaskState
from webhookd.core.records import Run, TaskSignal

ROWS_A_SWEEP = 500
OVERDUE_MS = 60_000
"""How long after its deadline a task may still be written off by the process that runs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one repair changed: tasks for the watchers, queues to ring, and whether there is more."""

    signals: tuple[TaskSignal, ...] = ()
    queues: frozenset[str] = frozenset()
    more: bool = False


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


class TakingBack:
    """Functions for `Database.write`, each one transaction, safe to run in every process at once."""

    def take_back(self, tx: Tx, now_ms: int) -> Swept:
        """Take back what one process with an expired lease held.

        A crash is charged to a task only when it ran alone; where several ran together, each becomes
        a suspect, runs again alone, and keeps its attempt. Where the process was killed because a function
        held it beyond its time, and one task alone had had its time by then, that one is charged and the
        others go back as they were.
        """
        ended = tx.execute(
            select(sessions)
            .where(sessions.c.lease_until_ms <= now_ms)
            .order_by(sessions.c.lease_until_ms)
            .limit(1)
            .with_for_update(skip_locked=True)
        ).one_or_none()
        if ended is None:
            return Swept()
        held = tx.execute(
            select(tasks).where(tasks.c.session_id == ended.id).order_by(tasks.c.id).with_for_update()
        ).all()
        killed_ms = overran_ms(ended.detail)
        late = [row for row in held if killed_ms is not None and row.deadline_ms <= killed_ms]
        if len(late) == 1:
            beside = [row for row in held if row is not late[0]]
            signals = self._lose_tasks(tx, late, now_ms, _HELD_THE_PROCESS, ended)
            signals += self._lose_tasks(tx, beside, now_ms, _BESIDE, ended)
        else:
            signals = self._lose_tasks(tx, held, now_ms, _CRASHED, ended)
        _take_back_deliveries(tx, deliveries.c.session_id == ended.id, now_ms)
        tx.execute(sessions.delete().where(sessions.c.id == ended.id))
        return Swept(
            signals=tuple(signal for signal, _ in signals),
            queues=frozenset(queue for _, queue in signals),
            more=True,
        )

    def overdue(self, tx: Tx, now_ms: int) -> Swept:
        """Take back what a live process holds far beyond its time: it does not know of it.

        That happens where the answer to a claim was lost with the connection, so nobody runs the row.
        """
        late = (
            select(tasks)
            # Unordered, lest SQLite walk all tasks by their id instead of those that are held.
            .where(tasks.c.session_id.is_not(None), tasks.c.deadline_ms < now_ms - OVERDUE_MS)
            .limit(ROWS_A_SWEEP)
            .with_for_update(skip_locked=True)
        )
        signals = [
            signal
            for row in tx.execute(late).all()
            for signal in self._lose_tasks(tx, [row], now_ms, _OVERRUN)
        ]
        unheard = deliveries.c.session_id.is_not(None) & (deliveries.c.due_ms < now_ms)
        sent = _take_back_deliveries(tx, unheard, now_ms)
        return Swept(
            signals=tuple(signal for signal, _ in signals),
            queues=frozenset(queue for _, queue in signals) | ({"deliver"} if sent else frozenset()),
        )

    def _lose_tasks(
        self,
        tx: Tx,
        held: Sequence[Row[Any]],
        now_ms: int,
        loss: _Loss,
        holder: Row[Any] | None = None,
    ) -> list[tuple[TaskSignal, str]]:
        charged = len(held) == 1 if loss.charged is None else loss.charged
        moved, final, runs = [], [], []
        for row in held:
            exhausted = charged and row.attempts - row.attempts_before >= row.max_attempts
            if row.cancel_requested_ms is not None:
                state = TASKS.next(TaskState.RUNNING, TaskMove.STOP)
            elif exhausted:
                state = TASKS.next(TaskState.RUNNING, TaskMove.FAIL)
            else:
                state = TASKS.next(TaskState.RUNNING, TaskMove.LOSE)
            over = state is not TaskState.QUEUED
            failed = state is TaskState.FAILED
            tx.execute(
                tasks.update()
                .where(tasks.c.id == row.id)
                .values(
                    state=state.value,
                    version=row.version + 1,
                    attempts=row.attempts if charged or over else row.attempts - 1,
                    suspect=loss.suspicious and not over,
                    session_id=None,
                    deadline_ms=None,
                    finished_ms=now_ms if over else None,
                    dead_ms=now_ms if failed else None,
                    dead_reason=loss.dead_reason if failed else None,
                )
            )
            tx.depths.move(row.queue, row.partner_id, TaskState.RUNNING, state)
            if over:
                final.append(row.id)
            if failed:
                write_bodies(tx, [(row.id, None, loss.code, loss.message)])
            runs.append(
                Run(
                    task_id=row.id,
                    attempt=row.attempts,
                    token=row.token,
                    started_ms=row.started_ms,
                    finished_ms=now_ms,
                    outcome=loss.outcome,
                    error_code=loss.code,
                    error_message=loss.message,
                    host=None if holder is None else holder.host,
                    pid=None if holder is None else holder.pid,
                )
            )
            signal = TaskSignal(task_id=row.id, partner_id=row.partner_id, version=row.version + 1)
            moved.append((signal, row.queue))
        if runs:
            write_runs(tx, runs)
        announce_ended(tx, final, now_ms=now_ms)
        return moved


def _take_back_deliveries(tx: Tx, which: Any, now_ms: int) -> bool:
    """Make deliveries under way due again: they may have arrived, so they are sent once more.

    What is only sent once is not: whether it arrived will never be known. Tells whether there were any.
    """
    held = tx.execute(
        select(deliveries.c.id, deliveries.c.lane_id)
        .where(which)
        .order_by(deliveries.c.lane_id, deliveries.c.id)
    ).all()
    if not held:
        return False
    lane_ids = sorted({row.lane_id for row in held})
    tx.execute(
        select(lanes.c.id).where(among(tx, lanes.c.id, lane_ids)).order_by(lanes.c.id).with_for_update()
    ).all()
    # Again under the lanes' locks: what was recorded meanwhile is no longer held.
    counts = {
        row.lane_id: row.n
        for row in tx.execute(
            select(deliveries.c.lane_id, func.count().label("n")).where(which).group_by(deliveries.c.lane_id)
        )
    }
    pending = deliveries.update().where(which, deliveries.c.state == DeliveryState.PENDING.value)
    over = {"session_id": None, "due_ms": None, "state": "dead", "ended_ms": now_ms}
    tx.execute(
        pending.where(deliveries.c.once.is_(True)).values(
            **over, dead_reason="exhausted", discarded_ms=now_ms
        )
    )
    for condition, values in (
        (endpoints.c.deleted_ms.is_not(None), {**over, "dead_reason": "endpoint_deleted"}),
        (endpoints.c.state == "disabled", {"session_id": None, "due_ms": None, "state": "parked"}),
    ):
        gone = select(endpoints.c.id).where(endpoints.c.id.in_(lane_ids), condition)
        tx.execute(pending.where(deliveries.c.lane_id.in_(gone)).values(**values))
    tx.execute(pending.values(session_id=None, due_ms=now_ms))
    tx.execute(deliveries.update().where(which).values(session_id=None))
    for lane_id, count in sorted(counts.items()):
        tx.execute(
            lanes.update()
            .where(lanes.c.id == lane_id)
            .values(in_flight=case((lanes.c.in_flight > count, lanes.c.in_flight - count), else_=0))
        )
    lanes_wake(tx, dict.fromkeys(counts, now_ms))
    return True
