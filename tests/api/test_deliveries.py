"""Deliveries, dead letters and the pull feed over HTTP."""

import asyncio
import shlex
from typing import Any

import orjson
import pytest

from tests.api.targets import URL, dead, endpoint, tried
from tests.support.api_face import Face
from tests.support.seeds import EXHAUSTED, answered, due, later, message_to
from tests.support.work import ended_task
from webhookd.core.delivery import Delivered
from webhookd.core.execution import End


async def test_a_delivery_shows_every_attempt_with_its_parts_and_a_line_to_repeat_it(face: Face) -> None:
    partner = await face.partner()
    target = await endpoint(face, partner, headers={"x-key": "planted-secret"})
    body = '{"type":"task.succeeded","data":{"name":"it\'s"}}'
    delivery_id = await message_to(face.store, target, now_ms=face.clock.now_ms(), body=body)
    await tried(face, delivery_id, EXHAUSTED)

    answer = await partner.client.get(f"/v1/deliveries/{delivery_id}")

    assert answer.status_code == 200
    delivery = answer.json()
    (attempt,) = delivery.pop("attempts_log")
    assert (delivery["state"], delivery["attempts"], delivery["dead_reason"]) == ("dead", 1, "exhausted")
    assert (delivery["last_status"], delivery["last_error"]) == (500, "http_500")
    assert (attempt["number"], attempt["status"], attempt["error"]) == (1, 500, "http_500")
    assert attempt["duration_ms"] == 5.0
    assert attempt["parts"] == {"dns_ms": None, "connect_ms": 0.9, "tls_ms": None, "first_byte_ms": 3.0}
    assert attempt["response"] == {"headers": {"content-type": "text/plain"}, "body": "no"}
    words = shlex.split(attempt["curl"])
    sent = [word for word, before in zip(words[1:], words, strict=False) if before == "-H"]
    assert [f"{name}: {value}" for name, value in attempt["request_headers"].items()] == sent
    assert words[:4] == ["curl", "-X", "POST", URL]
    assert words[-1] == body
    assert f"webhook-id: {delivery['message_id']}" in words
    assert "x-key: ***" in words
    assert "planted-secret" not in answer.text
    assert "whsec_" not in answer.text


async def test_a_long_body_is_not_repeated_in_every_attempt(face: Face) -> None:
    partner = await face.partner()
    target = await endpoint(face, partner)
    body = orjson.dumps({"type": "task.succeeded", "data": "x" * 20_000}).decode()
    delivery_id = await message_to(face.store, target, now_ms=face.clock.now_ms(), body=body)
    await tried(face, delivery_id, Delivered())

    delivery = (await partner.client.get(f"/v1/deliveries/{delivery_id}")).json()

    fetched, chosen, sent = delivery["attempts_log"][0]["curl"].split(" | ")
    assert shlex.split(fetched)[-1] == f"$WEBHOOKD_URL/v1/messages/{delivery['message_id']}"
    assert chosen == "jq -j .body"
    assert shlex.split(sent)[-2:] == ["--data-binary", "@-"]
    message = (await partner.client.get(f"/v1/messages/{delivery['message_id']}")).json()
    assert message["body"] == body
    assert delivery["delivered_at"] is not None


async def test_a_message_has_the_exact_text_that_is_signed_beside_what_it_says(face: Face) -> None:
    partner = await face.partner()
    body = '{"type":"task.succeeded","timestamp":"2026-11-24T06:00:00.000Z","data":{"n":1.10,"s":"\\u00e9é"}}'
    target = await endpoint(face, partner)
    delivery_id = await message_to(face.store, target, now_ms=face.clock.now_ms(), body=body)
    delivery = (await partner.client.get(f"/v1/deliveries/{delivery_id}")).json()
    path = f"/v1/messages/{delivery['message_id']}"

    message = (await partner.client.get(path)).json()

    assert message == {"id": delivery["message_id"], "task_id": None, "body": body, **orjson.loads(body)}
    assert (await face.admin.get(path)).json() == message
    stranger = await face.partner()
    foreign, unknown = await stranger.client.get(path), await partner.client.get("/v1/messages/msg_nope")
    assert (foreign.status_code, unknown.status_code) == (404, 404)
    assert foreign.json()["detail"] == unknown.json()["detail"]


async def test_a_delivery_tells_what_is_under_way_and_what_is_left_of_its_budget(face: Face) -> None:
    partner = await face.partner()
    target = await endpoint(face, partner, retry={"max_attempts": 2})
    delivery_id = await message_to(face.store, target, now_ms=face.clock.now_ms())
    names = ("state", "in_flight", "attempts", "attempts_left", "max_attempts")

    async def told() -> tuple[list[Any], str | None]:
        shown = (await partner.client.get(f"/v1/deliveries/{delivery_id}")).json()
        return [shown[name] for name in names], shown["next_attempt_at"]

    made, due_at = await told()
    assert (made, due_at is None) == (["pending", False, 0, 2, 2], False)

    (delivery,) = await due(face.store, face.clock.now_ms())
    assert await told() == (["pending", True, 1, 1, 2], None)

    assert await answered(face.store, delivery, EXHAUSTED, now_ms=face.clock.now_ms())
    assert await told() == (["dead", False, 1, 1, 2], None)

    await partner.client.post(f"/v1/deliveries/{delivery_id}/replay")
    replayed, due_at = await told()
    assert (replayed, due_at is None) == (["pending", False, 1, 2, 2], False)
    await tried(face, delivery_id, later(face.clock.now_ms() + 60_000))
    again, due_at = await told()
    assert (again, due_at is None) == (["pending", False, 2, 1, 2], False)


async def test_the_listing_takes_every_filter_and_pages(face: Face) -> None:
    partner = await face.partner()
    target = await endpoint(face, partner)
    ids = [await message_to(face.store, target, now_ms=face.clock.now_ms()) for _ in range(3)]
    await partner.client.post(f"/v1/deliveries/{ids[0]}/cancel")

    async def listed(query: str) -> list[str]:
        answer = await partner.client.get(f"/v1/deliveries?{query}")
        assert answer.status_code == 200, answer.text
        return [row["id"] for row in answer.json()["data"]]

    assert sorted(await listed("")) == sorted(ids)
    assert await listed("state=cancelled") == [ids[0]]
    assert len(await listed(f"endpoint={target.id}&state=pending")) == 2
    assert await listed(f"task=task_{26 * '0'}") == []
    assert await listed("until=2020-01-01T00:00:00Z") == []
    assert len(await listed("since=2020-01-01T00:00:00%2B01:00")) == 3
    first = (await partner.client.get("/v1/deliveries?limit=2")).json()
    rest = (await partner.client.get(f"/v1/deliveries?limit=2&cursor={first['next_cursor']}")).json()
    assert sorted(row["id"] for row in first["data"] + rest["data"]) == sorted(ids)
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    "path",
    [
        "/v1/deliveries?state=lost",
        "/v1/deliveries?since=yesterday",
        "/v1/deliveries?type=x",
        "/v1/deliveries?partner=prt_x",
        "/v1/deliveries?limit=501",
        "/v1/dead-letters?kind=message",
        "/v1/dead-letters?cursor=x",
        "/v1/dead-letters?state=dead",
        "/v1/messages?after=x",
        "/v1/messages?after=1.prt_x",
        "/v1/messages?after=",
        "/v1/messages?wait=-1",
        "/v1/messages?wait=nan",
        "/v1/messages?partner=prt_x",
        "/v1/replays?state=dead",
    ],
)
async def test_a_wrong_or_unknown_parameter_is_refused(sqlite_face: Face, path: str) -> None:
    partner = await sqlite_face.partner()

    answer = await partner.client.get(path)

    assert answer.status_code == 422, answer.text


async def test_foreign_ids_answer_as_unknown_ones(face: Face) -> None:
    owner, other = await face.partner(), await face.partner()
    delivery_id = await dead(face, await endpoint(face, owner))
    paths = [f"/v1/deliveries/{delivery_id}", f"/v1/dead-letters/{delivery_id}"]

    for path in paths:
        assert (await other.client.get(path)).status_code == 404
        assert (await other.client.post(path + "/replay")).status_code == 404
    assert (await other.client.post(paths[0] + "/cancel")).status_code == 404
    assert (await other.client.delete(paths[1])).status_code == 404
    assert (await other.client.get("/v1/dead-letters")).json()["data"] == []
    assert (await owner.client.get(paths[1])).status_code == 200


async def test_a_replay_is_one_replay_while_pending_and_another_after_its_end(face: Face) -> None:
    partner = await face.partner()
    delivery_id = await dead(face, await endpoint(face, partner))
    path = f"/v1/deliveries/{delivery_id}/replay"
    headers = {"Idempotency-Key": "again"}

    first = await partner.client.post(path, headers=headers)
    face.bell.rung.clear()
    repeated = await partner.client.post(path, headers=headers)
    pending = await partner.client.post(path)

    assert [answer.status_code for answer in (first, repeated, pending)] == [202, 202, 202]
    assert first.json()["state"] == "pending"
    assert repeated.headers["idempotency-replayed"] == "true"
    assert pending.json() == first.json() == repeated.json()
    await tried(face, delivery_id, Delivered())
    delivered = (await partner.client.get(f"/v1/deliveries/{delivery_id}")).json()
    assert (delivered["state"], delivered["attempts"]) == ("delivered", 2)

    assert (await partner.client.post(path)).json()["state"] == "pending"
    assert "deliver" in face.bell.rung
    await tried(face, delivery_id, Delivered())
    log = (await partner.client.get(f"/v1/deliveries/{delivery_id}")).json()["attempts_log"]
    assert [attempt["number"] for attempt in log] == [1, 2, 3]


async def test_a_waiting_delivery_can_be_cancelled_and_an_ended_one_cannot(face: Face) -> None:
    partner = await face.partner()
    target = await endpoint(face, partner)
    waiting = await message_to(face.store, target, now_ms=face.clock.now_ms())

    first = await partner.client.post(f"/v1/deliveries/{waiting}/cancel")
    second = await partner.client.post(f"/v1/deliveries/{waiting}/cancel")
    ended = await partner.client.post(f"/v1/deliveries/{await dead(face, target)}/cancel")

    assert (first.status_code, first.json()["state"]) == (202, "cancelled")
    assert (second.status_code, second.json()) == (200, first.json())
    assert (ended.status_code, ended.json()["code"]) == (409, "conflict")


async def test_dead_letters_of_both_kinds_can_be_read_replayed_and_discarded(face: Face) -> None:
    partner = await face.partner()
    target = await endpoint(face, partner, events=["endpoint.disabled"])
    delivery_id = await dead(face, target)
    task_id = await ended_task(face.store, partner.id, End.FAILED, now_ms=face.clock.now_ms())

    listed = (await partner.client.get("/v1/dead-letters")).json()["data"]
    assert {letter["id"] for letter in listed} == {delivery_id, task_id}
    task = (await partner.client.get(f"/v1/dead-letters/{task_id}")).json()
    assert task == {
        "id": task_id,
        "kind": "task",
        "reason": "task_failed",
        "at": task["at"],
        "task_id": task_id,
        "endpoint_id": None,
        "url": None,
        "event": None,
        "type": "demo.fail",
        "last_error": "no_luck: It did not work.",
    }
    (only,) = (await partner.client.get("/v1/dead-letters?kind=delivery")).json()["data"]
    assert (only["url"], only["event"], only["endpoint_id"]) == (URL, "task.succeeded", target.id)

    face.bell.rung.clear()
    face.signals.published.clear()
    replayed = await partner.client.post(
        f"/v1/dead-letters/{task_id}/replay", headers={"Idempotency-Key": "k"}
    )
    assert (replayed.status_code, replayed.json()["state"]) == (202, "queued")
    assert face.bell.rung == ["default"]
    assert [signal.task_id for signal in face.signals.published] == [task_id]
    again = await partner.client.post(f"/v1/dead-letters/{task_id}/replay", headers={"Idempotency-Key": "k"})
    assert (again.status_code, again.headers["idempotency-replayed"]) == (202, "true")
    assert (await partner.client.post(f"/v1/dead-letters/{task_id}/replay")).status_code == 409
    assert (await partner.client.get(f"/v1/dead-letters/{task_id}")).status_code == 404

    assert (await partner.client.delete(f"/v1/dead-letters/{delivery_id}")).status_code == 204
    assert (await partner.client.delete(f"/v1/dead-letters/{delivery_id}")).status_code == 404
    assert (await partner.client.get("/v1/dead-letters")).json()["data"] == []
    assert (await partner.client.get(f"/v1/deliveries/{delivery_id}")).json()["state"] == "dead"


async def test_replaying_needs_its_scope(face: Face) -> None:
    partner = await face.partner()
    delivery_id = await dead(face, await endpoint(face, partner))
    key = await face.admin.post(
        f"/v1/partners/{partner.id}/keys", json={"name": "reader", "scopes": ["tasks:read"]}
    )
    reader = await face.client(key.json()["key"])

    refused = [
        await reader.post(f"/v1/deliveries/{delivery_id}/replay"),
        await reader.post(f"/v1/dead-letters/{delivery_id}/replay"),
        await reader.delete(f"/v1/dead-letters/{delivery_id}"),
        await reader.post("/v1/replays", json={"all": True}),
    ]

    assert [answer.status_code for answer in refused] == [403] * 4
    assert (await reader.get("/v1/dead-letters")).status_code == 200


async def test_the_feed_gives_the_signed_data_in_order_and_goes_on_after_its_cursor(face: Face) -> None:
    partner = await face.partner()
    target = await endpoint(face, partner)
    bodies = [
        f'{{"type":"task.succeeded","timestamp":"2026-11-24T06:00:0{n}.000Z","data":{{"b":{n},"a":1.50}}}}'
        for n in range(3)
    ]
    for body in bodies:
        await message_to(face.store, target, now_ms=face.clock.now_ms(), body=body)

    first = await partner.client.get("/v1/messages?limit=2")
    cursor = first.json()["next_cursor"]
    rest = await partner.client.get(f"/v1/messages?after={cursor}")

    data = first.json()["data"] + rest.json()["data"]
    assert [item["data"]["b"] for item in data] == [0, 1, 2]
    assert list(data[0]) == ["id", "type", "timestamp", "data"]
    assert data[0]["id"].startswith("msg_")
    assert '"data":{"b":0,"a":1.50}}' in first.text
    end = rest.json()["next_cursor"]
    empty = await partner.client.get(f"/v1/messages?after={end}")
    assert empty.json() == {"data": [], "next_cursor": end}


async def test_an_empty_feed_hands_out_a_cursor_to_wait_with(face: Face) -> None:
    partner = await face.partner()
    start = (await partner.client.get("/v1/messages")).json()["next_cursor"]

    waiting = asyncio.create_task(partner.client.get(f"/v1/messages?after={start}&wait=300"))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await message_to(face.store, await endpoint(face, partner), now_ms=face.clock.now_ms())

    async with asyncio.timeout(30):
        answer = await waiting
    assert len(answer.json()["data"]) == 1


async def test_a_wait_for_nothing_ends_with_the_same_cursor(face: Face) -> None:
    partner = await face.partner()

    answer = await partner.client.get("/v1/messages?wait=0.05")

    assert answer.json() == {"data": [], "next_cursor": f"0.{partner.id}"}


async def test_a_cursor_the_feed_has_not_come_to_is_unknown(face: Face) -> None:
    partner, other = await face.partner(), await face.partner()
    await message_to(face.store, await endpoint(face, other), now_ms=face.clock.now_ms())
    foreign = (await other.client.get("/v1/messages")).json()["next_cursor"]

    number, _, message_id = foreign.split(".")
    unknown = (
        foreign,
        f"{number}.{partner.id}.{message_id}",
        f"1.{partner.id}",
        f"{'9' * 30}.{partner.id}",
        f"-1.{partner.id}",
    )
    for cursor in unknown:
        assert (await partner.client.get(f"/v1/messages?after={cursor}")).status_code == 422
    forgotten = f"{number}.{other.id}.msg_{'0' * 26}"
    assert (await other.client.get(f"/v1/messages?after={forgotten}")).status_code == 422
    assert (await face.admin.get("/v1/messages")).status_code == 422
    admins = await face.admin.get(f"/v1/messages?partner={other.id}")
    assert len(admins.json()["data"]) == 1
