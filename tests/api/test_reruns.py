"""Running ended tasks again, and finding tasks by what they came with."""

from typing import Any

import pytest

from tests.support.api_face import Face, PartnerFace
from tests.support.seeds import session
from tests.support.work import claim, finish, limit
from webhookd.core.execution import End

ORDER = {
    "type": "test.echo",
    "input": {"a": 1},
    "callback_url": "https://partner.example/hooks",
    "events": ["task.failed", "task.succeeded"],
    "metadata": {"order": "42", "paid": True, "lines": 3},
    "priority": "high",
}


async def submitted(partner: PartnerFace, **changes: Any) -> dict[str, Any]:
    answer = await partner.client.post("/v1/tasks", json={**ORDER, **changes})
    assert answer.status_code == 202, answer.text
    task: dict[str, Any] = answer.json()
    return task


async def ended(face: Face, end: End = End.SUCCEEDED) -> None:
    """What a worker does with everything that is queued."""
    await session(face.store)
    now_ms = face.clock.now_ms()
    claimed = await claim(face.store, 50, limits=(limit("test.echo"),), now_ms=now_ms)
    for task in claimed.tasks:
        await finish(face.store, task, end, now_ms=now_ms)


@pytest.mark.parametrize("end", [End.SUCCEEDED, End.FAILED])
async def test_an_ended_task_is_run_again_as_a_new_one_with_all_it_was_submitted_with(
    face: Face, end: End
) -> None:
    partner = await face.partner()
    file = (await partner.client.post("/v1/files?name=a.txt", content=b"hello")).json()
    old = await submitted(partner)
    del file
    await ended(face, end)

    answer = await partner.client.post(f"/v1/tasks/{old['id']}/rerun")

    new = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/tasks/{new['id']}"
    assert (new["state"], new["rerun_of"], new["done"]) == ("queued", old["id"], False)
    assert new["id"] != old["id"]
    for same in ("type", "metadata", "callback_url", "priority"):
        assert new[same] == old[same]
    await ended(face)
    done = (await partner.client.get(f"/v1/tasks/{new['id']}")).json()
    assert (done["state"], done["rerun_of"]) == ("succeeded", old["id"])
    assert (done["deliveries"]["pending"], old["rerun_of"]) == (1, None)
    found = await partner.client.get("/v1/tasks", params={"rerun_of": old["id"]})
    assert [one["id"] for one in found.json()["data"]] == [new["id"]]


async def test_a_cancelled_task_can_be_run_again_and_one_that_waits_cannot(face: Face) -> None:
    partner, other = await face.partner(), await face.partner()
    task = await submitted(partner)
    path = f"/v1/tasks/{task['id']}/rerun"

    refused = await partner.client.post(path)
    await partner.client.post(f"/v1/tasks/{task['id']}/cancel")
    taken = await partner.client.post(path)

    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert taken.status_code == 202
    assert (await other.client.post(path)).status_code == 404
    assert (await face.admin.post(path)).json()["partner"]["id"] == partner.id


async def test_a_rerun_repeated_with_its_key_is_one(face: Face) -> None:
    partner = await face.partner()
    task = await submitted(partner)
    await ended(face)

    answers = [
        await partner.client.post(f"/v1/tasks/{task['id']}/rerun", headers={"Idempotency-Key": "again"})
        for _ in range(2)
    ]

    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert answers[1].headers["idempotency-replayed"] == "true"


async def test_tasks_are_found_by_metadata(face: Face) -> None:
    partner, other = await face.partner(), await face.partner()
    mine = [await submitted(partner), await submitted(partner, metadata={"order": "43", "paid": True})]
    foreign = await submitted(other)

    async def found(client: Any = partner.client, **wanted: str) -> list[str]:
        answer = await client.get(
            "/v1/tasks", params={f"metadata.{name}": value for name, value in wanted.items()}
        )
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["data"]]

    assert await found(order="42") == [mine[0]["id"]]
    assert await found(paid="true") == [mine[1]["id"], mine[0]["id"]]
    assert await found(order="42", paid="true", lines="3") == [mine[0]["id"]]
    assert await found(order="43", lines="3") == await found(order="4") == await found(Order="42") == []
    assert await found(face.admin, order="42") == [foreign["id"], mine[0]["id"]]
    scoped = await face.admin.get("/v1/tasks", params={"metadata.order": "42", "partner": other.id})
    assert [one["id"] for one in scoped.json()["data"]] == [foreign["id"]]
    first = await partner.client.get("/v1/tasks", params={"metadata.paid": "true", "limit": 1})
    rest = await partner.client.get(
        "/v1/tasks", params={"metadata.paid": "true", "cursor": first.json()["next_cursor"]}
    )
    assert [one["id"] for one in rest.json()["data"]] == [mine[0]["id"]]
    state = await partner.client.get("/v1/tasks", params={"metadata.paid": "true", "state": "cancelled"})
    assert state.json()["data"] == []


async def test_names_of_metadata_may_hold_anything(face: Face) -> None:
    partner = await face.partner()
    task = await submitted(partner, metadata={"a.b c": "x=y&z", "": "", "\u00fc": "\u00e4"})

    for name, value in task["metadata"].items():
        answer = await partner.client.get("/v1/tasks", params={f"metadata.{name}": value})
        assert [one["id"] for one in answer.json()["data"]] == [task["id"]]


@pytest.mark.parametrize(
    "query",
    [
        "metadata=42",
        "metadata.a=1&metadata.b=2&metadata.c=3&metadata.d=4",
        "metadata.a=1&metadata.a=2",
        "idempotency_key=",
    ],
)
async def test_a_search_that_is_none_is_refused(sqlite_face: Face, query: str) -> None:
    partner = await sqlite_face.partner()

    assert (await partner.client.get(f"/v1/tasks?{query}")).status_code == 422


async def test_tasks_are_found_by_the_key_they_came_with(face: Face) -> None:
    partner, other = await face.partner(), await face.partner()
    headers = {"Idempotency-Key": "order-42"}
    one = await partner.client.post("/v1/tasks", json=ORDER, headers=headers)
    await partner.client.post("/v1/tasks", json=ORDER, headers=headers)
    await other.client.post("/v1/tasks", json=ORDER, headers={"Idempotency-Key": "order-43"})
    admins = await face.admin.post("/v1/tasks", json={**ORDER, "partner": partner.id}, headers=headers)
    batch = await partner.client.post(
        "/v1/tasks/batch", json={"tasks": [ORDER, ORDER]}, headers={"Idempotency-Key": "many"}
    )

    async def found(key: str) -> list[str]:
        answer = await partner.client.get("/v1/tasks", params={"idempotency_key": key})
        return sorted(one["id"] for one in answer.json()["data"])

    assert await found("order-42") == sorted([one.json()["id"], admins.json()["id"]])
    assert await found("order-43") == []
    assert await found("many") == sorted(each["task"]["id"] for each in batch.json()["results"])
