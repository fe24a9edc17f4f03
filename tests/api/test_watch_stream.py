"""`WS /v1/stream`, against a running API."""

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.support.live_api import ADMIN_KEY, Live, heard, say
from tests.support.services import ValkeyServer, until
from webhookd.api import stream as stream_module
from webhookd.api import websocket as websocket_module
from webhookd.api.conversation import MOST_MISTAKES
from webhookd.flows.watch import watch as watch_module

both_databases = pytest.mark.parametrize("live", ["sqlite", "postgresql"], indirect=True)
UNKNOWN = "task_00000000000000000000000000"


async def close_code(socket: ClientConnection) -> int:
    """Read on until the server has closed."""

    async def read_on() -> None:
        while True:
            await asyncio.wait_for(socket.recv(), 30)

    with pytest.raises(ConnectionClosed) as closed:
        await read_on()
    assert closed.value.rcvd is not None, "cut without a close frame"
    return closed.value.rcvd.code


async def updates(socket: ClientConnection, count: int) -> list[dict[str, Any]]:
    """The tasks of the next updates."""
    messages = [await heard(socket) for _ in range(count)]
    assert {message["event"] for message in messages} == {"task.updated"}
    return [message["task"] for message in messages]


@both_databases
async def test_named_task_is_pushed_as_it_is_and_with_each_new_version(live: Live) -> None:
    partner = await live.partner()
    task = await partner.submit()
    socket = await live.stream(partner.key)
    await say(socket, {"subscribe": {"tasks": [task["id"]]}})
    assert await heard(socket) == {"event": "subscribed", "tasks": [task["id"]]}
    assert await updates(socket, 1) == [task]
    await live.hand.start(task["id"])
    assert (await updates(socket, 1))[0]["state"] == "running"
    await live.hand.progress(task["id"], 40)
    assert (await updates(socket, 1))[0]["progress"]["percent"] == 40
    await live.hand.finish(task["id"], "r")
    [last] = await updates(socket, 1)
    assert (last["version"], last["done"], last["result"]) == (4, True, "r")


@both_databases
async def test_following_all_tells_of_every_task_of_the_partner_and_of_nobody_elses(live: Live) -> None:
    partner, other = await live.partner(), await live.partner()
    socket = await live.stream(partner.key)
    await say(socket, {"subscribe": {"all": True}})
    assert (await heard(socket))["event"] == "subscribed"
    foreign, task = await other.submit(), await partner.submit()
    assert await updates(socket, 1) == [task]
    await live.hand.finish(foreign["id"])
    await live.hand.finish(task["id"])
    while not (news := await updates(socket, 1))[0]["done"]:
        pass
    assert news[0]["id"] == task["id"]


async def test_admin_follows_everybody_or_one_partner(live: Live) -> None:
    partner, other = await live.partner(), await live.partner()
    everybody, one = await live.stream(ADMIN_KEY), await live.stream(ADMIN_KEY)
    await say(everybody, {"subscribe": {"all": True}})
    await say(one, {"subscribe": {"all": True, "partner": partner.id}})
    await heard(everybody)
    await heard(one)
    foreign, task = await other.submit(), await partner.submit()
    owners = {update["id"]: update["partner"]["id"] for update in await updates(everybody, 2)}
    assert owners == {foreign["id"]: other.id, task["id"]: partner.id}
    [update] = await updates(one, 1)
    admin = await live.client(ADMIN_KEY)
    assert update == (await admin.get(f"/v1/tasks/{task['id']}")).json(), "as an admin sees it elsewhere"
    named = await live.stream(ADMIN_KEY)
    await say(named, {"subscribe": {"all": True, "partner": update["partner"]["name"]}})
    assert (await heard(named))["event"] == "subscribed"
    await say(one, {"subscribe": {"all": True, "partner": "prt_unknown"}})
    assert (await heard(one))["code"] == "not_found"


@pytest.mark.faults
async def test_followers_hear_of_ends_while_the_broker_is_away(live: Live, valkey: ValkeyServer) -> None:
    partner = await live.partner()
    before = await partner.submit()
    await live.hand.finish(before["id"])
    sockets = [await live.stream(partner.key), await live.stream(ADMIN_KEY)]
    for socket in sockets:
        await say(socket, {"subscribe": {"all": True}})
        await heard(socket)
    valkey.kill()
    task = await partner.submit()
    await live.hand.finish(task["id"])
    for socket in sockets:
        [update] = await updates(socket, 1)
        assert (update["id"], update["done"]) == (task["id"], True)


async def test_since_resumes_after_the_versions_known(live: Live) -> None:
    partner = await live.partner()
    known, behind = await partner.submit(), await partner.submit()
    await live.hand.start(known["id"])
    socket = await live.stream(partner.key)
    ids = [known["id"], behind["id"]]
    await say(socket, {"subscribe": {"tasks": ids, "since": {known["id"]: 2, behind["id"]: 1}}})
    assert (await heard(socket))["tasks"] == ids
    assert [update["id"] for update in await updates(socket, 1)] == [behind["id"]]
    await live.hand.progress(known["id"], 5)
    assert [(update["id"], update["version"]) for update in await updates(socket, 1)] == [(known["id"], 3)]


async def test_foreign_and_unknown_tasks_are_named_and_the_connection_stays(live: Live) -> None:
    partner, other = await live.partner(), await live.partner()
    task, foreign = await partner.submit(), await other.submit()
    socket = await live.stream(partner.key)
    await say(socket, {"subscribe": {"tasks": [foreign["id"], task["id"], UNKNOWN]}})
    assert await heard(socket) == {"event": "subscribed", "tasks": [task["id"]]}
    error = await heard(socket)
    assert error["event"] == "error"
    assert error["code"] == "not_found"
    assert error["tasks"] == [foreign["id"], UNKNOWN]
    await live.hand.finish(foreign["id"])
    await live.hand.finish(task["id"])
    while not (news := await updates(socket, 1))[0]["done"]:
        pass
    assert news[0]["id"] == task["id"]


async def test_unsubscribing_stops_the_pushes(live: Live) -> None:
    partner = await live.partner()
    task, other = await partner.submit(), await partner.submit()
    socket = await live.stream(partner.key)
    await say(socket, {"subscribe": {"tasks": [task["id"], other["id"]]}})
    await heard(socket)
    await updates(socket, 2)
    await say(socket, {"unsubscribe": {"tasks": [task["id"]]}})
    assert (await heard(socket))["event"] == "unsubscribed"
    await live.hand.finish(task["id"])
    await live.hand.finish(other["id"])
    while not (news := await updates(socket, 1))[0]["done"]:
        pass
    assert news[0]["id"] == other["id"]
    await say(socket, {"subscribe": {"all": True}})
    assert (await heard(socket))["event"] == "subscribed"
    await say(socket, {"unsubscribe": {"all": True}})
    assert (await heard(socket))["event"] == "unsubscribed"
    await partner.submit()
    await say(socket, {"ping": 7})
    assert await heard(socket) == {"event": "pong", "ping": 7}


async def test_key_may_come_as_the_first_message(live: Live) -> None:
    partner = await live.partner()
    socket = await live.stream(None)
    await say(socket, {"auth": partner.key})
    assert await heard(socket) == {"event": "authenticated"}
    await say(socket, {"subscribe": {"all": True}})
    assert (await heard(socket))["event"] == "subscribed"
    await say(socket, {"auth": partner.key})
    assert (await heard(socket))["code"] == "invalid"


@pytest.mark.parametrize(
    "first", ['{"auth":"whk_wrong"}', '{"subscribe":{"all":true}}', "{", '{"auth":7}', b"\x00", None]
)
async def test_without_a_good_key_the_connection_is_closed_with_4401(
    live: Live, monkeypatch: pytest.MonkeyPatch, first: str | bytes | None
) -> None:
    monkeypatch.setattr(stream_module, "AUTH_SECONDS", 0.5)
    socket = await live.stream(None)
    if first is not None:
        await socket.send(first)
    assert await close_code(socket) == 4401


async def test_wrong_header_is_closed_with_4401_and_a_missing_scope_with_4403(live: Live) -> None:
    assert await close_code(await live.stream("whk_wrong")) == 4401
    partner = await live.partner()
    admin = await live.client(ADMIN_KEY)
    made = await admin.post(f"/v1/partners/{partner.id}/keys", json={"name": "w", "scopes": ["tasks:write"]})
    assert made.status_code == 201, made.text
    assert await close_code(await live.stream(made.json()["key"])) == 4403


async def test_revoked_key_closes_the_connection(live: Live) -> None:
    partner = await live.partner()
    socket = await live.stream(partner.key)
    await say(socket, {"ping": None})
    await heard(socket)
    admin = await live.client(ADMIN_KEY)
    [key] = (await admin.get(f"/v1/partners/{partner.id}/keys")).json()["data"]
    await admin.delete(f"/v1/keys/{key['id']}")
    assert await close_code(socket) == 4401


@pytest.mark.parametrize(
    ("text", "code", "path"),
    [
        ("{", "malformed_json", None),
        ('{"a":1,"a":2}', "malformed_json", None),
        ("[]", "invalid", "$"),
        ("{}", "invalid", None),
        ('{"ping":1,"auth":"x"}', "invalid", None),
        ('{"dance":1}', "invalid", "$.dance"),
        ('{"subscribe":{}}', "invalid", "$.subscribe"),
        ('{"subscribe":null}', "invalid", "$.subscribe"),
        ('{"subscribe":{"tasks":[]}}', "invalid", "$.subscribe.tasks"),
        ('{"subscribe":{"tasks":["a"],"all":true}}', "invalid", "$.subscribe"),
        ('{"subscribe":{"all":false}}', "invalid", "$.subscribe.all"),
        ('{"subscribe":{"all":true,"partner":"prt_1"}}', "invalid", "$.subscribe.partner"),
        ('{"unsubscribe":{"tasks":[1]}}', "invalid", "$.unsubscribe.tasks[0]"),
    ],
)
async def test_message_that_is_not_understood_is_answered(
    live: Live, text: str, code: str, path: str | None
) -> None:
    partner = await live.partner()
    socket = await live.stream(partner.key)
    await socket.send(text)
    answer = await heard(socket)
    assert (answer["event"], answer["code"]) == ("error", code)
    if path is not None:
        assert [error["path"] for error in answer["errors"]] == [path]
    await say(socket, {"ping": "still here"})
    assert (await heard(socket))["event"] == "pong"


async def test_several_such_messages_close_the_connection_with_4400(live: Live) -> None:
    partner = await live.partner()
    socket = await live.stream(partner.key)
    for _ in range(MOST_MISTAKES):
        await socket.send("what?")
    assert await close_code(socket) == 4400


async def test_oversized_frame_closes_the_connection_with_1009(live: Live) -> None:
    partner = await live.partner()
    socket = await live.stream(partner.key)
    await say(socket, {"ping": "x" * 200_000})
    assert await close_code(socket) == 1009


async def test_thousand_tasks_are_the_most(live: Live) -> None:
    partner = await live.partner()
    body = {"tasks": [{"type": "demo.echo"}] * 1_000}
    results = (await partner.http.post("/v1/tasks/batch", json=body)).json()["results"]
    ids = [result["task"]["id"] for result in results]
    socket = await live.stream(partner.key)
    since = dict.fromkeys(ids[1:], 1)
    await say(socket, {"subscribe": {"tasks": [*ids, UNKNOWN]}})
    assert (await heard(socket))["code"] == "invalid"
    await say(socket, {"subscribe": {"tasks": ids, "since": since}})
    assert len((await heard(socket))["tasks"]) == 1_000
    assert [task["id"] for task in await updates(socket, 1)] == [ids[0]]
    await say(socket, {"subscribe": {"tasks": [UNKNOWN]}})
    assert (await heard(socket))["code"] == "invalid"
    await say(socket, {"unsubscribe": {"tasks": ids[:10]}})
    await heard(socket)
    await say(socket, {"subscribe": {"tasks": [UNKNOWN]}})
    assert (await heard(socket))["code"] == "not_found"


async def test_connections_of_one_partner_are_limited(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "MOST_CONNECTIONS", 2)
    partner, other = await live.partner(), await live.partner()
    sockets = [await live.stream(partner.key) for _ in range(2)]
    for socket in sockets:
        await say(socket, {"ping": 1})
        await heard(socket)
    assert await close_code(await live.stream(partner.key)) == 4429
    await say(await live.stream(other.key), {"ping": 1})
    await sockets[0].close()
    await until(lambda: len(live.watchers) <= 2, what="room for another")
    again = await live.stream(partner.key)
    await say(again, {"ping": 1})
    assert (await heard(again))["event"] == "pong"


@pytest.mark.slow
async def test_slow_reader_gets_the_newest_and_not_all(live: Live) -> None:
    partner = await live.partner()
    task = await partner.submit(metadata={"fill": "x" * 16_000})
    await live.hand.start(task["id"])
    socket = await live.stream(partner.key, max_queue=1)
    await say(socket, {"subscribe": {"tasks": [task["id"]]}})
    count = 1_000
    for percent in range(count):
        await live.hand.progress(task["id"], percent / 100)
    await live.hand.finish(task["id"])
    assert (await heard(socket))["event"] == "subscribed"
    versions = []
    while True:
        [update] = await updates(socket, 1)
        versions.append(update["version"])
        if update["done"]:
            break
    assert versions == sorted(set(versions))
    assert versions[-1] == count + 3
    assert len(versions) < count


@pytest.mark.slow
async def test_reader_that_takes_nothing_is_given_up(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_module, "SEND_SECONDS", 0.3)
    monkeypatch.setattr(websocket_module, "CLOSE_SECONDS", 0.1)
    partner = await live.partner()
    task = await partner.submit(metadata={"fill": "x" * 16_000})
    await live.hand.start(task["id"])
    socket = await live.stream(partner.key, max_queue=1, close_timeout=0.1)
    await say(socket, {"subscribe": {"tasks": [task["id"]]}})
    await until(lambda: len(live.watchers) == 1, what="the connection")
    percent = 0.0
    while len(live.watchers):
        assert percent < 10_000, "it goes on for ever"
        percent += 1
        await live.hand.progress(task["id"], percent)


async def test_follower_with_too_much_unread_is_closed_with_4408(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "MOST_PENDING", 40)
    partner = await live.partner()
    socket = await live.stream(partner.key)
    await say(socket, {"subscribe": {"all": True}})
    await heard(socket)
    body = {"tasks": [{"type": "demo.echo"}] * 50}
    await partner.http.post("/v1/tasks/batch", json=body)
    assert await close_code(socket) == 4408


async def test_stopping_closes_with_1012_and_a_reason(live: Live) -> None:
    partner = await live.partner()
    socket = await live.stream(partner.key)
    await say(socket, {"ping": 1})
    await heard(socket)
    live.stop()
    with pytest.raises(ConnectionClosed) as closed:
        await heard(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert closed.value.rcvd.reason
    await asyncio.wait_for(live.serving, 30)


async def test_large_result_comes_whole(live: Live) -> None:
    partner = await live.partner()
    task = await partner.submit()
    socket = await live.stream(partner.key)
    await say(socket, {"subscribe": {"tasks": [task["id"]]}})
    await heard(socket)
    await live.hand.finish(task["id"], "é" * 100_000)
    while not (news := await updates(socket, 1))[0]["done"]:
        pass
    assert json.loads(json.dumps(news[0]["result"])) == "é" * 100_000
