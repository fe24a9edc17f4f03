"""Batches in store tests: made, counted by hand, and compared with what the store says."""

from collections import Counter
from dataclasses import replace
from typing import Any

import orjson
from sqlalchemy import select

from tests.contract.seeds import NOW, at
from tests.contract.work import task_of
from webhookd.adapters.entropy import new_id
from webhookd.adapters.store.batches import cancel_some, get_batch
from webhookd.adapters.store.schema import messages, tasks
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Tx
from webhookd.core import ids
from webhookd.core.batches import Batch, NewBatch
from webhookd.core.model import BatchState, TaskState
from webhookd.core.records import NewTask
from webhookd.core.submission import Accepted, Submission
from webhookd.core.trace import TraceContext

TRACE = TraceContext(trace_id="0af7651916cd43dd8448eb211c80319c", parent_id="b7ad6b7169203331", flags=1)


def batch_of(partner_id: str, *, state: BatchState = BatchState.RUNNING, **changes: Any) -> NewBatch:
    """A batch with the defaults, not yet in the store."""
    plain = NewBatch(
        id=new_id(ids.BATCH, NOW),
        partner_id=partner_id,
        state=state,
        metadata_json="{}",
        defaults_json="{}",
        callback_url=None,
        callback_origin=None,
        endpoint_ids=None,
        trace=TRACE,
        created_ms=NOW,
    )
    return replace(plain, **changes)


def tasks_of(batch: NewBatch, count: int, **changes: Any) -> tuple[NewTask, ...]:
    """Tasks for it, in the order of their ids."""
    changes = {"endpoint_ids": (), **changes}
    made = [task_of(batch.partner_id, batch_id=batch.id, **changes) for _ in range(count)]
    return tuple(sorted(made, key=lambda task: task.id))


async def make(store: Store, batch: NewBatch, count: int, **changes: Any) -> list[str]:
    """The ids of its first tasks, now in the store."""
    new = tasks_of(batch, count, **changes)
    accepted = await store.tasks.submit(
        Submission(partner_id=batch.partner_id, tasks=new, key=None, fingerprint="", now_ms=NOW, batch=batch)
    )
    return list(accepted.task_ids)


async def add(store: Store, batch: NewBatch, count: int, *, key: str | None = None) -> Accepted:
    """What somebody gets who adds tasks to it."""
    return await store.tasks.submit(
        Submission(
            partner_id=batch.partner_id,
            tasks=tasks_of(batch, count),
            key=key,
            fingerprint="same",
            now_ms=NOW,
            batch_id=batch.id,
        )
    )


async def seen(store: Store, batch: NewBatch) -> Batch:
    """The batch as it is now."""
    found = await store.read(get_batch, batch.id, None)
    assert found is not None
    return found


async def cancel_all(store: Store, batch: NewBatch) -> None:
    """Take every step of a cancellation."""
    at(store, NOW)
    while await store.write(cancel_some, batch.id):
        pass


async def completions(store: Store, batch: NewBatch) -> list[dict[str, Any]]:
    """The bodies of the messages that announce its end."""

    def read(tx: Tx) -> list[str]:
        wanted = select(messages.c.body).where(messages.c.event == "batch.completed")
        return list(tx.conn.execute(wanted.order_by(messages.c.seq)).scalars())

    bodies = [orjson.loads(body) for body in await store.db.read(read)]
    return [body for body in bodies if body["data"]["id"] == batch.id]


async def assert_counts_are_true(store: Store, batch: NewBatch) -> None:
    """Its counters equal a full count."""

    def count(tx: Tx) -> Counter[str]:
        return Counter(tx.conn.execute(select(tasks.c.state).where(tasks.c.batch_id == batch.id)).scalars())

    told = await seen(store, batch)
    true = await store.db.read(count)
    assert {state.value: getattr(told.counts, state.value) for state in TaskState} == {
        state.value: true[state.value] for state in TaskState
    }
    assert told.total == true.total()
