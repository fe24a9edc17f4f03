"""The pull feed: every message of a partner once, in an order that never changes under a reader."""

import asyncio

from tests.support.seeds import NOW, endpoint, message_to, partner
from tests.support.work import ended_task
from webhookd.adapters.store.deliveries.messages import read_feed
from webhookd.adapters.store.store import Store
from webhookd.core.execution import End


async def test_the_feed_has_every_message_subscribed_to_or_not(store: Store) -> None:
    owner = await partner(store.db)
    await ended_task(store, owner, End.SUCCEEDED)
    await ended_task(store, owner, End.FAILED, now_ms=NOW + 1)

    page = await store.read(read_feed, owner, after_seq=0, limit=10)

    assert [(m.seq, m.event) for m in page.messages] == [(1, "task.succeeded"), (2, "task.failed")]
    assert page.last_seq == 2


async def test_the_feed_goes_on_after_a_number_in_pages(store: Store) -> None:
    target = await endpoint(store, await partner(store.db))
    for n in range(5):
        await message_to(store, target, now_ms=NOW + n, body=f'{{"n":{n}}}')

    seen: list[str] = []
    after_seq = 0
    while (page := await store.read(read_feed, target.partner_id, after_seq=after_seq, limit=2)).messages:
        seen += [message.body for message in page.messages]
        after_seq = page.messages[-1].seq

    assert seen == [f'{{"n":{n}}}' for n in range(5)]


async def test_a_feed_is_its_partners_own(store: Store) -> None:
    target = await endpoint(store, await partner(store.db))
    await message_to(store, target)
    other = await partner(store.db, "other")

    page = await store.read(read_feed, other, after_seq=0, limit=10)

    assert (page.messages, page.last_seq) == ((), 0)


async def test_nothing_appears_before_a_number_already_read_while_many_write(store: Store) -> None:
    target = await endpoint(store, await partner(store.db))
    seen: list[int] = []
    writing = asyncio.gather(*(message_to(store, target, now_ms=NOW + n) for n in range(30)))
    while True:
        over = writing.done()
        page = await store.read(read_feed, target.partner_id, after_seq=seen[-1] if seen else 0, limit=7)
        seen += [message.seq for message in page.messages]
        if over and not page.messages:
            break
    await writing

    assert seen == list(range(1, 31))
