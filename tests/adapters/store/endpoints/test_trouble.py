"""What partners are told of endpoints in trouble and of dead deliveries, and how seldom."""

from typing import Any

import orjson
import pytest

from tests.support.seeds import EXHAUSTED, NOW, answered, due, endpoint, later, message_to, partner
from webhookd.adapters.store.deliveries.dead_digests import PAUSE_MS, tell_of_dead
from webhookd.adapters.store.endpoints.endpoint_states import EndpointStates
from webhookd.adapters.store.endpoints.endpoint_trouble import tell_of_failing
from webhookd.adapters.store.store import Store
from webhookd.core.delivery import Delivered, Verdict
from webhookd.core.records import Endpoint

HOUR = 3_600_000
HEARS = ("endpoint.failing", "endpoint.recovered", "delivery.dead")


async def pair(store: Store) -> tuple[Endpoint, Endpoint]:
    """An endpoint, and another of its partner that hears of its trouble."""
    owner = await partner(store.db)
    return await endpoint(store, owner), await endpoint(store, owner, events=HEARS)


async def told(store: Store, hears: Endpoint, now_ms: int) -> list[dict[str, Any]]:
    """What the other endpoint is sent now; it takes it."""
    events = []
    for delivery in await due(store, now_ms):
        if delivery.target.endpoint_id == hears.id:
            assert await answered(store, delivery, Delivered(), now_ms=now_ms)
            events.append(orjson.loads(delivery.body))
    return events


async def tried(store: Store, target: Endpoint, verdict: Verdict, now_ms: int) -> str:
    """The id of a delivery that was made and tried once; what waited for others is left."""
    delivery_id = await message_to(store, target, now_ms=now_ms)
    for delivery in await due(store, now_ms):
        kept = delivery.id == delivery_id
        assert await answered(store, delivery, verdict if kept else later(now_ms), now_ms=now_ms)
    return delivery_id


async def test_an_endpoint_without_a_success_for_an_hour_is_told_of_once_and_again_when_well(
    store: Store,
) -> None:
    target, hears = await pair(store)
    await tried(store, target, later(NOW + 100 * HOUR), NOW)

    await store.write(tell_of_failing, NOW + HOUR - 1)
    assert await told(store, hears, NOW + HOUR - 1) == []
    await store.write(tell_of_failing, NOW + HOUR)
    (failing,) = await told(store, hears, NOW + HOUR)
    assert (failing["type"], failing["data"]["id"]) == ("endpoint.failing", target.id)
    assert failing["data"]["failing_since"] is not None
    await store.write(tell_of_failing, NOW + 2 * HOUR)
    await tried(store, target, later(NOW + 100 * HOUR), NOW + 2 * HOUR)
    assert await told(store, hears, NOW + 2 * HOUR) == []

    await tried(store, target, Delivered(), NOW + 3 * HOUR)
    (recovered,) = await told(store, hears, NOW + 3 * HOUR)
    assert (recovered["type"], recovered["data"]["id"]) == ("endpoint.recovered", target.id)
    assert recovered["data"]["failing_since"] is None
    await tried(store, target, Delivered(), NOW + 3 * HOUR + 1)
    assert await told(store, hears, NOW + 3 * HOUR + 1) == []

    await tried(store, target, later(NOW + 100 * HOUR), NOW + 4 * HOUR)
    await store.write(tell_of_failing, NOW + 5 * HOUR)
    assert [one["type"] for one in await told(store, hears, NOW + 5 * HOUR)] == ["endpoint.failing"]


async def test_an_endpoint_that_was_well_again_before_it_was_told_of_makes_no_noise(store: Store) -> None:
    target, hears = await pair(store)
    await tried(store, target, later(NOW + 100 * HOUR), NOW)
    await tried(store, target, Delivered(), NOW + HOUR - 1)
    await store.write(tell_of_failing, NOW + 2 * HOUR)
    assert await told(store, hears, NOW + 2 * HOUR) == []


@pytest.mark.parametrize("move", ["disable", "delete"])
async def test_an_endpoint_that_nobody_sends_to_is_not_said_to_fail(store: Store, move: str) -> None:
    target, hears = await pair(store)
    await tried(store, target, later(NOW + 100 * HOUR), NOW)
    await store.write(getattr(EndpointStates(), move), target.id, None, NOW + 1)
    await store.write(tell_of_failing, NOW + 2 * HOUR)
    assert await told(store, hears, NOW + 2 * HOUR) == []


async def test_dead_deliveries_are_told_at_most_once_a_minute_with_their_number(store: Store) -> None:
    target, hears = await pair(store)
    first = await tried(store, target, EXHAUSTED, NOW)
    (event,) = await told(store, hears, NOW)
    assert (event["type"], event["data"]["id"], event["data"]["count"]) == ("delivery.dead", first, 1)

    for number in range(1, 8):  # fewer than open the breaker
        last = await tried(store, target, EXHAUSTED, NOW + number)
    await store.write(tell_of_dead, NOW + PAUSE_MS - 1)
    assert await told(store, hears, NOW + PAUSE_MS - 1) == []

    await store.write(tell_of_dead, NOW + PAUSE_MS)
    (event,) = await told(store, hears, NOW + PAUSE_MS)
    assert (event["data"]["id"], event["data"]["state"], event["data"]["count"]) == (last, "dead", 7)
    await store.write(tell_of_dead, NOW + 2 * PAUSE_MS)
    assert await told(store, hears, NOW + 2 * PAUSE_MS) == []
    await tried(store, target, EXHAUSTED, NOW + 2 * PAUSE_MS + 1)
    assert [one["data"]["count"] for one in await told(store, hears, NOW + 2 * PAUSE_MS + 1)] == [1]


async def test_what_was_counted_is_told_with_the_next_death_where_no_sweep_came(store: Store) -> None:
    target, hears = await pair(store)
    await tried(store, target, EXHAUSTED, NOW)
    assert len(await told(store, hears, NOW)) == 1
    for at_ms in (NOW + 1, NOW + 2, NOW + PAUSE_MS):
        await tried(store, target, EXHAUSTED, at_ms)
    assert [one["data"]["count"] for one in await told(store, hears, NOW + PAUSE_MS)] == [3]


async def test_each_endpoint_has_a_minute_of_its_own(store: Store) -> None:
    target, hears = await pair(store)
    other = await endpoint(store, target.partner_id)
    events = []
    for one in (target, other):
        await tried(store, one, EXHAUSTED, NOW)
        events += await told(store, hears, NOW)
    assert [one["data"]["endpoint_id"] for one in events] == [target.id, other.id]


async def test_where_nobody_listens_nothing_is_counted(store: Store) -> None:
    target = await endpoint(store, await partner(store.db))
    for at_ms in (NOW, NOW + 1):
        await tried(store, target, EXHAUSTED, at_ms)
    await endpoint(store, target.partner_id, events=HEARS)
    assert await store.write(tell_of_dead, NOW + 2 * PAUSE_MS) is False
    assert await due(store, NOW + 2 * PAUSE_MS) == []
