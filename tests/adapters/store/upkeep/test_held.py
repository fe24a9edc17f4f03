"""A claim whose answer was lost: what it took can be read again, exactly as the claim would have told it."""

from tests.support.seeds import NOW, SESSION, endpoint, message_to, partner
from tests.support.sending import answer, turn
from tests.support.work import claim, finish, session, submit, task_of
from webhookd.adapters.store.store import Store


async def test_held_tasks_are_told_as_their_claim_told_them(store: Store) -> None:
    owner = await partner(store.db)
    other = await session(store, "ses_other")
    await submit(store, *(task_of(owner, now_ms=NOW + n) for n in range(4)))
    mine = (await claim(store, 3, now_ms=NOW + 10)).tasks
    await claim(store, 3, by=other, now_ms=NOW + 10)

    assert await store.tasks.held(SESSION) == list(mine)
    await finish(store, mine[0])
    assert await store.tasks.held(SESSION) == list(mine[1:])
    assert await store.tasks.held("ses_nobody") == []


async def test_held_deliveries_are_told_as_their_claim_told_them(store: Store) -> None:
    owner = await partner(store.db)
    for _ in range(2):
        target = await endpoint(store, owner)
        await message_to(store, target)
        await message_to(store, target)
    mine = (await turn(store, NOW)).deliveries
    assert len(mine) == 4

    held = await store.lanes.held(SESSION, NOW)
    assert held == sorted(mine, key=lambda delivery: delivery.id)
    await answer(store, held[0], 200, now_ms=NOW)
    assert [d.id for d in await store.lanes.held(SESSION, NOW)] == [d.id for d in held[1:]]
    assert await store.lanes.held("ses_nobody", NOW) == []


async def test_held_deliveries_of_a_closed_endpoint_are_not_sent(store: Store) -> None:
    owner = await partner(store.db)
    target = await endpoint(store, owner)
    await message_to(store, target)
    assert len((await turn(store, NOW)).deliveries) == 1

    await store.db.write(store.endpoints.states.disable, target.id, owner, NOW)

    assert await store.lanes.held(SESSION, NOW) == []
