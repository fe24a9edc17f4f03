"""Tasks as the API reads them: one, many, pages, versions, runs; always as their owner sees them."""

from dataclasses import replace

import pytest

from tests.support.seeds import NOW, SESSION, endpoint, partner
from tests.support.work import cancel, claim, claim_one, finish, look, replay, submit, task_of
from webhookd.adapters.store.store import Store
from webhookd.core.execution import End
from webhookd.core.listing import TaskFilter
from webhookd.core.model import TaskState
from webhookd.core.records import Bounds


async def test_a_foreign_task_is_like_an_unknown_one(store: Store) -> None:
    owner = await partner(store.db)
    (task_id,) = await submit(store, task_of(owner))

    assert await store.tasks.get(task_id, "prt_other") is None
    assert await store.tasks.get("task_unheard_of", owner) is None
    assert await cancel(store, task_id, "prt_other") is None
    assert await replay(store, task_id, "prt_other") is None
    assert (await store.tasks.page("prt_other", TaskFilter(), Bounds()))[0] == []
    assert (await look(store, task_id)).state is TaskState.QUEUED


async def test_the_listing_pages_newest_first_without_gaps_or_repeats(store: Store) -> None:
    owner = await partner(store.db)
    made = await submit(store, *(task_of(owner, now_ms=NOW + n) for n in range(7)))
    await submit(store, task_of(await partner(store.db, "other")))

    seen: list[str] = []
    page = Bounds(limit=3)
    while True:
        found, cursor = await store.tasks.page(owner, TaskFilter(), page)
        seen += [task.id for task in found]
        if cursor is None:
            break
        page = replace(page, cursor=cursor)

    assert seen == sorted(made, reverse=True)
    everyone, _ = await store.tasks.page(None, TaskFilter(), Bounds())
    assert len(everyone) == 8


async def test_the_listing_is_narrowed_by_state_type_and_time(store: Store) -> None:
    owner = await partner(store.db)
    first, second, third = await submit(
        store,
        task_of(owner),
        task_of(owner, type="other.thing", now_ms=NOW + 10),
        task_of(owner, now_ms=NOW + 20),
    )
    await finish(store, await claim_one(store))

    async def ids(**wanted: object) -> list[str]:
        found, _ = await store.tasks.page(owner, TaskFilter(**wanted), Bounds())  # type: ignore[arg-type]  # the test's own words
        return [task.id for task in found]

    assert await ids(state=TaskState.SUCCEEDED) == [first]
    assert await ids(state=TaskState.QUEUED) == [third, second]
    assert await ids(type="other.thing") == [second]
    assert await ids(since_ms=NOW + 10) == [third, second]
    assert await ids(until_ms=NOW + 10) == [first]


@pytest.mark.parametrize("looked_through", [0, 1, 3, 100])
async def test_an_admins_filter_finds_what_few_have_and_pages_through_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, looked_through: int
) -> None:
    monkeypatch.setattr("webhookd.adapters.store.tasks.task_listings.LOOKED_THROUGH", looked_through)
    owners = [await partner(store.db, name) for name in ("a", "b", "c")]
    made = [
        await submit(store, task_of(owner, type=kind, now_ms=NOW + 3 * number + offset))
        for number, kind in enumerate(("rare.thing", "test.echo", "test.echo", "rare.thing", "test.echo"))
        for offset, owner in enumerate(owners)
    ]
    rare = sorted((made[number][0] for number in (0, 1, 2, 9, 10, 11)), reverse=True)

    async def found(limit: int, **wanted: object) -> list[str]:
        seen: list[str] = []
        page = Bounds(limit=limit)
        while True:
            rows, cursor = await store.tasks.page(None, TaskFilter(**wanted), page)  # type: ignore[arg-type]  # the test's own words
            seen += [task.id for task in rows]
            assert len(rows) <= limit
            if cursor is None:
                return seen
            page = replace(page, cursor=cursor)

    for limit in (1, 2, 4, 50):
        assert await found(limit, type="rare.thing") == rare
        assert await found(limit, type="rare.thing", state=TaskState.QUEUED) == rare
        assert await found(limit, state=TaskState.RUNNING) == []
        assert await found(limit, type="rare.thing", since_ms=NOW + 9) == rare[:3]
        assert await found(limit, type="rare.thing", until_ms=NOW + 9) == rare[3:]


async def test_every_door_counts_the_deliveries_alike(store: Store) -> None:
    owner = await partner(store.db)
    for _ in range(2):
        await endpoint(store, owner)
    await submit(store, task_of(owner), task_of(owner, now_ms=NOW + 1))
    task = await claim_one(store)
    await finish(store, task)

    alone = await store.tasks.get(task.id, owner)
    assert alone is not None
    assert alone.deliveries.pending == 2
    assert alone in (await store.tasks.page(owner, TaskFilter(), Bounds()))[0]
    assert await store.tasks.get_many([task.id, "task_unheard_of"]) == [alone]


async def test_versions_grow_with_every_change(store: Store) -> None:
    owner = await partner(store.db)
    (task_id,) = await submit(store, task_of(owner, max_attempts=1))

    async def version() -> int:
        return (await store.tasks.versions([task_id, "task_unheard_of"]))[task_id]

    seen = [await version()]
    task = await claim_one(store)
    seen.append(await version())
    await cancel(store, task_id, owner)
    seen.append(await version())
    await finish(store, task, End.FAILED)
    seen.append(await version())
    await replay(store, task_id, owner)
    seen.append(await version())

    assert seen == sorted(set(seen))


async def test_runs_are_the_whole_history_oldest_first(store: Store) -> None:
    owner = await partner(store.db)
    (task_id,) = await submit(store, task_of(owner))
    for end in (End.RETRY, End.HANDED_BACK, End.FAILED):
        await store.sweeps.fall_due(NOW)
        await finish(store, await claim_one(store), end, due_ms=NOW)

    runs = await store.tasks.runs(task_id)

    assert [(run.attempt, run.outcome) for run in runs] == [(1, "retry"), (2, "handed_back"), (2, "failed")]
    assert [run.error_code for run in runs] == ["no_luck", None, "no_luck"]


async def test_only_a_process_s_own_tasks_are_told_to_stop(store: Store) -> None:
    owner = await partner(store.db)
    await submit(store, *(task_of(owner) for _ in range(3)))
    running = (await claim(store, 2)).tasks
    for task in running[:1]:
        await cancel(store, task.id, owner)

    assert await store.tasks.cancel_requests(SESSION) == [running[0].id]
    assert await store.tasks.cancel_requests("ses_other") == []
    await finish(store, running[0], End.CANCELLED)
    assert await store.tasks.cancel_requests(SESSION) == []


async def test_a_replayed_task_no_longer_expires_nor_remembers_its_cancelling(store: Store) -> None:
    owner = await partner(store.db)
    (task_id,) = await submit(store, task_of(owner, expires_ms=NOW + 5))
    task = await claim_one(store)
    await cancel(store, task_id, owner)
    await finish(store, task, End.FAILED)

    replayed = await replay(store, task_id, owner, now_ms=NOW + 10)

    assert replayed is not None
    assert (replayed.expires_ms, replayed.cancel_requested_ms, replayed.started_ms) == (None, None, None)
    await store.sweeps.expire(NOW + 10)
    again = await claim_one(store, now_ms=NOW + 10)
    await finish(store, again, End.RETRY, due_ms=NOW + 20)
    assert (await look(store, task_id)).state is TaskState.SCHEDULED
