"""Endpoints in the store: making, reading, changing, and what their state does to deliveries."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from tests.support.seeds import (
    NOW,
    answered,
    dead_delivery,
    due,
    endpoint,
    endpoint_of,
    later,
    message_to,
    partner,
)
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.deliveries.dead_letters import list_dead_letters
from webhookd.adapters.store.deliveries.deliveries import get_delivery
from webhookd.adapters.store.deliveries.delivery_listings import list_deliveries
from webhookd.adapters.store.endpoints import secrets
from webhookd.adapters.store.endpoints.endpoint_settings import (
    MAX_ENDPOINTS,
    change_endpoint,
    create_endpoint,
    list_endpoints,
)
from webhookd.adapters.store.endpoints.endpoint_states import settle
from webhookd.adapters.store.endpoints.endpoints import EndpointStore
from webhookd.adapters.store.schema import deliveries, endpoints, lanes, messages
from webhookd.adapters.store.store import Store
from webhookd.core.delivery import Delivered
from webhookd.core.errors import Conflict, QuotaExceeded
from webhookd.core.listing import DeliveryFilter
from webhookd.core.model import EndpointState
from webhookd.core.pacing import breaker_state
from webhookd.core.records import Bounds, Endpoint
from webhookd.core.replay import DeadLetterFilter

MINUTE = 60_000


@pytest.fixture
def known(store: Store) -> EndpointStore:
    return store.endpoints


async def states_of(store: Store, target: Endpoint) -> list[str]:
    """The states of an endpoint's deliveries, oldest first."""
    found, _ = await store.read(
        list_deliveries, None, DeliveryFilter(endpoint_id=target.id), Bounds(limit=500)
    )
    return [delivery.state.value for delivery in reversed(found)]


async def test_every_setting_comes_back_as_it_was_given(store: Store, known: EndpointStore) -> None:
    given = endpoint_of(
        await partner(store.db),
        description="orders",
        events=("task.failed", "delivery.dead"),
        task_types=("report.*",),
        headers_sealed="v1.sealed",
        header_names=("x-key",),
        rate_limit=2.5,
        max_concurrency=3,
        ordering="fifo",
        retry_max_attempts=4,
        retry_base_seconds=0.5,
        retry_factor=2.0,
        retry_cap_seconds=60.0,
        signature=("v1", "v1a"),
        public_key="whpk_x",
    )
    await store.db.write(create_endpoint, given)

    found = await known.get(given.id, given.partner_id)

    assert found is not None
    assert found.endpoint == given
    assert found.pace is None


async def test_a_foreign_endpoint_is_like_an_unknown_one(store: Store, known: EndpointStore) -> None:
    target = await endpoint(store, await partner(store.db))
    states = known.states

    assert await known.get(target.id, "prt_other") is None
    assert await known.db.read(list_endpoints, "prt_other", Bounds()) == ([], None)
    assert await store.db.write(change_endpoint, target.id, "prt_other", lambda e: e, NOW) is None
    for move in (states.disable, states.enable, states.delete, states.send_test):
        assert await store.db.write(move, target.id, "prt_other", NOW) is None
    assert await known.get(target.id, None) is not None


async def test_a_partner_cannot_have_more_than_its_share_of_endpoints(store: Store) -> None:
    owner = await partner(store.db)
    await store.db.write(_many_endpoints, owner)

    with pytest.raises(QuotaExceeded):
        await store.db.write(create_endpoint, endpoint_of(owner))
    await store.db.write(create_endpoint, endpoint_of(await partner(store.db, "other")))


def _many_endpoints(tx, owner):  # type: ignore[no-untyped-def]  # copies one row; the quickest way to a thousand
    create_endpoint(tx, endpoint_of(owner))
    row = dict(tx.conn.execute(select(endpoints)).mappings().one())
    tx.conn.execute(endpoints.insert(), [{**row, "id": f"ep_{n:026d}"} for n in range(MAX_ENDPOINTS - 1)])


async def test_the_listing_pages_newest_first_and_leaves_out_deleted_ones(
    store: Store, known: EndpointStore
) -> None:
    owner = await partner(store.db)
    made = [await endpoint(store, owner) for _ in range(5)]
    await store.db.write(known.states.delete, made[2].id, None, NOW)

    first, cursor = await known.db.read(list_endpoints, owner, Bounds(limit=3))
    rest, end = await known.db.read(list_endpoints, owner, Bounds(limit=3, cursor=cursor))

    ids = [paced.endpoint.id for paced in [*first, *rest]]
    assert ids == sorted((e.id for e in made if e is not made[2]), reverse=True)
    assert end is None


async def test_the_listing_is_narrowed_to_a_state_and_to_what_fails(
    store: Store, known: EndpointStore
) -> None:
    owner = await partner(store.db)
    well, fails, off = [await endpoint(store, owner) for _ in range(3)]
    await store.db.write(known.states.disable, off.id, None, NOW)
    await message_to(store, fails)
    (delivery,) = await due(store, NOW)
    assert await answered(store, delivery, later(NOW + 60_000), now_ms=NOW)

    async def ids(**narrowed: Any) -> set[str]:
        rows, _ = await known.db.read(list_endpoints, owner, Bounds(limit=10), **narrowed)
        return {row.endpoint.id for row in rows}

    assert await ids(state=EndpointState.DISABLED) == {off.id}
    assert await ids(state=EndpointState.ENABLED) == {well.id, fails.id}
    assert await ids(failing=True) == {fails.id}
    assert await ids(failing=False) == {well.id, off.id}
    assert await ids(failing=True, state=EndpointState.DISABLED) == set()


async def test_a_change_keeps_id_partner_and_state(store: Store, known: EndpointStore) -> None:
    target = await endpoint(store, await partner(store.db))

    def wild(before: Endpoint) -> Endpoint:
        return replace(
            before,
            id="ep_x",
            partner_id="prt_x",
            state=EndpointState.DISABLED,
            created_ms=1,
            description="new",
        )

    changed = await store.db.write(change_endpoint, target.id, None, wild, NOW + 5)

    assert changed is not None
    assert changed.endpoint == replace(target, description="new", updated_ms=NOW + 5)


async def test_a_changed_url_reaches_the_deliveries_that_wait_and_lets_them_go_at_once(store: Store) -> None:
    target = await endpoint(store, await partner(store.db), rate_limit=0.001)
    for n in range(2):
        await message_to(store, target, now_ms=NOW + n)
    (sent,) = await due(store, NOW + 1)
    await answered(store, sent, Delivered(), now_ms=NOW + 1)
    assert await due(store, NOW + 2) == []

    await store.db.write(
        change_endpoint,
        target.id,
        None,
        lambda e: replace(e, url="https://new.partner.example/", rate_limit=None),
        NOW + 3,
    )

    (delivery,) = await due(store, NOW + 3)
    assert delivery.target.url == "https://new.partner.example/"


async def test_disabling_parks_what_waits_and_enabling_releases_it(
    store: Store, known: EndpointStore
) -> None:
    target = await endpoint(store, await partner(store.db))
    under_way = await message_to(store, target)
    (sent,) = await due(store, NOW)
    await message_to(store, target, now_ms=NOW + 1)

    await store.db.write(known.states.disable, target.id, target.partner_id, NOW + 2)
    await message_to(store, target, now_ms=NOW + 3)
    assert await states_of(store, target) == ["pending", "parked", "parked"]
    assert await due(store, NOW + 4) == []
    await answered(store, sent, later(NOW + 5), now_ms=NOW + 4)
    assert await states_of(store, target) == ["parked", "parked", "parked"]
    assert await due(store, NOW + MINUTE) == []

    settled = await store.db.write(known.states.enable, target.id, target.partner_id, NOW + MINUTE)

    assert settled is not None
    assert settled.woken
    assert await states_of(store, target) == ["pending", "pending", "pending"]
    released = await due(store, NOW + MINUTE)
    assert len(released) == 3
    assert under_way in [delivery.id for delivery in released]
    found = await known.get(target.id, None)
    assert found is not None
    assert (found.endpoint.state, found.endpoint.disabled_reason) == ("enabled", None)


async def test_disabling_twice_changes_nothing_and_tells_once(store: Store, known: EndpointStore) -> None:
    owner = await partner(store.db)
    target = await endpoint(store, owner)
    listener = await endpoint(store, owner, events=("endpoint.disabled",))

    for n in range(2):
        await store.db.write(known.states.disable, target.id, None, NOW + n)

    found = await known.get(target.id, None)
    assert found is not None
    assert (found.endpoint.state, found.endpoint.disabled_reason) == ("disabled", "requested")
    assert found.endpoint.updated_ms == NOW
    assert await states_of(store, listener) == ["pending"]
    assert await states_of(store, target) == []
    body = await store.db.read(lambda tx: tx.conn.execute(select(messages.c.body)).scalar_one())
    data = orjson.loads(body)["data"]
    assert (data["id"], data["state"], data["disabled_reason"]) == (target.id, "disabled", "requested")


async def test_enabling_closes_the_breaker_far_enough_for_a_probe(store: Store, known: EndpointStore) -> None:
    target = await endpoint(store, await partner(store.db))
    for n in range(10):
        await dead_delivery(store, target, now_ms=NOW + n)
    found = await known.get(target.id, None)
    assert found is not None
    assert found.pace is not None
    assert breaker_state(found.pace, NOW + 20) == "open"
    await message_to(store, target, now_ms=NOW + 20)
    assert await due(store, NOW + 21) == []

    await store.db.write(known.states.enable, target.id, None, NOW + 22)

    assert len(await due(store, NOW + 22)) == 1


async def test_deleting_ends_what_waits_or_is_parked_as_dead(store: Store, known: EndpointStore) -> None:
    target = await endpoint(store, await partner(store.db))
    await message_to(store, target)
    (sent,) = await due(store, NOW)
    await message_to(store, target, now_ms=NOW + 1)
    await store.db.write(known.states.disable, target.id, None, NOW + 2)
    await store.db.write(
        lambda tx: secrets.add(tx, target.partner_id, target.id, scheme="v1", sealed="v1.x", created_ms=NOW)
    )

    await store.db.write(known.states.delete, target.id, target.partner_id, NOW + 3)
    await answered(store, sent, later(NOW + MINUTE), now_ms=NOW + 4)

    assert await states_of(store, target) == ["dead", "dead"]
    assert await known.get(target.id, None) is None
    assert await store.db.write(known.states.delete, target.id, None, NOW + 4) is None
    assert await due(store, NOW + 2 * MINUTE) == []
    left = await store.db.read(lambda tx: secrets.live(tx, target.partner_id, [target.id], now_ms=NOW + 3))
    assert left == []


async def test_a_delivery_under_way_to_a_deleted_endpoint_may_still_arrive(
    store: Store, known: EndpointStore
) -> None:
    target = await endpoint(store, await partner(store.db))
    await message_to(store, target)
    (sent,) = await due(store, NOW)

    await store.db.write(known.states.delete, target.id, None, NOW + 1)
    await answered(store, sent, Delivered(), now_ms=NOW + 2)

    assert await states_of(store, target) == ["delivered"]


async def test_many_deliveries_follow_their_endpoint_in_bounded_steps(
    store: Store, known: EndpointStore
) -> None:
    target = await endpoint(store, await partner(store.db))
    for n in range(5):
        await message_to(store, target, now_ms=NOW + n)
    await store.db.write(
        lambda tx: tx.conn.execute(
            endpoints.update().where(endpoints.c.id == target.id).values(state="disabled")
        )
    )

    first = await store.db.write(settle, target.id, NOW + 9, limit=2)

    assert first.more
    assert (await states_of(store, target)).count("parked") == 2
    assert not await known.settle(target.id, NOW + 9)
    assert (await states_of(store, target)).count("parked") == 5


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"state": "disabled"}, "parked"),
        ({"state": "disabled", "deleted_ms": NOW}, "dead"),
    ],
)
async def test_the_sweep_finishes_what_a_dead_process_left(
    store: Store, known: EndpointStore, values: dict[str, object], expected: str
) -> None:
    target = await endpoint(store, await partner(store.db))
    untouched = await endpoint(store, target.partner_id)
    await message_to(store, target)
    await message_to(store, untouched)
    await store.db.write(
        lambda tx: tx.conn.execute(endpoints.update().where(endpoints.c.id == target.id).values(**values))
    )

    assert not await known.settle_strays(NOW + 1)

    assert await states_of(store, target) == [expected]
    assert await states_of(store, untouched) == ["pending"]


async def test_the_sweep_releases_what_stayed_parked_behind_an_enabled_endpoint(
    store: Store, known: EndpointStore
) -> None:
    owner = await partner(store.db)
    targets = [await endpoint(store, owner) for _ in range(3)]
    for target in targets:
        await message_to(store, target)
    await store.db.write(lambda tx: tx.conn.execute(deliveries.update().values(state="parked", due_ms=None)))
    await store.db.write(lambda tx: tx.conn.execute(lanes.delete()))
    await store.db.write(
        lambda tx: tx.conn.execute(
            endpoints.update().where(endpoints.c.id == targets[1].id).values(state="disabled")
        )
    )

    assert await known.settle_strays(NOW + 1)

    assert [await states_of(store, target) for target in targets] == [["pending"], ["parked"], ["pending"]]
    assert len(await due(store, NOW + 1)) == 2


async def test_a_test_goes_to_this_endpoint_whatever_it_subscribes_to(
    store: Store, known: EndpointStore
) -> None:
    owner = await partner(store.db)
    target = await endpoint(store, owner, events=("endpoint.disabled",))
    other = await endpoint(store, owner)

    delivery_id = await store.db.write(known.states.send_test, target.id, owner, NOW)

    (sent,) = await due(store, NOW)
    assert (sent.id, sent.event, sent.once) == (delivery_id, "webhookd.test", True)
    assert orjson.loads(sent.body)["data"]["id"] == target.id
    assert await states_of(store, other) == []


async def test_a_test_that_fails_is_neither_sent_again_nor_a_dead_letter(
    store: Store, known: EndpointStore
) -> None:
    owner = await partner(store.db)
    target = await endpoint(store, owner)
    delivery_id = await store.db.write(known.states.send_test, target.id, owner, NOW)

    (sent,) = await due(store, NOW)
    assert sent.id == delivery_id
    assert await answered(store, sent, later(NOW + 5_000), now_ms=NOW)

    assert await states_of(store, target) == ["dead"]
    assert await due(store, NOW + 86_400_000) == []
    letters, _ = await store.read(list_dead_letters, owner, DeadLetterFilter(), Bounds())
    assert letters == []
    delivery = await store.read(get_delivery, sent.id, owner)
    assert delivery is not None
    assert (delivery.max_attempts, delivery.attempts_left) == (1, 0)


async def test_a_disabled_endpoint_takes_no_test(store: Store, known: EndpointStore) -> None:
    target = await endpoint(store, await partner(store.db))
    await store.db.write(known.states.disable, target.id, None, NOW)

    with pytest.raises(Conflict):
        await store.db.write(known.states.send_test, target.id, None, NOW)


async def test_nothing_is_settled_for_an_endpoint_that_never_was(database: Database) -> None:
    settled = await database.write(settle, "ep_unknown", NOW)

    assert not settled.more
    assert not settled.woken
