"""Tasks on their way through the store, as a worker would take them: submit, claim, finish, count."""

from collections import Counter
from dataclasses import replace
from typing import Any

from sqlalchemy import func, select

from tests.support import seeds
from tests.support.seeds import NOW, SESSION, at
from webhookd.adapters.entropy import new_id
from webhookd.adapters.store.schema import deliveries, messages, tasks
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tasks.tasks import CancelledTask, cancel_task, replay_task
from webhookd.adapters.store.tx import Tx
from webhookd.core import ids
from webhookd.core.execution import Claim, ClaimTasks, End, Recorded, TaskEnd, TypeLimit
from webhookd.core.model import Priority, TaskState
from webhookd.core.records import ClaimedTask, NewTask, Task
from webhookd.core.submission import Accepted, Submission
from webhookd.core.trace import TraceContext

TRACE = TraceContext(trace_id="0af7651916cd43dd8448eb211c80319c", parent_id="b7ad6b7169203331", flags=1)

FAR = NOW + 10_000_000
INLINE: dict[str, Any] = {
    "callback_url": "https://partner.example/hooks",
    "callback_origin": "https://partner.example",
}
"""What `task_of` takes for a task whose outcome goes to a URL of its own."""
TYPE = "demo.echo"


async def session(store: Store, session_id: str, *, kind: str = "tasks", lease_until_ms: int = FAR) -> str:
    """A worker's session, whose lease runs out at `lease_until_ms`."""
    await store.sessions.begin(
        session_id=session_id,
        kind=kind,
        host="test",
        pid=1,
        detail={},
        now_ms=NOW,
        lease_until_ms=lease_until_ms,
    )
    return session_id


def task_of(partner_id: str, *, now_ms: int = NOW, **changes: Any) -> NewTask:
    """A task with the defaults, not yet in the store."""
    plain = NewTask(
        id=new_id(ids.TASK, now_ms),
        partner_id=partner_id,
        type=TYPE,
        queue="default",
        priority=Priority.NORMAL,
        max_attempts=3,
        due_ms=now_ms,
        run_at_ms=None,
        expires_ms=None,
        created_ms=now_ms,
        scheduled=False,
        trace=TRACE,
        input_json='{"b":1,"a":2}',
        metadata_json="{}",
        callback_url=None,
        callback_origin=None,
    )
    return replace(plain, **changes)


def submission_of(
    *new: NewTask, key: str | None = None, fingerprint: str = "same", now_ms: int = NOW
) -> Submission:
    """These tasks (of one partner) as one request."""
    return Submission(
        partner_id=new[0].partner_id, tasks=new, key=key, fingerprint=fingerprint, now_ms=now_ms
    )


async def submit(store: Store, *new: NewTask, now_ms: int = NOW) -> list[str]:
    """The ids of these tasks, now in the store."""
    accepted: Accepted = await store.tasks.submit(submission_of(*new, now_ms=now_ms))
    return list(accepted.task_ids)


def limit(name: str = TYPE, *, concurrency: int | None = None, rate: float | None = None) -> TypeLimit:
    """A type a process can run."""
    return TypeLimit(type=name, timeout_ms=60_000, concurrency=concurrency, rate_per_second=rate)


async def claim(
    store: Store,
    free: int = 10,
    *,
    by: str = SESSION,
    queue: str = "default",
    idle: bool = False,
    limits: tuple[TypeLimit, ...] = (limit(),),
    now_ms: int = NOW,
) -> Claim:
    """What a process with `free` slots gets."""
    request = ClaimTasks(session_id=by, queue=queue, free=free, idle=idle, limits=limits, now_ms=now_ms)
    return await store.tasks.claim(request)


async def claim_one(store: Store, *, by: str = SESSION, idle: bool = False, now_ms: int = NOW) -> ClaimedTask:
    """The one task that is to be claimed next."""
    (task,) = (await claim(store, 1, by=by, idle=idle, now_ms=now_ms)).tasks
    return task


async def finish(
    store: Store,
    task: ClaimedTask,
    end: End = End.SUCCEEDED,
    *,
    by: str = SESSION,
    now_ms: int = NOW,
    **more: Any,
) -> Recorded:
    """Write the end of a try, as the executor does it."""
    fields: dict[str, Any] = {}
    if end is End.SUCCEEDED:
        fields["result_json"] = '{"answer":42}'
    elif end in (End.FAILED, End.RETRY):
        fields |= {"error_code": "no_luck", "error_message": "It did not work."}
    return await store.tasks.record(
        TaskEnd(task=task, session_id=by, end=end, started_ms=now_ms, now_ms=now_ms, **(fields | more))
    )


async def look(store: Store, task_id: str) -> Task:
    """The task as it is now."""
    task = await store.tasks.get(task_id, None)
    assert task is not None
    return task


async def cancel(
    store: Store, task_id: str, partner_id: str | None = None, *, now_ms: int = NOW
) -> CancelledTask | None:
    """What an owner who cancels gets."""
    at(store, now_ms)
    return await store.write(cancel_task, task_id, partner_id)


async def replay(
    store: Store, task_id: str, partner_id: str | None = None, *, now_ms: int = NOW
) -> Task | None:
    """What an owner who replays gets."""
    at(store, now_ms)
    return await store.write(replay_task, task_id, partner_id)


def counted_depths(tx: Tx) -> dict[str, dict[str, int]]:
    """What the counters of each queue ought to say, by counting every row."""
    seen: dict[str, Counter[str]] = {}
    rows = tx.conn.execute(
        select(tasks.c.queue, tasks.c.state, func.count().label("n")).group_by("queue", "state")
    )
    for row in rows:
        open_state = row.state in (TaskState.SCHEDULED, TaskState.QUEUED, TaskState.RUNNING)
        seen.setdefault(row.queue, Counter())[row.state if open_state else "finished"] += row.n
    names = ("scheduled", "queued", "running", "finished")
    return {queue: {name: counts[name] for name in names} for queue, counts in seen.items()}


async def kept_depths(store: Store) -> dict[str, dict[str, int]]:
    """What the counters say."""
    return {
        depth.queue: {
            "scheduled": depth.scheduled,
            "queued": depth.queued,
            "running": depth.running,
            "finished": depth.finished,
        }
        for depth in await store.queues.depths()
    }


async def assert_counters_are_true(store: Store) -> None:
    """Every counter equals a full count."""
    assert await kept_depths(store) == await store.db.read(counted_depths)


async def events_of(store: Store, task_id: str) -> list[str]:
    """The events announced for a task, in feed order."""

    def read(tx: Tx) -> list[str]:
        found = select(messages.c.event).where(messages.c.task_id == task_id).order_by(messages.c.seq)
        return list(tx.conn.execute(found).scalars())

    return await store.db.read(read)


async def deliveries_of(store: Store, task_id: str) -> list[Any]:
    """The rows of a task's deliveries, oldest first."""

    def read(tx: Tx) -> list[Any]:
        found = select(deliveries).where(deliveries.c.task_id == task_id).order_by(deliveries.c.id)
        return list(tx.conn.execute(found))

    return await store.db.read(read)


async def ended_task(
    store: Store, partner_id: str, end: End, *, now_ms: int = NOW, task_type: str = "demo.fail"
) -> str:
    """The id of a task that was submitted, run once and ended."""
    task = task_of(
        partner_id,
        now_ms=now_ms,
        type=task_type,
        max_attempts=1,
        input_json="{}",
        metadata_json='{"order":"42"}',
    )
    await store.tasks.submit(submission_of(task, now_ms=now_ms))
    await seeds.session(store)
    claim = await store.tasks.claim(
        ClaimTasks(
            session_id=SESSION,
            queue="default",
            free=1,
            idle=True,
            limits=(TypeLimit(type=task_type, timeout_ms=60_000),),
            now_ms=now_ms,
        )
    )
    failed = end is End.FAILED
    recorded = await store.tasks.record(
        TaskEnd(
            task=claim.tasks[0],
            session_id=SESSION,
            end=end,
            started_ms=now_ms,
            now_ms=now_ms,
            result_json=None if failed else "{}",
            error_code="no_luck" if failed else None,
            error_message="It did not work." if failed else None,
        )
    )
    assert not recorded.lost
    return task.id
