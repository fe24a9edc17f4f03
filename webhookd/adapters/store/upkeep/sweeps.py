"""Repairs found by index, safe to run in every process at once: each takes rows with a lock or a fence.

Lets schedules fall due, ends what expired, and heals counters; what ended processes held is `rescue`'s.
Nothing here depends on the broker, which is why an emptied broker loses nothing.
"""

from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, bindparam, func, select, text

from webhookd.adapters.store.counters import fold_shards
from webhookd.adapters.store.deliveries.lost_deliveries import LaneCount
from webhookd.adapters.store.lanes.rows import TakenShares, next_ready
from webhookd.adapters.store.rowset import Id, Int4, Name, rowset
from webhookd.adapters.store.schema import deliveries, lanes, queues, sessions, tasks
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tasks.batch_counts import fold_batch_counts
from webhookd.adapters.store.tasks.ends import BodyIn, announce_ended, write_bodies
from webhookd.adapters.store.tx import Tx
from webhookd.adapters.store.upkeep.rescue import ROWS_A_SWEEP
from webhookd.core.model import TASKS, TaskMove, TaskState
from webhookd.core.records import Waiting


class _Moved(NamedTuple):
    id: str
    partner_id: str
    queue: str
    version: int
    batch_id: str | None


def _moving(before: TaskState, move: TaskMove, *late: Any, order: Any) -> Query[_Moved]:
    """Return the statement that moves some tasks in a state that are late by `now_ms`."""
    after = TASKS.next(before, move)
    chosen = (
        select(tasks.c.id)
        .where(*late, tasks.c.state == before.value, order <= bindparam("now_ms", type_=BigInteger))
        .order_by(order)
        .limit(ROWS_A_SWEEP)
        .with_for_update(skip_locked=True)
    )
    finished_ms = None if after is TaskState.QUEUED else bindparam("now_ms", type_=BigInteger)
    return Query(
        _Moved,
        lambda _: (
            tasks.update()
            .where(tasks.c.id.in_(chosen), tasks.c.state == before.value)
            .values(state=after.value, version=tasks.c.version + 1, finished_ms=finished_ms)
            .returning(*(tasks.c[name] for name in _Moved._fields))
        ),
    )


_FALL_DUE: Final = _moving(TaskState.SCHEDULED, TaskMove.FALL_DUE, order=tasks.c.due_ms)
_EXPIRE: Final = {
    state: _moving(
        state,
        TaskMove.EXPIRE,
        text("expires_ms IS NOT NULL AND state IN ('scheduled', 'queued')"),
        order=tasks.c.expires_ms,
    )
    for state in TASKS.sources(TaskMove.EXPIRE)
}


def fall_due(tx: Tx, now_ms: int) -> bool:
    """Queue scheduled tasks whose time has come. True: there may be more."""
    rows = tx.run(_FALL_DUE, now_ms=now_ms)
    _note(tx, rows, TaskState.SCHEDULED, TaskMove.FALL_DUE)
    for row in rows:
        tx.wakes.ring(row.queue)
    return len(rows) == ROWS_A_SWEEP


def expire(tx: Tx, now_ms: int) -> bool:
    """End tasks that did not start before their `expires_at`. True: there may be more."""
    more = False
    for state, late in _EXPIRE.items():
        rows = tx.run(late, now_ms=now_ms)
        if not rows:
            continue
        _note(tx, rows, state, TaskMove.EXPIRE)
        write_bodies(
            tx, [BodyIn(row.id, None, "expired", "It did not start before its expires_at.") for row in rows]
        )
        announce_ended(tx, [row.id for row in rows], now_ms=now_ms)
        more = more or len(rows) == ROWS_A_SWEEP
    return more


def _note(tx: Tx, rows: list[_Moved], before: TaskState, move: TaskMove) -> None:
    for row in rows:
        after = TASKS.next(before, move)
        tx.depths.move(row.queue, row.partner_id, before, after, batch_id=row.batch_id)
        tx.wakes.changed(row.id, row.partner_id, row.version)


class _InFlight(NamedTuple):
    id: str
    in_flight: Int4


_SESSIONS: Final = Query(Id, lambda _: select(sessions.c.id))
_BUSY_LANES: Final = Query(
    _InFlight,
    lambda _: (
        select(lanes.c.id, lanes.c.in_flight)
        .where(lanes.c.in_flight > 0)
        .order_by(lanes.c.id)
        .with_for_update(skip_locked=True)
    ),
)
_HELD: Final = Query(
    LaneCount,
    lambda _: (
        select(deliveries.c.lane_id, func.count().label("n"))
        .where(deliveries.c.session_id.is_not(None))
        .group_by(deliveries.c.lane_id)
    ),
)


def _correct(dialect: str) -> Any:
    true = rowset(dialect, "true_counts", _InFlight).c
    return (
        lanes.update()
        .where(lanes.c.id == true.id)
        .values(in_flight=true.in_flight, ready_ms=bindparam("now_ms", type_=BigInteger))
    )


_CORRECT: Final = Change(_correct)


def heal(tx: Tx, now_ms: int) -> None:
    """Fold the counters of ended processes, and set lanes' in-flight counts to what is really held."""
    live = [row.id for row in tx.run(_SESSIONS)]
    fold_shards(tx, live)
    fold_batch_counts(tx, live)
    busy = tx.run(_BUSY_LANES)
    if not busy:
        return
    held = {row.lane_id: row.n for row in tx.run(_HELD)}
    wrong = [_InFlight(row.id, held.get(row.id, 0)) for row in busy if held.get(row.id, 0) != row.in_flight]
    if wrong:
        tx.run(_CORRECT, true_counts=wrong, now_ms=now_ms)


class _Soonest(NamedTuple):
    task_ms: int | None
    expiry_ms: int | None
    lease_ms: int | None


_WITH_WORK: Final = Query(
    Name,
    lambda _: select(queues.c.name).where(
        queues.c.paused_ms.is_(None),
        select(tasks.c.id)
        .where(text("tasks.state = 'queued'"), tasks.c.queue == queues.c.name)
        .limit(1)
        .exists(),
    ),
)
_SOONEST: Final = Query(
    _Soonest,
    lambda _: select(
        select(func.min(tasks.c.due_ms))
        .where(text("tasks.state = 'scheduled'"))
        .scalar_subquery()
        .label("task_ms"),
        select(func.min(tasks.c.expires_ms))
        .where(text("tasks.expires_ms IS NOT NULL AND tasks.state IN ('scheduled', 'queued')"))
        .scalar_subquery()
        .label("expiry_ms"),
        select(func.min(sessions.c.lease_until_ms)).scalar_subquery().label("lease_ms"),
    ),
)


def waiting(tx: Tx) -> Waiting:
    """Read what waits, by index, so that an idle sweep writes nothing."""
    (soonest,) = tx.run(_SOONEST)
    return Waiting(
        queues=frozenset(row.name for row in tx.run(_WITH_WORK)),
        next_task_ms=soonest.task_ms,
        next_expiry_ms=soonest.expiry_ms,
        next_lane_ms=next_ready(tx, TakenShares()),
        next_lease_ms=soonest.lease_ms,
    )
