"""Replays of many dead letters: what they match, their pace, and that two processes are as good as one."""

import asyncio
from dataclasses import replace

import pytest

from tests.contract.seeds import (
    EXHAUSTED,
    NOW,
    Woken,
    answered,
    dead_delivery,
    due,
    ended_task,
    endpoint,
    partner,
)
from webhookd.adapters.entropy import new_id
from webhookd.adapters.store.dead_letters import get_dead_letter, list_dead_letters
from webhookd.adapters.store.replays import (
    cancel_replay,
    count_matches,
    create_replay,
    get_replay,
    list_replays,
)
from webhookd.adapters.store.store import Store
from webhookd.core import ids
from webhookd.core.errors import Conflict
from webhookd.core.execution import End
from webhookd.core.model import ReplayState
from webhookd.core.records import Page
from webhookd.core.replay import DeadLetterFilter, Replay, allowance
from webhookd.flows.replay import ReplayFlow

LATER = NOW + 60_000


@pytest.fixture
def flow(store: Store) -> ReplayFlow:
    return ReplayFlow(store.replays)


async def asked(store: Store, partner_id: str | None = None, **settings: object) -> Replay:
    """A replay of everything, made at LATER."""
    plain = Replay(
        id=new_id(ids.REPLAY, LATER),
        partner_id=partner_id,
        filter=DeadLetterFilter(),
        dry_run=False,
        rate_per_second=50.0,
        state=ReplayState.RUNNING,
        matched=0,
        replayed=0,
        place=None,
        created_ms=LATER,
        finished_ms=None,
    )
    wanted = replace(plain, **settings)  # type: ignore[arg-type]  # names checked by dataclasses.replace
    counted = replace(wanted, matched=await store.read(count_matches, wanted))
    return await store.db.write(create_replay, counted)


async def letters(store: Store) -> list[str]:
    found, _ = await store.read(list_dead_letters, None, DeadLetterFilter(), Page(limit=500))
    return [letter.id for letter in found]


async def test_a_dry_run_counts_and_changes_nothing(store: Store, flow: ReplayFlow) -> None:
    owner = await partner(store.db)
    target = await endpoint(store, owner, events=("task.succeeded",))
    for n in range(3):
        await dead_delivery(store, target, now_ms=NOW + n)
    await ended_task(store, owner, End.FAILED)

    replay = await asked(store, owner, dry_run=True)

    assert (replay.matched, replay.replayed, replay.state) == (4, 0, ReplayState.DONE)
    assert await flow.step(LATER + 60_000) == 0
    assert len(await letters(store)) == 4


async def test_a_replay_puts_deliveries_and_tasks_back_to_work_and_wakes_their_workers(
    store: Store, flow: ReplayFlow, woken: Woken
) -> None:
    owner = await partner(store.db)
    target = await endpoint(store, owner, events=("task.succeeded",))
    delivery_id = await dead_delivery(store, target)
    task_id = await ended_task(store, owner, End.FAILED)

    replay = await asked(store, owner)
    assert (replay.matched, replay.state) == (2, ReplayState.RUNNING)
    woken.forget()
    assert await flow.step(LATER + 1_000) == 2

    done = await store.read(get_replay, replay.id, owner)
    assert done is not None
    assert (done.state, done.replayed, done.finished_ms) == (ReplayState.DONE, 2, LATER + 1_000)
    assert await letters(store) == []
    assert [d.id for d in await due(store, LATER + 1_000)] == [delivery_id]
    assert sorted(woken.rung) == ["default", "deliver"]
    assert [signal.task_id for signal in woken.told] == [task_id]


async def test_a_replay_keeps_to_its_filter_and_its_partner(store: Store, flow: ReplayFlow) -> None:
    owner, other = await partner(store.db), await partner(store.db, "other")
    wanted, unwanted = [await endpoint(store, owner) for _ in range(2)]
    foreign = await endpoint(store, other)
    for target in (wanted, unwanted, foreign):
        await dead_delivery(store, target)

    replay = await asked(store, owner, filter=DeadLetterFilter(endpoint_id=wanted.id))
    await flow.step(LATER + 1_000)

    assert replay.matched == 1
    left = [await store.read(get_dead_letter, letter_id, None) for letter_id in await letters(store)]
    assert sorted(letter.endpoint_id or "" for letter in left if letter) == sorted([unwanted.id, foreign.id])


async def test_a_replay_goes_oldest_first_at_its_rate(store: Store, flow: ReplayFlow) -> None:
    target = await endpoint(store, await partner(store.db))
    made = [await dead_delivery(store, target, now_ms=NOW + n) for n in range(6)]
    replay = await asked(store, rate_per_second=1.0)

    counts = [await flow.step(LATER + ms) for ms in (0, 500, 1_000, 1_999, 2_000)]

    assert counts == [1, 0, 1, 0, 1]
    assert sorted(await letters(store)) == made[3:]
    now = await store.read(get_replay, replay.id, None)
    assert now is not None
    assert (now.replayed, now.state) == (3, ReplayState.RUNNING)


async def test_after_an_outage_a_replay_goes_on_at_its_rate_and_not_in_a_burst(
    store: Store, flow: ReplayFlow
) -> None:
    target = await endpoint(store, await partner(store.db))
    for n in range(9):
        await dead_delivery(store, target, now_ms=NOW + n)
    await asked(store, rate_per_second=2.0)
    assert await flow.step(LATER) == 1

    assert await flow.step(LATER + 3_600_000) == 3


async def test_what_dies_again_is_not_replayed_in_a_circle(store: Store, flow: ReplayFlow) -> None:
    target = await endpoint(store, await partner(store.db))
    await dead_delivery(store, target)
    replay = await asked(store)
    now_ms = LATER
    for _ in range(5):
        await flow.step(now_ms)
        for delivery in await due(store, now_ms + 1):
            await answered(store, delivery, EXHAUSTED, now_ms=now_ms + 1)
        now_ms += 1_000

    done = await store.read(get_replay, replay.id, None)
    assert done is not None
    assert (done.state, done.replayed) == (ReplayState.DONE, 1)
    assert len(await letters(store)) == 1


async def test_a_cancelled_replay_stops_and_keeps_what_it_did(store: Store, flow: ReplayFlow) -> None:
    target = await endpoint(store, await partner(store.db))
    for n in range(4):
        await dead_delivery(store, target, now_ms=NOW + n)
    replay = await asked(store, rate_per_second=1.0)
    await flow.step(LATER)

    cancelled = await store.db.write(cancel_replay, replay.id, None, LATER + 1)
    again = await store.db.write(cancel_replay, replay.id, None, LATER + 2)

    assert cancelled is not None
    assert (cancelled.state, cancelled.replayed) == (ReplayState.CANCELLED, 1)
    assert again == cancelled
    assert await flow.step(LATER + 60_000) == 0
    assert len(await letters(store)) == 3


async def test_a_finished_replay_cannot_be_cancelled_and_a_foreign_one_is_unknown(store: Store) -> None:
    replay = await asked(store, "prt_owner")

    assert replay.state is ReplayState.DONE
    with pytest.raises(Conflict):
        await store.db.write(cancel_replay, replay.id, "prt_owner", LATER)
    assert await store.db.write(cancel_replay, replay.id, "prt_other", LATER) is None
    assert await store.read(get_replay, replay.id, "prt_other") is None
    assert (await store.read(list_replays, "prt_other", Page()))[0] == []
    assert (await store.read(list_replays, "prt_owner", Page()))[0] == [replay]


async def test_two_processes_on_one_replay_replay_each_letter_once(store: Store, flow: ReplayFlow) -> None:
    owner = await partner(store.db)
    for _ in range(4):
        target = await endpoint(store, owner)
        for n in range(8):
            await dead_delivery(store, target, now_ms=NOW + n)
    replay = await asked(store, rate_per_second=1000.0)
    twin = ReplayFlow(store.replays)

    counts = [0, 0]
    for ms in range(0, 200, 10):
        both = await asyncio.gather(flow.step(LATER + ms), twin.step(LATER + ms))
        counts = [a + b for a, b in zip(counts, both, strict=True)]

    done = await store.read(get_replay, replay.id, None)
    assert done is not None
    assert (done.replayed, done.state) == (32, ReplayState.DONE)
    assert sum(counts) == 32
    assert await letters(store) == []


async def test_a_step_seen_from_an_older_state_is_refused(store: Store) -> None:
    target = await endpoint(store, await partner(store.db))
    for n in range(4):
        await dead_delivery(store, target, now_ms=NOW + n)
    seen = await asked(store)
    allowed = allowance(seen, now_ms=LATER)

    first = await store.replays.advance(seen, allowed, take=1, now_ms=LATER)
    second = await store.replays.advance(seen, allowed, take=1, now_ms=LATER)

    assert first is not None
    assert second is None
    assert len(await letters(store)) == 3


async def test_letters_to_deleted_endpoints_are_left_out(store: Store, flow: ReplayFlow) -> None:
    owner = await partner(store.db)
    gone, there = [await endpoint(store, owner) for _ in range(2)]
    for target in (gone, there):
        await dead_delivery(store, target)
    await store.db.write(store.endpoints.states.delete, gone.id, None, NOW)

    replay = await asked(store)

    assert replay.matched == 1
    assert await flow.step(LATER + 1_000) == 1
    assert len(await letters(store)) == 1
