"""Pages of listings end at a number of bytes, and nothing is lost between two of them."""

import orjson
from sqlalchemy import update

from tests.support.seeds import NOW, partner
from tests.support.work import submit, task_of
from webhookd.adapters.store.deliveries.messages import read_feed
from webhookd.adapters.store.paging import MAX_PAGE_BYTES
from webhookd.adapters.store.schema import messages, task_bodies
from webhookd.adapters.store.store import Store
from webhookd.core.listing import TaskFilter
from webhookd.core.records import Bounds
from webhookd.core.render import task_document

RESULT = '["' + "\N{SNOWMAN}" * 83_000 + '"]'
"""A quarter of a megabyte, in a third as many characters."""


async def test_page_of_large_tasks_ends_at_four_megabytes_and_the_next_goes_on_from_there(
    store: Store,
) -> None:
    owner = await partner(store.db)
    made = [task_of(owner, now_ms=NOW + n) for n in range(40)]
    for task in made:
        await submit(store, task)
    large = update(task_bodies).values(result=RESULT)
    await store.db.write(lambda tx: tx.conn.execute(large))
    seen: list[str] = []
    cursor, pages = None, 0
    while pages == 0 or cursor is not None:
        page, cursor = await store.tasks.page(owner, TaskFilter(), Bounds(limit=500, cursor=cursor))
        pages += 1
        assert len(orjson.dumps([task_document(task) for task in page])) <= MAX_PAGE_BYTES
        seen += [task.id for task in page]
    assert seen == [task.id for task in reversed(made)]
    assert pages == 3


async def test_what_is_larger_than_a_page_is_a_page_of_its_own(store: Store) -> None:
    owner = await partner(store.db)
    for n in range(2):
        await submit(store, task_of(owner, now_ms=NOW + n))
    huge = update(task_bodies).values(result='"' + "x" * MAX_PAGE_BYTES + '"')
    await store.db.write(lambda tx: tx.conn.execute(huge))
    first, cursor = await store.tasks.page(owner, TaskFilter(), Bounds(limit=500))
    assert cursor == first[0].id
    second, end = await store.tasks.page(owner, TaskFilter(), Bounds(limit=500, cursor=cursor))
    assert (len(first), len(second), end) == (1, 1, None)


async def test_page_of_the_pull_feed_ends_at_four_megabytes(store: Store) -> None:
    owner = await partner(store.db)
    body = '{"type":"task.succeeded","data":"' + "x" * 250_000 + '"}'
    row = {
        "partner_id": owner,
        "event": "task.succeeded",
        "body": body,
        "trace_id": "0" * 32,
        "trace_parent_id": "0" * 16,
        "trace_flags": 0,
        "trace_state": "",
        "created_ms": NOW,
    }
    rows = [{**row, "id": f"msg_{seq}", "seq": seq} for seq in range(1, 31)]
    await store.db.write(lambda tx: tx.conn.execute(messages.insert(), rows))
    first = await store.read(read_feed, owner, after_seq=0, limit=500)
    assert sum(len(message.body) for message in first.messages) <= MAX_PAGE_BYTES
    rest = await store.read(read_feed, owner, after_seq=first.messages[-1].seq, limit=500)
    assert [m.seq for m in (*first.messages, *rest.messages)] == list(range(1, 31))


async def test_times_bound_a_listing_to_the_millisecond(store: Store) -> None:
    owner = await partner(store.db)
    made = [task_of(owner, now_ms=NOW + n) for n in range(3)]
    for task in made:
        await submit(store, task)
    wanted = TaskFilter(since_ms=NOW + 1, until_ms=NOW + 2)
    page, _ = await store.tasks.page(owner, wanted, Bounds())
    assert [task.id for task in page] == [made[1].id]
    nothing, _ = await store.tasks.page(owner, TaskFilter(until_ms=-5), Bounds())
    assert nothing == []
