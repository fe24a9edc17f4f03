"""Batches: one commit, a result for each."""

from typing import Any

import pytest

from tests.support.api_face import Face

ECHO = {"type": "test.echo"}


async def test_each_item_has_its_result_in_order(face: Face) -> None:
    partner = await face.partner()
    body = {
        "tasks": [
            {"type": "test.order", "input": {"account": "A"}},
            {"type": "test.order", "input": {}},
            {"type": "test.echo", "surprise": 1},
            "not an object",
            {"type": "test.echo", "callback_url": "http://localhost/"},
            {"type": "test.echo", "endpoints": ["ep_unknown"]},
            {"type": "test.echo", "metadata": {"n": 7}},
        ]
    }
    answer = await partner.client.post("/v1/tasks/batch", json=body)
    assert answer.status_code == 202
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [202, 422, 422, 422, 422, 422, 202]
    assert [result["error"]["errors"][0]["path"] for result in results[1:6]] == [
        "$.tasks[1].input.account",
        "$.tasks[2].surprise",
        "$.tasks[3]",
        "$.tasks[4].callback_url",
        "$.tasks[5].endpoints[0]",
    ]
    assert [result["error"]["code"] for result in results[1:6]] == [
        "invalid",
        "invalid",
        "invalid",
        "url_not_allowed",
        "invalid",
    ]
    for result in (results[0], results[6]):
        found = await partner.client.get(f"/v1/tasks/{result['task']['id']}")
        assert found.json() == result["task"]
    assert sorted(face.bell.rung) == ["default", "orders"]


async def test_repeat_answers_as_before(face: Face) -> None:
    partner = await face.partner()
    body = {"tasks": [ECHO, {"type": "no.such"}, ECHO]}
    headers = {"Idempotency-Key": "b"}
    first = await partner.client.post("/v1/tasks/batch", json=body, headers=headers)
    again = await partner.client.post("/v1/tasks/batch", json=body, headers=headers)
    assert again.status_code == 202
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()
    assert len((await partner.client.get("/v1/tasks")).json()["data"]) == 2


async def test_thousand_tasks_are_one_commit(face: Face) -> None:
    partner = await face.partner()
    await face.parts.load.refresh()
    before = face.store.db.figures.commits
    answer = await partner.client.post("/v1/tasks/batch", json={"tasks": [ECHO] * 1_000})
    assert answer.status_code == 202
    assert {result["status"] for result in answer.json()["results"]} == {202}
    assert face.store.db.figures.commits == before + 1


@pytest.mark.parametrize(
    "body", [{"tasks": []}, {"tasks": [ECHO] * 1_001}, {}, {"tasks": "x"}, {"tasks": [ECHO], "x": 1}]
)
async def test_wrong_batch_is_refused_whole(sqlite_face: Face, body: dict[str, Any]) -> None:
    partner = await sqlite_face.partner()
    answer = await partner.client.post("/v1/tasks/batch", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"]


async def test_batch_counts_as_many_for_the_rate_and_is_refused_whole(face: Face) -> None:
    partner = await face.partner(limits={"rate_per_second": 0.001, "burst": 5})
    too_many = await partner.client.post("/v1/tasks/batch", json={"tasks": [ECHO] * 6})
    assert too_many.status_code == 429
    assert int(too_many.headers["retry-after"]) >= 1
    answer = await partner.client.post("/v1/tasks/batch", json={"tasks": [ECHO] * 4})
    assert answer.status_code == 202
    assert answer.headers["ratelimit"].startswith('"tasks";r=1;')
    over = await partner.client.post("/v1/tasks/batch", json={"tasks": [ECHO] * 2})
    assert over.json()["code"] == "rate_limited"
    assert len((await partner.client.get("/v1/tasks")).json()["data"]) == 4


async def test_batch_counts_as_many_for_the_quota_and_is_refused_whole(face: Face) -> None:
    partner = await face.partner(limits={"max_queued": 3})
    over = await partner.client.post("/v1/tasks/batch", json={"tasks": [ECHO] * 4})
    assert over.json()["code"] == "quota_exceeded"
    assert (await partner.client.post("/v1/tasks/batch", json={"tasks": [ECHO] * 3})).status_code == 202


async def test_batch_may_be_8_mib_but_each_input_only_as_large_as_alone(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    large = {"type": "test.echo", "input": {"x": "y" * 262_144}}
    fitting = {"type": "test.echo", "input": {"x": "y" * 200_000}}
    answer = await partner.client.post("/v1/tasks/batch", json={"tasks": [fitting] * 20 + [large]})
    assert [result["status"] for result in answer.json()["results"]] == [202] * 20 + [422]
    answer = await partner.client.post("/v1/tasks/batch", json={"tasks": [fitting] * 45})
    assert answer.status_code == 413


async def test_admin_names_the_partner_once_or_in_every_item(face: Face) -> None:
    partner, other = await face.partner(), await face.partner()
    named = {**ECHO, "partner": partner.id}
    for body in ({"partner": partner.id, "tasks": [ECHO, named]}, {"tasks": [named, named]}):
        key = {"Idempotency-Key": f"{len(body)} names"}
        for _ in range(2):
            results = (await face.admin.post("/v1/tasks/batch", json=body, headers=key)).json()["results"]
            assert [result["status"] for result in results] == [202, 202]
            assert [result["task"]["partner"]["id"] for result in results] == [partner.id] * 2
    mixed = {"partner": partner.id, "tasks": [ECHO, {**ECHO, "partner": other.id}]}
    answer = await face.admin.post("/v1/tasks/batch", json=mixed)
    assert [result["status"] for result in answer.json()["results"]] == [202, 422]
    answer = await face.admin.post("/v1/tasks/batch", json={"tasks": [ECHO]})
    assert answer.json()["errors"][0]["path"] == "$.partner"
    answer = await partner.client.post("/v1/tasks/batch", json={"tasks": [named]})
    assert answer.json()["results"][0]["error"]["errors"][0]["path"] == "$.tasks[0].partner"


@pytest.mark.parametrize(
    "named", [[], ["prt_1"], {}, {"a": 1}, 7, 7.5, True, None, "prt_unknown", "x" * 9_000]
)
async def test_admin_names_a_partner_that_is_none(sqlite_face: Face, named: object) -> None:
    await sqlite_face.partner()
    item = {"type": "test.echo", "partner": named}
    for path, body in (
        ("/v1/tasks/batch", {"tasks": [item]}),
        ("/v1/tasks/batch", {"tasks": [item, {**item, "partner": [[]]}]}),
        ("/v1/tasks/batch", {"tasks": [{"type": "test.echo"}], "partner": named}),
        ("/v1/tasks", item),
        ("/v1/endpoints", {"url": "https://receiver.example/", "partner": named}),
        ("/v1/partner/rotate-secret", {"partner": named}),
        ("/v1/replays", {"filter": {"partner": named}, "dry_run": True}),
    ):
        answer = await sqlite_face.admin.post(path, json=body)
        assert answer.status_code == 422, (path, answer.text)
