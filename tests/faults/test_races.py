"""Many at once, and nobody to be trusted: sweeps in every process, forged permits, clocks that are wrong."""

import asyncio
import itertools
import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
import redis

from tests.faults.invariants import settled, verify
from tests.faults.load import Load, partner_under_load
from tests.faults.site import Site
from tests.support.installation import Installation, Parts
from webhookd.adapters.broker.permits import permit
from webhookd.core.model import DELIVER_QUEUE

pytestmark = [pytest.mark.faults, pytest.mark.slow]

QUEUES = ("default", DELIVER_QUEUE)
HOUR_SECONDS = 3600


async def test_sweeps_of_all_processes_at_once_start_each_due_task_once(site: Site) -> None:
    installation = site.installation
    async with partner_under_load(installation, "sweeps") as (load, receiver):
        await _submit_scheduled(installation, load, range(150), in_seconds=2)
        await settled(installation)
        await verify(installation, [load], receiver.hits)
        assert len(receiver.hits) == 150


async def test_forged_doubled_reordered_and_stale_permits_do_no_harm(site: Site) -> None:
    installation, chance = site.installation, random.Random(7)
    async with partner_under_load(installation, "forged") as (load, receiver):
        submitting = asyncio.create_task(load.submit_many(range(100), over_seconds=4))
        stale: list[tuple[bytes, bytes]] = []
        with site.valkey.client() as client:
            for kind in itertools.cycle(FORGERIES):
                if submitting.done():
                    break
                with suppress(redis.ResponseError):  # what stood there before was of another kind
                    _forge(client, kind, chance, stale)
                await asyncio.sleep(0.02)
        await submitting
        await settled(installation)
        await verify(installation, [load], receiver.hits)
        assert len(receiver.hits) == 100


async def test_wrong_clocks_change_no_lease_and_no_due_time(parts: Site) -> None:
    installation = parts.installation
    assert isinstance(installation, Parts)
    # Leases long enough for a busy machine: what one of them loses, a clock took.
    installation.more = {
        name: {"FAULT_CLOCK_SECONDS": str(seconds), "WEBHOOKD_LEASE_SECONDS": "30"}
        for name, seconds in (
            ("api-2", HOUR_SECONDS),
            ("worker-2", -HOUR_SECONDS),
            ("worker-3", HOUR_SECONDS),
        )
    }
    before = installation.logged()
    try:
        await installation.let_go("api-2")
        for name in installation.more:
            installation.keep(name)
        await installation.ready(tasks=4)
        async with partner_under_load(installation, "clocks") as (load, receiver):
            await load.submit_many(range(60), over_seconds=3)
            await _submit_scheduled(installation, load, range(60, 100), in_seconds=2, url=1)
            await settled(installation)
            await verify(installation, [load], receiver.hits)
            assert len(receiver.hits) == 100
        theirs = installation.log(before, of=installation.more)
        assert "worker_ready" in theirs
        assert "lease_lost" not in theirs
    finally:
        installation.more = {}
        for name in ("worker-2", "worker-3", "api-2"):
            await installation.let_go(name)
        installation.keep("api-2")


async def _submit_scheduled(
    installation: Installation, load: Load, numbers: range, *, in_seconds: float, url: int = 0
) -> None:
    """Submit tasks that all fall due at one moment."""
    due = (datetime.now(UTC) + timedelta(seconds=in_seconds)).isoformat()
    task = {"type": "demo.echo", "callback_url": load.callback_url, "run_at": due}
    async with installation.client(load.key) as client:
        answer = await client.post(
            f"{installation.urls[url]}/v1/tasks/batch", json={"tasks": [task] * len(numbers)}
        )
    results = answer.json()["results"]
    load.accepted |= {number: result["task"]["id"] for number, result in zip(numbers, results, strict=True)}


FORGERIES = ("doubled", "garbage", "stale", "reordered", "another kind", "flood", "without a body", "ours")


def _forge(client: redis.Redis, kind: str, chance: random.Random, stale: list[tuple[bytes, bytes]]) -> None:
    queue = chance.choice(QUEUES)
    key = f"webhookd:{queue}"
    bodies = f"{key}.msgs"
    message = permit(queue)
    entry, body = message.message_id.encode(), message.encode()
    match kind:
        case "doubled":
            client.hset(bodies, entry.decode(), body)
            client.rpush(key, *[entry] * 5)
            stale.append((entry, body))
        case "garbage":
            client.rpush(key, b"\x00\xff not a permit", chance.randbytes(40))
            client.hset(bodies, "garbage", chance.randbytes(40))
        case "stale" if stale:
            old, text = chance.choice(stale)
            client.hset(bodies, old.decode(), text)
            client.lpush(key, old)
        case "reordered":
            entries = client.lrange(key, 0, -1)
            client.delete(key)
            if entries:
                client.rpush(key, *reversed(entries))
        case "another kind":
            client.delete(key)
            client.set(key, "a string in the place of a list")
        case "flood":
            client.delete(key)
            client.rpush(key, *[b"x"] * 500)
        case "without a body":
            client.delete(bodies)
            client.rpush(key, entry)
        case _:
            client.hset(bodies, entry.decode(), b'{"queue_name": "no such queue", "actor_name": "rm -rf"}')
            client.rpush(key, entry)
