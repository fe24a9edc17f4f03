"""A partner's rates over several API processes that share a real Valkey, and by themselves without it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.support.api_face import Face
from tests.support.services import ValkeyServer, until
from webhookd.adapters.broker import SharedBuckets
from webhookd.core.rate import Rate
from webhookd.core.records import Limits, Partner
from webhookd.flows.rates import SHARES, PartnerRates, RateKind

SLOW = 0.001  # tokens a second: whatever the machine does meanwhile, none comes back
BURST = 80


@pytest.fixture(autouse=True)
def _broker_is_given_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a well broker may take longer than a request waits for it."""
    monkeypatch.setattr("webhookd.adapters.broker.buckets.TIMEOUT_SECONDS", 10.0)


def now_ms() -> int:
    return int(time.time() * 1000)


def partner(name: str = "prt_1", **limits: float) -> Partner:
    return Partner(
        id=name,
        name=name,
        weight=1,
        limits=Limits(**limits),  # type: ignore[arg-type] # by name
        suspended=False,
        created_ms=1,
    )


@asynccontextmanager
async def process(url: str) -> AsyncIterator[PartnerRates]:
    """The rates of one API process."""
    shared = SharedBuckets(url)
    rates = PartnerRates(
        rate=SLOW, burst=BURST, writes=Rate(per_second=SLOW, burst=BURST), shared=shared.take, now_ms=now_ms
    )
    try:
        yield rates
    finally:
        await rates.aclose()
        await shared.aclose()


async def taken(rates: PartnerRates, times: int, bucket: RateKind = RateKind.TASKS) -> int:
    """How many of so many calls are let in, one after another."""
    granted = 0
    for _ in range(times):
        granted += (await rates.take(bucket, partner(), 1, now_ms=now_ms())).granted
    return granted


@pytest.mark.parametrize("bucket", list(RateKind))
async def test_processes_together_give_out_one_burst(valkey: ValkeyServer, bucket: RateKind) -> None:
    async with process(valkey.url) as one, process(valkey.url) as other, process(valkey.url) as third:
        granted = await asyncio.gather(*(taken(rates, 2 * BURST, bucket) for rates in (one, other, third)))
    assert BURST <= sum(granted) <= BURST + 3 * BURST // SHARES


async def test_what_one_process_used_up_the_next_does_not_have(valkey: ValkeyServer) -> None:
    async with process(valkey.url) as one:
        assert await taken(one, 2 * BURST) == BURST
    async with process(valkey.url) as restarted:
        assert await taken(restarted, BURST) <= BURST // SHARES


async def test_far_below_its_rate_nobody_waits_for_the_broker_which_is_told_soon(
    valkey: ValkeyServer,
) -> None:
    async with process(valkey.url) as one, process(valkey.url) as other:
        valkey.freeze()
        assert await taken(one, BURST // SHARES) == BURST // SHARES
        valkey.thaw()

        async def seen() -> bool:
            looked = await other.take(RateKind.TASKS, partner(), BURST, now_ms=now_ms())
            return not looked.granted and looked.remaining == BURST - BURST // SHARES

        with valkey.client() as client:
            await until(lambda: client.exists("webhookd:rate:tasks:prt_1"), what="the telling")
        assert await seen()


async def test_each_process_goes_by_its_own_view_while_the_broker_is_away(valkey: ValkeyServer) -> None:
    async with process(valkey.url) as one, process(valkey.url) as other:
        valkey.kill()
        assert await taken(one, 2 * BURST) == BURST
        assert await taken(other, 2 * BURST) == BURST
        valkey.restart()
        async with process(valkey.url) as third:
            with valkey.client() as client:
                await until(lambda: client.exists("webhookd:rate:tasks:prt_1"), what="the telling")
            assert await taken(third, BURST) <= BURST // SHARES


async def test_partners_and_buckets_are_apart(valkey: ValkeyServer) -> None:
    async with process(valkey.url) as rates:
        assert await taken(rates, 2 * BURST) == BURST
        assert await taken(rates, 1, RateKind.WRITES) == 1
        assert (await rates.take(RateKind.TASKS, partner("prt_2"), BURST, now_ms=now_ms())).granted


async def test_a_batch_is_taken_whole_or_not_at_all(valkey: ValkeyServer) -> None:
    async with process(valkey.url) as rates:
        at = now_ms()
        assert (await rates.take(RateKind.TASKS, partner(), BURST - 1, now_ms=at)).granted
        refused = await rates.take(RateKind.TASKS, partner(), 2, now_ms=at)
        assert not refused.granted
        assert refused.retry_seconds
        assert (await rates.take(RateKind.TASKS, partner(), 1, now_ms=at)).granted
        assert (await rates.take(RateKind.TASKS, partner(), BURST + 1, now_ms=at)).retry_seconds is None


async def test_a_limit_that_is_changed_holds_at_once(valkey: ValkeyServer) -> None:
    async with process(valkey.url) as rates:
        assert (await rates.take(RateKind.TASKS, partner(), 5, now_ms=now_ms())).granted
        narrow = partner(rate_per_second=SLOW, burst=2)
        granted = [(await rates.take(RateKind.TASKS, narrow, 1, now_ms=now_ms())).granted for _ in range(9)]
        assert sum(granted) <= 2


async def test_two_applications_that_share_a_broker_let_in_one_burst(
    sqlite_face: Face, valkey: ValkeyServer
) -> None:
    made = await sqlite_face.partner()
    async with process(valkey.url) as one, process(valkey.url) as other:
        clients = [
            await sqlite_face.client(made.key, submit=sqlite_face.with_rates(rates)) for rates in (one, other)
        ]

        async def statuses(client: httpx.AsyncClient, path: str, body: object) -> list[int]:
            return [(await client.post(path, json=body)).status_code for _ in range(BURST)]

        for path, body in (
            ("/v1/tasks", {"type": "test.echo"}),
            ("/v1/replays", {"all": True, "dry_run": True}),
        ):
            got = await asyncio.gather(*(statuses(client, path, body) for client in clients))
            let_in = sum(found.count(202) for found in got)
            assert BURST <= let_in <= BURST + 2 * BURST // SHARES
            assert sum(found.count(429) for found in got) == 2 * BURST - let_in


@pytest.mark.parametrize(
    ("forged", "left"),
    [(b"many", BURST), (b"nan", BURST), (b"", BURST), (b"-1e300", BURST), (b"1e300", 0), (b"inf", 0)],
)
async def test_what_is_forged_there_empties_a_bucket_at_most(
    valkey: ValkeyServer, forged: bytes, left: int
) -> None:
    with valkey.client() as client:
        client.set("webhookd:rate:tasks:prt_1", forged)
    shared = SharedBuckets(valkey.url)
    rate = Rate(per_second=1_000, burst=BURST)
    told = await shared.take("tasks:prt_1", rate, spent=0, wanted=0)
    assert told is not None
    assert round(BURST - told.full_in_ms / rate.spacing_ms) == left
    assert shared.forged == (forged in (b"many", b"nan", b""))
    await shared.aclose()


async def test_a_key_of_another_kind_in_the_place_of_a_bucket_is_replaced(valkey: ValkeyServer) -> None:
    with valkey.client() as client:
        client.lpush("webhookd:rate:tasks:prt_1", "x")
    async with process(valkey.url) as rates:
        assert await taken(rates, 2 * BURST) == BURST
