"""Taking tasks in: idempotency keys first, tasks for the winners only, one statement per table.

A payload is one request (a single task or a batch), accepted whole or not at all.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from webhookd.adapters.store.insert import Insert
from webhookd.adapters.store.rows import names_json, opt_names_json
from webhookd.adapters.store.rowset import insert_rows
from webhookd.adapters.store.schema import queues, task_bodies, tasks
from webhookd.adapters.store.statement import Change
from webhookd.adapters.store.tasks.batch_room import Room, insert_batch, lock_room, note_added
from webhookd.adapters.store.tasks.task_files import use_files
from webhookd.adapters.store.tasks.task_keys import TaskKey, as_sent, claim_keys
from webhookd.adapters.store.tasks.task_tags import add_tags
from webhookd.adapters.store.tx import Tx
from webhookd.core.errors import IdempotencyMismatch
from webhookd.core.model import TaskState
from webhookd.core.records import NewTask
from webhookd.core.submission import REST_SECONDS, Accepted, Submission


def accept(tx: Tx, submissions: Sequence[Submission]) -> list[Accepted | Exception]:
    """Insert every submission whose key is new; answer the others from what their key stands for."""
    rooms = lock_room(tx, {one.batch_id for one in submissions if one.batch_id is not None})
    submissions = [_behind(submission, rooms) for submission in submissions]
    earlier = claim_keys(tx, submissions)
    results: list[Accepted | Exception] = []
    fresh: list[NewTask] = []
    keys: dict[str, str | None] = {}
    for submission in submissions:
        key = submission.key
        known = None if key is None else earlier.get(TaskKey(submission.partner_id, key))
        if known is None:
            _enter(tx, submission, rooms)
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
            _enter(tx, submission, rooms)
            fresh.extend(submission.tasks)
            keys |= dict.fromkeys(known.task_ids, as_sent(submission.key))
            results.append(Accepted(task_ids=known.task_ids, replayed=False))
        else:
            results.append(Accepted(task_ids=known.task_ids, replayed=True, outcome=known.outcome))
    if fresh:
        _insert(tx, fresh, keys)
    return results


def _behind(submission: Submission, rooms: Mapping[str, Room]) -> Submission:
    """Return a submission to an open batch with its tasks behind those that are there."""
    room = rooms.get(submission.batch_id or "")
    if room is None:
        return submission
    return replace(submission, tasks=room.behind(submission.tasks))


def _enter(tx: Tx, submission: Submission, rooms: Mapping[str, Room]) -> None:
    """Make the batch of a submission, or let its tasks into the one they are for.

    Raises Conflict, which undoes the transaction and so the key: `Database` then tries the others apart.
    """
    if submission.batch is not None:
        insert_batch(tx, submission.batch, submission.tasks)
    elif submission.batch_id is not None:
        room = rooms[submission.batch_id]
        room.refuse(len(submission.tasks))
        room.total += len(submission.tasks)
        note_added(tx, submission.batch_id, submission.tasks)


def _state(task: NewTask) -> TaskState:
    return TaskState.SCHEDULED if task.scheduled else TaskState.QUEUED


class _KeyedTask(NamedTuple):
    task: NewTask
    key: str | None


_INSERT_TASKS: Final = Insert(
    tasks,
    NewTask,
    "trace",
    state=_state,
    version=lambda _: 1,
    attempts=lambda _: 0,
    attempts_before=lambda _: 0,
    token=lambda _: 0,
    suspect=lambda _: False,
)
_INSERT_BODIES: Final = Insert(
    task_bodies,
    _KeyedTask,
    "task",
    task_id=lambda new: new.task.id,
    input=lambda new: new.task.input_json,
    metadata=lambda new: new.task.metadata_json,
    endpoint_ids=lambda new: opt_names_json(new.task.endpoint_ids),
    events=lambda new: names_json(new.task.events),
    trace_parent_id=lambda new: new.task.trace.parent_id,
    trace_flags=lambda new: new.task.trace.flags,
    trace_state=lambda new: new.task.trace.state,
    idempotency_key=lambda new: new.key,
)


def _insert(tx: Tx, fresh: list[NewTask], keys: Mapping[str, str | None]) -> None:
    unknown = {task.queue for task in fresh} - tx.known.queues
    if unknown:
        ensure_queues(tx, unknown)
    tx.later(_INSERT_TASKS, rows=_INSERT_TASKS.rows(fresh))
    new = (_KeyedTask(task, keys.get(task.id)) for task in fresh)
    tx.later(_INSERT_BODIES, rows=_INSERT_BODIES.rows(new))
    add_tags(tx, fresh)
    use_files(tx, [(file_id, task.id) for task in fresh for file_id in task.file_ids])
    soon_ms = tx.now_ms + int(REST_SECONDS * 2_000)
    for task in fresh:
        tx.depths.move(task.queue, task.partner_id, None, _state(task), batch_id=task.batch_id)
        tx.wakes.changed(task.id, task.partner_id, 1)
        if not task.scheduled or task.due_ms <= soon_ms:
            # Also what falls due before a sweep at rest would learn of it.
            tx.wakes.ring(task.queue)


class _QueueIn(NamedTuple):
    name: str
    paused_ms: int | None
    vtime: float


_ENSURE_QUEUES: Final = Change(
    lambda dialect: insert_rows(dialect, queues, "rows", _QueueIn).on_conflict_do_nothing()
)


def ensure_queues(tx: Tx, names: Iterable[str]) -> None:
    """Make sure these queues have a row."""
    wanted = sorted(names)
    tx.run(_ENSURE_QUEUES, rows=[_QueueIn(name, None, 0.0) for name in wanted])
    tx.made.queues.update(wanted)
