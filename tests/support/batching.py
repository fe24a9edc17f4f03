"""Batches in store tests: made, counted by hand, and compared with what the store says."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import orjson
from sqlalchemy import func, select

from tests.support.seeds import NOW, at
from tests.support.work import task_of
from webhookd.adapters.entropy import new_id
from webhookd.adapters.store.schema import messages, tasks
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tasks.batch_ends import BATCHES_BY_ID, batch_from
from webhookd.adapters.store.tasks.batch_moves import cancel_some
from webhookd.adapters.store.tasks.batches import get_batch
from webhookd.adapters.store.tx import Tx
from webhookd.core import ids
from webhookd.core.batches import Batch, BatchCounts, NewBatch
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


def all_batches(tx: Tx, batch_ids: Iterable[str]) -> tuple[list[Batch], dict[str, BatchCounts], Counter[str]]:
    """Batches as the store tells of them, their tasks by a full count, and how many messages each has."""
    told = [batch_from(row) for row in tx.run(BATCHES_BY_ID, ids=batch_ids)]
    rows = tx.conn.execute(
        select(tasks.c.batch_id, tasks.c.state, func.count().label("n"))
        .where(tasks.c.batch_id.is_not(None))
        .group_by(tasks.c.batch_id, tasks.c.state)
    ).all()
    states: dict[str, dict[str, int]] = {}
    for row in rows:
        states.setdefault(row.batch_id, {})[row.state] = row.n
    bodies = tx.conn.execute(select(messages.c.body).where(messages.c.event == "batch.completed")).scalars()
    return (
        told,
        {batch_id: BatchCounts(**counts) for batch_id, counts in states.items()},
        Counter(orjson.loads(body)["data"]["id"] for body in bodies),
    )
