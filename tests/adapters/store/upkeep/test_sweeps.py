"""Repairs: crashes, schedules, expiry, lost sight of, counters; all found by index, all safe to run twice."""

import asyncio
import random
from typing import Any

from sqlalchemy import select, update

from tests.support.seeds import NOW, SESSION, Woken, answered, due, endpoint, message_to, partner
from tests.support.work import (
    FAR,
    INLINE,
    assert_counters_are_true,
    cancel,
    claim,
    claim_one,
    deliveries_of,
    events_of,
    finish,
    kept_depths,
    limit,
    look,
    replay,
    session,
    submit,
    task_of,
)
from webhookd.adapters.store.deliveries.dead_letters import get_dead_letter
from webhookd.adapters.store.deliveries.deliveries import get_delivery
from webhookd.adapters.store.lanes.taking import UNDER_WAY_MOST_MS
from webhookd.adapters.store.schema import depths, lanes
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Policy
from webhookd.adapters.store.upkeep.rescue import OVERDUE_MS
from webhookd.adapters.vault import Vault, generate_key
from webhookd.core.delivery import Delivered
from webhookd.core.execution import End
from webhookd.core.model import DELIVER_QUEUE, TaskState

SECOND = 1_000


async def _crash(store: Store, *, now_ms: int = NOW, by: str = SESSION) -> None:
    """This session's process ends without a word, and the sweep notices."""
    await store.sessions.end(by)
    assert await store.sweeps.rescue(now_ms)
    await session(store, by)


async def _lane(store: Store, lane_id: str) -> Any:
    return await store.db.read(lambda tx: tx.conn.execute(select(lanes).where(lanes.c.id == lane_id)).one())


async def test_a_crash_alone_uses_up_an_attempt_until_the_task_is_a_dead_letter(
    store: Store, woken: Woken
) -> None:
    owner = await partner(store.db)
    (task_id,) = await submit(store, task_of(owner, max_attempts=3, **INLINE))

    for number in (1, 2, 3):
        task = await claim_one(store, idle=True)
        assert (task.attempt, task.suspect) == (number, number > 1)
        woken.forget()
        await _crash(store, now_ms=NOW + number)
        assert [signal.task_id for signal in woken.told] == [task_id]
        assert woken.rung == ["default" if number < 3 else DELIVER_QUEUE]

    dead = await look(store, task_id)
    assert (dead.state, dead.error_code, dead.attempts) == (TaskState.FAILED, "worker_crashed", 3)
    assert await events_of(store, task_id) == ["task.failed"]
    letter = await store.read(get_dead_letter, task_id, owner)
    assert letter is not None
    assert (letter.kind, letter.reason) == ("task", "worker_crashed")
    assert [run.outcome for run in await store.tasks.runs(task_id)] == ["crashed"] * 3
    await assert_counters_are_true(store)


async def test_a_crash_of_several_uses_up_no_attempt_and_makes_all_suspects(store: Store) -> None:
    owner = await partner(store.db)
    ids = await submit(store, *(task_of(owner, max_attempts=1) for _ in range(3)))
    await claim(store, 3)

    await _crash(store)

    for task_id in ids:
        task = await look(store, task_id)
        assert (task.state, task.attempts) == (TaskState.QUEUED, 0)
    assert (await claim(store)).suspect_waits
    await assert_counters_are_true(store)


async def test_the_one_task_that_overran_its_time_is_charged_and_those_beside_it_are_not(
    store: Store,
) -> None:
    owner = await partner(store.db)
    (late,) = await submit(store, task_of(owner, max_attempts=1, **INLINE))
    (early,) = await submit(store, task_of(owner, type="short", max_attempts=1))
    await claim_one(store, now_ms=NOW)
    await claim(store, 1, limits=(limit("short"),), now_ms=NOW + 30 * SECOND)

    await store.sessions.end(SESSION, overran_ms=NOW + 62 * SECOND)
    await store.sweeps.rescue(NOW + 63 * SECOND)

    task = await look(store, late)
    assert (task.state, task.error_code, task.attempts) == (TaskState.FAILED, "timeout", 1)
    assert await events_of(store, late) == ["task.failed"]
    beside = await look(store, early)
    assert (beside.state, beside.attempts) == (TaskState.QUEUED, 0)
    assert [run.outcome for run in await store.tasks.runs(early)] == ["handed_back"]
    await session(store, SESSION)
    (again,) = (await claim(store, 1, limits=(limit("short"),), now_ms=NOW + 64 * SECOND)).tasks
    assert (again.id, again.suspect) == (early, False)
    await assert_counters_are_true(store)


async def test_where_several_overran_their_time_each_is_tried_again_alone(store: Store) -> None:
    owner = await partner(store.db)
    ids = await submit(store, *(task_of(owner, max_attempts=1) for _ in range(2)))
    await claim(store, 2)

    await store.sessions.end(SESSION, overran_ms=NOW + 62 * SECOND)
    await store.sweeps.rescue(NOW + 63 * SECOND)

    assert {(await look(store, one)).state for one in ids} == {TaskState.QUEUED}
    await session(store, SESSION)
    first = await claim_one(store, idle=True, now_ms=NOW + 70 * SECOND)
    assert first.suspect
    await store.sessions.end(SESSION, overran_ms=NOW + 132 * SECOND)
    await store.sweeps.rescue(NOW + 133 * SECOND)
    assert ((await look(store, first.id)).state, (await look(store, first.id)).error_code) == (
        TaskState.FAILED,
        "timeout",
    )
    await assert_counters_are_true(store)


async def test_a_task_cancelled_before_its_worker_crashed_is_cancelled(store: Store) -> None:
    owner = await partner(store.db)
    (task_id,) = await submit(store, task_of(owner))
    await claim_one(store)
    await cancel(store, task_id, owner)

    await _crash(store)

    assert (await look(store, task_id)).state is TaskState.CANCELLED
    assert await events_of(store, task_id) == ["task.cancelled"]
    await assert_counters_are_true(store)


async def test_a_running_lease_is_left_alone(store: Store) -> None:
    owner = await partner(store.db)
    await submit(store, task_of(owner))
    task = await claim_one(store)

    assert not await store.sweeps.rescue(NOW)
    assert not (await finish(store, task)).lost


async def test_a_session_can_be_renewed_until_it_was_taken_back(store: Store) -> None:
    await session(store, "ses_late", lease_until_ms=NOW)
    assert await store.sessions.renew("ses_late", NOW + SECOND)
    assert not await store.sweeps.rescue(NOW)
    assert await store.sweeps.rescue(NOW + SECOND)
    assert not await store.sessions.renew("ses_late", FAR)


async def test_two_sweeps_at_once_take_each_row_back_once(store: Store, woken: Woken) -> None:
    owner = await partner(store.db)
    await submit(store, *(task_of(owner) for _ in range(12)))
    for n in range(4):
        await session(store, f"ses_{n}", lease_until_ms=NOW)
        await claim(store, 3, by=f"ses_{n}")

    woken.forget()
    await asyncio.gather(*(store.sweeps.rescue(NOW) for _ in range(8)))
    while await store.sweeps.rescue(NOW):
        pass

    seen = [signal.task_id for signal in woken.told]
    assert (len(seen), len(set(seen))) == (12, 12)
    await assert_counters_are_true(store)


async def test_schedules_fall_due_in_time_and_not_before(store: Store, woken: Woken) -> None:
    owner = await partner(store.db)
    soon, later = await submit(
        store,
        task_of(owner, scheduled=True, due_ms=NOW + SECOND),
        task_of(owner, scheduled=True, due_ms=NOW + 2 * SECOND, queue="reports"),
    )
    assert (await store.sweeps.waiting()).next_task_ms == NOW + SECOND

    woken.forget()
    await store.sweeps.fall_due(NOW + SECOND - 1)
    assert woken == Woken()

    await store.sweeps.fall_due(NOW + SECOND)

    assert [signal.task_id for signal in woken.told] == [soon]
    assert woken.rung == ["default"]
    assert (await look(store, later)).state is TaskState.SCHEDULED
    waiting = await store.sweeps.waiting()
    assert waiting.queues == {"default"}
    assert waiting.next_task_ms == NOW + 2 * SECOND
    await assert_counters_are_true(store)


async def test_what_did_not_start_in_time_expires_and_what_runs_does_not(store: Store, woken: Woken) -> None:
    owner = await partner(store.db)
    running, queued, scheduled = await submit(
        store,
        task_of(owner, expires_ms=NOW + SECOND, **INLINE),
        task_of(owner, now_ms=NOW + 1, expires_ms=NOW + SECOND, **INLINE),
        task_of(owner, expires_ms=NOW + SECOND, scheduled=True, due_ms=FAR, **INLINE),
    )
    await claim(store, 1)

    woken.forget()
    await store.sweeps.expire(NOW + SECOND - 1)
    assert woken == Woken()
    await store.sweeps.expire(NOW + SECOND)
    assert {signal.task_id for signal in woken.told} == {queued, scheduled}

    for task_id in (queued, scheduled):
        task = await look(store, task_id)
        assert (task.state, task.error_code, task.finished_ms) == (TaskState.EXPIRED, "expired", NOW + SECOND)
        assert [d.event for d in await deliveries_of(store, task_id)] == ["task.expired"]
    assert (await look(store, running)).state is TaskState.RUNNING
    assert (await store.sweeps.waiting()).next_expiry_ms is None
    await assert_counters_are_true(store)


async def test_a_claim_whose_answer_was_lost_is_taken_back_after_its_deadline(
    store: Store, woken: Woken
) -> None:
    owner = await partner(store.db)
    (task_id,) = await submit(store, task_of(owner, max_attempts=2))
    over_ms = NOW + 60_000 + OVERDUE_MS + 1
    await claim_one(store)

    woken.forget()
    await store.sweeps.overdue(over_ms - 1)
    assert woken == Woken()
    await store.sweeps.overdue(over_ms)
    assert woken.rung == ["default"]
    task = await claim_one(store, now_ms=over_ms)
    assert (task.attempt, task.suspect) == (2, False)
    await store.sweeps.overdue(2 * over_ms - NOW)

    dead = await look(store, task_id)
    assert (dead.state, dead.error_code) == (TaskState.FAILED, "timeout")
    await assert_counters_are_true(store)


async def test_a_delivery_nobody_was_heard_of_is_sent_again(store: Store, woken: Woken) -> None:
    target = await endpoint(store, await partner(store.db), ordering="fifo")
    delivery_id = await message_to(store, target)
    (lost,) = await due(store, NOW)

    woken.forget()
    await store.sweeps.overdue(NOW + UNDER_WAY_MOST_MS)
    assert woken == Woken()
    late_ms = NOW + UNDER_WAY_MOST_MS + 1
    await store.sweeps.overdue(late_ms)
    assert woken.rung == [DELIVER_QUEUE]

    (again,) = await due(store, late_ms)
    assert (again.id, again.attempt) == (delivery_id, 2)
    assert not await answered(store, lost, Delivered(), now_ms=late_ms), "the token is stale"
    assert await answered(store, again, Delivered(), now_ms=late_ms)
    assert (await _lane(store, target.id)).in_flight == 0


async def test_deliveries_of_a_crashed_process_are_sent_again_at_once(store: Store) -> None:
    owner = await partner(store.db)
    plain = await endpoint(store, owner)
    first, second = await message_to(store, plain), await message_to(store, plain)
    assert len(await due(store, NOW)) == 2

    await _crash(store, now_ms=NOW + SECOND)

    again = await due(store, NOW + SECOND)
    assert {d.id for d in again} == {first, second}
    assert {d.attempt for d in again} == {2}, "the attempt may have arrived, so it stays on record"
    assert (await _lane(store, plain.id)).in_flight == 2


async def test_what_is_only_sent_once_is_not_sent_again_after_a_crash(store: Store) -> None:
    target = await endpoint(store, await partner(store.db), events=("task.progress",))
    delivery_id = await message_to(store, target, event="task.progress")
    assert len(await due(store, NOW)) == 1

    await _crash(store, now_ms=NOW + SECOND)

    assert await due(store, NOW + SECOND) == []
    assert await store.read(get_dead_letter, delivery_id, None) is None
    assert (await _lane(store, target.id)).in_flight == 0


async def test_after_a_crash_a_closed_endpoints_deliveries_follow_their_endpoint(store: Store) -> None:
    owner = await partner(store.db)
    disabled, deleted = await endpoint(store, owner), await endpoint(store, owner)
    parked, dead = await message_to(store, disabled), await message_to(store, deleted)
    assert len(await due(store, NOW)) == 2
    states = store.endpoints.states
    await store.db.write(states.disable, disabled.id, owner, NOW)
    await store.db.write(states.delete, deleted.id, owner, NOW)

    await _crash(store, now_ms=NOW + SECOND)

    found = [await store.read(get_delivery, i, None) for i in (parked, dead)]
    assert [d and (d.state.value, d.dead_reason) for d in found] == [
        ("parked", None),
        ("dead", "endpoint_deleted"),
    ]
    assert await due(store, NOW + SECOND) == []


async def test_a_wrong_in_flight_count_is_healed(store: Store) -> None:
    target = await endpoint(store, await partner(store.db), max_concurrency=2)
    for _ in range(3):
        await message_to(store, target)
    assert len(await due(store, NOW)) == 2
    await store.db.write(lambda tx: tx.conn.execute(update(lanes).values(in_flight=7)))

    await store.sweeps.heal(NOW)

    assert (await _lane(store, target.id)).in_flight == 2


async def test_the_counters_of_ended_processes_are_folded_without_a_loss(
    store: Store, migrated_url: str
) -> None:
    owner = await partner(store.db)
    ended = await Store.open(migrated_url, Vault([generate_key()]), Policy(session_id="ses_ended"))
    await submit(ended, *(task_of(owner, queue=q) for q in ("a", "b", "b")))
    await submit(store, task_of(owner, queue="b"))
    await claim(ended, queue="b", free=1)
    await ended.close()
    before = await kept_depths(store)

    await asyncio.gather(store.sweeps.heal(NOW), submit(store, task_of(owner, queue="c")))
    await store.sweeps.heal(NOW)

    shards = set(await store.db.read(lambda tx: tx.conn.execute(select(depths.c.shard)).scalars()))
    assert shards <= {"", SESSION}
    assert {q: d for q, d in (await kept_depths(store)).items() if q != "c"} == before
    await assert_counters_are_true(store)


async def test_an_idle_sweep_finds_nothing(store: Store, woken: Woken) -> None:
    waiting = await store.sweeps.waiting()

    assert (waiting.queues, waiting.next_task_ms, waiting.next_expiry_ms, waiting.next_lane_ms) == (
        frozenset(),
        None,
        None,
        None,
    )
    for repair in (store.sweeps.rescue, store.sweeps.fall_due, store.sweeps.expire, store.sweeps.overdue):
        assert not await repair(NOW)
    assert woken == Woken()


async def test_counters_stay_true_through_anything(store: Store) -> None:
    dice = random.Random(4711)
    owners = [await partner(store.db, f"p{n}") for n in range(2)]
    held: list[Any] = []
    now_ms = NOW

    async def crash() -> None:
        held.clear()
        await _crash(store, now_ms=now_ms)

    async def cancel_one() -> None:
        await cancel(store, dice.choice(known), now_ms=now_ms)

    async def end() -> None:
        if held:
            task = held.pop(dice.randrange(len(held)))
            await finish(
                store, task, dice.choice(list(End)), due_ms=now_ms + dice.randrange(500), now_ms=now_ms
            )

    async def start() -> None:
        queue = dice.choice(("default", "reports"))
        limits = (limit(concurrency=6),)
        held.extend((await claim(store, 3, queue=queue, idle=not held, limits=limits, now_ms=now_ms)).tasks)

    async def add() -> None:
        scheduled = dice.random() < 0.3
        new = task_of(
            dice.choice(owners),
            queue=dice.choice(("default", "reports")),
            scheduled=scheduled,
            due_ms=now_ms + 300 * scheduled,
            expires_ms=dice.choice((None, now_ms + 400)),
            max_attempts=2,
        )
        known.extend(await submit(store, new))

    async def repair() -> None:
        await store.sweeps.fall_due(now_ms)
        await store.sweeps.expire(now_ms)
        await store.sweeps.heal(now_ms)

    async def replay_one() -> None:
        await replay(store, dice.choice(known), now_ms=now_ms)

    known: list[str] = []
    await add()
    for _ in range(120):
        now_ms += dice.randrange(100)
        await dice.choice((add, add, start, start, end, end, cancel_one, crash, repair, replay_one))()

    await assert_counters_are_true(store)
