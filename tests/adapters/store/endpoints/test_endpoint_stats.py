"""What an endpoint's attempts came to, as the store keeps and reads it."""

import pytest

from tests.support.seeds import NOW, answered, at, due, endpoint, later, message_to, partner
from webhookd.adapters.store.endpoints.endpoint_spans import drop_spans
from webhookd.adapters.store.endpoints.endpoint_stats import EndpointStats, read_stats
from webhookd.adapters.store.endpoints.endpoints import EndpointStore
from webhookd.adapters.store.lanes.release import LaneKey, release_lanes
from webhookd.adapters.store.store import Store
from webhookd.core.delivery import Delivered, NotCounted, Verdict
from webhookd.core.endpoint_stats import HOUR_MS, MINUTE_MS, WINDOWS, summed
from webhookd.core.records import Endpoint

BEGIN = NOW - NOW % HOUR_MS


async def tried(store: Store, target: Endpoint, verdict: Verdict, at_ms: int) -> None:
    delivery_id = await message_to(store, target, now_ms=at_ms)
    (delivery,) = [one for one in await due(store, at_ms) if one.id == delivery_id]
    assert await answered(store, delivery, verdict, now_ms=at_ms)


async def seen(store: Store, target: Endpoint, window: str, now_ms: int) -> EndpointStats:
    at(store, now_ms)
    stats = await store.read(read_stats, target.id, target.partner_id, WINDOWS[window])
    assert stats is not None
    return stats


@pytest.mark.parametrize("window", WINDOWS)
async def test_attempts_are_counted_by_span_and_drawn_in_a_window(store: Store, window: str) -> None:
    target = await endpoint(store, await partner(store.db))
    for minute in (0, 1, 30):
        await tried(store, target, Delivered(), BEGIN + minute * MINUTE_MS)
    last_ms = BEGIN + 59 * MINUTE_MS
    await tried(store, target, later(last_ms + 2 * HOUR_MS), last_ms)

    stats = await seen(store, target, window, last_ms + 5_000)

    total = summed(stats.steps, at_ms=0, length_ms=0)
    assert (total.attempts, total.delivered, total.errors) == (4, 3, {"http_500": 1})
    assert sum(total.times.values()) == 4
    assert (stats.last_success_ms, stats.endpoint.failing_since_ms) == (BEGIN + 30 * MINUTE_MS, last_ms)
    assert (stats.pending, stats.parked, stats.dead) == (1, 0, 0)
    if window == "1h":
        busy = [step.at_ms for step in stats.steps if step.attempts]
        assert busy == [BEGIN + minute * MINUTE_MS for minute in (0, 1, 30, 59)]


async def test_what_is_not_the_receivers_doing_is_not_counted(store: Store) -> None:
    target = await endpoint(store, await partner(store.db))
    await tried(store, target, NotCounted(due_ms=BEGIN + HOUR_MS), BEGIN)
    stats = await seen(store, target, "1h", BEGIN + 1)
    assert sum(step.attempts for step in stats.steps) == 0
    assert stats.last_success_ms is None


async def test_a_person_who_lets_a_lane_go_loses_no_figures(store: Store) -> None:
    target = await endpoint(store, await partner(store.db))
    await tried(store, target, Delivered(), BEGIN)
    key = LaneKey(id=target.id, partner_id=target.partner_id, endpoint_id=target.id, fifo=False)
    await store.write(release_lanes, [key], now_ms=BEGIN, forget_rate=True)
    stats = await seen(store, target, "1h", BEGIN + 1)
    assert sum(step.attempts for step in stats.steps) == 1


async def test_what_waits_is_told_by_state(store: Store) -> None:
    target = await endpoint(store, await partner(store.db))
    await message_to(store, target)
    await store.write(EndpointStore(store.db).states.disable, target.id, None, NOW)
    await message_to(store, target)
    stats = await seen(store, target, "24h", NOW)
    assert (stats.pending, stats.parked, stats.dead) == (0, 2, 0)


async def test_spans_that_no_window_needs_are_dropped_and_the_others_stay(store: Store) -> None:
    target = await endpoint(store, await partner(store.db))
    for hour in (0, 1, 24):
        await tried(store, target, Delivered(), BEGIN + hour * HOUR_MS)
    now_ms = BEGIN + 25 * HOUR_MS
    await tried(store, target, Delivered(), now_ms)

    assert await store.write(drop_spans, 500, now_ms + 1) is False

    day, week = [await seen(store, target, window, now_ms + 1) for window in ("24h", "7d")]
    assert sum(step.attempts for step in day.steps) == 2
    assert sum(step.attempts for step in week.steps) == 4
    assert await store.write(drop_spans, 1, now_ms + 1) is False, "the old minutes are gone"
    assert await store.write(drop_spans, 1, now_ms + 1_000 * HOUR_MS) is True


async def test_a_foreign_endpoint_has_no_figures(store: Store) -> None:
    target = await endpoint(store, await partner(store.db))
    assert await store.read(read_stats, target.id, "prt_other", WINDOWS["1h"]) is None
    assert await store.read(read_stats, "ep_nope", None, WINDOWS["1h"]) is None
