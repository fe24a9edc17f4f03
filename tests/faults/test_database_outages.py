"""PostgreSQL crashes, goes away and comes back, and loses connections at the worst moment: during COMMIT."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.faults.held import Held
from tests.faults.invariants import settled, verify
from tests.faults.load import partner_under_load
from tests.faults.scale import OUTAGE_SECONDS
from tests.faults.site import PER_HOST, Site
from tests.support.services import until

pytestmark = [pytest.mark.faults, pytest.mark.slow]


async def test_crashed_postgresql_costs_refusals_and_nothing_else(parts: Site) -> None:
    installation = parts.installation
    assert parts.postgres is not None
    async with partner_under_load(installation, "crash") as (load, receiver):
        submitting = asyncio.create_task(load.submit_many(range(80), over_seconds=OUTAGE_SECONDS + 2))
        await asyncio.sleep(1)
        parts.postgres.stop("immediate")
        async with installation.client(load.key) as client:
            refused = await client.post("/v1/tasks", json={"type": "demo.echo"})
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        await asyncio.sleep(OUTAGE_SECONDS)
        parts.postgres.start()
        await submitting
        await settled(installation)
        await verify(installation, [load], receiver.hits, most_duplicates=PER_HOST)
        assert load.impatient == 0
        assert load.answers[503] >= 1


async def test_hanging_postgresql_is_refused_in_time_and_heals(parts: Site) -> None:
    """Nothing comes through and nothing is closed: a caller must not wait for time-outs of the network."""
    installation = parts.installation
    assert parts.database is not None
    async with partner_under_load(installation, "hanging") as (load, receiver):
        await load.submit_many(range(10))
        parts.database.swallow()
        submitting = asyncio.create_task(load.submit_many(range(10, 30), over_seconds=OUTAGE_SECONDS / 2))
        await until(lambda: load.answers[503] >= 10, what="refusals", seconds=30 + OUTAGE_SECONDS / 2)
        parts.database.swallow(False)
        await submitting
        await settled(installation)
        await verify(installation, [load], receiver.hits, most_duplicates=PER_HOST)
        assert load.impatient == 0


async def test_database_turned_read_only_ends_no_process_and_heals_without_a_restart(parts: Site) -> None:
    """Longer than a lease. What was begun meanwhile goes on, and the first writes after it are taken."""
    installation = parts.installation
    async with partner_under_load(installation, "read-only") as (load, receiver):
        await load.submit_many(range(20))
        before = installation.children()
        other = await installation.partner("beside read-only")
        submitting = asyncio.create_task(load.submit_many(range(20, 60), over_seconds=OUTAGE_SECONDS))
        parts.read_only()
        async with installation.client(other["key"]) as client:
            for url in installation.urls:
                refused = await client.post(f"{url}/v1/tasks", json={"type": "demo.echo"})
                assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
                assert int(refused.headers["retry-after"]) >= 1
                assert (await client.get(f"{url}/v1/tasks")).status_code == 200, "reading goes on"
            await asyncio.sleep(OUTAGE_SECONDS)
            parts.read_only(False)
            for url in installation.urls:
                taken = await client.post(f"{url}/v1/tasks", json={"type": "demo.echo"})
                assert taken.status_code == 202, "no connection that refuses writes was kept"
        await submitting
        await settled(installation)
        await verify(installation, [load], receiver.hits, most_duplicates=PER_HOST)
        assert installation.children() == before
        assert set(load.answers) == {202, 503}


async def test_task_that_runs_through_an_outage_is_not_run_again(parts: Site, tmp_path: Path) -> None:
    """Its worker is well and could not renew its lease: nobody may take the task from it.

    It renews a moment after the other worker's first look, as it would with a lease of usual length.
    """
    installation = parts.installation
    assert parts.postgres is not None
    async with partner_under_load(installation, "through") as (load, receiver):
        held = Held(tmp_path)
        task_id = await load.submit(0, {**load.body(0), **held.body})
        [pid] = await held.started(1)
        late = f"no-renewals-{pid}"
        installation.arm(late)
        parts.postgres.stop("immediate")
        await asyncio.sleep(OUTAGE_SECONDS)
        parts.postgres.start()
        await asyncio.sleep(1.2)
        installation.disarm(late)
        await installation.ready(tasks=2)
        await asyncio.sleep(OUTAGE_SECONDS)
        held.release()
        await settled(installation)
        await verify(installation, [load], receiver.hits)
        async with installation.client(load.key) as client:
            task = (await client.get(f"/v1/tasks/{task_id}")).json()
        assert len(await held.started(1)) == 1
        assert (task["state"], task["attempts"]) == ("succeeded", 1)


@pytest.mark.parametrize("arrived", [True, False], ids=["after it", "before it"])
async def test_submission_whose_commit_was_cut_is_refused_and_found_by_the_retry(
    parts: Site, arrived: bool
) -> None:
    installation = parts.installation
    assert parts.database is not None
    async with partner_under_load(installation, f"cut {arrived}") as (load, receiver):
        cuts = parts.database.cuts
        parts.database.cut_at(b"COMMIT", arrived=arrived, after=b"order-77")
        await load.submit(77)
        assert parts.database.cuts == cuts + 1
        assert load.answers == {503: 1, 202: 1}
        await settled(installation)
        await verify(installation, [load], receiver.hits)


async def test_commits_cut_at_random_lose_nothing(parts: Site) -> None:
    """Of everybody: claims and records whose answers are lost, too."""
    installation, chance = parts.installation, random.Random(3)
    assert parts.database is not None
    async with partner_under_load(installation, "cuts") as (load, receiver):
        before = parts.database.cuts
        submitting = asyncio.create_task(load.submit_many(range(100), over_seconds=5))
        while not submitting.done():
            parts.database.cut_at(b"COMMIT", arrived=chance.random() < 0.7)
            await asyncio.sleep(chance.uniform(0.02, 0.1))
        await submitting
        cuts = parts.database.cuts - before
        assert cuts > 10
        await settled(installation)
        await verify(installation, [load], receiver.hits, most_duplicates=cuts)
