"""The broker emptied, restarted, away, hanging and full: it holds hints, so nothing may depend on it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.faults.invariants import settled, verify
from tests.faults.load import partner_under_load
from tests.faults.scale import OUTAGE_SECONDS
from tests.faults.site import Site
from tests.support.services import until

pytestmark = [pytest.mark.faults, pytest.mark.slow]

PAUSE_MS = int(2_000 * OUTAGE_SECONDS)

Outage = Callable[[Site], contextlib.AbstractAsyncContextManager[None]]


@asynccontextmanager
async def emptied_again_and_again(site: Site) -> AsyncIterator[None]:
    async def empty() -> None:
        with site.valkey.client() as client:
            while True:
                client.flushall()
                await asyncio.sleep(0.02)

    emptying = asyncio.create_task(empty())
    yield
    emptying.cancel()


@asynccontextmanager
async def killed_and_restarted(site: Site) -> AsyncIterator[None]:
    site.valkey.restart()
    yield
    site.valkey.restart()


@asynccontextmanager
async def gone(site: Site) -> AsyncIterator[None]:
    site.valkey.kill()
    yield
    site.valkey.restart()


@asynccontextmanager
async def paused(site: Site) -> AsyncIterator[None]:
    """It hangs, and ends by itself: a server that is paused does not take the command to go on."""
    with site.valkey.client() as client:
        client.client_pause(PAUSE_MS)
    yield


@asynccontextmanager
async def a_black_hole(site: Site) -> AsyncIterator[None]:
    site.broker.swallow()
    yield
    site.broker.swallow(False)


@pytest.mark.parametrize(
    "outage", [emptied_again_and_again, killed_and_restarted, gone, paused, a_black_hole]
)
async def test_tasks_are_accepted_run_and_delivered_while_the_broker_is(up: Site, outage: Outage) -> None:
    installation = up.installation
    async with partner_under_load(installation, outage.__name__) as (load, receiver):
        async with outage(up):
            await load.submit_many(range(20), over_seconds=OUTAGE_SECONDS / 4)
            await asyncio.sleep(OUTAGE_SECONDS * 3 / 4)
            await settled(installation)
        await installation.ready(tasks=2)
        await load.submit_many(range(20, 30))
        await settled(installation)
        await verify(installation, [load], receiver.hits)
        assert load.impatient == 0, "an answer did not come in time"
        assert set(load.answers) == {202}


async def test_full_broker_is_refused_with_a_time_to_come_again_and_heals(up: Site) -> None:
    installation = up.installation

    async def why_not_ready() -> dict[str, object] | None:
        async with installation.client() as client:
            answer = await client.get("/readyz")
        return answer.json() if answer.json()["broker"]["status"] != "ok" else None

    async with partner_under_load(installation, "full") as (load, receiver):
        await load.submit_many(range(20))
        up.valkey.limit_memory(1)
        try:
            submitting = asyncio.create_task(load.submit_many(range(20, 40), over_seconds=OUTAGE_SECONDS))
            await until(lambda: load.answers[503], what="a refusal")
            answer = await until(why_not_ready, what="/readyz says why")
            assert answer is not None
            assert answer["broker"] == {"status": "failed", "reason": "out of memory"}
            assert answer["status"] == "degraded"
        finally:
            up.valkey.limit_memory(0)
        await submitting
        await settled(installation)
        await verify(installation, [load], receiver.hits)
        assert load.impatient == 0
