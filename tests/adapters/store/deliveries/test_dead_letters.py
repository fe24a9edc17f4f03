"""Dead letters in the store: deliveries and tasks in one list, put back to work or discarded."""

from dataclasses import replace
from typing import Any

import pytest

from tests.support.seeds import NOW, answered, dead_delivery, due, endpoint, message_to, partner
from tests.support.work import ended_task
from webhookd.adapters.store.deliveries.dead_letter_moves import discard_dead_letter, replay_dead_letter
from webhookd.adapters.store.deliveries.dead_letters import get_dead_letter, list_dead_letters
from webhookd.adapters.store.deliveries.deliveries import get_delivery
from webhookd.adapters.store.deliveries.letter_groups import HOUR_MS, group_dead_letters
from webhookd.adapters.store.store import Store
from webhookd.core.delivery import Delivered, GiveUp
from webhookd.core.errors import Conflict
from webhookd.core.execution import End
from webhookd.core.model import DeliveryState, TaskState
from webhookd.core.records import Bounds
from webhookd.core.replay import DeadLetterFilter

ANY = DeadLetterFilter()


async def ids(store: Store, partner_id: str | None, **wanted: object) -> list[str]:
    found, _ = await store.read(list_dead_letters, partner_id, DeadLetterFilter(**wanted), Bounds())  # type: ignore[arg-type]  # the test's own words
    return [letter.id for letter in found]


async def test_deliveries_and_tasks_are_listed_together_newest_first(store: Store) -> None:
    owner = await partner(store.db)
    target = await endpoint(store, owner, events=("task.succeeded",))
    made = []
    for n in range(0, 8, 2):
        made.append(await dead_delivery(store, target, now_ms=NOW + n))
        made.append(await ended_task(store, owner, End.FAILED, now_ms=NOW + n + 1))

    seen: list[str] = []
    page = Bounds(limit=3)
    while True:
        found, cursor = await store.read(list_dead_letters, owner, ANY, page)
        seen += [letter.id for letter in found]
        if cursor is None:
            break
        page = replace(page, cursor=cursor)

    assert seen == list(reversed(made))


async def test_letters_of_one_millisecond_are_neither_skipped_nor_repeated(store: Store) -> None:
    owner = await partner(store.db)
    target = await endpoint(store, owner, events=("task.succeeded",))
    made = [await dead_delivery(store, target) for _ in range(3)]
    made += [await ended_task(store, owner, End.FAILED) for _ in range(3)]

    seen: list[str] = []
    page = Bounds(limit=1)
    while True:
        found, cursor = await store.read(list_dead_letters, owner, ANY, page)
        seen += [letter.id for letter in found]
        if cursor is None:
            break
        page = replace(page, cursor=cursor)

    assert sorted(seen) == sorted(made)


async def test_a_letter_says_what_died_and_why(store: Store) -> None:
    owner = await partner(store.db)
    target = await endpoint(store, owner, events=("task.succeeded",))
    delivery_id = await dead_delivery(store, target)
    task_id = await ended_task(store, owner, End.FAILED)

    delivery = await store.read(get_dead_letter, delivery_id, owner)
    task = await store.read(get_dead_letter, task_id, owner)

    assert delivery is not None
    assert (delivery.kind, delivery.reason, delivery.endpoint_id) == ("delivery", "exhausted", target.id)
    assert (delivery.url, delivery.event, delivery.last_error) == (target.url, "task.succeeded", "http_500")
    assert task is not None
    assert (task.kind, task.reason, task.task_id, task.type) == ("task", "task_failed", task_id, "demo.fail")
    assert task.last_error == "no_luck: It did not work."


async def test_the_listing_is_narrowed_by_every_filter(store: Store) -> None:
    owner = await partner(store.db)
    one, other = [await endpoint(store, owner, events=("task.succeeded",)) for _ in range(2)]
    first = await dead_delivery(store, one, now_ms=NOW)
    second = await dead_delivery(store, other, now_ms=NOW + 10)
    failed = await ended_task(store, owner, End.FAILED, now_ms=NOW + 20, task_type="report.pdf")

    assert await ids(store, owner, kind="delivery") == [second, first]
    assert await ids(store, owner, kind="task") == [failed]
    assert await ids(store, owner, endpoint_id=one.id) == [first]
    assert await ids(store, owner, type="report.pdf") == [failed]
    assert await ids(store, owner, reason="exhausted") == [second, first]
    assert await ids(store, owner, since_ms=NOW + 10) == [failed, second]
    assert await ids(store, owner, until_ms=NOW + 10) == [first]
    assert await ids(store, owner, kind="task", endpoint_id=one.id) == []


async def test_partners_see_only_their_own_and_an_admin_sees_all(store: Store) -> None:
    owner = await partner(store.db)
    letter_id = await dead_delivery(store, await endpoint(store, owner))
    task_id = await ended_task(store, await partner(store.db, "other"), End.FAILED)

    assert await ids(store, owner) == [letter_id]
    assert sorted(await ids(store, None)) == sorted([letter_id, task_id])
    assert await store.read(get_dead_letter, task_id, owner) is None
    assert not await store.db.write(discard_dead_letter, task_id, owner, NOW)
    assert await store.db.write(replay_dead_letter, task_id, owner, NOW) is None


async def test_what_was_delivered_is_no_dead_letter(store: Store) -> None:
    target = await endpoint(store, await partner(store.db))
    delivery_id = await message_to(store, target)
    (delivery,) = await due(store, NOW)
    await answered(store, delivery, Delivered(), now_ms=NOW)

    assert await ids(store, None) == []
    with pytest.raises(Conflict):
        await store.db.write(replay_dead_letter, delivery_id, None, NOW)


async def test_a_transient_event_that_failed_is_no_dead_letter(store: Store) -> None:
    target = await endpoint(store, await partner(store.db), events=("task.progress",))
    await message_to(store, target, event="task.progress")
    (delivery,) = await due(store, NOW)
    await answered(
        store, delivery, GiveUp(reason="exhausted", error="http_500", disable_endpoint=False), now_ms=NOW
    )

    assert await ids(store, None) == []


async def test_a_discarded_letter_is_gone_and_its_row_stays(store: Store) -> None:
    owner = await partner(store.db)
    delivery_id = await dead_delivery(store, await endpoint(store, owner, events=("task.succeeded",)))
    task_id = await ended_task(store, owner, End.FAILED)

    for letter_id in (delivery_id, task_id):
        assert await store.db.write(discard_dead_letter, letter_id, owner, NOW + 1)
        assert not await store.db.write(discard_dead_letter, letter_id, owner, NOW + 2)
        with pytest.raises(Conflict):
            await store.db.write(replay_dead_letter, letter_id, owner, NOW + 3)

    assert await ids(store, None) == []
    delivery, task = await store.read(get_delivery, delivery_id, None), await store.tasks.get(task_id, None)
    assert delivery is not None
    assert delivery.state is DeliveryState.DEAD
    assert task is not None
    assert task.state is TaskState.FAILED


async def test_a_replayed_delivery_is_due_at_once_and_no_letter_any_more(store: Store) -> None:
    target = await endpoint(store, await partner(store.db))
    delivery_id = await dead_delivery(store, target)

    replayed = await store.db.write(replay_dead_letter, delivery_id, None, NOW + 1)

    assert replayed == 1
    assert await ids(store, None) == []
    assert [d.id for d in await due(store, NOW + 1)] == [delivery_id]
    with pytest.raises(Conflict):
        await store.db.write(replay_dead_letter, delivery_id, None, NOW + 2)


async def test_a_replayed_task_runs_again_with_fresh_attempts_and_a_new_message(store: Store) -> None:
    owner = await partner(store.db)
    task_id = await ended_task(store, owner, End.FAILED)
    replayed = await store.db.write(replay_dead_letter, task_id, owner, NOW + 1)

    assert replayed == 1
    task = await store.tasks.get(task_id, None)
    assert task is not None
    assert (task.state, task.done, task.error_code) == (TaskState.QUEUED, False, None)
    assert await ids(store, None) == []
    assert {depth.queue: depth.queued for depth in await store.queues.depths()} == {"default": 1}


async def test_a_letter_to_a_deleted_endpoint_cannot_be_replayed(store: Store) -> None:
    target = await endpoint(store, await partner(store.db))
    delivery_id = await dead_delivery(store, target)
    await store.db.write(store.endpoints.states.delete, target.id, None, NOW)

    with pytest.raises(Conflict, match="deleted"):
        await store.db.write(replay_dead_letter, delivery_id, None, NOW + 1)

    assert await ids(store, None) == [delivery_id]


async def test_dead_letters_are_found_and_counted_by_what_went_wrong(store: Store) -> None:
    owner, other = await partner(store.db), await partner(store.db, "other")
    target, unlike, foreign = [await endpoint(store, whose) for whose in (owner, owner, other)]
    first = await dead_delivery(store, target, now_ms=NOW)
    second = await dead_delivery(store, target, now_ms=NOW + HOUR_MS)
    third = await dead_delivery(store, unlike, now_ms=NOW)
    await dead_delivery(store, foreign)
    task_id = await ended_task(store, owner, End.FAILED)

    assert await ids(store, owner, error="http_500") == await ids(store, owner, status="5xx")
    assert sorted(await ids(store, owner, status="500")) == sorted([first, second, third])
    assert await ids(store, owner, status="503") == await ids(store, owner, event="task.failed") == []
    assert await ids(store, owner, error="no_luck") == [task_id]
    assert await ids(store, owner, text="DID NOT work") == [task_id]
    assert await ids(store, owner, text="hooks%") == []

    async def groups(*by: str, **wanted: Any) -> dict[tuple[Any, ...], tuple[int, int, int]]:
        found = await store.read(group_dead_letters, owner, DeadLetterFilter(**wanted), by)
        return {one.key(by): (one.letters, one.first_ms, one.last_ms) for one in found}

    assert await groups("endpoint", "error", kind="delivery") == {
        (target.id, "http_500"): (2, NOW, NOW + HOUR_MS),
        (unlike.id, "http_500"): (1, NOW, NOW),
    }
    hour = NOW // HOUR_MS
    assert await groups("hour") == {(hour,): (3, NOW, NOW), (hour + 1,): (1, NOW + HOUR_MS, NOW + HOUR_MS)}
    assert await groups("kind", "type", error="no_luck") == {("task", "demo.fail"): (1, NOW, NOW)}
    assert await groups("endpoint", status="4xx") == {}
    assert await groups("endpoint", type="no.such") == {}
    assert await groups("endpoint", type="demo.fail")


async def test_dead_letters_without_a_task_among_them_are_counted_by_endpoint(store: Store) -> None:
    owner = await partner(store.db)
    target = await endpoint(store, owner)
    await dead_delivery(store, target)

    found = await store.read(group_dead_letters, owner, DeadLetterFilter(), ("endpoint",))

    assert [(one.endpoint, one.letters) for one in found] == [(target.id, 1)]
