"""Nothing accepted is lost: every process is killed at random moments while work comes in and goes out."""

import asyncio
import os
import random
import signal
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.faults.invariants import settled, verify
from tests.faults.load import partner_under_load
from tests.faults.site import PER_HOST, Site

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.long]

TASKS = 120
KILLS = 3


@pytest.mark.parametrize("victims", ["everything", "one part at a time"])
async def test_all_accepted_tasks_are_delivered_after_kills(site: Site, victims: str) -> None:
    chance = random.Random(f"{victims} 20261124")
    installation = site.installation
    async with partner_under_load(installation, f"kills {victims}") as (load, receiver):
        submitting = asyncio.create_task(load.submit_many(range(TASKS), over_seconds=6, chance=chance))
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.5, 2))
            if victims == "everything":
                installation.kill()
                await installation.start()
            else:
                pids = [pid for group in installation.children().values() for pid in group]
                os.kill(chance.choice(pids), signal.SIGKILL)
        await submitting
        await settled(installation)
        tally = await verify(installation, [load], receiver.hits, most_duplicates=KILLS * 2 * PER_HOST)
    assert (tally.accepted, tally.delivered) == (TASKS, TASKS)


BATCHES = 6
OF_A_BATCH = 10


async def test_every_batch_ends_with_one_message_through_kills(site: Site) -> None:
    """The workers are killed over and over while the last tasks of batches end."""
    chance = random.Random("batches 20261124")
    installation = site.installation
    async with partner_under_load(installation, "batches") as (load, receiver):
        submitting = asyncio.create_task(
            _submitted([load.submit_batch(1_000 * (n + 1), OF_A_BATCH) for n in range(BATCHES)])
        )
        for _ in range(KILLS * 2):
            await asyncio.sleep(chance.uniform(0.2, 1))
            pids = [pid for group in installation.children().values() for pid in group]
            os.kill(chance.choice(pids), signal.SIGKILL)
        await submitting
        await settled(installation)
        tally = await verify(installation, [load], receiver.hits, most_duplicates=KILLS * 4 * PER_HOST)
    assert len(load.batches) == BATCHES
    # Each task has a webhook of its own here, and each batch one.
    assert (tally.accepted, tally.delivered) == (BATCHES * OF_A_BATCH, BATCHES * (OF_A_BATCH + 1))


async def _submitted(batches: list[Coroutine[Any, Any, str]]) -> None:
    async with asyncio.TaskGroup() as group:
        for batch in batches:
            group.create_task(batch)
