"""Many hands on one endpoint at once: nothing is lost, nothing locks up, everything ends where it belongs."""

import asyncio
import random
from contextlib import suppress

from tests.support.seeds import NOW, answered, due, endpoint, later, message_to, partner
from webhookd.adapters.store.deliveries.deliveries import cancel_delivery, replay_delivery
from webhookd.adapters.store.deliveries.delivery_listings import list_deliveries
from webhookd.adapters.store.store import Store
from webhookd.core.delivery import Delivered
from webhookd.core.errors import Conflict
from webhookd.core.listing import DeliveryFilter
from webhookd.core.records import Bounds, Endpoint


async def work(store: Store, rounds: int, chance: random.Random) -> None:
    """Send what is due, with mixed success."""
    for n in range(rounds):
        for delivery in await due(store, NOW + n, free=5):
            verdict = Delivered() if chance.random() < 0.5 else later(NOW + n + 1)
            await answered(store, delivery, verdict, now_ms=NOW + n)


async def announce(store: Store, targets: list[Endpoint], rounds: int) -> None:
    for n in range(rounds):
        await message_to(store, targets[n % len(targets)], now_ms=NOW + n)


async def switch(store: Store, targets: list[Endpoint], rounds: int, chance: random.Random) -> None:
    states = store.endpoints.states
    for n in range(rounds):
        move = chance.choice((states.enable, states.disable, states.send_test))
        with suppress(Conflict):
            await store.db.write(move, chance.choice(targets).id, None, NOW + n)


async def meddle(store: Store, rounds: int, chance: random.Random) -> None:
    for n in range(rounds):
        found, _ = await store.read(list_deliveries, None, DeliveryFilter(), Bounds(limit=20))
        if found:
            move = chance.choice((cancel_delivery, replay_delivery))
            await store.db.write(move, chance.choice(found).id, None, NOW + n)


async def test_everything_at_once_ends_where_it_belongs(store: Store) -> None:
    chance = random.Random(20261124)
    owner = await partner(store.db)
    targets = [await endpoint(store, owner) for _ in range(3)]

    async with asyncio.timeout(120):
        await asyncio.gather(
            announce(store, targets, 40),
            work(store, 40, chance),
            work(store, 40, chance),
            switch(store, targets, 30, chance),
            switch(store, targets, 30, chance),
            meddle(store, 30, chance),
        )
        for target in targets:
            await store.db.write(store.endpoints.states.enable, target.id, None, NOW + 100)
        await store.endpoints.settle_strays(NOW + 100)
        for n in range(100):
            sent = await due(store, NOW + 100_000 + n * 60_000)
            if not sent:
                break
            for delivery in sent:
                await answered(store, delivery, Delivered(), now_ms=NOW + 100_000 + n * 60_000)

    found, _ = await store.read(list_deliveries, None, DeliveryFilter(), Bounds(limit=500))
    assert len(found) >= 40
    lost = [one for one in found if one.state.value not in {"delivered", "cancelled"}]
    assert {one.event for one in lost} <= {"webhookd.test"}, "a test that fails is not sent again"
    assert not any(delivery.in_flight for delivery in found)
