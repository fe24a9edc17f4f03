"""Receivers that are down, come back to a backlog, or hang: they get a ramp, and cost the others nothing."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.faults.invariants import settled, verify
from tests.faults.load import Load, partner_under_load
from tests.faults.scale import BACKLOG, SETTLE_SECONDS
from tests.support.installation import Up
from tests.support.services import until
from webhookd.cli.receiver import Hit, Reaction, Receiver

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.long]

SOCKETS = 64
BATCH = 1_000
TIMEOUT_SECONDS = 2


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One with few sockets, so that they are soon in short supply."""
    up = Up(
        tmp_path_factory.mktemp("endpoints") / "up",
        WEBHOOKD_DELIVERY_CONNECTIONS=str(SOCKETS),
        WEBHOOKD_DELIVERY_TIMEOUT_SECONDS=str(TIMEOUT_SECONDS),
    )
    try:
        asyncio.run(up.start())
        yield up
    finally:
        up.end()


async def test_receiver_that_comes_back_gets_its_backlog_on_a_ramp(installation: Up) -> None:
    receiver = Crowd(Reaction(status=503))
    async with partner_under_load(installation, "down", receiver=receiver) as (load, _):
        await _submit(installation, load, BACKLOG)
        await until(lambda: len(receiver.hits) >= 10, what="failures enough to open the breaker")
        await asyncio.sleep(1)
        down = len(receiver.hits)
        assert down < BACKLOG / 2, "the dead receiver is not asked again and again"
        receiver.reply = Reaction(delay_seconds=0.05)
        await settled(installation, seconds=SETTLE_SECONDS)
        back = [crowd for crowd, hit in zip(receiver.crowds, receiver.hits, strict=True) if hit.status == 200]
        assert back[0] == 1, "one probe goes first"
        assert max(back[:12]) <= 8, (
            f"{BACKLOG} are due and {SOCKETS} sockets free, but it has only just come back"
        )
        assert max(back) > 8, "a receiver that is well gets more and more"
        await verify(installation, [load], receiver.hits)


async def test_hanging_receivers_leave_the_healthy_ones_alone(installation: Up) -> None:
    hanging = Receiver(reply=Reaction(delay_seconds=TIMEOUT_SECONDS * 4))
    async with (
        partner_under_load(installation, "hanging", receiver=hanging) as (slow, _),
        partner_under_load(installation, "healthy") as (load, healthy),
    ):
        endpoints = await _endpoints(installation, slow, 10)
        await _submit(installation, slow, max(60, BACKLOG // 10), endpoints=endpoints)
        await until(lambda: len(hanging.hits) >= 30, what="attempts that hang")
        await _submit(installation, load, 150)
        await until(lambda: len(healthy.hits) == 150, what="all the healthy one's", seconds=20)
        assert {hit.status for hit in healthy.hits} == {200}
        async with installation.client(slow.key) as client:
            states = (await client.get("/v1/deliveries", params={"state": "delivered"})).json()["data"]
            assert states == []
            hanging.reply = Reaction()
            for endpoint in endpoints:
                await client.delete(f"/v1/endpoints/{endpoint}")
        await settled(installation, seconds=SETTLE_SECONDS)
        await verify(installation, [load], healthy.hits)


class Crowd(Receiver):
    """Remembers with how many others each request was there at once; in the order of `hits`."""

    def __init__(self, reply: Reaction) -> None:
        super().__init__(reply=reply)
        self.crowds: list[int] = []
        self._here = 0
        self.on_hit = self._count

    def _count(self, _hit: Hit) -> None:
        self._here += 1
        self.crowds.append(self._here)
        asyncio.get_running_loop().call_later(self.reply.delay_seconds, self._leave)

    def _leave(self) -> None:
        self._here -= 1


async def _endpoints(installation: Up, load: Load, count: int) -> list[str]:
    async with installation.client(load.key) as client:
        made = [
            await client.post("/v1/endpoints", json={"url": f"{load.callback_url}{number}"})
            for number in range(count)
        ]
    return [answer.json()["id"] for answer in made]


async def _submit(installation: Up, load: Load, count: int, *, endpoints: list[str] | None = None) -> None:
    """Submit in batches: to the endpoints, else to the load's receiver."""
    task: dict[str, Any] = {"type": "demo.echo"}
    task |= {"callback_url": load.callback_url} if endpoints is None else {"endpoints": endpoints}
    async with installation.client(load.key) as client:
        for start in range(0, count, BATCH):
            tasks = [task] * min(BATCH, count - start)
            results = await _accepted(client, tasks)
            load.accepted |= {start + number: result["task"]["id"] for number, result in enumerate(results)}


async def _accepted(client: httpx.AsyncClient, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Submit a batch, as often as it is asked to come again."""
    while True:
        answer = await client.post("/v1/tasks/batch", json={"tasks": tasks})
        if answer.status_code == 202:
            results: list[dict[str, Any]] = answer.json()["results"]
            return results
        assert answer.status_code == 429, answer.text
        await asyncio.sleep(int(answer.headers["retry-after"]))
