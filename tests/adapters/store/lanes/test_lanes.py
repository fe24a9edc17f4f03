"""Deliveries lane by lane: what may be sent when, and what the answers make of it."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from tests.support.seeds import NOW, SESSION, endpoint, message_to, partner
from tests.support.sending import PAUSE_MS, answer, assert_in_flight_is_true, lane, row_of, turn
from tests.support.work import claim_one, deliveries_of, finish, session, submit, task_of
from webhookd.adapters.store.deliveries.dead_letters import get_dead_letter
from webhookd.adapters.store.deliveries.deliveries import cancel_delivery, get_delivery, get_history
from webhookd.adapters.store.schema import deliveries, lanes, messages, partners, secrets
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Tx
from webhookd.adapters.store.upkeep.diagnostics import open_breakers
from webhookd.adapters.store.upkeep.gauges import read_gauges
from webhookd.core.dispatch import DueDelivery, Handed
from webhookd.core.model import DeliveryState
from webhookd.core.pacing import BREAKER_FAILURES, BREAKER_HOLD_SECONDS, INITIAL_CAP
from webhookd.core.records import Endpoint

SECOND = 1_000
FIVE_DAYS = 432_000_000


async def _target(store: Store, **settings: Any) -> Endpoint:
    return await endpoint(store, await partner(store.db), **settings)


async def _messages(store: Store, target: Endpoint, count: int, *, now_ms: int = NOW) -> list[str]:
    return [await message_to(store, target, now_ms=now_ms + n) for n in range(count)]


async def _ids(store: Store, now_ms: int, **more: Any) -> list[str]:
    return [delivery.id for delivery in (await turn(store, now_ms, **more)).deliveries]


async def _events(store: Store, owner: str) -> list[str]:
    def read(tx: Tx) -> list[str]:
        wanted = select(messages.c.event).where(messages.c.partner_id == owner).order_by(messages.c.seq)
        return list(tx.conn.execute(wanted).scalars())

    return await store.db.read(read)


async def _endpoint(store: Store, target: Endpoint) -> Endpoint:
    found = await store.endpoints.get(target.id, None)
    assert found is not None
    return found.endpoint


async def test_a_claim_commits_the_attempt_and_brings_all_it_takes_to_send(store: Store) -> None:
    target = await _target(store, retry_base_seconds=2.0, headers_sealed="sealed")
    key = {"partner_id": target.partner_id, "scheme": "v1", "sealed": "x"}
    rows: list[dict[str, Any]] = [
        {**key, "id": "sec_old", "endpoint_id": target.id, "created_ms": NOW, "expires_ms": NOW + 2},
        {**key, "id": "sec_over", "endpoint_id": target.id, "created_ms": NOW, "expires_ms": NOW + 1},
        {**key, "id": "sec_new", "endpoint_id": target.id, "created_ms": NOW + 1, "expires_ms": None},
        {**key, "id": "sec_own", "endpoint_id": None, "created_ms": NOW, "expires_ms": None},
    ]
    await store.db.write(lambda tx: tx.conn.execute(insert(secrets), rows))
    delivery_id = await message_to(store, target, body='{"b":1,"a":2}')

    (claimed,) = (await turn(store, NOW + 1)).deliveries

    assert (claimed.id, claimed.body, claimed.attempt) == (delivery_id, '{"b":1,"a":2}', 1)
    assert (claimed.target.url, claimed.target.headers_sealed) == (target.url, "sealed")
    assert claimed.target.retry.base_seconds == 2.0
    assert [secret.id for secret in claimed.target.secrets] == ["sec_new", "sec_old"]
    row = await row_of(store, delivery_id)
    assert (row.attempts, row.session_id, row.state) == (1, SESSION, "pending")


async def test_an_inline_callback_is_signed_with_the_partners_own_secret(store: Store) -> None:
    owner = await partner(store.db)
    row = {"id": "sec_own", "partner_id": owner, "scheme": "v1", "sealed": "x", "created_ms": NOW}
    await store.db.write(lambda tx: tx.conn.execute(insert(secrets), row))
    url = "https://partner.example/hooks?x=1"
    await submit(store, task_of(owner, callback_url=url, callback_origin="https://partner.example"))
    await finish(store, await claim_one(store))

    (claimed,) = (await turn(store, NOW)).deliveries

    assert (claimed.url, claimed.target.endpoint_id) == (url, None)
    assert [secret.id for secret in claimed.target.secrets] == ["sec_own"]


async def test_a_success_ends_it_and_a_failure_waits_its_pause(store: Store) -> None:
    target = await _target(store)
    await _messages(store, target, 2)
    good, bad = (await turn(store, NOW + 1)).deliveries

    await answer(store, good, 204, now_ms=NOW + 2)
    recorded = await answer(store, bad, 500, now_ms=NOW + 2)

    assert recorded.wake_ms == NOW + 2 + PAUSE_MS
    done, waiting = await row_of(store, good.id), await row_of(store, bad.id)
    assert (done.state, done.ended_ms, done.last_status, done.last_error) == ("delivered", NOW + 2, 204, None)
    assert (waiting.state, waiting.due_ms, waiting.last_error) == ("pending", NOW + 2 + PAUSE_MS, "http_500")
    assert await _ids(store, NOW + 1 + PAUSE_MS) == []
    assert await _ids(store, NOW + 2 + PAUSE_MS) == [bad.id]
    await assert_in_flight_is_true(store)


async def test_attempts_run_out_into_a_dead_letter_that_others_hear_of(store: Store) -> None:
    target = await _target(store, retry_max_attempts=2)
    hears = await endpoint(store, target.partner_id, events=("delivery.dead", "endpoint.disabled"))
    delivery_id = await message_to(store, target)
    for number in range(2):
        (delivery,) = (await turn(store, NOW + number * PAUSE_MS)).deliveries
        assert delivery.attempt == number + 1
        await answer(store, delivery, 500, now_ms=NOW + number * PAUSE_MS)

    row = await row_of(store, delivery_id)
    assert (row.state, row.dead_reason, row.attempts) == ("dead", "exhausted", 2)
    (told,) = (await turn(store, NOW + PAUSE_MS)).deliveries
    assert (told.event, told.target.endpoint_id) == ("delivery.dead", hears.id)


async def test_what_tells_of_trouble_never_causes_more_of_it(store: Store) -> None:
    target = await _target(store, retry_max_attempts=1)
    owner = target.partner_id
    for _ in range(2):
        await endpoint(store, owner, events=("delivery.dead",), retry_max_attempts=1)
    await message_to(store, target)
    (delivery,) = (await turn(store, NOW)).deliveries
    await answer(store, delivery, 500, now_ms=NOW)

    for told in (await turn(store, NOW)).deliveries:
        assert told.event == "delivery.dead"
        await answer(store, told, 500, now_ms=NOW)

    assert await _events(store, owner) == ["task.succeeded", "delivery.dead"]


async def test_a_transient_event_is_sent_once_and_is_never_a_dead_letter(store: Store) -> None:
    target = await _target(store, events=("task.progress",))
    await endpoint(store, target.partner_id, events=("delivery.dead",))
    delivery_id = await message_to(store, target, event="task.progress")
    (delivery,) = (await turn(store, NOW)).deliveries

    await answer(store, delivery, 503, retry_after="1", now_ms=NOW)

    row = await row_of(store, delivery_id)
    assert (row.state, row.discarded_ms) == ("dead", NOW)
    assert await store.read(get_dead_letter, delivery_id, None) is None
    assert await _events(store, target.partner_id) == ["task.progress"]


async def test_a_lane_starts_with_a_few_and_gets_no_more_than_its_concurrency(store: Store) -> None:
    open_lane, narrow = (
        await _target(store),
        await endpoint(store, await partner(store.db, "b"), max_concurrency=2),
    )
    await _messages(store, open_lane, 8)
    await _messages(store, narrow, 8)

    first = (await turn(store, NOW + 10)).deliveries

    assert Counter(d.target.lane_id for d in first) == {open_lane.id: INITIAL_CAP, narrow.id: 2}
    assert await _ids(store, NOW + 10) == []
    await answer(store, next(d for d in first if d.target.lane_id == narrow.id), 200, now_ms=NOW + 11)
    again = (await turn(store, NOW + 12)).deliveries
    assert Counter(d.target.lane_id for d in again) == {narrow.id: 1}
    await assert_in_flight_is_true(store)


async def test_a_fifo_lane_sends_one_at_a_time_in_order_and_waits_for_its_head(store: Store) -> None:
    target = await _target(store, ordering="fifo")
    first, second, third = await _messages(store, target, 3)

    (head,) = (await turn(store, NOW + 5)).deliveries
    assert head.id == first
    assert await _ids(store, NOW + 5) == []
    recorded = await answer(store, head, 500, now_ms=NOW + 5)
    assert recorded.wake_ms == NOW + 5 + PAUSE_MS
    await message_to(store, target, now_ms=NOW + 6)
    assert await _ids(store, NOW + 7) == [], "the head of the line is retried first"
    for expected in (first, second, third):
        (head,) = (await turn(store, NOW + 5 + PAUSE_MS)).deliveries
        assert head.id == expected
        await answer(store, head, 200, now_ms=NOW + 5 + PAUSE_MS)


async def test_messages_of_one_moment_go_through_a_fifo_lane_in_feed_order(store: Store) -> None:
    owner = await partner(store.db)
    await endpoint(store, owner, ordering="fifo")
    await submit(store, *(task_of(owner) for _ in range(12)))
    claimed = [await claim_one(store) for _ in range(12)]
    await asyncio.gather(*(finish(store, task) for task in claimed))

    sent = []
    for _ in range(12):
        (head,) = (await turn(store, NOW)).deliveries
        sent.append(head.message_id)
        await answer(store, head, 200, now_ms=NOW)

    feed = select(messages.c.id).where(messages.c.partner_id == owner).order_by(messages.c.seq)
    assert sent == await store.db.read(lambda tx: list(tx.conn.execute(feed).scalars()))


async def test_a_rate_limit_is_kept_exactly(store: Store) -> None:
    target = await _target(store, rate_limit=2.0)
    await _messages(store, target, 8)
    sent = []
    for now_ms in range(NOW + 10, NOW + 10 + 2_001, 100):
        for delivery in (await turn(store, now_ms)).deliveries:
            sent.append(now_ms)
            await answer(store, delivery, 200, now_ms=now_ms)

    assert [at - NOW - 10 for at in sent] == [0, 500, 1_000, 1_500, 2_000]


async def test_retry_after_holds_the_lane_and_uses_up_an_attempt(store: Store) -> None:
    target = await _target(store)
    await _messages(store, target, INITIAL_CAP + 2)
    waiting = (await turn(store, NOW + 10)).deliveries

    for delivery in waiting:
        await answer(store, delivery, 429, retry_after="120", now_ms=NOW + 10)

    assert await _ids(store, NOW + 10 + 119_999) == []
    again = (await turn(store, NOW + 10 + 120_000)).deliveries
    assert again
    assert {d.attempt for d in again} <= {1, 2}
    assert (await row_of(store, waiting[0].id)).attempts >= 1


async def test_a_breaker_holds_a_dead_receivers_lane_and_then_lets_one_probe_through(store: Store) -> None:
    target = await _target(store)
    await _messages(store, target, 20)
    failed = 0
    now_ms = NOW + 100
    while failed < BREAKER_FAILURES:
        for delivery in (await turn(store, now_ms)).deliveries:
            await answer(store, delivery, 500, now_ms=now_ms)
            failed += 1
        now_ms += 10
    opened_ms = now_ms - 10
    hold_ms = int(BREAKER_HOLD_SECONDS * 1_000)
    before = await _attempts(store, target)

    assert await store.read(open_breakers) == [target.id]
    assert (await store.read(read_gauges)).open_breakers == 1
    assert await _ids(store, opened_ms + hold_ms - 1) == []
    assert await _attempts(store, target) == before, "what is held back uses up no attempt"
    (probe,) = (await turn(store, opened_ms + hold_ms)).deliveries
    assert await _ids(store, opened_ms + hold_ms) == []
    await answer(store, probe, 200, now_ms=opened_ms + hold_ms)
    assert len(await _ids(store, opened_ms + hold_ms + 1)) == 1, "a ramp, not a stampede"
    assert await store.read(open_breakers) == []


async def _attempts(store: Store, target: Endpoint) -> int:
    wanted = select(func.sum(deliveries.c.attempts)).where(deliveries.c.endpoint_id == target.id)
    return int(await store.db.read(lambda tx: tx.conn.execute(wanted).scalar_one()))


async def test_slow_lanes_get_no_more_than_their_share_and_crowd_nobody_out(store: Store) -> None:
    owner = await partner(store.db)
    slow = [await endpoint(store, owner) for _ in range(40)]
    for target in slow:
        await message_to(store, target)
    await store.db.write(lambda tx: tx.conn.execute(update(lanes).values(slow=True)))
    quick = await endpoint(store, await partner(store.db, "quick"))
    await message_to(store, quick, now_ms=NOW + 1)

    first = await turn(store, NOW + 1, free=8, slow_free=2)
    second = await turn(store, NOW + 1, free=8, slow_free=0)

    assert sum(d.target.slow for d in first.deliveries) == 2
    assert [d.target.lane_id for d in first.deliveries if not d.target.slow] == [quick.id]
    assert (second.deliveries, second.again_ms) == ((), None), "no point in looking again at once"
    await message_to(store, quick, now_ms=NOW + 2)
    assert [d.target.lane_id for d in (await turn(store, NOW + 2, slow_free=0)).deliveries] == [quick.id]


async def test_lanes_nothing_came_back_from_get_no_more_than_their_share(store: Store) -> None:
    quick = await endpoint(store, await partner(store.db, "quick"))
    await message_to(store, quick)
    (delivery,) = (await turn(store, NOW)).deliveries
    assert not delivery.target.heard
    await answer(store, delivery, 500, now_ms=NOW)
    for owner in [await partner(store.db, name) for name in ("one", "other")]:
        for _ in range(20):
            await message_to(store, await endpoint(store, owner))
    await message_to(store, quick, now_ms=NOW + 1)

    first = await turn(store, NOW + 1, free=8, unheard_free=4)
    second = await turn(store, NOW + 1, free=4, unheard_free=0)
    third = await turn(store, NOW + 1, free=4, unheard_free=0)

    assert sum(not d.target.heard for d in first.deliveries) == 4
    sent = [*first.deliveries, *second.deliveries]
    assert [d.target.lane_id for d in sent if d.target.heard] == [quick.id]
    assert (third.deliveries, third.again_ms) == ((), NOW + PAUSE_MS), "no point in looking again at once"


async def _lanes_of(
    store: Store, owner: str, count: int, *, heard: bool = True, slow: bool = False, **settings: Any
) -> list[str]:
    targets = [await endpoint(store, owner, **settings) for _ in range(count)]
    for target in targets:
        await message_to(store, target)
    mine = lanes.c.partner_id == owner
    await store.db.write(lambda tx: tx.conn.execute(update(lanes).where(mine).values(heard=heard, slow=slow)))
    return [target.id for target in targets]


async def _sent_to(store: Store, at_ms: int, **more: Any) -> Counter[str]:
    return Counter(d.target.partner_id for d in (await turn(store, at_ms, **more)).deliveries)


@pytest.mark.parametrize("share", ["held", "slow_held", "unheard_held"])
async def test_a_partner_takes_no_more_than_three_times_what_it_leaves(store: Store, share: str) -> None:
    one, other = await partner(store.db, "one"), await partner(store.db, "other")
    kind = {"heard": share != "unheard_held", "slow": share == "slow_held"}
    await _lanes_of(store, one, 40, **kind)
    room: dict[str, Any] = {"free": 16, "slow_free": 16, "unheard_free": 16}

    assert await _sent_to(store, NOW + 1, **room) == {one: 12}, "4 of 16 are left"
    await _lanes_of(store, other, 1, **kind)
    # What one partner holds bounds what it gets, and it is left out once it holds all it may.
    left: dict[str, Any] = {"free": 4, "slow_free": 4, "unheard_free": 4}
    assert await _sent_to(store, NOW + 1, **left | {share: {one: 12}}) == {other: 1}
    again = await turn(store, NOW + 1, **left | {share: {one: 12}})
    assert (again.deliveries, again.again_ms) == ((), None), "no point in looking again at once"
    assert await _sent_to(store, NOW + 1, **left | {share: {one: 4}}) == {one: 2}


async def test_a_lane_that_something_hangs_in_is_served_as_a_slow_one(store: Store) -> None:
    owner = await partner(store.db)
    hanging, quick = await _lanes_of(store, owner, 2)

    first = await turn(store, NOW + 1, slow_free=0, hanging=frozenset({hanging}))
    second = await turn(store, NOW + 1, slow_free=0, hanging=frozenset({hanging}))

    assert [d.target.lane_id for d in first.deliveries] == [quick]
    assert second.deliveries == ()
    assert second.again_ms is not None
    assert second.again_ms > NOW + 1, "no point in looking again at once"
    assert [d.target.lane_id for d in (await turn(store, second.again_ms)).deliveries] == [hanging]


async def test_a_host_gets_its_rate_over_all_partners_and_the_rest_waits_unspent(store: Store) -> None:
    url = "https://target.example/hooks"
    for name in ("one", "other"):
        await _lanes_of(store, await partner(store.db, name), 60, url=url)
    elsewhere = await partner(store.db, "elsewhere")
    await _lanes_of(store, elsewhere, 1, url="https://target.example:8443/hooks")

    last, at, sent = None, NOW + 1, []
    while at < NOW + 1_000:
        last = await turn(store, at, before=last, free=500)
        sent += [(at, d.target.partner_id) for d in last.deliveries]
        if last.again_ms is None:
            break
        at = max(at + 1, last.again_ms)

    assert (NOW + 1, elsewhere) in sent, "another port is another host"
    assert len(sent) == 121
    early = [when for when, _ in sent if when == NOW + 1]
    assert len(early) <= 53
    assert sent[-1][0] - NOW >= (120 - 51) * 2, "500 a second"
    assert (
        await store.db.read(lambda tx: tx.conn.execute(select(func.max(deliveries.c.attempts))).scalar()) == 1
    )


async def test_deliver_processes_share_a_hosts_rate(store: Store) -> None:
    for number in range(1, 5):
        await session(store, f"ses_{number}", kind="deliver")
    await _lanes_of(store, await partner(store.db), 60)
    assert len((await turn(store, NOW + 1, free=500)).deliveries) < 53 / 2


async def test_a_braked_host_gets_one_probe_a_partner_and_lanes_that_are_well_go_on(store: Store) -> None:
    url, braked = "https://target.example/hooks", frozenset({"target.example"})
    failing, new, well = [await partner(store.db, name) for name in ("failing", "new", "well")]
    await _lanes_of(store, failing, 8, heard=False, url=url)
    await _lanes_of(store, new, 2, heard=False, url=url)
    await _lanes_of(store, well, 3, url=url)

    first = await turn(store, NOW + 1, braked=braked)
    assert Counter(d.target.partner_id for d in first.deliveries) == {failing: 1, new: 1, well: 3}
    second = await turn(store, NOW + 2, braked=braked, before=first)
    assert second.deliveries == ()
    assert second.again_ms == NOW + 1 + 5 * SECOND
    held = await store.db.read(lambda tx: tx.conn.execute(select(lanes.c.hold_ms)).scalars().all())
    assert sum(hold >= NOW + 1 + 5 * SECOND for hold in held) == 8
    third = await turn(store, second.again_ms + 100, braked=braked, before=second)
    assert Counter(d.target.partner_id for d in third.deliveries) == {failing: 1, new: 1}
    fourth = await turn(store, NOW + 60 * SECOND, before=third)
    assert len(fourth.deliveries) == 6, "the host is well again"


async def test_partners_share_the_sockets_by_weight(store: Store) -> None:
    heavy, light = await partner(store.db, "heavy"), await partner(store.db, "light")
    change = update(partners).where(partners.c.id == heavy).values(weight=3)
    await store.db.write(lambda tx: tx.conn.execute(change))
    for _ in range(6):
        await _messages(store, await endpoint(store, heavy), 4)
    for _ in range(6):
        await _messages(store, await endpoint(store, light), 4)

    last, sent = None, Counter[str]()
    for _ in range(2):
        last = await turn(store, NOW + 10, free=8, before=last)
        sent.update(d.target.partner_id for d in last.deliveries)

    assert (sent[heavy], sent[light]) == (12, 4)


async def test_processes_that_claim_at_once_never_share_a_delivery(store: Store) -> None:
    owner = await partner(store.db)
    for _ in range(12):
        await _messages(store, await endpoint(store, owner), 3)
    for n in range(4):
        await session(store, f"ses_{n}")

    turns = await asyncio.gather(*(turn(store, NOW + 10, free=12, by=f"ses_{n}") for n in range(4)))

    seen = Counter(d.id for one in turns for d in one.deliveries)
    assert set(seen.values()) == {1}
    await assert_in_flight_is_true(store)


async def test_a_session_that_was_taken_back_claims_nothing(store: Store) -> None:
    await message_to(store, await _target(store))

    assert await _ids(store, NOW, by="ses_gone") == []
    assert len(await _ids(store, NOW)) == 1


async def test_a_stale_record_changes_nothing(store: Store) -> None:
    target = await _target(store)
    await message_to(store, target)
    await session(store, "ses_frozen", lease_until_ms=NOW)
    (stale,) = (await turn(store, NOW, by="ses_frozen")).deliveries
    await store.sweeps.rescue(NOW)
    (current,) = (await turn(store, NOW)).deliveries
    before = await row_of(store, stale.id), await lane(store, target.id)

    assert (await answer(store, stale, 200, now_ms=NOW, by="ses_frozen")).lost
    assert (await answer(store, stale, 410, now_ms=NOW)).lost, "the token is part of the fence"
    handed = Handed(delivery=stale, session_id="ses_frozen", now_ms=NOW)
    assert not await store.lanes.hand_back(handed)

    assert (await row_of(store, stale.id), await lane(store, target.id)) == before
    assert (await _endpoint(store, target)).state == "enabled"
    assert not (await answer(store, current, 200, now_ms=NOW)).lost
    assert (await answer(store, current, 200, now_ms=NOW)).lost
    await assert_in_flight_is_true(store)


async def test_what_is_handed_back_keeps_its_attempts_and_goes_again(store: Store) -> None:
    target = await _target(store)
    await message_to(store, target)
    (delivery,) = (await turn(store, NOW)).deliveries

    assert await store.lanes.hand_back(Handed(delivery=delivery, session_id=SESSION, now_ms=NOW + 5))

    await assert_in_flight_is_true(store)
    assert await _ids(store, NOW + 4) == []
    (again,) = (await turn(store, NOW + 5)).deliveries
    assert (again.attempt, again.token) == (1, delivery.token + 1)


async def test_our_own_fault_uses_up_no_attempt_and_leaves_the_lane_alone(store: Store) -> None:
    target = await _target(store)
    await message_to(store, target)
    (delivery,) = (await turn(store, NOW)).deliveries
    before = await lane(store, target.id)

    await answer(store, delivery, error="proxy", now_ms=NOW)

    row, now = await row_of(store, delivery.id), await lane(store, target.id)
    assert (row.state, row.attempts, row.last_error) == ("pending", 0, "proxy")
    assert (now.pace, now.slow, now.in_flight) == (before.pace, False, 0)
    assert (await _endpoint(store, target)).failing_since_ms is None
    (again,) = (await turn(store, NOW + PAUSE_MS)).deliveries
    assert again.attempt == 1
    await answer(store, again, 200, now_ms=NOW + PAUSE_MS)
    history = await store.read(get_history, delivery.id, None)
    assert history is not None
    assert [a.number for a in history.attempts] == [1]


async def test_gone_endpoint_is_disabled_at_once_and_its_partner_told(store: Store) -> None:
    target = await _target(store)
    hears = await endpoint(store, target.partner_id, events=("endpoint.disabled", "delivery.dead"))
    gone, flying, waiting = await _messages(store, target, 3)
    first, second = (await turn(store, NOW + 5, free=2)).deliveries
    by_id = {first.id: first, second.id: second}

    await answer(store, by_id[gone], 410, now_ms=NOW + 6)

    disabled = await _endpoint(store, target)
    assert (disabled.state, disabled.disabled_reason) == ("disabled", "gone")
    assert [(await row_of(store, i)).state for i in (gone, flying, waiting)] == ["dead", "pending", "parked"]
    assert (await row_of(store, gone)).dead_reason == "gone"
    await answer(store, by_id[flying], 500, now_ms=NOW + 7)
    assert (await row_of(store, flying)).state == "parked", "a retry is not sent to a disabled endpoint"
    told = (await turn(store, NOW + 8)).deliveries
    assert {(d.event, d.target.endpoint_id) for d in told} == {
        ("endpoint.disabled", hears.id),
        ("delivery.dead", hears.id),
    }
    await assert_in_flight_is_true(store)


async def test_a_410_to_an_inline_callback_ends_only_its_delivery(store: Store) -> None:
    owner = await partner(store.db)
    place: dict[str, Any] = {
        "callback_url": "https://partner.example/a",
        "callback_origin": "https://partner.example",
    }
    await submit(store, task_of(owner, **place), task_of(owner, now_ms=NOW + 1, **place))
    for _ in range(2):
        await finish(store, await claim_one(store))
    first, second = (await turn(store, NOW)).deliveries

    await answer(store, first, 410, now_ms=NOW)

    assert ((await row_of(store, first.id)).state, (await row_of(store, second.id)).state) == (
        "dead",
        "pending",
    )
    assert not (await answer(store, second, 200, now_ms=NOW)).lost


async def test_an_endpoint_that_failed_for_days_without_a_success_is_disabled(store: Store) -> None:
    target = await _target(store)
    await _messages(store, target, 2)
    first, second = (await turn(store, NOW + 5)).deliveries
    await answer(store, first, 500, now_ms=NOW + 5)
    assert (await _endpoint(store, target)).failing_since_ms == NOW + 5

    await answer(store, second, 500, now_ms=NOW + 4 + FIVE_DAYS)
    assert (await _endpoint(store, target)).state == "enabled"
    (again, *_) = (await turn(store, NOW + 5 + FIVE_DAYS)).deliveries
    await answer(store, again, 500, now_ms=NOW + 5 + FIVE_DAYS)

    disabled = await _endpoint(store, target)
    assert (disabled.state, disabled.disabled_reason) == ("disabled", "failing")
    assert (await row_of(store, again.id)).state == "parked"


async def test_one_success_starts_the_days_of_failing_afresh(store: Store) -> None:
    target = await _target(store)
    await _messages(store, target, 3)
    bad, good, late = (await turn(store, NOW + 5)).deliveries

    await answer(store, bad, 500, now_ms=NOW + 5)
    await answer(store, good, 200, now_ms=NOW + 6)
    await answer(store, late, 500, now_ms=NOW + 6 + FIVE_DAYS)

    found = await _endpoint(store, target)
    assert (found.state, found.failing_since_ms) == ("enabled", NOW + 6 + FIVE_DAYS)


async def test_a_success_after_days_of_failing_disables_nothing(store: Store) -> None:
    target = await _target(store)
    await _messages(store, target, 2)
    bad, good = (await turn(store, NOW + 5)).deliveries
    await answer(store, bad, 500, now_ms=NOW + 5)

    await answer(store, good, 200, now_ms=NOW + 6 + FIVE_DAYS)

    found = await _endpoint(store, target)
    assert (found.state, found.failing_since_ms) == ("enabled", None)


async def test_a_failure_beside_the_first_success_after_days_begins_the_days_afresh(store: Store) -> None:
    target = await _target(store)
    await _messages(store, target, 3)
    bad, good, late = (await turn(store, NOW + 5)).deliveries
    await answer(store, bad, 500, now_ms=NOW + 5)
    now_ms = NOW + 6 + FIVE_DAYS

    await asyncio.gather(answer(store, good, 200, now_ms=now_ms), answer(store, late, 500, now_ms=now_ms))

    found = await _endpoint(store, target)
    assert (found.state, found.failing_since_ms) == ("enabled", now_ms)


@pytest.mark.parametrize("after", ["disable", "delete"])
async def test_a_retry_follows_an_endpoint_that_was_closed_meanwhile(store: Store, after: str) -> None:
    target = await _target(store)
    await message_to(store, target)
    (delivery,) = (await turn(store, NOW)).deliveries
    await store.db.write(getattr(store.endpoints.states, after), target.id, None, NOW)

    await answer(store, delivery, 500, now_ms=NOW)

    row = await row_of(store, delivery.id)
    assert (row.state, row.dead_reason) == (
        ("parked", None) if after == "disable" else ("dead", "endpoint_deleted")
    )
    assert await _ids(store, NOW + PAUSE_MS) == []
    await assert_in_flight_is_true(store)


async def test_a_success_counts_though_the_endpoint_was_disabled_meanwhile(store: Store) -> None:
    target = await _target(store)
    await message_to(store, target)
    (delivery,) = (await turn(store, NOW)).deliveries
    await store.db.write(store.endpoints.states.disable, target.id, None, NOW)

    await answer(store, delivery, 200, now_ms=NOW)

    assert (await row_of(store, delivery.id)).state == "delivered"


async def test_in_flight_stays_true_through_cancel_crash_hand_back_and_heal(store: Store) -> None:
    target = await _target(store)
    await _messages(store, target, 4)
    await session(store, "ses_crashing", lease_until_ms=NOW)
    crashing = (await turn(store, NOW + 5, free=2, by="ses_crashing")).deliveries
    cancelled, handed = (await turn(store, NOW + 5)).deliveries
    assert len(crashing) == 2

    await store.db.write(cancel_delivery, cancelled.id, None, NOW + 5)
    await store.sweeps.heal(NOW + 5)
    await assert_in_flight_is_true(store)
    await asyncio.gather(
        store.lanes.hand_back(Handed(delivery=handed, session_id=SESSION, now_ms=NOW + 5)),
        store.sweeps.rescue(NOW + 5),
        answer(store, cancelled, 500, now_ms=NOW + 5),
    )

    await assert_in_flight_is_true(store)
    found = await store.read(get_delivery, cancelled.id, None)
    assert found is not None
    assert found.state is DeliveryState.CANCELLED
    assert (await lane(store, target.id)).in_flight == 0


async def test_outcomes_that_arrive_together_each_count(store: Store) -> None:
    owner = await partner(store.db)
    targets = [await endpoint(store, owner) for _ in range(3)]
    for target in targets:
        await _messages(store, target, 4)
    sent: tuple[DueDelivery, ...] = (await turn(store, NOW + 10)).deliveries
    assert len(sent) == 12

    await asyncio.gather(
        *(answer(store, d, 200 if n % 2 else 500, now_ms=NOW + 10) for n, d in enumerate(sent))
    )

    states = Counter([(await row_of(store, d.id)).state for d in sent])
    assert states == {"delivered": 6, "pending": 6}
    await assert_in_flight_is_true(store)


async def test_a_tasks_deliveries_are_counted_as_they_stand(store: Store) -> None:
    owner = await partner(store.db)
    for _ in range(3):
        await endpoint(store, owner)
    await submit(store, task_of(owner))
    task = await claim_one(store)
    await finish(store, task)
    good, gone, _waiting = (await turn(store, NOW)).deliveries
    await answer(store, good, 200, now_ms=NOW)
    await answer(store, gone, 410, now_ms=NOW)

    found = await store.tasks.get(task.id, owner)
    assert found is not None
    assert (found.deliveries.pending, found.deliveries.delivered, found.deliveries.dead) == (1, 1, 1)
    assert len(await deliveries_of(store, task.id)) == 3
