"""Replays of many dead letters: what they match, their pace, and that two processes are as good as one."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.support.records import a_replay
from tests.support.seeds import (
    EXHAUSTED,
    NOW,
    Woken,
    answered,
    at,
    dead_delivery,
    due,
    endpoint,
    later,
    message_to,
    partner,
)
from tests.support.work import ended_task
from webhookd.adapters.entropy import new_id
from webhookd.adapters.store.deliveries.dead_letters import get_dead_letter, list_dead_letters
from webhookd.adapters.store.deliveries.deliveries import get_delivery, replay_delivery
from webhookd.adapters.store.deliveries.replay_orders import (
    count_matches,
    create_replay,
    move_replay,
    pace_replay,
)
from webhookd.adapters.store.deliveries.replays import get_replay, list_replays
from webhookd.adapters.store.endpoints.endpoint_settings import get_endpoint
from webhookd.adapters.store.store import Store
from webhookd.core import ids
from webhookd.core.delivery import Delivered
from webhookd.core.errors import Conflict
from webhookd.core.execution import End
from webhookd.core.model import DeliveryState, ReplayMove, ReplayState
from webhookd.core.records import Bounds, Endpoint
from webhookd.core.replay import DeadLetterFilter, Deed, Replay, allowance
from webhookd.flows.replay import ReplayFlow

LATER = NOW + 60_000


@pytest.fixture
def flow(store: Store) -> ReplayFlow:
    return ReplayFlow(store.replays.running, store.replays.advance)


async def asked(store: Store, partner_id: str | None = None, **settings: Any) -> Replay:
    """A replay of everything, made at LATER."""
    plain = a_replay(
        id=new_id(ids.REPLAY, LATER), partner_id=partner_id, rate_per_second=50.0, created_ms=LATER
    )
    wanted = replace(plain, **settings)
    counted = replace(wanted, matched=await store.read(count_matches, wanted))
    return await store.db.write(create_replay, counted)


async def moved(
    store: Store, replay_id: str, partner_id: str | None, move: ReplayMove
) -> tuple[Replay, bool]:
    found = await store.write(move_replay, replay_id, partner_id, move)
    assert found is not None
    return found


async def letters(store: Store) -> list[str]:
    found, _ = await store.read(list_dead_letters, None, DeadLetterFilter(), Bounds(limit=500))
    return [letter.id for letter in found]


async def test_a_dry_run_counts_and_changes_nothing(store: Store, flow: ReplayFlow) -> None:
    owner = await partner(store.db)
    target = await endpoint(store, owner, events=("task.succeeded",))
    for n in range(3):
        await dead_delivery(store, target, now_ms=NOW + n)
    await ended_task(store, owner, End.FAILED)

    replay = await asked(store, owner, dry_run=True)

    assert (replay.matched, replay.replayed, replay.state) == (3, 0, ReplayState.DONE)
    assert await flow.step(LATER + 60_000) == 0
    assert len(await letters(store)) == 4


async def test_a_replay_puts_dead_deliveries_back_to_work_and_leaves_failed_tasks_alone(
    store: Store, flow: ReplayFlow, woken: Woken
) -> None:
    owner = await partner(store.db)
    target = await endpoint(store, owner, events=("task.succeeded",))
    delivery_id = await dead_delivery(store, target)
    task_id = await ended_task(store, owner, End.FAILED)

    replay = await asked(store, owner)
    assert (replay.matched, replay.state) == (1, ReplayState.RUNNING)
    woken.forget()
    assert await flow.step(LATER + 1_000) == 1

    done = await store.read(get_replay, replay.id, owner)
    assert done is not None
    assert (done.state, done.replayed, done.finished_ms) == (ReplayState.DONE, 1, LATER + 1_000)
    assert await letters(store) == [task_id]
    assert [d.id for d in await due(store, LATER + 1_000)] == [delivery_id]
    assert woken.rung == ["deliver"]


async def test_tasks_run_again_only_where_they_are_asked_for(
    store: Store, flow: ReplayFlow, woken: Woken
) -> None:
    owner = await partner(store.db)
    target = await endpoint(store, owner, events=("task.succeeded",))
    delivery_id = await dead_delivery(store, target)
    task_id = await ended_task(store, owner, End.FAILED)

    replay = await asked(store, owner, filter=DeadLetterFilter(kind="task"))
    woken.forget()
    assert (replay.matched, await flow.step(LATER + 1_000)) == (1, 1)

    assert await letters(store) == [delivery_id]
    assert woken.rung == ["default"]
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

    cancelled, _ = await moved(store, replay.id, None, ReplayMove.CANCEL)
    again, changed = await moved(store, replay.id, None, ReplayMove.CANCEL)

    assert not changed
    assert (cancelled.state, cancelled.replayed) == (ReplayState.CANCELLED, 1)
    assert again == cancelled
    assert await flow.step(LATER + 60_000) == 0
    assert len(await letters(store)) == 3


async def test_a_finished_replay_cannot_be_cancelled_and_a_foreign_one_is_unknown(store: Store) -> None:
    replay = await asked(store, "prt_owner")

    assert replay.state is ReplayState.DONE
    with pytest.raises(Conflict):
        await store.write(move_replay, replay.id, "prt_owner", ReplayMove.CANCEL)
    assert await store.write(move_replay, replay.id, "prt_other", ReplayMove.CANCEL) is None
    assert await store.read(get_replay, replay.id, "prt_other") is None
    assert (await store.read(list_replays, "prt_other", Bounds()))[0] == []
    assert (await store.read(list_replays, "prt_owner", Bounds()))[0] == [replay]


async def test_two_processes_on_one_replay_replay_each_letter_once(store: Store, flow: ReplayFlow) -> None:
    owner = await partner(store.db)
    for _ in range(4):
        target = await endpoint(store, owner)
        for n in range(8):
            await dead_delivery(store, target, now_ms=NOW + n)
    replay = await asked(store, rate_per_second=1000.0)
    twin = ReplayFlow(store.replays.running, store.replays.advance)

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


async def waiting(store: Store, target: Endpoint, count: int, *, until: int = LATER + 3_600_000) -> list[str]:
    """Deliveries that have failed once and wait for a time long after."""
    made = [await message_to(store, target, now_ms=NOW + n) for n in range(count)]
    while found := await due(store, NOW + count):
        for delivery in found:
            assert await answered(store, delivery, later(until), now_ms=NOW + count)
    return sorted(made)


PENDING = DeadLetterFilter(state="pending")


async def test_a_replay_of_what_waits_makes_it_due_now_with_its_budget_as_it_is(
    store: Store, flow: ReplayFlow, woken: Woken
) -> None:
    target = await endpoint(store, await partner(store.db))
    made = await waiting(store, target, 3)
    assert await due(store, LATER) == []

    replay = await asked(store, target.partner_id, filter=PENDING)
    woken.forget()
    assert (replay.matched, await flow.step(LATER + 1_000)) == (3, 3)

    found = await due(store, LATER + 1_000)
    assert sorted(one.id for one in found) == made
    assert {(one.attempt, one.attempts_in_budget) for one in found} == {(2, 2)}
    assert woken.rung == ["deliver"]
    done = await store.read(get_replay, replay.id, None)
    assert done is not None
    assert (done.state, done.replayed) == (ReplayState.DONE, 3)


@pytest.mark.parametrize("whose", ["partner's", "endpoint's", "everybody's"])
async def test_what_waits_is_walked_through_piece_by_piece(
    store: Store, flow: ReplayFlow, whose: str
) -> None:
    owner, other = await partner(store.db), await partner(store.db, "other")
    targets = [await endpoint(store, owner) for _ in range(3)] + [await endpoint(store, other)]
    made = {target.id: await waiting(store, target, 4) for target in targets}
    first = targets[1].id
    scopes = {
        "partner's": (owner, PENDING, [one for target in targets[:3] for one in made[target.id]]),
        "endpoint's": (owner, DeadLetterFilter(state="pending", endpoint_id=first), made[first]),
        "everybody's": (None, PENDING, [one for target in targets for one in made[target.id]]),
    }
    partner_id, wanted, expected = scopes[whose]

    replay = await asked(store, partner_id, filter=wanted, rate_per_second=1.0)
    steps = [await flow.step(LATER + n * 1_000) for n in range(len(expected))]

    assert replay.matched == len(expected)
    assert steps == [1] * len(expected)
    assert sorted(one.id for one in await due(store, LATER + 60_000)) == sorted(expected)


async def test_what_is_made_after_a_replay_of_what_waits_is_not_its_business(
    store: Store, flow: ReplayFlow
) -> None:
    target = await endpoint(store, await partner(store.db))
    await waiting(store, target, 1)
    replay = await asked(store, filter=PENDING)
    late = await message_to(store, target, now_ms=LATER + 5)
    for delivery in await due(store, LATER + 5):
        await answered(store, delivery, later(LATER + 3_600_000), now_ms=LATER + 5)

    assert await flow.step(LATER + 1_000) == 1

    assert late not in [one.id for one in await due(store, LATER + 1_000)]
    done = await store.read(get_replay, replay.id, None)
    assert done is not None
    assert done.state is ReplayState.DONE


async def test_a_replay_of_what_waits_opens_what_holds_the_lane(store: Store, flow: ReplayFlow) -> None:
    target = await endpoint(store, await partner(store.db))
    await waiting(store, target, 12)
    broken = await store.read(get_endpoint, target.id, None)
    assert broken is not None
    assert broken.pace is not None
    assert broken.pace.open_until_ms is not None

    await asked(store, filter=DeadLetterFilter(state="pending", endpoint_id=target.id), created_ms=NOW + 20)
    await flow.step(NOW + 1_000)

    assert len(await due(store, NOW + 1_000)) == 1  # half open: one probe


async def test_a_replay_tells_what_became_of_what_it_put_back(store: Store, flow: ReplayFlow) -> None:
    target = await endpoint(store, await partner(store.db))
    for n in range(4):
        await dead_delivery(store, target, now_ms=NOW + n)
    replay = await asked(store)
    await flow.step(LATER + 1_000)

    async def standing() -> tuple[int, int]:
        now = await store.read(get_replay, replay.id, None)
        assert now is not None
        return now.delivered, now.failed_again

    assert await standing() == (0, 0)
    taken, again, dead, under_way = await due(store, LATER + 1_000)
    assert await standing() == (0, 0)
    await answered(store, taken, Delivered(), now_ms=LATER + 1_001)
    await answered(store, again, later(LATER + 2_000), now_ms=LATER + 1_001)
    await answered(store, dead, EXHAUSTED, now_ms=LATER + 1_001)

    assert await standing() == (1, 2)
    (listed,), _ = await store.read(list_replays, None, Bounds())
    assert (listed.delivered, listed.failed_again) == (1, 2)
    await answered(store, under_way, Delivered(), now_ms=LATER + 1_002)
    assert await standing() == (2, 2)


async def test_a_paused_replay_rests_until_it_is_resumed(
    store: Store, flow: ReplayFlow, woken: Woken
) -> None:
    target = await endpoint(store, await partner(store.db))
    for n in range(3):
        await dead_delivery(store, target, now_ms=NOW + n)
    replay = await asked(store)

    paused, changed = await moved(store, replay.id, None, ReplayMove.PAUSE)
    assert (paused.state, changed) == (ReplayState.PAUSED, True)
    assert (await moved(store, replay.id, None, ReplayMove.PAUSE))[1] is False
    assert await flow.step(LATER + 1_000) == 0

    woken.forget()
    resumed, _ = await moved(store, replay.id, None, ReplayMove.RESUME)
    assert (resumed.state, woken.rung) == (ReplayState.RUNNING, ["deliver"])
    assert await flow.step(LATER + 1_000) == 3
    with pytest.raises(Conflict, match="done"):
        await moved(store, replay.id, None, ReplayMove.PAUSE)
    with pytest.raises(Conflict, match="done"):
        await moved(store, replay.id, None, ReplayMove.RESUME)


async def test_a_new_rate_counts_from_now_on(store: Store, flow: ReplayFlow) -> None:
    target = await endpoint(store, await partner(store.db))
    for n in range(4):
        await dead_delivery(store, target, now_ms=NOW + n)
    replay = await asked(store, rate_per_second=0.001)
    assert await flow.step(LATER) == 1

    at(store, LATER + 100)
    changed = await store.write(pace_replay, replay.id, None, 1_000.0)

    assert changed is not None
    assert changed.rate_per_second == 1_000.0
    assert await flow.step(LATER + 200) == 3
    with pytest.raises(Conflict):
        await store.write(pace_replay, replay.id, None, 5.0)
    assert await store.write(pace_replay, replay.id, "prt_other", 5.0) is None


async def test_a_discard_strikes_off_what_matches_and_changes_nothing_else(
    store: Store, flow: ReplayFlow
) -> None:
    owner = await partner(store.db)
    target, gone = [await endpoint(store, owner, events=("task.succeeded",)) for _ in range(2)]
    struck = [await dead_delivery(store, target, now_ms=NOW + n) for n in range(3)]
    deleted = await dead_delivery(store, gone, now_ms=NOW + 4)
    await store.db.write(store.endpoints.states.delete, gone.id, None, NOW)
    task_id = await ended_task(store, owner, End.FAILED)

    discard = await asked(store, owner, deed=Deed.DISCARD, reason="told by the partner")
    assert discard.matched == 4
    assert await flow.step(LATER + 1_000) == 4

    assert await letters(store) == [task_id]
    assert await store.read(get_replay, discard.id, owner) is None
    done = await store.read(get_replay, discard.id, owner, Deed.DISCARD)
    assert done is not None
    assert (done.state, done.replayed, done.reason) == (ReplayState.DONE, 4, "told by the partner")
    for delivery_id in (*struck, deleted):
        left = await store.read(get_delivery, delivery_id, None)
        assert left is not None
        assert left.state is DeliveryState.DEAD
    tasks = await asked(store, owner, deed=Deed.DISCARD, filter=DeadLetterFilter(kind="task"))
    assert (tasks.matched, await flow.step(LATER + 1_000)) == (1, 1)
    assert await letters(store) == []


async def test_one_delivery_replayed_by_itself_is_no_longer_the_replays(
    store: Store, flow: ReplayFlow
) -> None:
    target = await endpoint(store, await partner(store.db))
    delivery_id = await dead_delivery(store, target)
    replay = await asked(store)
    await flow.step(LATER + 1_000)
    (delivery,) = await due(store, LATER + 1_000)
    await answered(store, delivery, EXHAUSTED, now_ms=LATER + 1_001)

    await store.write(replay_delivery, delivery_id, None, LATER + 2_000)

    now = await store.read(get_replay, replay.id, None)
    assert now is not None
    assert (now.replayed, now.failed_again) == (1, 0)
