"""Tasks over HTTP."""

import asyncio
from typing import Any

import pytest

from tests.support.api_face import Face
from webhookd.core.times import to_rfc3339


async def test_submitted_task_is_answered_with_202_and_found_again(face: Face) -> None:
    partner = await face.partner()
    answer = await partner.client.post(
        "/v1/tasks",
        json={
            "type": "test.order",
            "input": {"account": "A-1"},
            "callback_url": "HTTPS://Partner.Example/hooks",
            "events": ["task.succeeded", "task.failed"],
            "metadata": {"order": "42", "paid": True, "sum": 1.5, "note": None},
            "priority": "high",
        },
    )
    assert answer.status_code == 202
    task = answer.json()
    assert answer.headers["location"] == f"/v1/tasks/{task['id']}"
    assert int(answer.headers["retry-after"]) >= 1
    assert task["state"] == "queued"
    assert task["priority"] == "high"
    assert task["callback_url"] == "https://partner.example/hooks"
    assert task["metadata"] == {"order": "42", "paid": True, "sum": 1.5, "note": None}
    assert task["deliveries"] == {"pending": 0, "delivered": 0, "dead": 0, "parked": 0}
    assert face.bell.rung == ["orders"]
    assert [signal.task_id for signal in face.signals.published] == [task["id"]]

    again = await partner.client.get(f"/v1/tasks/{task['id']}")
    assert again.status_code == 200
    assert again.json() == task


async def test_only_the_type_is_required(face: Face) -> None:
    partner = await face.partner()
    answer = await partner.client.post("/v1/tasks", json={"type": "test.echo"})
    assert answer.status_code == 202
    assert answer.json()["metadata"] == {}
    assert answer.json()["callback_url"] is None


async def test_task_with_a_later_run_at_is_scheduled_and_rings_nobody(face: Face) -> None:
    partner = await face.partner()
    run_at = to_rfc3339(face.clock.now_ms() + 3_600_000)
    answer = await partner.client.post("/v1/tasks", json={"type": "test.echo", "run_at": run_at})
    assert answer.json()["state"] == "scheduled"
    assert answer.json()["run_at"] == run_at
    assert 3_590 <= int(answer.headers["retry-after"]) <= 3_600
    assert face.bell.rung == []


async def test_task_that_falls_due_soon_rings_so_that_a_sweep_at_rest_learns_of_it(face: Face) -> None:
    partner = await face.partner()
    run_at = to_rfc3339(face.clock.now_ms() + 3_000)
    answer = await partner.client.post("/v1/tasks", json={"type": "test.echo", "run_at": run_at})
    assert answer.json()["state"] == "scheduled"
    assert face.bell.rung == ["default"]


async def test_run_at_in_the_past_means_now(face: Face) -> None:
    partner = await face.partner()
    answer = await partner.client.post(
        "/v1/tasks", json={"type": "test.echo", "run_at": "2020-01-01T00:00:00+02:00"}
    )
    assert answer.status_code == 202
    assert answer.json()["state"] == "queued"
    assert answer.json()["run_at"] == "2019-12-31T22:00:00.000Z"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"type": "test.ech"}, "$.type"),
        ({"type": 5}, "$.type"),
        ({"surprise": 1}, "$.surprise"),
        ({"a b": 1}, "$['a b']"),
        ({"partner": "prt_x"}, "$.partner"),
        ({"priority": "urgent"}, "$.priority"),
        ({"events": ["task.exploded"]}, "$.events[0]"),
        ({"events": []}, "$.events"),
        ({"endpoints": ["ep_unknown"]}, "$.endpoints[0]"),
        ({"endpoints": "ep_unknown"}, "$.endpoints"),
        ({"metadata": {"deep": {"er": 1}}}, "$.metadata.deep"),
        ({"metadata": {str(n): n for n in range(51)}}, "$.metadata"),
        ({"metadata": {"long": "x" * 16_384}}, "$.metadata"),
        ({"run_at": "tomorrow"}, "$.run_at"),
        ({"run_at": 5}, "$.run_at"),
        ({"run_at": "9999-01-01T00:00:00Z"}, "$.run_at"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "$.expires_at"),
        ({"run_at": "2099-01-01T00:00:00Z", "expires_at": "2098-01-01T00:00:00Z"}, "$.expires_at"),
        ({"type": "test.order", "input": {"account": 1}}, "$.input.account"),
        ({"type": "test.order", "input": {}}, "$.input.account"),
        ({"type": "test.order", "input": {"account": "A", "lines": [1, "x"]}}, "$.input.lines[1]"),
        ({"input": []}, "$.input"),
    ],
)
async def test_wrong_field_is_named(sqlite_face: Face, change: dict[str, Any], path: str) -> None:
    partner = await sqlite_face.partner()
    answer = await partner.client.post("/v1/tasks", json={"type": "test.echo", **change})
    problem = answer.json()
    assert answer.status_code == 422, problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["code"] == "invalid"
    assert path in [error["path"] for error in problem["errors"]]
    assert all(error["message"] for error in problem["errors"])


async def test_misspelt_type_is_answered_with_near_ones(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    answer = await partner.client.post("/v1/tasks", json={"type": "test.ordr"})
    assert "test.order" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    "url", ["http://partner.example/", "https://127.0.0.1/", "https://u:p@partner.example/"]
)
async def test_refused_callback_url_is_its_own_error(sqlite_face: Face, url: str) -> None:
    partner = await sqlite_face.partner()
    answer = await partner.client.post("/v1/tasks", json={"type": "test.echo", "callback_url": url})
    assert answer.status_code == 422
    assert answer.json()["code"] == "url_not_allowed"
    assert answer.json()["errors"][0]["path"] == "$.callback_url"
    assert url not in answer.text


async def test_admin_submits_for_a_partner_it_names(face: Face) -> None:
    partner = await face.partner()
    answer = await face.admin.post("/v1/tasks", json={"type": "test.echo", "partner": partner.id})
    assert answer.status_code == 202
    assert (await partner.client.get(answer.headers["location"])).status_code == 200


@pytest.mark.parametrize("named", [{}, {"partner": "prt_unknown"}])
async def test_admin_who_names_no_partner_is_told(face: Face, named: dict[str, str]) -> None:
    answer = await face.admin.post("/v1/tasks", json={"type": "test.echo", **named})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == "$.partner"


async def test_foreign_task_answers_exactly_as_an_unknown_one(face: Face) -> None:
    owner, other = await face.partner(), await face.partner()
    task = (await owner.client.post("/v1/tasks", json={"type": "test.echo"})).json()
    for call in ("", "/cancel"):
        answers = []
        for task_id in (task["id"], "task_" + "0" * 26):
            path = f"/v1/tasks/{task_id}{call}"
            answer = await (other.client.post(path) if call else other.client.get(path))
            assert answer.status_code == 404
            answers.append({**answer.json(), "trace_id": ""})
        assert answers[0] == answers[1]


async def test_unchanged_task_is_answered_with_304(face: Face) -> None:
    partner = await face.partner()
    task = (await partner.client.post("/v1/tasks", json={"type": "test.echo"})).json()
    path = f"/v1/tasks/{task['id']}"
    first = await partner.client.get(path)
    etag = first.headers["etag"]
    compressed = f'{etag[:-1]}-gzip"'
    for given in (etag, f'"x", W/{etag}', "*", compressed, f'"x", W/{compressed}', f'{etag[:-1]}-br"'):
        again = await partner.client.get(path, headers={"If-None-Match": given})
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["etag"] == etag
    for other in ('"x"', '"x-gzip"', f'{etag[:-1]}-other"'):
        assert (await partner.client.get(path, headers={"If-None-Match": other})).status_code == 200
    await partner.client.post(f"{path}/cancel")
    assert (await partner.client.get(path, headers={"If-None-Match": etag})).status_code == 200


async def test_queued_task_is_cancelled_at_once_and_done_stays_done(face: Face) -> None:
    partner = await face.partner()
    task = (await partner.client.post("/v1/tasks", json={"type": "test.echo"})).json()
    path = f"/v1/tasks/{task['id']}/cancel"
    first = await partner.client.post(path)
    assert first.status_code == 202
    assert first.json()["state"] == "cancelled"
    assert "retry-after" not in first.headers
    assert face.signals.published[-1].version == first.json()["version"]
    second = await partner.client.post(path, json={})
    assert second.status_code == 200
    assert second.json()["version"] == first.json()["version"]
    assert (await partner.client.post(path, json={"why": "x"})).status_code == 422


async def test_cancel_with_a_key_is_replayed(face: Face) -> None:
    partner = await face.partner()
    task = (await partner.client.post("/v1/tasks", json={"type": "test.echo"})).json()
    path, headers = f"/v1/tasks/{task['id']}/cancel", {"Idempotency-Key": "c-1"}
    assert (await partner.client.post(path, headers=headers)).status_code == 202
    again = await partner.client.post(path, headers=headers)
    assert again.status_code == 202
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["state"] == "cancelled"


async def test_listing_is_newest_first_filtered_and_paged(face: Face) -> None:
    partner, other = await face.partner(), await face.partner()
    ids = []
    for type_name in ("test.echo", "test.order", "test.echo"):
        body = {"type": type_name, "input": {"account": "A"}}
        ids.append((await partner.client.post("/v1/tasks", json=body)).json()["id"])
        await asyncio.sleep(0.002)  # ids of one millisecond are not ordered
    await other.client.post("/v1/tasks", json={"type": "test.echo"})
    await partner.client.post(f"/v1/tasks/{ids[0]}/cancel")

    async def listed(client: Any, query: str) -> list[str]:
        answer = await client.get(f"/v1/tasks?{query}")
        assert answer.status_code == 200, answer.text
        return [task["id"] for task in answer.json()["data"]]

    assert await listed(partner.client, "") == ids[::-1]
    assert await listed(partner.client, "state=cancelled") == [ids[0]]
    assert await listed(partner.client, "type=test.order") == [ids[1]]
    assert await listed(partner.client, "since=2099-01-01T00:00:00Z") == []
    assert await listed(partner.client, "until=2099-01-01T00:00:00%2B00:00") == ids[::-1]
    assert await listed(face.admin, f"partner={partner.id}") == ids[::-1]
    assert len(await listed(face.admin, "")) == 4

    first = (await partner.client.get("/v1/tasks?limit=2")).json()
    assert [task["id"] for task in first["data"]] == [ids[2], ids[1]]
    rest = (await partner.client.get(f"/v1/tasks?limit=2&cursor={first['next_cursor']}")).json()
    assert [task["id"] for task in rest["data"]] == [ids[0]]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "limit=x",
        "limit=1&limit=2",
        "state=gone",
        "since=yesterday",
        "sort=up",
        "cursor=%00",
        "cursor=a%20b",
        "type=%00",
    ],
)
async def test_wrong_query_parameter_is_named(sqlite_face: Face, query: str) -> None:
    partner = await sqlite_face.partner()
    answer = await partner.client.get(f"/v1/tasks?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == f"$.{query.partition('=')[0]}"


async def test_query_string_that_is_not_utf8_is_refused(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    assert (await partner.client.get("/v1/tasks?type=%ff")).status_code == 422


async def test_partner_parameter_is_the_admins(face: Face) -> None:
    partner = await face.partner()
    answer = await partner.client.get(f"/v1/tasks?partner={partner.id}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == "$.partner"


async def test_task_types_are_listed_with_their_schemas(face: Face) -> None:
    partner = await face.partner()
    answer = (await partner.client.get("/v1/task-types")).json()
    assert [one["type"] for one in answer["data"]] == ["test.echo", "test.order"]
    assert answer["data"][0]["description"] == "Give back what came."
    assert answer["data"][1]["input_schema"]["properties"]["account"] == {
        "title": "Account",
        "type": "string",
    }
    first = (await partner.client.get("/v1/task-types?limit=1")).json()
    rest = (await partner.client.get(f"/v1/task-types?cursor={first['next_cursor']}")).json()
    assert [one["type"] for one in rest["data"]] == ["test.order"]
