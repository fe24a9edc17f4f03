"""Deleting what is past its time, a few rows a transaction, by index.

A step looks at no more than ROWS_A_STEP rows of a table, whatever it holds: it walks the ids, which begin
with the time they were made at, and remembers where it is, so that old rows which must stay are not looked
at again and again. Any number of processes may do this at once.

Nothing that is still going on goes: no task that has not ended or has a delivery to make, and no dead
letter before its own retention.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from webhookd.adapters.store.database import Database
from webhookd.adapters.store.endpoints.endpoint_spans import drop_spans
from webhookd.adapters.store.tx import Tx
from webhookd.adapters.store.upkeep.activity_spans import drop_activity
from webhookd.adapters.store.upkeep.retention_steps import (
    drop_audit,
    drop_dead_letters,
    drop_idempotency_keys,
    drop_replays,
    drop_secrets,
)
from webhookd.adapters.store.upkeep.retention_walks import (
    drop_attempts,
    drop_batches,
    drop_lone_messages,
    drop_tasks,
)

ROWS_A_STEP: Final = 500
_Drop = Callable[[Tx, int, str, int], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """How long each kind of row is kept, in ms; None is for ever.

    `tasks_ms` counts from a task's end and covers its messages, deliveries and attempts, batches of which
    no task is left, and messages that belong to no task. `attempts_ms` and `dead_letters_ms` count from a
    delivery's (or task's) end, `replays_ms` from the beginning of a replay, and spares those under way.
    """

    tasks_ms: int | None
    attempts_ms: int | None
    dead_letters_ms: int | None
    audit_ms: int | None
    replays_ms: int | None = None
    idempotency_ms: int


class Retention:
    """Walks the tables step by step. Holds nothing but its place in each of them."""

    def __init__(self, db: Database, policy: RetentionPolicy, *, rows_a_step: int = ROWS_A_STEP) -> None:
        self._db = db
        self._policy = policy
        self._most = rows_a_step
        self._places: dict[str, str | None] = {}

    async def step(self, now_ms: int) -> bool:
        """Take one step in each table. True while there is more to look at: call again soon."""
        policy, most = self._policy, self._most
        full = [
            await self._db.write(drop_idempotency_keys, most, now_ms - policy.idempotency_ms),
            await self._db.write(drop_secrets, most, now_ms),
            await self._db.write(drop_spans, most, now_ms),
            await self._db.write(drop_activity, most, now_ms),
        ]
        if policy.audit_ms is not None:
            full.append(await self._db.write(drop_audit, most, now_ms - policy.audit_ms))
        if policy.replays_ms is not None:
            full.append(await self._db.write(drop_replays, most, now_ms - policy.replays_ms))
        if policy.dead_letters_ms is not None:
            full.append(
                await self._db.write(drop_dead_letters, most, now_ms - policy.dead_letters_ms, now_ms)
            )
        if policy.attempts_ms is not None:
            await self._walk("attempts", drop_attempts, now_ms - policy.attempts_ms)
        if policy.tasks_ms is not None:
            await self._walk("tasks", drop_tasks, now_ms - policy.tasks_ms)
            await self._walk("batches", drop_batches, now_ms - policy.tasks_ms)
            await self._walk("messages", drop_lone_messages, now_ms - policy.tasks_ms)
        if any(place is not None for place in self._places.values()):
            return True
        self._places.clear()  # every walk has come to its end: the next round begins at the start
        return any(full)

    async def _walk(self, name: str, drop: _Drop, before_ms: int) -> None:
        """Take one step of a walk, unless it has come to its end in this round."""
        place = self._places.get(name, "")
        if place is not None:
            self._places[name] = await self._db.write(drop, self._most, place, before_ms)
