"""Deliveries in the store: reading, listing, cancelling, delivering again."""

from dataclasses import replace

from tests.support.seeds import (
    EXHAUSTED,
    NOW,
    SESSION,
    answered,
    dead_delivery,
    due,
    endpoint,
    later,
    message_to,
    partner,
)
from webhookd.adapters.store.deliveries.deliveries import (
    cancel_delivery,
    get_delivery,
    get_history,
    replay_delivery,
)
from webhookd.adapters.store.deliveries.delivery_listings import list_deliveries
from webhookd.adapters.store.store import Store
from webhookd.core.delivery import Delivered, Verdict
from webhookd.core.dispatch import Handed
from webhookd.core.listing import DeliveryFilter
from webhookd.core.model import DeliveryState
from webhookd.core.records import Bounds

MINUTE = 60_000


async def test_a_foreign_delivery_is_like_an_unknown_one(store: Store) -> None:
    target = await endpoint(store, await partner(store.db))
    delivery_id = await message_to(store, target)

    assert await store.read(get_delivery, delivery_id, "prt_other") is None
    assert await store.read(get_history, delivery_id, "prt_other") is None
    assert await store.db.write(cancel_delivery, delivery_id, "prt_other", NOW) is None
    assert await store.db.write(replay_delivery, delivery_id, "prt_other", NOW) is None
    assert (await store.read(list_deliveries, "prt_other", DeliveryFilter(), Bounds()))[0] == []
    found = await store.read(get_delivery, delivery_id, None)
    assert found is not None
    assert found.state is DeliveryState.PENDING


async def test_the_history_has_every_attempt_and_the_body_that_was_signed(store: Store) -> None:
    target = await endpoint(store, await partner(store.db), header_names=("x-key",))
    delivery_id = await message_to(store, target, body='{"type":"task.failed","data":{"b":1,"a":2}}')
    verdicts: tuple[Verdict, ...] = (later(NOW + MINUTE), Delivered())
    for number, verdict in enumerate(verdicts):
        (delivery,) = await due(store, NOW + number * MINUTE)
        assert await answered(store, delivery, verdict, now_ms=NOW + number * MINUTE)

    history = await store.read(get_history, delivery_id, target.partner_id)

    assert history is not None
    assert [(a.number, a.status, a.at_ms) for a in history.attempts] == [
        (1, 500, NOW),
        (2, 200, NOW + MINUTE),
    ]
    assert history.attempts[0].headers == (("content-type", "text/plain"),)
    assert history.body == '{"type":"task.failed","data":{"b":1,"a":2}}'
    assert history.header_names == ("x-key",)
    assert history.delivery.state is DeliveryState.DELIVERED


async def test_the_listing_pages_newest_first_without_gaps_or_repeats(store: Store) -> None:
    target = await endpoint(store, await partner(store.db))
    made = [await message_to(store, target, now_ms=NOW + n) for n in range(7)]

    seen: list[str] = []
    page = Bounds(limit=3)
    while True:
        found, cursor = await store.read(list_deliveries, target.partner_id, DeliveryFilter(), page)
        seen += [delivery.id for delivery in found]
        if cursor is None:
            break
        page = replace(page, cursor=cursor)

    assert seen == sorted(made, reverse=True)


async def test_the_listing_is_narrowed_by_state_endpoint_and_time(store: Store) -> None:
    owner = await partner(store.db)
    one, other = await endpoint(store, owner), await endpoint(store, owner)
    early = await dead_delivery(store, one, now_ms=NOW)
    late = await message_to(store, one, now_ms=NOW + MINUTE)
    await message_to(store, other, now_ms=NOW + MINUTE)

    async def ids(**wanted: object) -> list[str]:
        wanted_here = DeliveryFilter(endpoint_id=one.id, **wanted)  # type: ignore[arg-type]  # the test's own words
        found, _ = await store.read(list_deliveries, owner, wanted_here, Bounds())
        return [delivery.id for delivery in found]

    assert await ids() == [late, early]
    assert await ids(state=DeliveryState.DEAD) == [early]
    assert await ids(since_ms=NOW + 1) == [late]
    assert await ids(until_ms=NOW + MINUTE) == [early]
    assert await ids(since_ms=NOW, until_ms=NOW) == []


async def test_a_cancelled_delivery_is_never_sent(store: Store) -> None:
    target = await endpoint(store, await partner(store.db))
    delivery_id = await message_to(store, target)

    moved = await store.db.write(cancel_delivery, delivery_id, target.partner_id, NOW)

    assert moved is not None
    assert (moved.changed, moved.delivery.state, moved.delivery.due_ms) == (
        True,
        DeliveryState.CANCELLED,
        None,
    )
    assert await due(store, NOW + MINUTE) == []


async def test_a_delivery_cancelled_while_under_way_stays_cancelled_and_frees_its_lane(store: Store) -> None:
    target = await endpoint(store, await partner(store.db), ordering="fifo")
    first, second = await message_to(store, target), await message_to(store, target, now_ms=NOW + 1)
    (delivery,) = await due(store, NOW + 1)
    assert delivery.id == first

    moved = await store.db.write(cancel_delivery, first, None, NOW + 2)
    await answered(store, delivery, later(NOW + MINUTE), now_ms=NOW + 3)

    assert moved is not None
    kept = await store.read(get_delivery, first, None)
    assert kept is not None
    assert (kept.state, kept.in_flight) == (DeliveryState.CANCELLED, False)
    assert [d.id for d in await due(store, NOW + 4)] == [second]


async def test_what_is_replayed_while_a_cancelled_attempt_is_under_way_waits_for_its_end(
    store: Store,
) -> None:
    owner = await partner(store.db)
    for verdict in (EXHAUSTED, later(NOW + 60 * MINUTE)):
        target = await endpoint(store, owner, retry_max_attempts=2)
        delivery_id = await message_to(store, target)
        (first,) = await due(store, NOW)
        await store.db.write(cancel_delivery, delivery_id, None, NOW + 1)

        moved = await store.db.write(replay_delivery, delivery_id, None, NOW + 2)
        await store.sweeps.heal(NOW + 3)

        assert moved is not None
        assert (moved.changed, moved.delivery.state, moved.delivery.in_flight) == (
            True,
            DeliveryState.PENDING,
            True,
        )
        assert await due(store, NOW + 4) == []
        assert await answered(store, first, verdict, now_ms=NOW + 5)
        (second,) = await due(store, NOW + 5)
        assert (second.id, second.attempt, second.attempts_in_budget) == (delivery_id, 2, 1)
        assert await answered(store, second, Delivered(), now_ms=NOW + 6)
        history = await store.read(get_history, delivery_id, None)
        assert history is not None
        assert [attempt.number for attempt in history.attempts] == [1, 2]


async def test_a_success_of_a_cancelled_attempt_is_that_of_the_replay_asked_for_meanwhile(
    store: Store,
) -> None:
    target = await endpoint(store, await partner(store.db))
    delivery_id = await message_to(store, target)
    (delivery,) = await due(store, NOW)
    await store.db.write(cancel_delivery, delivery_id, None, NOW + 1)
    await store.db.write(replay_delivery, delivery_id, None, NOW + 2)

    await answered(store, delivery, Delivered(), now_ms=NOW + 3)

    kept = await store.read(get_delivery, delivery_id, None)
    assert kept is not None
    assert (kept.state, kept.delivered_ms) == (DeliveryState.DELIVERED, NOW + 3)
    assert await due(store, NOW + MINUTE) == []


async def test_what_was_under_way_through_cancel_disable_replay_and_enable_is_sent_once_more_after_it(
    store: Store,
) -> None:
    target = await endpoint(store, await partner(store.db))
    delivery_id = await message_to(store, target)
    (delivery,) = await due(store, NOW)
    await store.db.write(cancel_delivery, delivery_id, None, NOW)
    await store.db.write(store.endpoints.states.disable, target.id, None, NOW)
    await store.db.write(replay_delivery, delivery_id, None, NOW)
    await store.db.write(store.endpoints.states.enable, target.id, None, NOW)
    await store.endpoints.settle(target.id, NOW)

    await store.sweeps.heal(NOW + 1)

    assert await due(store, NOW + 1) == []
    assert await answered(store, delivery, EXHAUSTED, now_ms=NOW + 2)
    assert [again.attempt for again in await due(store, NOW + 2)] == [2]


async def test_what_was_not_sent_after_all_leaves_the_budget_of_the_replay_whole(store: Store) -> None:
    target = await endpoint(store, await partner(store.db), retry_max_attempts=1)
    delivery_id = await message_to(store, target)
    (delivery,) = await due(store, NOW)
    await store.db.write(cancel_delivery, delivery_id, None, NOW)
    await store.db.write(replay_delivery, delivery_id, None, NOW)

    await store.lanes.hand_back(Handed(delivery=delivery, session_id=SESSION, now_ms=NOW + 1))

    (again,) = await due(store, NOW + 1)
    assert (again.attempt, again.attempts_in_budget) == (1, 1)


async def test_cancelling_the_head_of_a_line_lets_the_next_one_go_at_once(store: Store) -> None:
    target = await endpoint(store, await partner(store.db), ordering="fifo")
    first, second = await message_to(store, target), await message_to(store, target, now_ms=NOW + 1)
    (delivery,) = await due(store, NOW + 1)
    await answered(store, delivery, later(NOW + 60 * MINUTE), now_ms=NOW + 1)
    assert await due(store, NOW + 2) == []

    await store.db.write(cancel_delivery, first, None, NOW + 3)

    assert [d.id for d in await due(store, NOW + 3)] == [second]


async def test_what_has_ended_cannot_be_cancelled(store: Store) -> None:
    target = await endpoint(store, await partner(store.db))
    delivery_id = await dead_delivery(store, target)

    moved = await store.db.write(cancel_delivery, delivery_id, None, NOW)

    assert moved is not None
    assert (moved.changed, moved.delivery.state) == (False, DeliveryState.DEAD)


async def test_a_replay_sends_the_same_message_with_a_fresh_budget_and_numbers_that_go_on(
    store: Store,
) -> None:
    target = await endpoint(store, await partner(store.db), retry_max_attempts=2)
    delivery_id = await message_to(store, target)
    (first,) = await due(store, NOW)
    await answered(store, first, EXHAUSTED, now_ms=NOW)

    moved = await store.db.write(replay_delivery, delivery_id, target.partner_id, NOW + 1)

    assert moved is not None
    assert (moved.changed, moved.delivery.state) == (True, DeliveryState.PENDING)
    assert moved.delivery.dead_reason is None
    (again,) = await due(store, NOW + 1)
    assert (again.id, again.message_id, again.body) == (first.id, first.message_id, first.body)
    assert (again.attempt, again.attempts_in_budget) == (2, 1)


async def test_a_replay_goes_through_an_open_breaker_and_a_long_hold(store: Store) -> None:
    target = await endpoint(store, await partner(store.db))
    for n in range(12):
        await message_to(store, target, now_ms=NOW + n)
    while deliveries := await due(store, NOW + 20):
        for delivery in deliveries:
            await answered(store, delivery, EXHAUSTED, now_ms=NOW + 20)
    dead, _ = await store.read(list_deliveries, None, DeliveryFilter(state=DeliveryState.DEAD), Bounds())
    assert len(dead) >= 10

    await store.db.write(replay_delivery, dead[0].id, None, NOW + 21)

    assert len(await due(store, NOW + 21)) == 1


async def test_a_delivery_replayed_twice_is_sent_once(store: Store) -> None:
    target = await endpoint(store, await partner(store.db))
    delivery_id = await dead_delivery(store, target)

    first = await store.db.write(replay_delivery, delivery_id, None, NOW + 1)
    second = await store.db.write(replay_delivery, delivery_id, None, NOW + 2)

    assert first is not None
    assert second is not None
    assert (first.changed, second.changed) == (True, True)
    assert first.delivery == second.delivery
    assert len(await due(store, NOW + 3)) == 1


async def test_a_replay_to_a_disabled_endpoint_is_parked_and_to_a_deleted_one_refused(store: Store) -> None:
    target = await endpoint(store, await partner(store.db))
    delivery_id = await dead_delivery(store, target)
    states = store.endpoints.states
    await store.db.write(states.disable, target.id, None, NOW)

    parked = await store.db.write(replay_delivery, delivery_id, None, NOW + 1)
    await store.db.write(states.delete, target.id, None, NOW + 2)
    gone = await store.db.write(replay_delivery, delivery_id, None, NOW + 3)

    assert parked is not None
    assert parked.delivery.state is DeliveryState.PARKED
    assert gone is not None
    assert (gone.changed, gone.endpoint_deleted) == (False, True)
    assert gone.delivery.dead_reason == "endpoint_deleted"
