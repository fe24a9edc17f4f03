"""How many may wait, whose key may wait, and what a write-only key sees; against a running API."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.support.live_api import ADMIN_KEY, Live, LivePartner, heard, say
from tests.support.services import until
from webhookd.api import held as held_module
from webhookd.api import stream as stream_module
from webhookd.api.conversation import MOST_MISTAKES
from webhookd.flows.watch import watchers as watchers_module

PROMISED_SECONDS = 5.0
"""Within which a revoked key is noticed everywhere."""


async def close_code(socket: ClientConnection) -> int:
    """Read on until the server has closed."""
    with suppress(ConnectionClosed):
        while True:
            await asyncio.wait_for(socket.recv(), 30)
    assert socket.close_code is not None
    return socket.close_code


@asynccontextmanager
async def held(live: Live, *requests: Any) -> AsyncIterator[list["asyncio.Task[httpx.Response]"]]:
    """Requests that are being held, once they are."""
    before = len(live.watchers)
    tasks = [asyncio.ensure_future(request) for request in requests]
    try:
        await until(lambda: len(live.watchers) == before + len(tasks), what="the requests to be held")
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def ways_to_wait(partner: LivePartner, task_id: str) -> dict[str, Callable[[], Any]]:
    """Every request that is held."""
    http = partner.http
    return {
        "poll": lambda: http.get(f"/v1/tasks/{task_id}", params={"wait": 60}),
        "events": lambda: http.get(f"/v1/tasks/{task_id}/events"),
        "feed": lambda: http.get("/v1/messages", params={"wait": 60}),
    }


async def test_requests_of_one_partner_that_are_held_are_limited_whichever_they_are(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_module, "MOST_HELD", 3)
    partner, other = await live.partner(), await live.partner()
    task = await partner.submit()
    ways = ways_to_wait(partner, task["id"])
    async with held(live, *(way() for way in ways.values())):
        for way in ways.values():
            refused = await way()
            assert refused.status_code == 429
            assert refused.json()["code"] == "rate_limited"
            assert int(refused.headers["retry-after"]) >= 1
        # What need not wait is answered, and so is everybody else.
        now = await partner.http.get(f"/v1/tasks/{task['id']}", params={"wait": 60, "version": 0})
        assert now.status_code == 200
        foreign = await other.submit()
        async with held(live, ways_to_wait(other, foreign["id"])["poll"]()):
            pass
    await until(lambda: len(live.watchers) == 0, what="the end of the requests")
    async with held(live, ways["poll"]()) as [again]:
        await live.hand.finish(task["id"])
        assert (await again).status_code == 200


async def test_preference_to_wait_is_ignored_where_too_many_do(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_module, "MOST_HELD", 1)
    partner = await live.partner()
    task = await partner.submit()
    async with held(live, ways_to_wait(partner, task["id"])["poll"]()):
        answer = await partner.http.post(
            "/v1/tasks", json={"type": "demo.echo"}, headers={"Prefer": "wait=60"}
        )
        assert answer.status_code == 202
        assert "preference-applied" not in answer.headers
        assert (await partner.http.get(f"/v1/tasks/{answer.json()['id']}")).status_code == 200


async def test_admins_websockets_are_limited_as_a_partners(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "MOST_CONNECTIONS", 1)
    partner = await live.partner()
    first = await live.stream(ADMIN_KEY)
    await say(first, {"ping": 1})
    await heard(first)
    assert await close_code(await live.stream(ADMIN_KEY)) == 4429
    await say(await live.stream(partner.key), {"ping": 1})


async def test_websockets_that_show_no_key_are_limited_by_address(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "MOST_STRANGERS", 2)
    partner = await live.partner()
    first, second = await live.stream(None), await live.stream(None)
    assert await close_code(await live.stream(None)) == 4429
    await say(await live.stream(partner.key), {"ping": 1})  # who shows one at once is no stranger
    await say(first, {"auth": partner.key})
    assert (await heard(first))["event"] == "authenticated"
    third = await live.stream(None)
    await say(third, {"auth": partner.key})
    assert (await heard(third))["event"] == "authenticated"
    await say(second, {"auth": partner.key})
    assert (await heard(second))["event"] == "authenticated"


async def test_revoked_key_ends_every_wait(live: Live) -> None:
    assert watchers_module.REVIEW_SECONDS < PROMISED_SECONDS / 2
    partner = await live.partner()
    task = await partner.submit()
    socket = await live.stream(partner.key)
    await say(socket, {"subscribe": {"all": True}})
    await heard(socket)
    ways = ways_to_wait(partner, task["id"])
    admin = await live.client(ADMIN_KEY)
    [key] = (await admin.get(f"/v1/partners/{partner.id}/keys")).json()["data"]
    async with held(live, *(way() for way in ways.values())) as waiting:
        assert (await admin.delete(f"/v1/keys/{key['id']}")).status_code == 204
        async with asyncio.timeout(30):
            poll, events, feed = await asyncio.gather(*waiting)
            assert await close_code(socket) == 4401
    assert (poll.status_code, feed.status_code) == (401, 401)
    assert events.status_code == 200  # it had begun
    assert events.text.count("event: task") == 1
    assert len(live.watchers) == 0


@pytest.mark.parametrize("end", ["expiry", "suspension"])
async def test_key_that_ends_otherwise_closes_the_websocket_too(live: Live, end: str) -> None:
    partner = await live.partner()
    admin = await live.client(ADMIN_KEY)
    expires = datetime.now(UTC) + timedelta(seconds=2 if end == "expiry" else 3_600)
    made = await admin.post(
        f"/v1/partners/{partner.id}/keys", json={"name": "short", "expires_at": expires.isoformat()}
    )
    assert made.status_code == 201, made.text
    socket = await live.stream(made.json()["key"])
    await say(socket, {"ping": 1})
    await heard(socket)
    if end == "suspension":
        await admin.patch(f"/v1/partners/{partner.id}", json={"suspended": True})
    assert await close_code(socket) == 4401


async def test_binary_messages_are_mistakes_and_several_close_the_connection(live: Live) -> None:
    partner = await live.partner()
    socket = await live.stream(partner.key)
    for _ in range(MOST_MISTAKES - 1):
        await socket.send(b'{"ping":1}')
        assert (await heard(socket))["code"] == "malformed_json"
    await say(socket, {"ping": 1})
    assert (await heard(socket))["event"] == "pong"
    await socket.send(b"\0")
    assert await close_code(socket) == 4400


@pytest.mark.parametrize("since", [-1, 10**9, 2**62])
async def test_version_that_there_is_not_silences_nothing(live: Live, since: int) -> None:
    partner = await live.partner()
    task = await partner.submit()
    socket = await live.stream(partner.key)
    await say(socket, {"subscribe": {"tasks": [task["id"]], "since": {task["id"]: since}}})
    assert (await heard(socket))["event"] == "subscribed"
    assert (await heard(socket))["task"] == task
    await live.hand.finish(task["id"])
    while not (await heard(socket))["task"]["done"]:
        pass


@pytest.mark.parametrize("since", [{"task_x": "1"}, {"task_x": 1.5}, {"task_x": None}, [], {"task_x": True}])
async def test_versions_that_are_no_numbers_are_mistakes(live: Live, since: Any) -> None:
    partner = await live.partner()
    socket = await live.stream(partner.key)
    await say(socket, {"subscribe": {"tasks": ["task_x"], "since": since}})
    answer = await heard(socket)
    assert (answer["event"], answer["code"]) == ("error", "invalid")
    assert answer["errors"][0]["path"].startswith("$.subscribe.since")


@pytest.mark.parametrize(
    "cursor",
    [
        *("", "x", "1", "-1.{me}", "1.prt_other", "999999999.{me}", "9" * 19 + ".{me}", "٣.{me}", "1.{me}.2"),
        *("0.{me}.", "0.{me}.x", f"0.{{me}}.msg_{'0' * 26}", f"01.{{me}}.msg_{'0' * 26}", "1.{me}.msg_1"),
    ],
)
async def test_cursor_that_is_none_of_the_feeds_is_refused_at_once(live: Live, cursor: str) -> None:
    partner = await live.partner()
    query = {"after": cursor.replace("{me}", partner.id), "wait": "60"}
    answer = await asyncio.wait_for(partner.http.get("/v1/messages", params=query), 30)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == "$.after"


async def test_cursor_of_another_partner_is_refused(live: Live) -> None:
    partner, other = await live.partner(), await live.partner()
    task = await other.submit()
    await live.hand.finish(task["id"])
    theirs = (await other.http.get("/v1/messages")).json()["next_cursor"]
    assert (await partner.http.get("/v1/messages", params={"after": theirs})).status_code == 422


async def test_stopping_answers_the_feed_and_preferred_waits_at_once(live: Live) -> None:
    partner = await live.partner()
    submitting = partner.http.post("/v1/tasks", json={"type": "demo.echo"}, headers={"Prefer": "wait=60"})
    feed = partner.http.get("/v1/messages", params={"wait": 60})
    async with held(live, submitting, feed) as waiting:
        live.stop()
        submitted, page = await asyncio.wait_for(asyncio.gather(*waiting), 30)
    assert submitted.status_code == 202
    assert submitted.json()["state"] == "queued"
    assert (page.status_code, page.json()["data"]) == (200, [])
    assert page.json()["next_cursor"]
    await asyncio.wait_for(live.serving, 30)


async def test_key_that_may_only_write_sees_the_tasks_it_submits_and_no_others(live: Live) -> None:
    """It waits as anybody, but what it is answered are ids and states; looking is for `tasks:read`."""
    partner = await live.partner()
    admin = await live.client(ADMIN_KEY)
    made = await admin.post(
        f"/v1/partners/{partner.id}/keys", json={"name": "writer", "scopes": ["tasks:write"]}
    )
    writer = await live.client(made.json()["key"])
    headers = {"Prefer": "wait=60", "Idempotency-Key": "once"}
    submitting = asyncio.ensure_future(writer.post("/v1/tasks", json={"type": "demo.echo"}, headers=headers))
    await until(lambda: len(live.watchers) == 1, what="the wait")
    [task] = (await partner.http.get("/v1/tasks")).json()["data"]
    await live.hand.finish(task["id"], 42)
    answer = await submitting
    assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")
    assert "result" not in answer.json()
    assert answer.headers["preference-applied"] == "wait=45"
    for path in (f"/v1/tasks/{task['id']}", f"/v1/tasks/{task['id']}/events", "/v1/messages", "/v1/tasks"):
        refused = await writer.get(path, params={"wait": 60} if path.endswith(task["id"]) else {})
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert await close_code(await live.stream(made.json()["key"])) == 4403
