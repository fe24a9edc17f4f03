"""What an admin lists over all partners: by the partners' own indexes, nothing lost and in one order."""

import itertools
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import orjson
import pytest
from sqlalchemy import update

from tests.support.seeds import NOW, dead_delivery, endpoint, message_to, partner
from tests.support.work import submit, task_of
from webhookd.adapters.store.deliveries.delivery_listings import list_deliveries
from webhookd.adapters.store.schema import tasks
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Tx
from webhookd.core.listing import DeliveryFilter, TaskFilter
from webhookd.core.metadata import metadata_tag
from webhookd.core.model import DeliveryState, TaskState
from webhookd.core.records import Bounds

PARTNERS = 3
EACH = 8
FEW = 2


def _moved(tx: Tx, task_id: str, state: TaskState) -> None:
    tx.conn.execute(update(tasks).where(tasks.c.id == task_id).values(state=state.value))


async def walked(page_of: Callable[[Bounds], Awaitable[tuple[Sequence[Any], str | None]]]) -> list[str]:
    """Every id of a listing, page by page."""
    seen: list[str] = []
    cursor: str | None = None
    for number in itertools.count():
        page, cursor = await page_of(Bounds(limit=3, cursor=cursor))
        seen += [one.id for one in page]
        assert number < 50
        if cursor is None:
            return seen
    raise AssertionError


@pytest.mark.parametrize("few", [200, FEW], ids=["few", "many"])
async def test_tasks_of_all_partners_are_listed_as_they_are_filtered(
    store: Store, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhookd.adapters.store.tasks.task_listings.FEW", few)
    owners = [await partner(store.db, f"partner {number}") for number in range(PARTNERS)]
    states = itertools.cycle([TaskState.QUEUED, TaskState.SUCCEEDED, TaskState.FAILED])
    colours = itertools.cycle(["red", "blue"])
    types = itertools.cycle(["a.b", "a.b", "a.c", "a.d", "a.d"])
    made: dict[str, tuple[str, TaskState, str, str]] = {}
    for number in range(EACH):
        for owner in owners:
            state, colour, name = next(states), next(colours), next(types)
            pairs = orjson.dumps({"colour": colour}).decode()
            task = task_of(owner, now_ms=NOW + number, type=name, metadata_json=pairs)
            await submit(store, task)
            await store.db.write(_moved, task.id, state)
            made[task.id] = (owner, state, colour, name)
    newest_first = sorted(made, reverse=True)
    choices = itertools.product(
        [None, owners[1]], [None, TaskState.FAILED, TaskState.RUNNING], [None, "red"], [None, "a.d"]
    )
    for owner_, state_, colour_, type_ in choices:
        asked = (owner_, state_, colour_, type_)
        tags = () if colour_ is None else (metadata_tag("colour", colour_),)
        wanted = TaskFilter(state=state_, type=type_, tags=tags, since_ms=NOW + 1, until_ms=NOW + EACH - 1)
        listed = await walked(partial(store.tasks.page, owner_, wanted))
        within = newest_first[PARTNERS:-PARTNERS]
        expected = [
            one
            for one in within
            if all(want is None or want == has for want, has in zip(asked, made[one], strict=True))
        ]
        assert listed == expected, asked


async def test_deliveries_of_all_partners_are_listed_as_they_are_filtered(store: Store) -> None:
    waiting: list[str] = []
    dead: list[str] = []
    targets = []
    for number in range(PARTNERS):
        target = await endpoint(store, await partner(store.db, f"partner {number}"))
        dead += [await dead_delivery(store, target) for _ in range(4)]
        targets.append(target)
    for target in targets:
        waiting += [await message_to(store, target) for _ in range(4)]

    async def of(**filters: Any) -> list[str]:
        wanted = DeliveryFilter(**filters)
        return await walked(lambda page: store.read(list_deliveries, None, wanted, page))

    assert await of(state=DeliveryState.PENDING) == sorted(waiting, reverse=True)
    assert await of(state=DeliveryState.DEAD) == sorted(dead, reverse=True)
    assert await of(state=DeliveryState.PARKED) == []
    assert await of(status="5xx") == sorted(dead, reverse=True)
    assert await of(status="5xx", state=DeliveryState.PENDING) == []
    assert await of(status="4xx") == []
