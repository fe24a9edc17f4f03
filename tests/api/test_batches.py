"""Batches over HTTP: made, added to, closed, cancelled, read. Their ends: the store's `test_batches`."""

import asyncio
import json
from typing import Any

import pytest

from tests.support.api_face import Face, PartnerFace
from tests.support.live_api import Live
from tests.support.work import claim, finish, limit, session
from webhookd.core.execution import End

ECHO = {"type": "test.echo"}


async def made(owner: PartnerFace, **body: Any) -> dict[str, Any]:
    """A batch, as it was answered."""
    answer = await owner.client.post("/v1/batches", json=body)
    assert answer.status_code == 202, answer.text
    batch: dict[str, Any] = answer.json()
    return batch


async def seen(owner: PartnerFace, batch: dict[str, Any]) -> dict[str, Any]:
    """The batch as it is now."""
    now: dict[str, Any] = (await owner.client.get(f"/v1/batches/{batch['id']}")).json()
    return now


async def work(face: Face, end: End = End.SUCCEEDED, *, most: int = 1_000) -> None:
    """Let a worker run what waits."""
    by = await session(face.store, f"ses_{next(face.names)}", lease_until_ms=2**45)
    now_ms = face.clock.now_ms()
    limits = (limit("test.echo"),)
    for task in (await claim(face.store, most, by=by, limits=limits, now_ms=now_ms)).tasks:
        await finish(face.store, task, end, by=by, now_ms=now_ms)


async def lines(owner: PartnerFace, batch: dict[str, Any], **query: str) -> list[dict[str, Any]]:
    """The lines of its results."""
    answer = await owner.client.get(f"/v1/batches/{batch['id']}/results", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_a_batch_is_made_run_and_completed(face: Face) -> None:
    owner = await face.partner()
    answer = await owner.client.post(
        "/v1/batches",
        json={
            "tasks": [{"input": {"n": n}} for n in range(3)],
            "defaults": {**ECHO, "metadata": {"run": "7"}},
            "metadata": {"order": "42"},
            "callback_url": "https://partner.example/hooks",
        },
    )
    batch = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/batches/{batch['id']}"
    assert batch["id"].startswith("batch_")
    assert (batch["state"], batch["done"], batch["completed_at"]) == ("running", False, None)
    assert batch["counts"] == {
        "total": 3, "scheduled": 0, "queued": 3, "running": 0,
        "succeeded": 0, "failed": 0, "cancelled": 0, "expired": 0,
    }  # fmt: skip
    assert batch["metadata"] == {"order": "42"}
    fresh = await seen(owner, batch)
    assert {name: batch[name] for name in fresh} == fresh
    task = (await owner.client.get(f"/v1/tasks/{batch['task_ids'][1]}")).json()
    assert (task["batch"], task["metadata"]) == (batch["id"], {"run": "7"})

    await work(face)

    done = await seen(owner, batch)
    assert (done["state"], done["done"], done["counts"]["succeeded"]) == ("completed", True, 3)
    feed = (await owner.client.get("/v1/messages")).json()["data"]
    told = [message for message in feed if message["type"] == "batch.completed"]
    assert [message["data"] for message in told] == [done]
    sent = (await owner.client.get("/v1/deliveries")).json()["data"]
    assert [(one["event"], one["url"]) for one in sent] == [
        ("batch.completed", "https://partner.example/hooks")
    ]


async def test_a_task_takes_from_the_defaults_what_it_leaves_out(sqlite_face: Face) -> None:
    owner = await sqlite_face.partner()
    batch = await made(
        owner,
        defaults={
            "type": "test.echo",
            "input": {"a": 1, "b": 2},
            "metadata": {"run": "7", "n": 0},
            "priority": "low",
        },
        tasks=[
            {},
            {"input": {"b": 3}, "metadata": {"n": 1}, "priority": "high"},
            {"type": "test.order", "input": {"account": "A-1"}, "callback_url": "https://own.example/h"},
        ],
        open=True,
    )
    added = await sqlite_face.admin.post(f"/v1/batches/{batch['id']}/tasks", json={"tasks": [{}]})
    assert added.status_code == 202, added.text
    assert added.json()["counts"]["total"] == 4

    found = (await owner.client.get(f"/v1/batches/{batch['id']}/tasks")).json()["data"]

    assert [task["id"] for task in found] == batch["task_ids"] + added.json()["task_ids"]
    assert [task["type"] for task in found] == ["test.echo", "test.echo", "test.order", "test.echo"]
    assert [task["priority"] for task in found] == ["low", "high", "low", "low"]
    assert [task["metadata"] for task in found] == [
        {"run": "7", "n": 0}, {"run": "7", "n": 1}, {"run": "7", "n": 0}, {"run": "7", "n": 0},
    ]  # fmt: skip
    assert [task["callback_url"] for task in found] == [None, None, "https://own.example/h", None]


async def test_tasks_have_webhooks_of_their_own_only_where_it_is_said(sqlite_face: Face) -> None:
    owner = await sqlite_face.partner()
    hears_all = await owner.client.post(
        "/v1/endpoints", json={"url": "https://hooks.example/all", "events": ["task.*", "batch.completed"]}
    )
    ep_id = hears_all.json()["id"]
    await made(owner, defaults=ECHO, tasks=[{}, {}, {"endpoints": [ep_id]}, {"endpoints": []}])
    await work(sqlite_face)
    sent = (await owner.client.get("/v1/deliveries")).json()["data"]
    assert sorted(one["event"] for one in sent) == ["batch.completed", "task.succeeded"]
    await made(owner, defaults={**ECHO, "endpoints": [ep_id]}, tasks=[{}, {}], endpoints=[])
    await work(sqlite_face)
    sent = (await owner.client.get("/v1/deliveries")).json()["data"]
    assert sorted(one["event"] for one in sent) == ["batch.completed", *["task.succeeded"] * 3]


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({"tasks": []}, ["$.tasks"]),
        ({"tasks": [{}]}, ["$.tasks[0].type"]),
        ({"tasks": [ECHO, {"type": "nope"}]}, ["$.tasks[1].type"]),
        ({"tasks": [ECHO, 7, {**ECHO, "colour": 1}]}, ["$.tasks[1]", "$.tasks[2].colour"]),
        (
            {"tasks": [ECHO] * 3 + [{"type": "test.order", "input": {"account": 7}}]},
            ["$.tasks[3].input.account"],
        ),
        ({"tasks": [{}, {}], "defaults": {"type": "nope"}}, ["$.defaults.type"]),
        ({"tasks": [ECHO], "defaults": {"priority": "urgent"}}, ["$.defaults.priority"]),
        ({"tasks": [ECHO], "defaults": {"partner": "x"}}, ["$.defaults.partner"]),
        ({"tasks": [ECHO], "endpoints": ["ep_00000000000000000000000000"]}, ["$.endpoints[0]"]),
        ({"tasks": [{**ECHO, "endpoints": ["nope"]}]}, ["$.tasks[0].endpoints[0]"]),
        ({"tasks": [ECHO], "metadata": {"a": {}}}, ["$.metadata.a"]),
        ({"tasks": [ECHO], "metadata": None}, ["$.metadata"]),
        ({"tasks": [ECHO], "open": "yes"}, ["$.open"]),
        ({"tasks": [ECHO], "nope": 1}, ["$.nope"]),
        ({"tasks": [ECHO] * 1_001}, ["$.tasks"]),
    ],
)
async def test_what_is_wrong_with_one_refuses_all(
    sqlite_face: Face, body: dict[str, Any], paths: list[str]
) -> None:
    owner = await sqlite_face.partner()
    answer = await owner.client.post("/v1/batches", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] == "invalid"
    assert [error["path"] for error in answer.json()["errors"]] == paths
    assert (await owner.client.get("/v1/tasks")).json()["data"] == []
    assert (await owner.client.get("/v1/batches")).json()["data"] == []


async def test_a_url_that_is_not_allowed_refuses_all(sqlite_face: Face) -> None:
    owner = await sqlite_face.partner()
    for body, path in (
        ({"tasks": [ECHO], "callback_url": "https://127.0.0.1/"}, "$.callback_url"),
        ({"tasks": [ECHO, {**ECHO, "callback_url": "http://x.example"}]}, "$.tasks[1].callback_url"),
        (
            {"tasks": [ECHO, ECHO], "defaults": {"callback_url": "http://x.example"}},
            "$.defaults.callback_url",
        ),
    ):
        answer = await owner.client.post("/v1/batches", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "url_not_allowed")
        assert [error["path"] for error in answer.json()["errors"]] == [path]


async def test_partial_lets_in_what_is_valid(sqlite_face: Face) -> None:
    owner = await sqlite_face.partner()
    batch = await made(owner, tasks=[ECHO, {"type": "nope"}, ECHO], partial=True)
    assert [one is None for one in batch["task_ids"]] == [False, True, False]
    ((index, error),) = [(one["index"], one["error"]) for one in batch["refused"]]
    assert index == 1
    assert (error["status"], error["errors"][0]["path"]) == (422, "$.tasks[1].type")
    assert batch["counts"]["total"] == 2
    nothing = await owner.client.post("/v1/batches", json={"tasks": [{"type": "nope"}], "partial": True})
    assert nothing.status_code == 422
    await work(sqlite_face)
    assert (await seen(owner, batch))["state"] == "completed"


async def test_a_repeated_key_answers_with_the_same_batch_as_it_is_now(face: Face) -> None:
    owner = await face.partner()
    key = {"Idempotency-Key": "once"}
    body = {"tasks": [ECHO, {"type": "nope"}, ECHO], "partial": True}
    first, second = await asyncio.gather(
        *(owner.client.post("/v1/batches", json=body, headers=key) for _ in range(2))
    )
    assert first.status_code == second.status_code == 202
    assert first.json()["id"] == second.json()["id"]
    await work(face)
    again = await owner.client.post("/v1/batches", json=body, headers=key)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["state"] == "completed"
    assert again.json()["task_ids"] == first.json()["task_ids"]
    assert [one["index"] for one in again.json()["refused"]] == [1]
    other = await owner.client.post("/v1/batches", json={"tasks": [ECHO]}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert len((await owner.client.get("/v1/batches")).json()["data"]) == 1


async def test_adding_repeats_by_key_and_ends_with_the_close(face: Face) -> None:
    owner = await face.partner()
    batch = await made(owner, defaults=ECHO, open=True)
    assert (batch["state"], batch["counts"]["total"]) == ("open", 0)
    path = f"/v1/batches/{batch['id']}"
    key = {"Idempotency-Key": "more"}
    first = await owner.client.post(f"{path}/tasks", json={"tasks": [{}, {}]}, headers=key)
    assert first.status_code == 202, first.text
    again = await owner.client.post(f"{path}/tasks", json={"tasks": [{}, {}]}, headers=key)
    assert again.json()["task_ids"] == first.json()["task_ids"]
    refused = await owner.client.post(f"{path}/tasks", json={"tasks": [{}, {"type": "nope"}]})
    assert refused.json()["errors"][0]["path"] == "$.tasks[1].type"
    closes = await asyncio.gather(*(owner.client.post(f"{path}/close") for _ in range(2)))
    assert sorted(one.status_code for one in closes) == [200, 202]
    late = await owner.client.post(f"{path}/tasks", json={"tasks": [{}]})
    assert (late.status_code, late.json()["code"]) == (409, "conflict")
    again = await owner.client.post(f"{path}/tasks", json={"tasks": [{}, {}]}, headers=key)
    assert again.status_code == 202
    assert (await seen(owner, batch))["counts"]["total"] == 2


async def test_cancelling_closes_and_ends_all_that_waits(face: Face) -> None:
    owner = await face.partner()
    batch = await made(owner, defaults=ECHO, tasks=[{}, {}, {}], open=True)
    path = f"/v1/batches/{batch['id']}"
    answer = await owner.client.post(f"{path}/cancel")
    assert answer.status_code == 202, answer.text
    assert (answer.json()["state"], answer.json()["counts"]["cancelled"]) == ("cancelled", 3)
    assert answer.json()["cancel_requested_at"] is not None
    assert (await owner.client.post(f"{path}/cancel")).status_code == 200
    assert (await owner.client.post(f"{path}/close")).status_code == 200
    assert (await owner.client.post(f"{path}/tasks", json={"tasks": [{}]})).status_code == 409
    feed = (await owner.client.get("/v1/messages")).json()["data"]
    told = [message["data"]["state"] for message in feed if message["type"] == "batch.completed"]
    assert told == ["cancelled"]
    audit = (await face.admin.get("/v1/audit")).json()["data"]
    assert [entry["target"] for entry in audit if entry["action"] == "batch.cancel"] == [batch["id"]]


async def test_results_come_in_the_order_of_submission_and_go_on_at_a_cursor(
    sqlite_face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhookd.api.batch_watch.RESULTS_A_READ", 2)
    owner = await sqlite_face.partner()
    batch = await made(owner, tasks=[{**ECHO, "metadata": {"n": n}} for n in range(7)])
    assert await lines(owner, batch) == []
    await work(sqlite_face, most=5)
    assert [task["metadata"]["n"] for task in await lines(owner, batch)] == [0, 1, 2, 3, 4]
    await work(sqlite_face, End.FAILED)
    found = await lines(owner, batch)
    assert [task["id"] for task in found] == batch["task_ids"]
    assert [task["state"] for task in found] == ["succeeded"] * 5 + ["failed"] * 2
    assert [task["id"] for task in await lines(owner, batch, cursor=found[2]["id"])] == batch["task_ids"][3:]
    assert await lines(owner, batch, cursor=found[-1]["id"]) == []
    head = await owner.client.head(f"/v1/batches/{batch['id']}/results")
    assert (head.status_code, head.content) == (200, b"")


async def test_tasks_are_found_by_their_batch(sqlite_face: Face) -> None:
    owner, other = await sqlite_face.partner(), await sqlite_face.partner()
    batch = await made(owner, tasks=[ECHO, ECHO])
    await owner.client.post("/v1/tasks", json=ECHO)
    found = (await owner.client.get("/v1/tasks", params={"batch": batch["id"]})).json()["data"]
    assert [task["id"] for task in found] == batch["task_ids"][::-1]
    path = f"/v1/batches/{batch['id']}/tasks"
    assert len((await owner.client.get(path, params={"state": "queued"})).json()["data"]) == 2
    assert (await owner.client.get(path, params={"state": "running"})).json()["data"] == []
    assert (await owner.client.get(path, params={"state": "nope"})).status_code == 422
    for client, batch_id in ((other.client, batch["id"]), (owner.client, "batch_nope")):
        unknown = await client.get("/v1/tasks", params={"batch": batch_id})
        assert unknown.status_code == 422
        assert unknown.json()["errors"][0]["path"] == "$.batch"


async def test_another_partners_batch_is_an_unknown_one(sqlite_face: Face) -> None:
    owner, other = await sqlite_face.partner(), await sqlite_face.partner()
    batch = await made(owner, defaults=ECHO, open=True)
    path = f"/v1/batches/{batch['id']}"
    answers = [
        *[await other.client.get(path + tail) for tail in ("", "/tasks", "/results", "/events")],
        *[await other.client.post(path + tail) for tail in ("/close", "/cancel")],
        await other.client.post(f"{path}/tasks", json={"tasks": [ECHO]}),
    ]
    assert [answer.status_code for answer in answers] == [404] * 7
    assert (await other.client.get("/v1/batches")).json()["data"] == []
    listed = await sqlite_face.admin.get("/v1/batches", params={"partner": owner.id, "state": "open"})
    assert [one["id"] for one in listed.json()["data"]] == [batch["id"]]
    assert (await sqlite_face.admin.post(f"{path}/close")).json()["state"] == "completed"


async def test_a_key_that_may_not_read_gets_ids_and_states(sqlite_face: Face) -> None:
    owner = await sqlite_face.partner()
    key = await sqlite_face.admin.post(f"/v1/partners/{owner.id}/keys", json={"scopes": ["tasks:write"]})
    writer = await sqlite_face.client(key.json()["key"])
    batch = (await writer.post("/v1/batches", json={"tasks": [ECHO], "metadata": {"a": 1}})).json()
    assert batch.keys() == {"id", "state", "done", "version", "links", "task_ids", "refused"}
    closed = (await writer.post(f"/v1/batches/{batch['id']}/cancel")).json()
    assert closed.keys() == {"id", "state", "done", "version", "links"}
    assert (await writer.get(f"/v1/batches/{batch['id']}")).status_code == 403


async def test_a_batch_counts_as_many_as_it_has_tasks(sqlite_face: Face) -> None:
    owner = await sqlite_face.partner(limits={"max_queued": 5, "rate_per_second": 0.001, "burst": 12})
    full = await owner.client.post("/v1/batches", json={"tasks": [ECHO] * 6})
    assert (full.status_code, full.json()["code"]) == (429, "quota_exceeded")
    await made(owner, tasks=[ECHO] * 5)
    spent = await owner.client.post("/v1/batches", json={"tasks": [ECHO] * 5})
    assert (spent.status_code, spent.json()["code"]) == (429, "rate_limited")
    assert len((await owner.client.get("/v1/batches")).json()["data"]) == 1


async def test_a_batch_is_held_until_there_is_news(face: Face) -> None:
    owner = await face.partner()
    batch = await made(owner, tasks=[ECHO, ECHO])
    path = f"/v1/batches/{batch['id']}"
    at_end = asyncio.create_task(owner.client.get(path, params={"wait": 30}))
    at_news = asyncio.create_task(owner.client.get(path, params={"wait": 30, "version": batch["version"]}))
    await work(face, most=1)
    news = (await at_news).json()
    assert news["version"] > batch["version"]
    assert not at_end.done()
    await work(face)
    assert (await at_end).json()["state"] == "completed"
    nothing = await owner.client.get(path, params={"wait": 30, "version": 2})
    assert nothing.json()["done"]
    etag = nothing.headers["etag"]
    assert (await owner.client.get(path, headers={"If-None-Match": etag})).status_code == 304


async def test_a_batch_is_streamed_until_it_is_done(live: Live) -> None:
    partner = await live.partner()
    batch = (await partner.http.post("/v1/batches", json={"tasks": [{"type": "demo.echo"}] * 2})).json()
    path = f"/v1/batches/{batch['id']}/events"
    seen_versions: list[int] = []
    documents: list[dict[str, Any]] = []
    async with partner.http.stream("GET", path) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        async for line in response.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                seen_versions.append(int(value))
            elif name == "data":
                documents.append(json.loads(value))
                if len(documents) == 1:
                    for task_id in batch["task_ids"]:
                        await live.hand.finish(task_id)
            elif name == "event":
                assert value == "batch"
    assert seen_versions == sorted(set(seen_versions))
    assert documents[0]["state"] == "running"
    assert (documents[-1]["state"], documents[-1]["counts"]["succeeded"]) == ("completed", 2)
    last = {"Last-Event-ID": str(seen_versions[-1])}
    assert (await partner.http.get(path, headers=last)).status_code == 204
    for other in (seen_versions[0], seen_versions[-1] + 1):
        again = await partner.http.get(path, headers={"Last-Event-ID": str(other)})
        assert again.text.count("event: batch") == 1
