"""The Python client against the running program."""

import asyncio
from typing import Any

import pytest

from tests.blackbox.conftest import Partner, Service
from tests.support.services import until
from webhookd.cli.receiver import Receiver
from webhookd.client import AsyncClient, Client, Invalid, NotFound, Unauthenticated, verify


async def test_a_task_is_submitted_watched_and_its_webhook_verified(
    service: Service, partner: Partner, receiver: tuple[Receiver, str]
) -> None:
    hits, url = receiver[0].hits, receiver[1]
    async with AsyncClient(service.url, partner.key) as client:
        task = await client.submit("demo.sleep", {"seconds": 0.2}, callback_url=url, metadata={"order": "42"})
        versions = [version async for version in client.watch(task)]
        assert versions[-1].state == "succeeded"
        assert [one.version for one in versions] == sorted({one.version for one in versions})
        await until(lambda: hits, what="the webhook")
        event = verify(hits[0].headers, hits[0].body, partner.secret)
        assert (event.type, event.data.metadata.order) == ("task.succeeded", "42")
        assert [one.id async for one in client.list("tasks", type="demo.sleep")] == [task.id]


async def test_endpoints_dead_letters_and_replays(
    service: Service, partner: Partner, receiver: tuple[Receiver, str]
) -> None:
    url = receiver[1]

    def story() -> tuple[Any, ...]:
        with Client(service.url, partner.key) as client:
            endpoint = client.endpoints.create(url, description="ours")
            assert endpoint.secret.startswith("whsec_")
            assert client.endpoints.disable(endpoint).state == "disabled"
            assert client.endpoints.enable(endpoint).state == "enabled"
            assert client.endpoints.update(endpoint, description="theirs").description == "theirs"
            assert client.endpoints.rotate_secret(endpoint, overlap_seconds=0).secret != endpoint.secret
            failed = client.wait(client.submit("demo.fail", {"times": 9}, endpoints=[]), timeout=30)
            assert failed.state == "failed"
            letters = list(client.dead_letters.list(kind="task"))
            counted = client.replay(kind="task", dry_run=True)
            client.dead_letters.discard(letters[0])
            client.endpoints.delete(endpoint)
            with pytest.raises(NotFound):
                client.endpoints.get(endpoint)
            return failed.id, [letter.id for letter in letters], counted.matched

    task_id, letters, matched = await asyncio.to_thread(story)
    assert (letters, matched) == ([task_id], 1)


async def test_refusals_are_typed(service: Service, partner: Partner) -> None:
    async with AsyncClient(service.url, partner.key) as client:
        with pytest.raises(Invalid) as raised:
            await client.submit("nope.nope")
        assert [error.path for error in raised.value.errors] == ["$.type"]
        with pytest.raises(NotFound):
            await client.get("task_nope")
    async with AsyncClient(service.url, "whk_wrong") as client:
        with pytest.raises(Unauthenticated):
            await client.get("task_nope")
