"""Taking tasks in: idempotency keys first, tasks for the winners only, one statement per table.

A payload is one request (a single task or a batch), accepted whole or not at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson
from sqlalchemy import Connection, select, tuple_

from webhookd.adapters.store.counters import DepthChange
from webhookd.adapters.store.files import use_files
from webhookd.adapters.store.rows import names_json
from webhookd.adapters.store.rowset import insert_rows, pack, upsert
from webhookd.adapters.store.schema import idempotency, queues, task_bodies, tasks
from webhookd.core.errors import IdempotencyMismatch
from webhookd.core.model import TaskState
from webhookd.core.records import NewTask
from webhookd.core.submission import Accepted, Submission

_TASK_COLUMNS = (
    "id",
    "partner_id",
    "type",
    "queue",
    "state",
    "priority",
    "version",
    "attempts",
    "attempts_before",
    "max_attempts",
    "due_ms",
    "run_at_ms",
    "expires_ms",
    "created_ms",
    "token",
    "suspect",
    "trace_id",
)
_BODY_COLUMNS = (
    "task_id",
    "input",
    "metadata",
    "callback_url",
    "callback_origin",
    "endpoint_ids",
    "events",
    "trace_parent_id",
    "trace_flags",
    "trace_state",
)


class Intake:
    """The grouped write that accepts submissions: pass `accept` to `Database.grouped`."""

    def __init__(self, *, shard: str, idempotency_keep_ms: int) -> None:
        self._shard = shard
        self._keep_ms = idempotency_keep_ms
        self._known_queues: set[str] = set()

    def accept(self, conn: Connection, submissions: Sequence[Submission]) -> list[Accepted | Exception]:
        """Insert every submission whose key is new; answer the others from what their key stands for."""
        earlier = self._claim_keys(conn, submissions)
        results: list[Accepted | Exception] = []
        fresh: list[NewTask] = []
        for submission in submissions:
            key = (submission.partner_id, submission.key) if submission.key is not None else None
            known = earlier.get(key) if key is not None else None
            if known is None:
                fresh.extend(submission.tasks)
                results.append(Accepted(task_ids=tuple(task.id for task in submission.tasks), replayed=False))
            elif known.fingerprint != submission.fingerprint:
                results.append(
                    IdempotencyMismatch(
                        "This Idempotency-Key was used before with another request; "
                        "use a new key for a new request."
                    )
                )
            elif known.owner is submission:
                fresh.extend(submission.tasks)
                results.append(Accepted(task_ids=known.task_ids, replayed=False))
            else:
                results.append(Accepted(task_ids=known.task_ids, replayed=True, outcome=known.outcome))
        if fresh:
            self._insert(conn, fresh)
        return results

    def _claim_keys(
        self, conn: Connection, submissions: Sequence[Submission]
    ) -> dict[tuple[str, str], "_Known"]:
        keyed = [s for s in submissions if s.key is not None]
        if not keyed:
            return {}
        keyed.sort(key=lambda s: (s.partner_id, s.key or ""))
        now_ms = keyed[0].now_ms
        pairs = [(s.partner_id, s.key) for s in keyed]
        wanted = tuple_(idempotency.c.partner_id, idempotency.c.key).in_(pairs)
        conn.execute(idempotency.delete().where(wanted, idempotency.c.created_ms < now_ms - self._keep_ms))
        known: dict[tuple[str, str], _Known] = {}
        owners: dict[tuple[str, str], Submission] = {}
        for submission in keyed:
            owners.setdefault((submission.partner_id, submission.key or ""), submission)
        inserted = conn.execute(
            _insert_keys(conn.dialect.name),
            {
                "keys": pack(
                    (partner_id, key, owner.fingerprint, _outcome(owner), owner.now_ms)
                    for (partner_id, key), owner in owners.items()
                )
            },
        )
        won = {(row.partner_id, row.key) for row in inserted}
        for row in conn.execute(select(idempotency).where(wanted)):
            pair = (row.partner_id, row.key)
            outcome = orjson.loads(row.outcome)
            known[pair] = _Known(
                fingerprint=row.fingerprint,
                task_ids=tuple(outcome.get("tasks", ())),
                outcome=row.outcome,
                owner=owners[pair] if pair in won else None,
            )
        return known

    def _insert(self, conn: Connection, fresh: list[NewTask]) -> None:
        dialect = conn.dialect.name
        unknown = {task.queue for task in fresh} - self._known_queues
        if unknown:
            ensure_queues(conn, sorted(unknown))
            self._known_queues |= unknown
        depth = DepthChange(self._shard)
        task_rows = []
        body_rows = []
        for task in fresh:
            state = TaskState.SCHEDULED if task.scheduled else TaskState.QUEUED
            depth.move(task.queue, task.partner_id, None, state)
            task_rows.append(
                (
                    task.id,
                    task.partner_id,
                    task.type,
                    task.queue,
                    state.value,
                    int(task.priority),
                    1,
                    0,
                    0,
                    task.max_attempts,
                    task.due_ms,
                    task.run_at_ms,
                    task.expires_ms,
                    task.created_ms,
                    0,
                    False,
                    task.trace_id,
                )
            )
            body_rows.append(
                (
                    task.id,
                    task.input_json,
                    task.metadata_json,
                    task.callback_url,
                    task.callback_origin,
                    names_json(task.endpoint_ids),
                    names_json(task.events),
                    task.trace_parent_id,
                    task.trace_flags,
                    task.trace_state,
                )
            )
        conn.execute(_insert_tasks(dialect), {"rows": pack(task_rows)})
        conn.execute(_insert_bodies(dialect), {"rows": pack(body_rows)})
        use_files(conn, [(file_id, task.id) for task in fresh for file_id in task.file_ids])
        depth.write(conn)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    fingerprint: str
    task_ids: tuple[str, ...]
    outcome: str
    owner: Submission | None


def _outcome(submission: Submission) -> str:
    return orjson.dumps(
        {"tasks": [task.id for task in submission.tasks], "layout": submission.layout}
    ).decode()


def ensure_queues(conn: Connection, names: Sequence[str]) -> None:
    """Make sure these queues have a row."""
    insert = upsert(conn.dialect.name)(queues).on_conflict_do_nothing()
    conn.execute(insert, [{"name": name, "paused_ms": None, "vtime": 0.0} for name in names])


@cache
def _insert_keys(dialect: str) -> Any:
    return (
        insert_rows(
            dialect, idempotency, "keys", ("partner_id", "key", "fingerprint", "outcome", "created_ms")
        )
        .on_conflict_do_nothing()
        .returning(idempotency.c.partner_id, idempotency.c.key)
    )


@cache
def _insert_tasks(dialect: str) -> Any:
    return insert_rows(dialect, tasks, "rows", _TASK_COLUMNS)


@cache
def _insert_bodies(dialect: str) -> Any:
    return insert_rows(dialect, task_bodies, "rows", _BODY_COLUMNS)
