"""Retention: what is past its time goes, with all that belongs to it, and nothing else."""

from dataclasses import replace

import pytest
from sqlalchemy import Table, func, select

from tests.support.seeds import (
    EXHAUSTED,
    KEEP_ALL,
    NOW,
    answered,
    dead_delivery,
    due,
    endpoint,
    message_to,
    partner,
)
from tests.support.work import ended_task
from webhookd.adapters.entropy import new_id
from webhookd.adapters.store import schema
from webhookd.adapters.store.access import audit
from webhookd.adapters.store.deliveries.dead_letter_moves import discard_dead_letter
from webhookd.adapters.store.deliveries.dead_letters import get_dead_letter, list_dead_letters
from webhookd.adapters.store.deliveries.deliveries import get_delivery
from webhookd.adapters.store.endpoints import secrets
from webhookd.adapters.store.paging import first_id
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Tx
from webhookd.adapters.store.upkeep.retention import Retention, RetentionPolicy
from webhookd.core import ids
from webhookd.core.delivery import Delivered
from webhookd.core.execution import End
from webhookd.core.records import Bounds
from webhookd.core.replay import DeadLetterFilter

DAY = 86_400_000
LATER = NOW + 10 * DAY


def policy(**kept: int) -> RetentionPolicy:
    return replace(KEEP_ALL, **kept)


async def run(store: Store, kept: RetentionPolicy, now_ms: int = LATER, **options: int) -> None:
    """Step until there is nothing more to look at."""
    walker = Retention(store.db, kept, **options)
    while await walker.step(now_ms):
        pass


async def count(store: Store, table: Table) -> int:
    return await store.db.read(
        lambda tx: tx.conn.execute(select(func.count()).select_from(table)).scalar_one()
    )


async def delivered_task(store: Store, partner_id: str, now_ms: int = NOW) -> str:
    """A task that succeeded, with its outcome delivered."""
    task_id = await ended_task(store, partner_id, End.SUCCEEDED, now_ms=now_ms)
    for delivery in await due(store, now_ms):
        assert await answered(store, delivery, Delivered(), now_ms=now_ms)
    return task_id


async def test_an_old_task_goes_with_all_that_belongs_to_it(store: Store) -> None:
    owner = await partner(store.db)
    await endpoint(store, owner)
    await delivered_task(store, owner)

    await run(store, policy(tasks_ms=DAY))

    for table in (
        schema.tasks,
        schema.task_bodies,
        schema.task_tags,
        schema.runs,
        schema.messages,
        schema.deliveries,
        schema.attempts,
    ):
        assert await count(store, table) == 0, table.name


async def test_a_young_task_stays(store: Store) -> None:
    owner = await partner(store.db)
    await endpoint(store, owner)
    task_id = await delivered_task(store, owner)

    await run(store, policy(tasks_ms=DAY), NOW + DAY)

    assert await store.tasks.get(task_id, None) is not None
    assert await count(store, schema.attempts) == 1


async def test_everything_stays_where_nothing_is_set(store: Store) -> None:
    owner = await partner(store.db)
    target = await endpoint(store, owner)
    await delivered_task(store, owner)
    letter_id = await dead_delivery(store, target)

    await run(store, KEEP_ALL)

    assert await store.read(get_dead_letter, letter_id, None) is not None
    assert await count(store, schema.attempts) == 2


@pytest.mark.parametrize("end", [End.FAILED, End.SUCCEEDED])
async def test_a_task_that_somebody_still_waits_for_stays(store: Store, end: End) -> None:
    owner = await partner(store.db)
    if end is End.SUCCEEDED:
        await endpoint(store, owner)  # its delivery is pending
    task_id = await ended_task(store, owner, end)

    await run(store, policy(tasks_ms=DAY))

    assert await store.tasks.get(task_id, None) is not None
    assert await count(store, schema.messages) == 1


async def test_a_task_whose_delivery_is_a_dead_letter_stays_until_somebody_acts(store: Store) -> None:
    owner = await partner(store.db)
    await endpoint(store, owner)
    task_id = await ended_task(store, owner, End.SUCCEEDED)

    for delivery in await due(store, NOW):
        await answered(store, delivery, EXHAUSTED, now_ms=NOW)
    (letter,), _ = await store.read(list_dead_letters, None, DeadLetterFilter(), Bounds())

    await run(store, policy(tasks_ms=DAY))
    assert await store.tasks.get(task_id, None) is not None

    await store.db.write(discard_dead_letter, letter.id, None, LATER)
    await run(store, policy(tasks_ms=DAY))
    assert await store.tasks.get(task_id, None) is None


async def test_dead_letters_go_after_their_own_time_and_then_their_rows_with_the_tasks(store: Store) -> None:
    owner = await partner(store.db)
    await ended_task(store, owner, End.FAILED)
    await dead_delivery(store, await endpoint(store, owner))

    await run(store, policy(dead_letters_ms=20 * DAY))
    assert len((await store.read(list_dead_letters, None, DeadLetterFilter(), Bounds()))[0]) == 2
    await run(store, policy(dead_letters_ms=2 * DAY))
    assert (await store.read(list_dead_letters, None, DeadLetterFilter(), Bounds()))[0] == []
    assert await count(store, schema.tasks) == 1

    await run(store, policy(tasks_ms=2 * DAY))
    assert await count(store, schema.tasks) == 0
    assert await count(store, schema.messages) == 0


async def test_attempt_logs_go_before_their_deliveries(store: Store) -> None:
    owner = await partner(store.db)
    target = await endpoint(store, owner)
    await delivered_task(store, owner)
    letter_id = await dead_delivery(store, target)
    waiting = await message_to(store, target, now_ms=LATER)

    await run(store, policy(attempts_ms=DAY))

    assert await count(store, schema.attempts) == 0
    assert await store.read(get_dead_letter, letter_id, None) is not None
    assert await store.read(get_delivery, waiting, None) is not None


async def test_messages_without_a_task_go_with_their_deliveries(store: Store) -> None:
    target = await endpoint(store, await partner(store.db))
    await message_to(store, target, event="webhookd.test")
    (delivery,) = await due(store, NOW)
    await answered(store, delivery, Delivered(), now_ms=NOW)
    kept = await message_to(store, target, now_ms=NOW + 1)

    await run(store, policy(tasks_ms=DAY))

    assert await store.read(get_delivery, delivery.id, None) is None
    assert await store.read(get_delivery, kept, None) is not None
    assert await count(store, schema.messages) == 1


async def test_audit_entries_and_keys_of_idempotency_go_by_their_age(store: Store) -> None:
    owner = await partner(store.db)

    def write(tx: Tx) -> None:
        for age_days in (1, 3):
            at_ms = LATER - age_days * DAY
            audit.add(tx, actor="key_x", action="a.b", target="t", partner_id=owner, now_ms=at_ms)
            tx.conn.execute(
                schema.idempotency.insert(),
                {
                    "partner_id": owner,
                    "key": f"k{age_days}",
                    "fingerprint": "",
                    "outcome": "{}",
                    "created_ms": at_ms,
                },
            )

    await store.db.write(write)

    await run(store, policy(audit_ms=2 * DAY, idempotency_ms=2 * DAY))

    assert await count(store, schema.audit) == 1
    left = await store.db.read(lambda tx: tx.conn.execute(select(schema.idempotency.c.key)).scalar_one())
    assert left == "k1"


async def test_secrets_go_when_their_overlap_is_over(store: Store) -> None:
    target = await endpoint(store, await partner(store.db))

    def write(tx: Tx) -> None:
        secrets.add(tx, target.partner_id, target.id, scheme="v1", sealed="old", created_ms=NOW)
        secrets.expire_current(tx, target.partner_id, target.id, expires_ms=NOW + DAY)
        secrets.add(tx, target.partner_id, target.id, scheme="v1", sealed="new", created_ms=NOW)

    await store.db.write(write)

    await run(store, KEEP_ALL, NOW + DAY - 1)
    assert await count(store, schema.secrets) == 2
    await run(store, KEEP_ALL, NOW + DAY)
    assert await count(store, schema.secrets) == 1


async def test_rows_that_must_stay_do_not_hold_up_those_behind_them(store: Store) -> None:
    owner = await partner(store.db)
    kept = [await ended_task(store, owner, End.FAILED, now_ms=NOW + n) for n in range(5)]
    gone = [await ended_task(store, owner, End.SUCCEEDED, now_ms=NOW + 10 + n) for n in range(5)]

    await run(store, policy(tasks_ms=DAY), rows_a_step=2)

    assert [task.id for task in await store.tasks.get_many(kept + gone)] == kept


async def test_the_id_of_a_time_comes_before_every_id_made_then(store: Store) -> None:
    boundary = first_id(ids.TASK, NOW)

    assert all(boundary <= new_id(ids.TASK, NOW) < first_id(ids.TASK, NOW + 1) for _ in range(50))


async def test_replays_that_are_over_go_by_their_age_and_those_under_way_stay(store: Store) -> None:
    owner = await partner(store.db)

    def write(tx: Tx) -> None:
        for age_days, state in ((1, "done"), (3, "done"), (3, "cancelled"), (3, "running")):
            at_ms = LATER - age_days * DAY
            tx.conn.execute(
                schema.replays.insert(),
                {
                    "id": new_id(ids.REPLAY, at_ms),
                    "partner_id": owner,
                    "filter": "{}",
                    "dry_run": False,
                    "rate_per_second": 1.0,
                    "state": state,
                    "matched": 1,
                    "replayed": 1,
                    "created_ms": at_ms,
                    "finished_ms": None if state == "running" else at_ms,
                },
            )

    await store.db.write(write)

    await run(store, KEEP_ALL)
    assert await count(store, schema.replays) == 4
    await run(store, policy(replays_ms=2 * DAY))
    left = await store.db.read(lambda tx: tx.conn.execute(select(schema.replays.c.state)).scalars().all())
    assert sorted(left) == ["done", "running"]
