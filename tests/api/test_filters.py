"""Filters: what they match, and that a value which can match nothing is refused."""

import re
from typing import Any

import orjson
import pytest

from tests.support.api_face import Face, PartnerFace
from tests.support.seeds import EXHAUSTED, answered, dead_delivery, due, message_to
from tests.support.work import ended_task
from webhookd.adapters.store.schema import deliveries
from webhookd.adapters.store.tx import Tx
from webhookd.api.app import ROUTES
from webhookd.core.delivery import Delivered
from webhookd.core.execution import End
from webhookd.core.records import Endpoint
from webhookd.core.times import to_rfc3339


async def endpoint(face: Face, partner: PartnerFace) -> Endpoint:
    body = {"url": f"https://hooks.{partner.id.replace('_', '-')}.example/in"}
    answer = await partner.client.post("/v1/endpoints", json=body)
    found = await face.store.endpoints.get(answer.json()["id"], None)
    assert found is not None
    return found.endpoint


async def dead(face: Face, target: Endpoint, count: int = 1) -> list[str]:
    return [await dead_delivery(face.store, target, now_ms=face.clock.now_ms()) for _ in range(count)]


@pytest.mark.parametrize(
    ("path", "wrong", "near"),
    [
        ("/v1/dead-letters", {"reason": "exhuasted"}, "exhausted"),
        ("/v1/dead-letters", {"event": "task.suceeded"}, "task.succeeded"),
        ("/v1/dead-letters", {"error": "tiemout"}, "timeout"),
        ("/v1/dead-letters", {"kind": "delivery", "error": "no_luck"}, ""),
        ("/v1/dead-letters", {"type": "test.ecko"}, "test.echo"),
        ("/v1/dead-letters", {"endpoint": "ep_nope"}, ""),
        ("/v1/dead-letters", {"status": "600"}, ""),
        ("/v1/dead-letters", {"status": "5x"}, ""),
        ("/v1/dead-letters", {"kind": "message"}, ""),
        ("/v1/dead-letters", {"text": ""}, ""),
        ("/v1/dead-letters/summary", {"endpoint": "ep_nope"}, ""),
        ("/v1/dead-letters/summary", {"group_by": "endpoint,colour"}, ""),
        ("/v1/dead-letters/summary", {"group_by": "endpoint,endpoint"}, ""),
        ("/v1/dead-letters/summary", {"group_by": ""}, ""),
        ("/v1/deliveries", {"state": "deadd"}, ""),
        ("/v1/deliveries", {"event": "task.*"}, ""),
        ("/v1/deliveries", {"error": "http_5000"}, ""),
        ("/v1/deliveries", {"type": "nope"}, "known are test.echo, test.order"),
        ("/v1/deliveries", {"event": "bread"}, "known are batch.completed, delivery.dead,"),
        ("/v1/deliveries", {"error": "bread"}, "known are blocked"),
        ("/v1/dead-letters", {"reason": "bread"}, "known are endpoint_deleted, exhausted, gone"),
        ("/v1/deliveries", {"task": "42"}, "must match pattern '^task_"),
        ("/v1/tasks", {"rerun_of": "task_42"}, "must match pattern '^task_"),
        ("/v1/files", {"task": "42"}, "must match pattern '^task_"),
        ("/v1/deliveries", {"endpoint": "ep_nope"}, ""),
        ("/v1/deliveries", {"status": "abc"}, ""),
        ("/v1/tasks", {"state": "done"}, ""),
        ("/v1/tasks", {"type": "nope"}, ""),
    ],
)
async def test_a_value_that_can_match_nothing_is_refused(
    sqlite_face: Face, path: str, wrong: dict[str, str], near: str
) -> None:
    partner = await sqlite_face.partner()

    answer = await partner.client.get(path, params=wrong)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    (error,) = answer.json()["errors"]
    assert error["path"].removeprefix("$.") in wrong
    assert near in error["message"]


async def test_what_is_known_to_a_filter_names_no_types_that_a_partner_may_not_submit(
    sqlite_face: Face,
) -> None:
    confined = await sqlite_face.partner(task_types=["test.order"])

    answer = await confined.client.get("/v1/tasks", params={"type": "bread"})

    (error,) = answer.json()["errors"]
    assert error["message"] == "there is no such type; known are test.order"


ID = "01m8k13fs3cenrgqcq4wc1ba1z"
CURSORS = {
    "tasks": f"task_{ID}",
    "batches": f"batch_{ID}",
    "endpoints": f"ep_{ID}",
    "deliveries": f"dlv_{ID}",
    "dead-letters": f"1795500000000.dlv_{ID}",
    "dead-letters/summary": "group.50",
    "replays": f"rpl_{ID}",
    "discards": f"dsc_{ID}",
    "files": f"file_{ID}",
    "keys": f"key_{ID}",
    "admin-keys": f"key_{ID}",
    "partners": f"prt_{ID}",
    "workers": f"ses_{ID}",
    "audit": f"aud_{ID}",
    "queues": "queue.default",
    "task-types": "type.demo.echo",
    "tasks/{task}/runs": "run.3",
    "batches/{batch}/tasks": f"task_{ID}",
    "batches/{batch}/results": f"task_{ID}",
    "partners/{partner}/keys": f"key_{ID}",
}
"""Of every listing a cursor that it could have handed out."""
NO_CURSORS = (
    "",
    "garbage",
    "12",
    "12.",
    f".dlv_{ID}",
    f"9999999999999999.dlv_{ID}",
    f"\u0661.dlv_{ID}",
    "task_1",
    f"task_{ID[1:]}",
    f"TASK_{ID}",
    f"task_{ID}\n",
    f" task_{ID}",
    "%00",
)


def test_the_cursor_of_every_listing_is_tried() -> None:
    listings = {row.path for row in ROUTES if "cursor" in row.query.model_fields}
    assert {"/v1/" + re.sub(r"\{\w+\}", "{id}", path) for path in CURSORS} == listings


@pytest.mark.parametrize("path", CURSORS)
async def test_a_cursor_is_of_its_own_listing_only(sqlite_face: Face, path: str) -> None:
    partner = await sqlite_face.partner()
    tasks = [{"type": "test.echo", "input": {"n": 1}}]
    batch = (await partner.client.post("/v1/batches", json={"tasks": tasks})).json()
    ids = {"task": batch["task_ids"][0], "batch": batch["id"], "partner": partner.id}
    asked = f"/v1/{path.format(**ids)}"

    answer = await sqlite_face.admin.get(asked, params={"cursor": CURSORS[path]})
    assert answer.status_code == 200, answer.text
    for cursor in {*CURSORS.values(), *NO_CURSORS} - {CURSORS[path]}:
        answer = await sqlite_face.admin.get(asked, params={"cursor": cursor})
        assert answer.status_code == 422, cursor
        assert answer.json()["errors"] == [
            {
                "path": "$.cursor",
                "message": "is not a cursor of this listing: go on from its next_cursor",
            }
        ]


@pytest.mark.parametrize("noun", ["replays", "discards"])
async def test_the_filters_of_a_replay_are_looked_at_as_well(sqlite_face: Face, noun: str) -> None:
    partner, other = await sqlite_face.partner(), await sqlite_face.partner()
    foreign = await endpoint(sqlite_face, other)
    wrong: dict[str, Any]
    for wrong in (
        {"endpoint": foreign.id},
        {"reason": "exhuasted"},
        {"error": "tiemout"},
        {"event": "x"},
        {"type": "nope"},
    ):
        answer = await partner.client.post(f"/v1/{noun}", json={"filter": wrong})
        assert answer.status_code == 422
        assert [one["path"] for one in answer.json()["errors"]] == [f"$.filter.{next(iter(wrong))}"]


@pytest.mark.parametrize(
    "path",
    ["/v1/tasks", "/v1/deliveries", "/v1/dead-letters", "/v1/endpoints", "/v1/files", "/v1/replays"],
)
async def test_an_admin_names_a_partner_by_id_or_name_and_no_other(sqlite_face: Face, path: str) -> None:
    partner = await sqlite_face.partner()
    name = (await sqlite_face.admin.get("/v1/partners")).json()["data"][0]["name"]

    for known in (partner.id, name):
        assert (await sqlite_face.admin.get(path, params={"partner": known})).status_code == 200
    refused = await sqlite_face.admin.get(path, params={"partner": "acme-nope"})

    assert (refused.status_code, refused.json()["errors"][0]["path"]) == (422, "$.partner")


async def test_anothers_endpoint_is_as_unknown_as_none_and_a_deleted_one_is_known(face: Face) -> None:
    partner, other = await face.partner(), await face.partner()
    own, foreign = await endpoint(face, partner), await endpoint(face, other)
    made = await dead(face, own)
    await partner.client.delete(f"/v1/endpoints/{own.id}")

    for path in ("/v1/deliveries", "/v1/dead-letters", "/v1/dead-letters/summary"):
        assert (await partner.client.get(path, params={"endpoint": foreign.id})).status_code == 422
        scoped = {"endpoint": foreign.id, "partner": partner.id}
        assert (await face.admin.get(path, params=scoped)).status_code == 422
        assert (await face.admin.get(path, params={"endpoint": foreign.id})).status_code == 200
    found = await partner.client.get("/v1/deliveries", params={"endpoint": own.id})
    assert [one["id"] for one in found.json()["data"]] == made


async def test_types_and_codes_are_known_as_long_as_a_task_has_them(face: Face) -> None:
    partner, other = await face.partner(), await face.partner()
    task_id = await ended_task(
        face.store, partner.id, End.FAILED, now_ms=face.clock.now_ms(), task_type="old.type"
    )

    by_type = await partner.client.get("/v1/tasks", params={"type": "old.type"})
    by_code = await partner.client.get("/v1/dead-letters", params={"error": "no_luck", "type": "old.type"})

    assert [one["id"] for one in by_type.json()["data"]] == [task_id]
    assert [one["id"] for one in by_code.json()["data"]] == [task_id]
    assert (await face.admin.get("/v1/tasks", params={"type": "old.type"})).status_code == 200
    assert (await face.admin.get("/v1/dead-letters", params={"error": "no_luck"})).status_code == 200
    for wrong in ({"type": "old.type"}, {"error": "no_luck"}):
        assert (await other.client.get("/v1/dead-letters", params=wrong)).status_code == 422


async def test_deliveries_are_found_by_event_error_and_status(face: Face) -> None:
    partner = await face.partner()
    target = await endpoint(face, partner)
    (failed,) = await dead(face, target)
    taken = await message_to(face.store, target, now_ms=face.clock.now_ms(), event="task.failed")
    for delivery in await due(face.store, face.clock.now_ms()):
        await answered(face.store, delivery, Delivered(), now_ms=face.clock.now_ms())

    async def found(**filters: str) -> list[str]:
        answer = await partner.client.get("/v1/deliveries", params=filters)
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["data"]]

    assert await found(error="http_500") == [failed]
    assert await found(status="500") == [failed]
    assert await found(status="5xx", state="dead", endpoint=target.id) == [failed]
    assert await found(status="2xx") == [taken]
    assert await found(status="503") == await found(error="timeout") == await found(status="4xx") == []
    assert await found(event="task.failed") == [taken]
    assert await found(event="task.succeeded", until=to_rfc3339(face.clock.now_ms() + 1_000)) == [failed]
    assert await found(type="test.echo") == []


@pytest.mark.parametrize("error", ["http_999", "http_600"])
async def test_an_error_that_a_delivery_has_is_known_to_whose_it_is(face: Face, error: str) -> None:
    partner, other = await face.partner(), await face.partner()
    (failed,) = await dead(face, await endpoint(face, partner))

    def answer_oddly(tx: Tx) -> None:
        tx.conn.execute(deliveries.update().where(deliveries.c.id == failed).values(last_error=error))

    await face.store.write(answer_oddly)

    for path in ("/v1/deliveries", "/v1/dead-letters"):
        for client in (partner.client, face.admin):
            answer = await client.get(path, params={"error": error})
            assert [one["id"] for one in answer.json()["data"]] == [failed]
        assert (await other.client.get(path, params={"error": error})).status_code == 422
    grouped = await partner.client.get("/v1/dead-letters/summary", params={"error": error})
    assert [group["count"] for group in grouped.json()["data"]] == [1]
    for path in ("/v1/replays", "/v1/discards"):
        body = {"filter": {"error": error}, "dry_run": True}
        assert (await partner.client.post(path, json=body)).json()["matched"] == 1
        assert (await other.client.post(path, json=body)).status_code == 422


async def test_dead_letters_are_found_by_what_went_wrong(face: Face) -> None:
    partner = await face.partner()
    target, unlike = await endpoint(face, partner), await endpoint(face, partner)
    (first,), (second,) = await dead(face, target), await dead(face, unlike)
    task_id = await ended_task(face.store, partner.id, End.FAILED, now_ms=face.clock.now_ms())

    async def found(**filters: str) -> list[str]:
        answer = await partner.client.get("/v1/dead-letters", params=filters)
        assert answer.status_code == 200, answer.text
        return sorted(one["id"] for one in answer.json()["data"])

    both = sorted([first, second])
    assert await found() == sorted([*both, task_id])
    assert await found(error="http_500") == await found(status="5xx") == await found(status="500") == both
    assert await found(status="5xx", endpoint=target.id) == [first]
    assert await found(event="task.succeeded") == both
    assert await found(error="no_luck") == await found(kind="task", error="no_luck") == [task_id]
    assert await found(text="HOOKS.") == await found(text=".example/IN") == both
    assert await found(text="did not work") == [task_id]
    assert await found(text="100%") == await found(text="http_5_0") == []
    counted = await partner.client.post("/v1/replays", json={"filter": {"text": "hooks."}, "dry_run": True})
    assert counted.json()["matched"] == 2


async def test_the_summary_counts_by_what_is_asked_for(face: Face) -> None:
    partner, other = await face.partner(), await face.partner()
    target, unlike = await endpoint(face, partner), await endpoint(face, partner)
    begun = to_rfc3339(face.clock.now_ms() - 1)
    await dead(face, target, 3)
    await dead(face, unlike, 1)
    await dead(face, await endpoint(face, other), 2)
    await ended_task(face.store, partner.id, End.FAILED, now_ms=face.clock.now_ms())

    async def summary(group_by: str, **filters: Any) -> list[dict[str, Any]]:
        answer = await partner.client.get(
            "/v1/dead-letters/summary", params={"group_by": group_by, **filters}
        )
        assert answer.status_code == 200, answer.text
        groups: list[dict[str, Any]] = answer.json()["data"]
        assert all(begun <= group.pop("first_at") <= group.pop("last_at") for group in groups)
        return groups

    assert await summary("endpoint,error", kind="delivery") == [
        {"endpoint": target.id, "error": "http_500", "count": 3},
        {"endpoint": unlike.id, "error": "http_500", "count": 1},
    ]
    assert await summary("reason") == [
        {"reason": "exhausted", "count": 4},
        {"reason": "task_failed", "count": 1},
    ]
    assert await summary("kind,type", kind="task") == [{"kind": "task", "type": "demo.fail", "count": 1}]
    assert await summary("reason", endpoint=unlike.id) == [{"reason": "exhausted", "count": 1}]
    by_hour = await summary("hour")
    assert sum(group["count"] for group in by_hour) == 5
    assert all(group["hour"].endswith(":00:00.000Z") for group in by_hour)
    first = await partner.client.get("/v1/dead-letters/summary", params={"group_by": "reason", "limit": 1})
    rest = await partner.client.get(
        "/v1/dead-letters/summary", params={"group_by": "reason", "cursor": first.json()["next_cursor"]}
    )
    assert [one["reason"] for one in (*first.json()["data"], *rest.json()["data"])] == [
        "exhausted",
        "task_failed",
    ]
    assert rest.json()["next_cursor"] is None
    everybodys = await face.admin.get("/v1/dead-letters/summary", params={"group_by": "reason"})
    assert everybodys.json()["data"][0]["count"] == 6


async def test_a_summary_tells_an_admin_whose_the_dead_letters_are(face: Face) -> None:
    partner, other = await face.partner(), await face.partner()
    target, foreign = await endpoint(face, partner), await endpoint(face, other)
    await dead(face, target, 2)
    await dead(face, foreign, 1)
    await ended_task(face.store, partner.id, End.FAILED, now_ms=face.clock.now_ms())
    await ended_task(face.store, other.id, End.FAILED, now_ms=face.clock.now_ms())

    async def summary(group_by: str, **filters: str) -> list[tuple[Any, ...]]:
        answer = await face.admin.get(
            "/v1/dead-letters/summary", params={"group_by": group_by, "limit": 3, **filters}
        )
        assert answer.status_code == 200, answer.text
        return [(one["partner"]["id"], one.get("endpoint"), one["count"]) for one in answer.json()["data"]]

    by_endpoint = await summary("endpoint", kind="delivery")
    assert by_endpoint == [(partner.id, target.id, 2), (other.id, foreign.id, 1)]
    of_callbacks = await summary("endpoint", kind="task")
    assert sorted(of_callbacks) == sorted([(partner.id, None, 1), (other.id, None, 1)])
    assert await summary("partner") == [(partner.id, None, 3), (other.id, None, 2)]
    assert await summary("partner", partner=other.id) == [(other.id, None, 2)]
    own = await partner.client.get("/v1/dead-letters/summary", params={"group_by": "endpoint"})
    assert not any("partner" in group for group in own.json()["data"])
    refused = await partner.client.get("/v1/dead-letters/summary", params={"group_by": "partner"})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")


async def test_an_admin_is_told_whose_everything_is_and_a_partner_is_not(face: Face) -> None:
    partner = await face.partner()
    target = await endpoint(face, partner)
    (letter,) = await dead(face, target)
    submitted = (await partner.client.post("/v1/tasks", json={"type": "test.echo"})).json()
    file = (await partner.client.post("/v1/files?name=a", content=b"a")).json()
    batch = (await partner.client.post("/v1/batches", json={"tasks": [], "open": True})).json()
    listed = (await face.admin.get("/v1/partners")).json()["data"]
    owner = {"id": partner.id, "name": next(one["name"] for one in listed if one["id"] == partner.id)}
    things = {
        "tasks": submitted["id"],
        "deliveries": letter,
        "endpoints": target.id,
        "dead-letters": letter,
        "files": file["id"],
        "batches": batch["id"],
    }

    for noun, its_id in things.items():
        shown = (await face.admin.get(f"/v1/{noun}/{its_id}")).json()
        (one,) = (await face.admin.get(f"/v1/{noun}")).json()["data"]
        assert shown["partner"] == one["partner"] == owner
        assert "partner" not in (await partner.client.get(f"/v1/{noun}/{its_id}")).json()
        (own,) = (await partner.client.get(f"/v1/{noun}")).json()["data"]
        assert "partner" not in own


async def test_what_an_admin_does_answers_with_whose_it_is(face: Face) -> None:
    partner = await face.partner()
    target = await endpoint(face, partner)
    (letter, other) = await dead(face, target, 2)
    task_id = (await partner.client.post("/v1/tasks", json={"type": "test.echo"})).json()["id"]

    answers = [
        await face.admin.post("/v1/tasks", json={"type": "test.echo", "partner": partner.id}),
        await face.admin.post(f"/v1/tasks/{task_id}/cancel"),
        await face.admin.post(f"/v1/deliveries/{letter}/replay"),
        await face.admin.post(f"/v1/dead-letters/{other}/replay"),
        await face.admin.post(f"/v1/deliveries/{letter}/cancel"),
        await face.admin.patch(f"/v1/endpoints/{target.id}", json={"description": "x"}),
        await face.admin.post(f"/v1/endpoints/{target.id}/test"),
        await face.admin.post(f"/v1/endpoints/{target.id}/disable"),
        await face.admin.post(f"/v1/endpoints/{target.id}/rotate-secret"),
        await face.admin.post("/v1/endpoints", json={"url": "https://a.example", "partner": partner.id}),
        await face.admin.get(f"/v1/tasks/{task_id}?wait=1"),
    ]

    for answer in answers:
        assert answer.is_success, answer.text
        assert answer.json()["partner"]["id"] == partner.id
        assert answer.json()["partner"]["name"].startswith("partner-")


async def test_an_admin_who_follows_a_task_is_told_whose_it_is(face: Face) -> None:
    partner = await face.partner()
    task_id = (await partner.client.post("/v1/tasks", json={"type": "test.echo"})).json()["id"]
    await partner.client.post(f"/v1/tasks/{task_id}/cancel")

    for client, told in ((face.admin, True), (partner.client, False)):
        events = (await client.get(f"/v1/tasks/{task_id}/events")).text
        (data,) = [line for line in events.splitlines() if line.startswith("data: ")]
        shown = orjson.loads(data.removeprefix("data: "))
        assert shown["id"] == task_id
        assert ("partner" in shown) is told


async def test_a_partner_is_named_by_its_name_in_bodies_that_create(face: Face) -> None:
    partner = await face.partner()
    name = (await face.admin.get("/v1/partners")).json()["data"][0]["name"]

    answer = await face.admin.post("/v1/tasks", json={"type": "test.echo", "partner": name})

    assert (answer.status_code, answer.json()["partner"]["id"]) == (202, partner.id)
    for delivery in await due(face.store, face.clock.now_ms()):
        await answered(face.store, delivery, EXHAUSTED, now_ms=face.clock.now_ms())


async def test_what_went_to_a_callback_url_is_found_apart_from_endpoints(face: Face) -> None:
    partner = await face.partner()
    target = await endpoint(face, partner)
    await dead_delivery(face.store, target, now_ms=face.clock.now_ms())
    inline = await dead_delivery(face.store, target, now_ms=face.clock.now_ms())

    def without_endpoint(tx: Tx) -> None:
        tx.conn.execute(
            deliveries.update()
            .where(deliveries.c.id == inline)
            .values(endpoint_id=None, url="https://partner.example/hook")
        )

    await face.store.write(without_endpoint)
    for client in (partner.client, face.admin):
        listed = (await client.get("/v1/dead-letters?endpoint=none")).json()["data"]
        assert [one["id"] for one in listed] == [inline]
        groups = (await client.get("/v1/dead-letters/summary?endpoint=none")).json()["data"]
        assert [(one["endpoint"], one["count"]) for one in groups] == [(None, 1)]
        for noun in ("replays", "discards"):
            body = {"filter": {"endpoint": "none"}, "dry_run": True}
            assert (await client.post(f"/v1/{noun}", json=body)).json()["matched"] == 1
        pending = {"filter": {"endpoint": "none", "state": "pending"}, "dry_run": True}
        assert (await client.post("/v1/replays", json=pending)).json()["matched"] == 0
