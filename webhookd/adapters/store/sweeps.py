"""Repairs found by index, safe to run in every process at once: each takes rows with a lock or a fence.

Lets schedules fall due, ends what expired, and heals counters; what ended processes held is `taking_back`'s.
Nothing here depends on the broker, which is why an emptied broker loses nothing.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, and_, func, select, text

from webhookd.adapters.store.counters import fold_shards
from webhookd.adapters.store.ends import announce_ended, write_bodies
from webhookd.adapters.store.lanes.rows import Taken, next_ready
from webhookd.adapters.store.schema import deliveries, lanes, queues, sessions, tasks
from webhookd.adapters.store.taking_back import ROWS_A_SWEEP, Swept
from webhookd.adapters.store.tx import Tx
from webhookd.core.model import TASKS, TaskMove, TaskState
from webhookd.core.records import TaskSignal


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What waits now, and when the next of each kind falls due.

    `queues` have queued tasks. `next_task_ms` is the soonest schedule or expiry, `next_lane_ms` the
    soonest delivery, `next_lease_ms` the soonest end of another process's lease; None: nothing waits.
    """

    queues: frozenset[str]
    next_task_ms: int | None
    next_expiry_ms: int | None
    next_lane_ms: int | None
    next_lease_ms: int | None


class Sweeps:
    """Functions for `Database.write`, each one transaction."""

    def fall_due(self, tx: Tx, now_ms: int) -> Swept:
        """Queue scheduled tasks whose time has come."""
        due = _some(
            tasks.c.state == TaskState.SCHEDULED.value, tasks.c.due_ms <= now_ms, order=tasks.c.due_ms
        )
        rows = self._move(tx, due, TaskState.SCHEDULED, TaskMove.FALL_DUE, now_ms)
        return Swept(
            signals=_signals(rows),
            queues=frozenset(row.queue for row in rows),
            more=len(rows) == ROWS_A_SWEEP,
        )

    def expire(self, tx: Tx, now_ms: int) -> Swept:
        """End tasks that did not start before their `expires_at`."""
        signals: list[TaskSignal] = []
        for state in TASKS.sources(TaskMove.EXPIRE):
            late = _some(
                text("expires_ms IS NOT NULL AND state IN ('scheduled', 'queued')"),
                tasks.c.state == state.value,
                tasks.c.expires_ms <= now_ms,
                order=tasks.c.expires_ms,
            )
            rows = self._move(tx, late, state, TaskMove.EXPIRE, now_ms)
            write = [(row.id, None, "expired", "It did not start before its expires_at.") for row in rows]
            if write:
                write_bodies(tx, write)
            announce_ended(tx, [row.id for row in rows], now_ms=now_ms)
            signals.extend(_signals(rows))
        return Swept(signals=tuple(signals), more=len(signals) >= ROWS_A_SWEEP)

    def heal(self, tx: Tx, now_ms: int) -> None:
        """Fold the counters of ended processes, and set lanes' in-flight counts to what is really held."""
        live = [row.id for row in tx.execute(select(sessions.c.id))]
        fold_shards(tx, live)
        busy = tx.execute(
            select(lanes.c.id, lanes.c.in_flight)
            .where(lanes.c.in_flight > 0)
            .order_by(lanes.c.id)
            .with_for_update(skip_locked=True)
        ).all()
        if not busy:
            return
        held = {
            row.lane_id: row.n
            for row in tx.execute(
                select(deliveries.c.lane_id, func.count().label("n"))
                .where(deliveries.c.session_id.is_not(None))
                .group_by(deliveries.c.lane_id)
            )
        }
        for row in busy:
            if held.get(row.id, 0) != row.in_flight:
                tx.execute(
                    lanes.update()
                    .where(lanes.c.id == row.id)
                    .values(in_flight=held.get(row.id, 0), ready_ms=now_ms)
                )

    def waiting(self, tx: Tx) -> Waiting:
        """Read what waits, by index, so that an idle sweep writes nothing."""
        queued = (
            select(tasks.c.id)
            .where(text("tasks.state = 'queued'"), tasks.c.queue == queues.c.name)
            .limit(1)
            .exists()
        )
        names = tx.execute(select(queues.c.name).where(queues.c.paused_ms.is_(None), queued))
        soonest = tx.execute(
            select(
                select(func.min(tasks.c.due_ms))
                .where(text("tasks.state = 'scheduled'"))
                .scalar_subquery()
                .label("task_ms"),
                select(func.min(tasks.c.expires_ms))
                .where(text("tasks.expires_ms IS NOT NULL AND tasks.state IN ('scheduled', 'queued')"))
                .scalar_subquery()
                .label("expiry_ms"),
                select(func.min(sessions.c.lease_until_ms)).scalar_subquery().label("lease_ms"),
            )
        ).one()
        return Waiting(
            queues=frozenset(row.name for row in names),
            next_task_ms=soonest.task_ms,
            next_expiry_ms=soonest.expiry_ms,
            next_lane_ms=next_ready(tx, Taken()),
            next_lease_ms=soonest.lease_ms,
        )

    def _move(
        self, tx: Tx, chosen: Select[Any], before: TaskState, move: TaskMove, now_ms: int
    ) -> list[Row[Any]]:
        after = TASKS.next(before, move)
        over = after is not TaskState.QUEUED
        rows = list(
            tx.execute(
                tasks.update()
                .where(tasks.c.id.in_(chosen), tasks.c.state == before.value)
                .values(
                    state=after.value,
                    version=tasks.c.version + 1,
                    finished_ms=now_ms if over else None,
                )
                .returning(tasks.c.id, tasks.c.partner_id, tasks.c.queue, tasks.c.version)
            )
        )
        for row in rows:
            tx.depths.move(row.queue, row.partner_id, before, after)
        return rows


def _some(*conditions: Any, order: Any) -> Select[Any]:
    return (
        select(tasks.c.id)
        .where(and_(*conditions))
        .order_by(order)
        .limit(ROWS_A_SWEEP)
        .with_for_update(skip_locked=True)
    )


def _signals(rows: list[Row[Any]]) -> tuple[TaskSignal, ...]:
    return tuple(TaskSignal(task_id=row.id, partner_id=row.partner_id, version=row.version) for row in rows)
