"""Claiming tasks: who goes next, what is held back, and who may write afterwards."""

import asyncio
from collections import Counter

from sqlalchemy import text, update

from tests.support.seeds import NOW, SESSION, partner
from tests.support.work import (
    assert_counters_are_true,
    cancel,
    claim,
    claim_one,
    finish,
    limit,
    look,
    session,
    submit,
    task_of,
)
from webhookd.adapters.store.schema import partners
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tasks.taken import take
from webhookd.core.execution import ClaimTasks, End
from webhookd.core.model import Priority, TaskState


async def _suspects(store: Store, owner: str, count: int) -> list[str]:
    """Tasks that ran together in a process that crashed."""
    ids = await submit(store, *(task_of(owner) for _ in range(count)))
    await session(store, "ses_crashed", lease_until_ms=NOW)
    assert len((await claim(store, count, by="ses_crashed")).tasks) == count
    assert await store.sweeps.rescue(NOW)
    return sorted(ids)


async def test_a_claim_marks_the_task_running_and_counts_an_attempt(store: Store) -> None:
    owner = await partner(store.db)
    (task_id,) = await submit(store, task_of(owner))

    (claimed,) = (await claim(store, now_ms=NOW + 5)).tasks

    task = await look(store, task_id)
    assert (task.state, task.attempts, task.version, task.started_ms) == (TaskState.RUNNING, 1, 2, NOW + 5)
    assert (claimed.id, claimed.attempt, claimed.budget_attempt, claimed.version) == (task_id, 1, 1, 2)
    assert (claimed.claimed_ms, claimed.due_ms) == (NOW + 5, NOW)
    await assert_counters_are_true(store)


async def test_one_that_waits_no_longer_when_it_is_to_be_taken_does_not_count_as_running(
    store: Store,
) -> None:
    owner = await partner(store.db)
    waiting, gone = await submit(store, task_of(owner), task_of(owner))
    await cancel(store, gone)
    request = ClaimTasks(
        session_id=SESSION, queue="default", free=2, idle=False, limits=(limit(),), now_ms=NOW
    )

    (taken,) = await store.db.write(take, request, {waiting: owner, gone: owner})

    assert taken.id == waiting
    await assert_counters_are_true(store)


async def test_no_more_is_claimed_than_there_are_slots(store: Store) -> None:
    owner = await partner(store.db)
    await submit(store, *(task_of(owner) for _ in range(5)))

    first, second, third = [await claim(store, 2) for _ in range(3)]

    assert [len(c.tasks) for c in (first, second, third)] == [2, 2, 1]
    assert (first.again_ms, third.again_ms) == (NOW, None)
    assert len({task.id for c in (first, second, third) for task in c.tasks}) == 5


async def test_processes_that_claim_at_once_never_share_a_task(store: Store) -> None:
    owner = await partner(store.db)
    await submit(store, *(task_of(owner) for _ in range(60)))
    for n in range(6):
        await session(store, f"ses_{n}")

    claims = await asyncio.gather(*(claim(store, 10, by=f"ses_{n}") for n in range(6)))

    assert Counter(task.id for c in claims for task in c.tasks).most_common(1)[0][1] == 1
    assert sum(len(c.tasks) for c in claims) == 60


async def test_partners_take_turns_however_many_tasks_one_has(store: Store) -> None:
    big, small = await partner(store.db, "big"), await partner(store.db, "small")
    await submit(store, *(task_of(big) for _ in range(200)))
    await submit(store, *(task_of(small) for _ in range(3)))

    claimed = (await claim(store, 6)).tasks

    assert Counter(task.partner_id for task in claimed) == {big: 3, small: 3}


async def test_a_partner_that_comes_later_neither_waits_nor_catches_up(store: Store) -> None:
    early, late = await partner(store.db, "early"), await partner(store.db, "late")
    await submit(store, *(task_of(early) for _ in range(100)))
    await claim(store, 40)
    await submit(store, *(task_of(late) for _ in range(100)))

    claimed = (await claim(store, 20)).tasks

    assert abs(Counter(task.partner_id for task in claimed)[late] - 10) <= 1


async def test_a_partner_of_threefold_weight_gets_three_times_as_much(store: Store) -> None:
    heavy, light = await partner(store.db, "heavy"), await partner(store.db, "light")
    await store.db.write(
        lambda tx: tx.conn.execute(update(partners).where(partners.c.id == heavy).values(weight=3))
    )
    await submit(store, *(task_of(heavy) for _ in range(100)))
    await submit(store, *(task_of(light) for _ in range(100)))

    claimed = [task for _ in range(5) for task in (await claim(store, 8)).tasks]

    shares = Counter(task.partner_id for task in claimed)
    assert abs(shares[heavy] - 30) <= 1
    assert sum(shares.values()) == 40


async def test_more_partners_than_one_turn_sees_are_all_served(store: Store) -> None:
    owners = [await partner(store.db, f"p{n}") for n in range(80)]
    for owner in owners:
        await submit(store, task_of(owner), task_of(owner))

    claimed = [task for _ in range(2) for task in (await claim(store, 40)).tasks]

    assert Counter(Counter(task.partner_id for task in claimed).values()) == {1: 80}


async def test_priority_goes_first_then_age(store: Store) -> None:
    owner = await partner(store.db)
    orders = [
        task_of(owner, now_ms=NOW + n, priority=priority)
        for n, priority in enumerate((Priority.LOW, Priority.NORMAL, Priority.HIGH, Priority.NORMAL))
    ]
    await submit(store, *orders)

    claimed = [(await claim_one(store)).id for _ in range(4)]

    assert claimed == [orders[n].id for n in (2, 1, 3, 0)]


async def test_nothing_is_claimed_from_a_paused_queue(store: Store) -> None:
    owner = await partner(store.db)
    await submit(store, task_of(owner), task_of(owner, queue="reports"))

    assert await store.queues.set_paused("default", NOW)
    assert not (await claim(store)).tasks
    assert len((await claim(store, queue="reports")).tasks) == 1
    assert await store.queues.set_paused("default", None)
    assert len((await claim(store)).tasks) == 1
    assert not await store.queues.set_paused("unheard-of", None)


async def test_only_types_this_process_knows_are_claimed(store: Store) -> None:
    owner = await partner(store.db)
    await submit(store, *(task_of(owner, type="other.thing") for _ in range(5)), task_of(owner))

    assert [task.type for task in (await claim(store)).tasks] == ["demo.echo"]
    assert not (await claim(store, queue="unheard-of")).tasks


async def test_a_types_concurrency_holds_over_all_processes(store: Store) -> None:
    owner = await partner(store.db)
    later = (task_of(owner, type="b", now_ms=NOW + 1) for _ in range(2))
    await submit(store, *(task_of(owner) for _ in range(10)), *later)
    await session(store, "ses_other")
    limits = (limit(concurrency=3), limit("b"))

    mine = (await claim(store, 2, limits=limits)).tasks
    theirs = (await claim(store, 10, by="ses_other", limits=limits)).tasks

    assert Counter(task.type for task in (*mine, *theirs)) == {"demo.echo": 3, "b": 2}
    assert not (await claim(store, limits=limits)).tasks
    await finish(store, mine[0])
    assert len((await claim(store, limits=limits)).tasks) == 1


async def test_a_types_rate_holds_over_all_processes(store: Store) -> None:
    owner = await partner(store.db)
    await submit(store, *(task_of(owner) for _ in range(60)))
    await session(store, "ses_other")
    limits = (limit(rate=10),)
    started: list[int] = []

    for now_ms in range(NOW, NOW + 2_001, 50):
        for by in (SESSION, "ses_other"):
            started += [now_ms for _ in (await claim(store, 20, by=by, limits=limits, now_ms=now_ms)).tasks]

    assert started.count(NOW) == 10
    assert len(started) == 30
    # After the first second's worth they come evenly.
    assert all(sum(at <= s < at + 1_000 for s in started) <= 10 for at in range(NOW + 50, NOW + 2_000, 50))


async def test_a_closed_rate_says_when_it_opens_again(store: Store) -> None:
    owner = await partner(store.db)
    await submit(store, *(task_of(owner) for _ in range(3)))
    limits = (limit(rate=0.5),)

    assert len((await claim(store, limits=limits)).tasks) == 1
    again_ms = (await claim(store, limits=limits)).again_ms

    assert again_ms is not None
    assert NOW + 2_000 <= again_ms <= NOW + 2_002
    assert not (await claim(store, limits=limits, now_ms=NOW + 1_999)).tasks
    assert len((await claim(store, limits=limits, now_ms=again_ms)).tasks) == 1


async def test_what_has_expired_is_not_started(store: Store) -> None:
    owner = await partner(store.db)
    late = task_of(owner, expires_ms=NOW + 10)
    await submit(store, late, task_of(owner, expires_ms=NOW + 11))

    (claimed,) = (await claim(store, now_ms=NOW + 10)).tasks

    assert claimed.id != late.id


async def test_a_suspect_is_claimed_only_by_an_idle_process_and_alone(store: Store) -> None:
    owner = await partner(store.db)
    suspects = await _suspects(store, owner, 3)
    (innocent,) = await submit(store, task_of(owner))

    busy = await claim(store, 10)
    assert ([task.id for task in busy.tasks], busy.suspect_waits) == ([innocent], True)
    for suspect in suspects:
        alone = await claim(store, 10, idle=True)
        assert [(task.id, task.suspect, task.attempt) for task in alone.tasks] == [(suspect, True, 1)]
        assert alone.again_ms == NOW, "whatever waits behind a suspect is looked for when it has ended"
    assert not (await claim(store, 10, idle=True)).tasks


async def test_a_suspect_that_ran_well_is_no_suspect_any_more(store: Store) -> None:
    await _suspects(store, await partner(store.db), 2)

    for _ in range(2):
        suspect = await claim_one(store, idle=True)
        await finish(store, suspect, End.RETRY, due_ms=NOW)
    await store.sweeps.fall_due(NOW)

    together = await claim(store)
    assert [task.suspect for task in together.tasks] == [False, False]


async def test_a_suspect_that_was_handed_back_is_still_to_run_alone(store: Store) -> None:
    await _suspects(store, await partner(store.db), 2)

    await finish(store, await claim_one(store, idle=True), End.HANDED_BACK)

    waiting = await claim(store)
    assert (waiting.tasks, waiting.suspect_waits) == ((), True)


async def test_a_session_that_was_taken_back_claims_nothing(store: Store) -> None:
    owner = await partner(store.db)
    await submit(store, task_of(owner))
    await session(store, "ses_frozen", lease_until_ms=NOW)
    await store.sweeps.rescue(NOW)

    assert not (await claim(store, by="ses_frozen")).tasks
    assert len((await claim(store)).tasks) == 1


async def test_a_claim_races_its_own_sessions_end_without_leaving_orphans(store: Store) -> None:
    owner = await partner(store.db)
    await submit(store, *(task_of(owner) for _ in range(20)))
    for n in range(20):
        await session(store, f"ses_{n}", lease_until_ms=NOW)

    claims = (claim(store, 1, by=f"ses_{n}") for n in range(20))
    ends = (store.sweeps.rescue(NOW) for _ in range(20))
    await asyncio.gather(*claims, *ends)
    while await store.sweeps.rescue(NOW):
        pass

    orphans = text(
        "SELECT count(*) FROM tasks WHERE session_id NOT IN (SELECT id FROM sessions) OR state = 'running'"
    )
    assert await store.db.read(lambda tx: tx.conn.execute(orphans).scalar()) == 0
    await assert_counters_are_true(store)
