"""Batches in the store: counts that are true, one end, and one message of it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.batching import (
    add,
    assert_counts_are_true,
    batch_of,
    cancel_all,
    completions,
    make,
    seen,
)
from tests.support.seeds import NOW, at, endpoint, partner
from tests.support.work import cancel, claim, finish, replay, session
from webhookd.adapters.store.schema import deliveries
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tasks.batch_moves import cancel_batch, close_batch
from webhookd.adapters.store.tasks.batches import list_batches, tasks_of_batch
from webhookd.adapters.store.tx import Policy
from webhookd.adapters.store.upkeep.retention import Retention, RetentionPolicy
from webhookd.adapters.vault import Vault, generate_key
from webhookd.core.batches import BatchFilter, BatchTasks
from webhookd.core.errors import Conflict
from webhookd.core.execution import End
from webhookd.core.model import BatchState, TaskState
from webhookd.core.records import Bounds


@pytest.fixture
async def other_process(store: Store, migrated_url: str) -> AsyncIterator[Store]:
    """The same database, as a second worker sees it."""
    opened = await Store.open(
        migrated_url, Vault([generate_key()]), Policy(session_id="ses_other"), writes_apart=True
    )
    at(opened, NOW)
    yield opened
    await opened.close()


async def run_all(store: Store, end: End = End.SUCCEEDED) -> int:
    """Claim and finish whatever waits."""
    count = 0
    while claimed := (await claim(store, 50)).tasks:
        for task in claimed:
            await finish(store, task, end)
        count += len(claimed)
    return count


async def test_the_last_task_of_a_batch_completes_it_with_one_message(store: Store) -> None:
    owner = await partner(store.db)
    hears = await endpoint(store, owner, events=("batch.completed",))
    await endpoint(store, owner, events=("task.*",))
    batch = batch_of(owner, metadata_json='{"run":"7"}')
    await make(store, batch, 3)

    assert await run_all(store) == 3

    done = await seen(store, batch)
    assert (done.state, done.counts.succeeded, done.counts.left) == (BatchState.COMPLETED, 3, 0)
    assert done.completed_ms == NOW
    (message,) = await completions(store, batch)
    assert message["data"]["counts"] == {
        "total": 3, "scheduled": 0, "queued": 0, "running": 0,
        "succeeded": 3, "failed": 0, "cancelled": 0, "expired": 0,
    }  # fmt: skip
    assert message["data"]["state"] == "completed"
    assert message["data"]["metadata"] == {"run": "7"}
    assert message["data"]["version"] == done.version
    sent = await store.db.read(lambda tx: tx.conn.execute(deliveries.select()).all())
    assert [(row.event, row.endpoint_id, row.state) for row in sent] == [
        ("batch.completed", hears.id, "pending")
    ]


async def test_counts_follow_every_move(store: Store) -> None:
    owner = await partner(store.db)
    batch = batch_of(owner)
    await make(store, batch, 6, max_attempts=1, expires_ms=NOW + 5)
    claimed = (await claim(store, 4)).tasks
    await assert_counts_are_true(store, batch)
    ends = (End.SUCCEEDED, End.FAILED, End.RETRY, End.HANDED_BACK)
    for task, end in zip(claimed, ends, strict=True):
        await finish(store, task, end, due_ms=NOW + 100)
        await assert_counts_are_true(store, batch)
    await store.sweeps.expire(NOW + 10)
    await assert_counts_are_true(store, batch)
    assert (await seen(store, batch)).state is BatchState.COMPLETED
    assert len(await completions(store, batch)) == 1


async def test_a_crash_that_ends_the_last_task_completes_its_batch(store: Store) -> None:
    owner = await partner(store.db)
    batch = batch_of(owner)
    await make(store, batch, 1, max_attempts=1)
    worker = await session(store, "ses_dies", lease_until_ms=NOW + 10)
    await claim(store, 1, by=worker)

    assert await store.sweeps.rescue(NOW + 20)

    assert (await seen(store, batch)).counts.failed == 1
    assert len(await completions(store, batch)) == 1


async def test_an_open_batch_waits_for_its_close(store: Store) -> None:
    owner = await partner(store.db)
    batch = batch_of(owner, state=BatchState.OPEN)
    first = await make(store, batch, 2)
    await run_all(store)
    assert (await seen(store, batch)).state is BatchState.OPEN
    more = await add(store, batch, 2)
    assert max(first) < min(more.task_ids)
    await run_all(store)
    assert not await completions(store, batch)

    closed = await store.write(close_batch, batch.id, owner)

    assert closed is not None
    assert (closed.changed, closed.batch.state) == (True, BatchState.COMPLETED)
    (message,) = await completions(store, batch)
    assert message["data"]["counts"]["succeeded"] == 4
    again = await store.write(close_batch, batch.id, owner)
    assert again is not None
    assert not again.changed
    assert len(await completions(store, batch)) == 1


async def test_an_empty_batch_is_completed_when_it_is_closed(store: Store) -> None:
    owner = await partner(store.db)
    batch = batch_of(owner, state=BatchState.OPEN)
    await make(store, batch, 0)
    closed = await store.write(close_batch, batch.id, owner)
    assert closed is not None
    assert closed.batch.state is BatchState.COMPLETED
    assert len(await completions(store, batch)) == 1


async def test_adding_to_a_closed_batch_is_refused_and_uses_no_key(store: Store) -> None:
    owner = await partner(store.db)
    batch = batch_of(owner, state=BatchState.OPEN)
    await make(store, batch, 1)
    accepted = await add(store, batch, 1, key="first")
    await store.write(close_batch, batch.id, owner)

    with pytest.raises(Conflict):
        await add(store, batch, 1, key="second")

    repeated = await add(store, batch, 1, key="first")
    assert repeated.replayed
    assert repeated.task_ids == accepted.task_ids
    assert await store.idempotency.find(owner, "second", now_ms=NOW) is None
    await assert_counts_are_true(store, batch)


async def test_a_refused_addition_hurts_no_other_of_its_commit(store: Store) -> None:
    owner = await partner(store.db)
    shut, batch = batch_of(owner), batch_of(owner, state=BatchState.OPEN)
    await make(store, shut, 1)
    await make(store, batch, 1)
    outcomes = await asyncio.gather(
        *(add(store, one, 1) for one in (batch, shut, batch, shut, batch)), return_exceptions=True
    )
    assert [isinstance(one, Conflict) for one in outcomes] == [False, True, False, True, False]
    assert (await seen(store, batch)).total == 4
    await assert_counts_are_true(store, batch)


async def test_a_batch_holds_a_million_tasks_and_no_more(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhookd.adapters.store.tasks.batch_room.MAX_TASKS", 3)
    owner = await partner(store.db)
    batch = batch_of(owner, state=BatchState.OPEN)
    await make(store, batch, 2)
    with pytest.raises(Conflict):
        await add(store, batch, 2)
    await add(store, batch, 1)


async def test_cancelling_ends_what_waits_and_asks_what_runs(store: Store) -> None:
    owner = await partner(store.db)
    batch = batch_of(owner)
    await make(store, batch, 5)
    (running,) = (await claim(store, 1)).tasks
    marked = await store.write(cancel_batch, batch.id, owner)
    assert marked is not None
    assert (marked.changed, marked.batch.state) == (True, BatchState.RUNNING)

    assert not await store.sweeps.cancel_batches()

    now = await seen(store, batch)
    assert (now.state, now.counts.cancelled, now.counts.running) == (BatchState.RUNNING, 4, 1)
    assert not await completions(store, batch)
    await finish(store, running, End.CANCELLED)
    assert (await seen(store, batch)).state is BatchState.CANCELLED
    (message,) = await completions(store, batch)
    assert message["data"]["state"] == "cancelled"
    again = await store.write(cancel_batch, batch.id, owner)
    assert again is not None
    assert not again.changed


async def test_a_replay_after_the_end_makes_no_second_message(store: Store) -> None:
    owner = await partner(store.db)
    batch = batch_of(owner)
    (task_id,) = await make(store, batch, 1, max_attempts=1)
    await run_all(store, End.FAILED)
    assert await replay(store, task_id) is not None
    await assert_counts_are_true(store, batch)
    await run_all(store)
    await assert_counts_are_true(store, batch)
    assert (await seen(store, batch)).state is BatchState.COMPLETED
    assert len(await completions(store, batch)) == 1


async def test_the_last_ends_of_two_processes_at_once_complete_it_once(
    store: Store, other_process: Store
) -> None:
    owner = await partner(store.db)
    stores = (store, other_process)
    for _ in range(8):
        batch = batch_of(owner)
        await make(store, batch, 12)
        claimed = [(one, task) for one in stores for task in (await claim(one, 6)).tasks]
        await asyncio.gather(*(finish(one, task) for one, task in claimed))
        assert (await seen(store, batch)).state is BatchState.COMPLETED
        assert len(await completions(store, batch)) == 1
        await assert_counts_are_true(store, batch)


async def test_ends_cancellation_and_two_closes_at_once_make_one_message(
    store: Store, other_process: Store
) -> None:
    owner = await partner(store.db)
    await endpoint(store, owner, events=("task.*", "batch.completed"))
    for round_ in range(8):
        batch = batch_of(owner, state=BatchState.OPEN)
        # Some have webhooks of their own, to the lane that the batch's message goes to.
        task_ids = await make(store, batch, 6, endpoint_ids=None if round_ % 2 else ())
        claimed = (await claim(store, 4)).tasks
        await asyncio.gather(
            *(finish(other_process, task, by="ses_test") for task in claimed),
            store.write(close_batch, batch.id, owner),
            other_process.write(close_batch, batch.id, owner),
            *((store.write(cancel_batch, batch.id, owner),) if round_ % 3 else ()),
            *(cancel(other_process, task_id) for task_id in task_ids),
        )
        if round_ % 3:
            await cancel_all(store, batch)
        await run_all(store)
        done = await seen(store, batch)
        assert done.state in (BatchState.COMPLETED, BatchState.CANCELLED)
        assert len(await completions(store, batch)) == 1
        await assert_counts_are_true(store, batch)


async def test_counts_of_ended_processes_are_folded_and_stay_true(store: Store, other_process: Store) -> None:
    owner = await partner(store.db)
    batch = batch_of(owner)
    await make(store, batch, 4)
    for task in (await claim(other_process, 2)).tasks:
        await finish(other_process, task)
    before = await seen(store, batch)

    await store.sweeps.heal(NOW)

    assert await seen(store, batch) == before
    await assert_counts_are_true(store, batch)


async def test_tasks_are_listed_in_the_order_of_their_submission(store: Store) -> None:
    owner = await partner(store.db)
    batch = batch_of(owner, state=BatchState.OPEN)
    task_ids = await make(store, batch, 3)
    for _ in range(3):
        task_ids += (await add(store, batch, 2)).task_ids
    found, cursor = [], None
    while True:
        page, cursor = await store.read(
            tasks_of_batch, BatchTasks(batch_id=batch.id), Bounds(limit=4, cursor=cursor)
        )
        found += [task.id for task in page]
        if cursor is None:
            break
    assert found == task_ids
    await cancel(store, task_ids[4])
    page, _ = await store.read(
        tasks_of_batch, BatchTasks(batch_id=batch.id, state=TaskState.CANCELLED), Bounds()
    )
    assert [task.id for task in page] == [task_ids[4]]
    page, _ = await store.read(tasks_of_batch, BatchTasks(batch_id=batch.id, ended=True), Bounds())
    assert [task.id for task in page] == [task_ids[4]]


async def test_batches_are_listed_newest_first_by_partner_and_state(store: Store) -> None:
    owner, other = await partner(store.db), await partner(store.db, "other")
    made = [batch_of(owner), batch_of(owner, state=BatchState.OPEN), batch_of(other)]
    for batch in made:
        await make(store, batch, 1)
    mine = sorted((batch.id for batch in made[:2]), reverse=True)
    page, cursor = await store.read(list_batches, owner, BatchFilter(), Bounds(limit=1))
    assert [batch.id for batch in page] == mine[:1]
    rest, end = await store.read(list_batches, owner, BatchFilter(), Bounds(limit=1, cursor=cursor))
    assert [batch.id for batch in (*page, *rest)] == mine
    assert end is None
    opened, _ = await store.read(list_batches, None, BatchFilter(state=BatchState.OPEN), Bounds())
    assert [(batch.id, batch.total) for batch in opened] == [(made[1].id, 1)]
    nothing, _ = await store.read(list_batches, None, BatchFilter(until_ms=NOW), Bounds())
    assert nothing == []


async def test_a_batch_goes_with_the_last_of_its_tasks(store: Store) -> None:
    owner = await partner(store.db)
    batch, running = batch_of(owner), batch_of(owner)
    await make(store, batch, 2)
    await run_all(store)
    await make(store, running, 1)
    kept_ms = 1_000
    policy = RetentionPolicy(
        tasks_ms=kept_ms, attempts_ms=None, dead_letters_ms=None, audit_ms=None, idempotency_ms=10**12
    )
    for now_ms, left in ((NOW + kept_ms, {batch.id, running.id}), (NOW + kept_ms + 1_001, {running.id})):
        retention = Retention(store.db, policy)
        while await retention.step(now_ms):
            pass
        page, _ = await store.read(list_batches, owner, BatchFilter(), Bounds())
        assert {one.id for one in page} == left


async def test_writes_of_one_process_that_move_tasks_of_a_batch_do_not_block_each_other(
    store: Store,
) -> None:
    """A sweep and an end add to the same rows of counters, in one order."""
    owner = await partner(store.db)
    batch = batch_of(owner)
    scheduled = {"scheduled": True, "due_ms": NOW + 10}
    await make(store, batch, 40, **scheduled)
    other = batch_of(owner)
    await make(store, other, 40)
    claimed = (await claim(store, 40)).tasks
    tries_before = store.db.figures.failures
    await asyncio.gather(
        *(finish(store, task) for task in claimed),
        *(store.sweeps.fall_due(NOW + 10) for _ in range(8)),
        store.write(cancel_batch, batch.id, owner),
    )
    await cancel_all(store, batch)
    assert store.db.figures.failures == tries_before
    for one in (batch, other):
        await assert_counts_are_true(store, one)
        assert len(await completions(store, one)) == 1
