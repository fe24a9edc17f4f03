"""Nothing accepted is lost: every process is killed at random moments while work comes in and goes out."""

import asyncio
import json
import os
import random
import signal
from pathlib import Path

import httpx
import pytest

from tests.faults.installation import Up
from tests.services import until
from webhookd.cli.receiver import Receiver, bind, receiving

pytestmark = [pytest.mark.faults, pytest.mark.slow]

TASKS = 200
KILLS = 4


async def _submit(up: Up, key: str, number: int, callback_url: str, hurry: random.Random) -> str:
    """Submit until it is accepted, as a careful partner does: the same key, again and again."""
    await asyncio.sleep(hurry.uniform(0, 8))
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": f"order-{number}"}
    body = {
        "type": "demo.sleep" if number % 4 == 0 else "demo.echo",
        "input": {"seconds": 0.2} if number % 4 == 0 else {"number": number},
        "callback_url": callback_url,
        "metadata": {"number": number},
    }
    while True:
        try:
            async with httpx.AsyncClient(base_url=up.url, timeout=5) as client:
                answer = await client.post("/v1/tasks", json=body, headers=headers)
        except httpx.HTTPError:
            await asyncio.sleep(0.2)
            continue
        if answer.status_code == 202:
            task_id: str = answer.json()["id"]
            return task_id
        assert answer.status_code == 503, answer.text
        assert "retry-after" in answer.headers
        await asyncio.sleep(0.2)


@pytest.mark.parametrize("victims", ["everything", "one part at a time"])
async def test_all_accepted_tasks_are_delivered_after_kills(tmp_path: Path, victims: str) -> None:
    chance = random.Random(20261124)
    up = Up(tmp_path)
    await up.start()
    receiver = Receiver()
    with bind("127.0.0.1", 0) as listener:
        async with receiving(receiver, listener) as callback_url:
            partner = await up.partner("acme")
            receiver.trust(partner["secret"])
            submitting = asyncio.gather(
                *(_submit(up, partner["key"], number, callback_url, chance) for number in range(TASKS))
            )
            for _ in range(KILLS):
                await asyncio.sleep(chance.uniform(0.5, 3))
                if victims == "everything":
                    up.kill()
                    await up.start()
                else:
                    _kill_one(up, chance)
            task_ids = await submitting
            assert len(set(task_ids)) == TASKS
            await until(
                lambda: _delivered(receiver) >= set(task_ids),
                what="every delivery",
                seconds=120,
            )
            await until(lambda: _settled(up, partner["key"]), what="every record", seconds=30)
    assert await up.stop() == 0
    assert all(hit.verified for hit in receiver.hits)
    bodies: dict[str, bytes] = {}
    for hit in receiver.hits:
        assert bodies.setdefault(hit.webhook_id, hit.body) == hit.body
    assert len(bodies) == TASKS, "one task made two messages"


def _kill_one(up: Up, chance: random.Random) -> None:
    pids = [pid for group in up.children().values() for pid in group]
    os.kill(chance.choice(pids), signal.SIGKILL)


def _delivered(receiver: Receiver) -> set[str]:
    return {json.loads(hit.body)["data"]["id"] for hit in list(receiver.hits) if hit.verified}


def _settled(up: Up, key: str) -> bool:
    answer = httpx.get(
        f"{up.url}/v1/deliveries",
        params={"state": "pending", "limit": 1},
        headers={"Authorization": f"Bearer {key}"},
        timeout=10,
    )
    return answer.status_code == 200 and not answer.json()["data"]
