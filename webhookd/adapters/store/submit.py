"""Taking tasks in: idempotency keys first, tasks for the winners only, one statement per table.

A payload is one request (a single task or a batch), accepted whole or not at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson
from sqlalchemy import select, tuple_

from webhookd.adapters.store.files import use_files
from webhookd.adapters.store.rows import names_json
from webhookd.adapters.store.rowset import insert_rows, pack, upsert
from webhookd.adapters.store.schema import idempotency, queues, task_bodies, tasks
from webhookd.adapters.store.tx import Tx
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

    def __init__(self) -> None:
        self._known_queues: set[str] = set()

    def accept(self, tx: Tx, submissions: Sequence[Submission]) -> list[Accepted | Exception]:
        """Insert every submission whose key is new; answer the others from what their key stands for."""
        earlier = self._claim_keys(tx, submissions)
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
            self._insert(tx, fresh)
        return results

    def _claim_keys(self, tx: Tx, submissions: Sequence[Submission]) -> dict[tuple[str, str], "_Known"]:
        keyed = [s for s in submissions if s.key is not None]
        if not keyed:
            return {}
        keyed.sort(key=lambda s: (s.partner_id, s.key or ""))
        now_ms = keyed[0].now_ms
        pairs = [(s.partner_id, s.key) for s in keyed]
        wanted = tuple_(idempotency.c.partner_id, idempotency.c.key).in_(pairs)
        forgotten_ms = now_ms - tx.policy.idempotency_keep_ms
        tx.execute(idempotency.delete().where(wanted, idempotency.c.created_ms < forgotten_ms))
        known: dict[tuple[str, str], _Known] = {}
        owners: dict[tuple[str, str], Submission] = {}
        for submission in keyed:
            owners.setdefault((submission.partner_id, submission.key or ""), submission)
        inserted = tx.execute(
            _insert_keys(tx.dialect),
            {
                "keys": pack(
                    (partner_id, key, owner.fingerprint, _outcome(owner), owner.now_ms)
                    for (partner_id, key), owner in owners.items()
                )
            },
        )
        won = {(row.partner_id, row.key) for row in inserted}
        for row in tx.execute(select(idempotency).where(wanted)):
            pair = (row.partner_id, row.key)
            outcome = orjson.loads(row.outcome)
            known[pair] = _Known(
                fingerprint=row.fingerprint,
                task_ids=tuple(outcome.get("tasks", ())),
                outcome=row.outcome,
                owner=owners[pair] if pair in won else None,
            )
        return known

    def _insert(self, tx: Tx, fresh: list[NewTask]) -> None:
        dialect = tx.dialect
        unknown = {task.queue for task in fresh} - self._known_queues
        if unknown:
            ensure_queues(tx, sorted(unknown))
            self._known_queues |= unknown
        task_rows = []
        body_rows = []
        for task in fresh:
            state = TaskState.SCHEDULED if task.scheduled else TaskState.QUEUED
            tx.depths.move(task.queue, task.partner_id, None, state)
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
                    None if task.endpoint_ids is None else orjson.dumps(task.endpoint_ids).decode(),
                    names_json(task.events),
                    task.trace_parent_id,
                    task.trace_flags,
                    task.trace_state,
                )
            )
        tx.execute(_insert_tasks(dialect), {"rows": pack(task_rows)})
        tx.execute(_insert_bodies(dialect), {"rows": pack(body_rows)})
        use_files(tx, [(file_id, task.id) for task in fresh for file_id in task.file_ids])


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


def ensure_queues(tx: Tx, names: Sequence[str]) -> None:
    """Make sure these queues have a row."""
    insert = upsert(tx.dialect)(queues).on_conflict_do_nothing()
    tx.execute(insert, [{"name": name, "paused_ms": None, "vtime": 0.0} for name in names])


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
