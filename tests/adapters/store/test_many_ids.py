"""A request may name more ids than a statement has parameters (15 bits of them)."""

from collections.abc import Awaitable, Callable

import pytest

from tests.support.seeds import NOW, endpoint, partner
from tests.support.work import submit, task_of
from webhookd.adapters.store.deliveries.changes import read_positions
from webhookd.adapters.store.endpoints.endpoint_settings import unknown_endpoints
from webhookd.adapters.store.endpoints.secrets import live
from webhookd.adapters.store.store import Store

MANY = [f"ep_{number}" for number in range(50_000)]


@pytest.mark.parametrize(
    "read",
    [
        lambda store, _: store.db.read(read_positions, MANY),
        lambda store, owner: store.db.read(live, owner, MANY, now_ms=NOW),
    ],
    ids=["positions", "secrets"],
)
async def test_any_number_of_ids_is_read_at_once(
    store: Store, read: Callable[[Store, str], Awaitable[object]]
) -> None:
    assert len(await read(store, await partner(store.db))) == 0  # type: ignore[arg-type]  # all are sized


async def test_unknown_endpoints_are_found_among_any_number(store: Store) -> None:
    owner = await partner(store.db)
    known = (await endpoint(store, owner)).id
    assert await store.db.read(unknown_endpoints, owner, [*MANY, known]) == frozenset(MANY)


async def test_tasks_may_name_any_number_of_endpoints_together(store: Store) -> None:
    """Of a batch, whose tasks are announced together."""
    owner = await partner(store.db)
    known = (await endpoint(store, owner)).id
    named = [tuple(MANY[start : start + 50]) for start in range(0, len(MANY), 50)]
    tasks = [
        task_of(owner, now_ms=NOW + number, endpoint_ids=(*ids, known)) for number, ids in enumerate(named)
    ]
    assert len(await submit(store, *tasks)) == len(tasks)
