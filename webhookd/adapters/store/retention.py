"""Deleting what is past its time, a few rows a transaction, by index.

Every step looks at no more than ROWS_A_STEP rows, whatever the tables hold: it walks the ids, which begin
with the time they were made at, and remembers where it is, so that old rows which must stay are not looked
at again and again. Any number of processes may do this at once.

Nothing that is still going on goes: no task that has not ended or has a delivery to make, and no dead
letter before its own retention.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import and_, or_, select, text, tuple_

from webhookd.adapters.store.database import Database
from webhookd.adapters.store.file_sweeps import drop_with_tasks
from webhookd.adapters.store.schema import (
    attempts,
    audit,
    deliveries,
    idempotency,
    messages,
    replays,
    runs,
    secrets,
    task_bodies,
    tasks,
)
from webhookd.adapters.store.tx import Tx
from webhookd.core import ids
from webhookd.core.model import TASK_DONE, DeliveryState

ROWS_A_STEP: Final = 500
_NO_ENTROPY: Final = bytes(ids.ENTROPY_BYTES)
_Drop = Callable[[Tx, str, int], str | None]
_WAITING: Final = (DeliveryState.PENDING.value, DeliveryState.PARKED.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """How long each kind of row is kept, in ms; None is for ever.

    `tasks_ms` counts from a task's end and covers its messages, deliveries and attempts, and messages that
    belong to no task. `attempts_ms` and `dead_letters_ms` count from a delivery's (or task's) end,
    `replays_ms` from the beginning of a replay, and spares those under way.
    """

    tasks_ms: int | None
    attempts_ms: int | None
    dead_letters_ms: int | None
    audit_ms: int | None
    replays_ms: int | None = None
    idempotency_ms: int


class Retention:
    """Walks the tables step by step. Holds nothing but its place in each of them."""

    def __init__(self, db: Database, policy: RetentionPolicy) -> None:
        self._db = db
        self._policy = policy
        self._places: dict[str, str | None] = {}

    async def step(self, now_ms: int) -> bool:
        """Take one step in each table. True while there is more to look at: call again soon."""
        policy = self._policy
        full = [
            await self._db.write(_drop_idempotency_keys, now_ms - policy.idempotency_ms),
            await self._db.write(_drop_secrets, now_ms),
        ]
        if policy.audit_ms is not None:
            full.append(await self._db.write(_drop_audit, now_ms - policy.audit_ms))
        if policy.replays_ms is not None:
            full.append(await self._db.write(_drop_replays, now_ms - policy.replays_ms))
        if policy.dead_letters_ms is not None:
            full.append(await self._db.write(_drop_dead_letters, now_ms - policy.dead_letters_ms, now_ms))
        if policy.attempts_ms is not None:
            await self._walk("attempts", _drop_attempts, now_ms - policy.attempts_ms)
        if policy.tasks_ms is not None:
            await self._walk("tasks", _drop_tasks, now_ms - policy.tasks_ms)
            await self._walk("messages", _drop_lone_messages, now_ms - policy.tasks_ms)
        if any(place is not None for place in self._places.values()):
            return True
        self._places.clear()  # every walk has come to its end: the next round begins at the start
        return any(full)

    async def _walk(self, name: str, drop: _Drop, before_ms: int) -> None:
        """Take one step of a walk, unless it has come to its end in this round."""
        place = self._places.get(name, "")
        if place is not None:
            self._places[name] = await self._db.write(drop, place, before_ms)


def _drop_idempotency_keys(tx: Tx, before_ms: int) -> bool:
    key = tuple_(idempotency.c.partner_id, idempotency.c.key)
    old = (
        select(idempotency.c.partner_id, idempotency.c.key)
        .where(idempotency.c.created_ms < before_ms)
        .order_by(idempotency.c.created_ms)
        .limit(ROWS_A_STEP)
        .with_for_update(skip_locked=True)
    )
    return tx.execute(idempotency.delete().where(key.in_(old))).rowcount == ROWS_A_STEP


def _drop_secrets(tx: Tx, now_ms: int) -> bool:
    """Delete signing secrets whose overlap is over: they sign nothing any more."""
    old = select(secrets.c.id).where(secrets.c.expires_ms <= now_ms).limit(ROWS_A_STEP)
    return tx.execute(secrets.delete().where(secrets.c.id.in_(old))).rowcount == ROWS_A_STEP


def _drop_audit(tx: Tx, before_ms: int) -> bool:
    old = (
        select(audit.c.id)
        .where(audit.c.id < _first_id(ids.AUDIT, before_ms))
        .order_by(audit.c.id)
        .limit(ROWS_A_STEP)
        .with_for_update(skip_locked=True)
    )
    return tx.execute(audit.delete().where(audit.c.id.in_(old))).rowcount == ROWS_A_STEP


def _drop_replays(tx: Tx, before_ms: int) -> bool:
    old = (
        select(replays.c.id)
        .where(replays.c.id < _first_id(ids.REPLAY, before_ms), replays.c.finished_ms.is_not(None))
        .order_by(replays.c.id)
        .limit(ROWS_A_STEP)
        .with_for_update(skip_locked=True)
    )
    return tx.execute(replays.delete().where(replays.c.id.in_(old))).rowcount == ROWS_A_STEP


def _drop_dead_letters(tx: Tx, before_ms: int, now_ms: int) -> bool:
    """Discard dead letters as a person would; deliveries and tasks then go with the tasks' retention."""
    dead = (
        select(deliveries.c.id)
        .where(
            text("deliveries.state = 'dead' AND deliveries.discarded_ms IS NULL"),
            deliveries.c.ended_ms < before_ms,
        )
        .order_by(deliveries.c.ended_ms, deliveries.c.id)
        .limit(ROWS_A_STEP)
        .with_for_update(skip_locked=True)
    )
    gone = tx.execute(
        deliveries.update().where(deliveries.c.id.in_(dead)).values(discarded_ms=now_ms)
    ).rowcount
    failed = (
        select(tasks.c.id)
        .where(text("tasks.dead_ms IS NOT NULL"), tasks.c.dead_ms < before_ms)
        .order_by(tasks.c.dead_ms, tasks.c.id)
        .limit(ROWS_A_STEP)
        .with_for_update(skip_locked=True)
    )
    gone_tasks = tx.execute(tasks.update().where(tasks.c.id.in_(failed)).values(dead_ms=None)).rowcount
    return max(gone, gone_tasks) == ROWS_A_STEP


def _drop_attempts(tx: Tx, place: str, before_ms: int) -> str | None:
    """Delete the attempts of deliveries that ended before `before_ms`."""
    looked_at = tx.execute(
        select(deliveries.c.id, deliveries.c.ended_ms)
        .where(deliveries.c.id > place, deliveries.c.id < _first_id(ids.DELIVERY, before_ms))
        .order_by(deliveries.c.id)
        .limit(ROWS_A_STEP)
    ).all()
    old = [row.id for row in looked_at if row.ended_ms is not None and row.ended_ms < before_ms]
    if old:
        tx.execute(attempts.delete().where(attempts.c.delivery_id.in_(old)))
    return _reached([row.id for row in looked_at])


def _drop_tasks(tx: Tx, place: str, before_ms: int) -> str | None:
    """Delete ended tasks with all that belongs to them."""
    looked_at = tx.execute(
        select(tasks.c.id, tasks.c.state, tasks.c.finished_ms, tasks.c.dead_ms)
        .where(tasks.c.id > place, tasks.c.id < _first_id(ids.TASK, before_ms))
        .order_by(tasks.c.id)
        .limit(ROWS_A_STEP)
        .with_for_update(skip_locked=True)
    ).all()
    ended = {
        row.id
        for row in looked_at
        if row.state in TASK_DONE
        and row.finished_ms is not None
        and row.finished_ms < before_ms
        and row.dead_ms is None
    }
    if ended:
        ended -= _needed(tx, deliveries.c.task_id, ended, before_ms)
    if ended:
        ordered = sorted(ended)
        message_ids = select(messages.c.id).where(messages.c.task_id.in_(ordered))
        _drop_deliveries(tx, deliveries.c.task_id.in_(ordered))
        tx.execute(messages.delete().where(messages.c.id.in_(message_ids)))
        drop_with_tasks(tx, ordered)
        for table, column in (
            (runs, runs.c.task_id),
            (task_bodies, task_bodies.c.task_id),
            (tasks, tasks.c.id),
        ):
            tx.execute(table.delete().where(column.in_(ordered)))
    return _reached([row.id for row in looked_at])


def _drop_lone_messages(tx: Tx, place: str, before_ms: int) -> str | None:
    """Delete old messages that belong to no task (tests, operational events), with their deliveries."""
    looked_at = tx.execute(
        select(messages.c.id, messages.c.task_id)
        .where(messages.c.id > place, messages.c.id < _first_id(ids.MESSAGE, before_ms))
        .order_by(messages.c.id)
        .limit(ROWS_A_STEP)
    ).all()
    alone = {row.id for row in looked_at if row.task_id is None}
    if alone:
        alone -= _needed(tx, deliveries.c.message_id, alone, before_ms)
    if alone:
        ordered = sorted(alone)
        _drop_deliveries(tx, deliveries.c.message_id.in_(ordered))
        tx.execute(messages.delete().where(messages.c.id.in_(ordered)))
    return _reached([row.id for row in looked_at])


def _needed(tx: Tx, owner: Any, owner_ids: set[str], before_ms: int) -> set[str]:
    """Return the owners that have a delivery still to make, a recent one, or a dead letter."""
    keeps = or_(
        deliveries.c.state.in_(_WAITING),
        deliveries.c.session_id.is_not(None),
        deliveries.c.ended_ms >= before_ms,
        and_(deliveries.c.state == DeliveryState.DEAD.value, deliveries.c.discarded_ms.is_(None)),
    )
    rows = tx.execute(select(owner.label("owner")).where(owner.in_(sorted(owner_ids)), keeps).distinct())
    return {row.owner for row in rows}


def _drop_deliveries(tx: Tx, which: Any) -> None:
    old = select(deliveries.c.id).where(which)
    tx.execute(attempts.delete().where(attempts.c.delivery_id.in_(old)))
    tx.execute(deliveries.delete().where(which))


def _reached(looked_at: Sequence[str]) -> str | None:
    """Return where to go on; None where the walk came to its end."""
    return looked_at[-1] if len(looked_at) == ROWS_A_STEP else None


def _first_id(prefix: str, ms: int) -> str:
    return ids.make_id(prefix, now_ms=max(ms, 0), entropy=_NO_ENTROPY)
