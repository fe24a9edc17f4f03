"""Nothing accepted is lost: every process is killed at random moments while work comes in and goes out."""

import asyncio
import os
import random
import signal

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
