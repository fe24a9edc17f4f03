"""`Idempotency-Key` on every POST."""

import asyncio

import httpx
import pytest

from tests.support.api_face import Face
from webhookd.adapters.store.tx import Tx
from webhookd.settings import load_settings
from webhookd.wiring.api import key_quota

ECHO = {"type": "test.echo", "input": {"n": 1}}


def key(text: str) -> dict[str, str]:
    return {"Idempotency-Key": text}


async def count(client: httpx.AsyncClient) -> int:
    return len((await client.get("/v1/tasks")).json()["data"])


async def test_repeat_is_the_same_task_as_it_is_now(face: Face) -> None:
    partner = await face.partner()
    first = await partner.client.post("/v1/tasks", json=ECHO, headers=key("k"))
    assert "idempotency-replayed" not in first.headers
    await partner.client.post(f"{first.headers['location']}/cancel")
    again = await partner.client.post("/v1/tasks", json=ECHO, headers=key('"k"'))
    assert again.status_code == 202
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert again.json()["state"] == "cancelled"
    assert await count(partner.client) == 1
    assert face.bell.rung.count("default") == 1


async def test_keys_of_one_partner_are_bounded_and_a_known_one_is_answered_all_the_same(face: Face) -> None:
    partner, other = await face.partner(), await face.partner()
    settings = load_settings(partner_max_idempotency_keys=3)
    object.__setattr__(face.parts, "key_quota", key_quota(settings, face.store))
    for name in ("a", "b"):
        answer = await partner.client.post("/v1/tasks", json=ECHO, headers=key(name))
        assert answer.status_code == 202, answer.text
    batch = await partner.client.post("/v1/tasks/batch", json={"tasks": [ECHO, ECHO]}, headers=key("c"))
    assert batch.status_code == 202
    face.clock.ahead_ms += 60_000
    for path, body in (("/v1/tasks", ECHO), ("/v1/partner/rotate-secret", {})):
        refused = await partner.client.post(path, json=body, headers=key("d"))
        assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
        assert refused.headers["retry-after"] == "3600"
    again = await partner.client.post("/v1/tasks", json=ECHO, headers=key("a"))
    assert (again.status_code, again.headers["idempotency-replayed"]) == (202, "true")
    for client, headers in ((partner.client, {}), (other.client, key("d"))):
        answer = await client.post("/v1/tasks", json=ECHO, headers=headers)
        assert answer.status_code == 202
    face.clock.ahead_ms += 24 * 3_600_000
    answer = await partner.client.post("/v1/tasks", json=ECHO, headers=key("d"))
    assert answer.status_code == 202


async def test_order_and_spelling_of_the_body_do_not_matter(face: Face) -> None:
    partner = await face.partner()
    first = await partner.client.post("/v1/tasks", json=ECHO, headers=key("k"))
    again = await partner.client.post(
        "/v1/tasks",
        content='{ "input": {"n" :1},\n"t\\u0079pe":"test.echo"}',
        headers={**key("k"), "Content-Type": "application/json"},
    )
    assert again.json()["id"] == first.json()["id"]


async def test_other_body_or_route_is_refused(face: Face) -> None:
    partner = await face.partner()
    await partner.client.post("/v1/tasks", json=ECHO, headers=key("k"))
    for path, body in (
        ("/v1/tasks", {**ECHO, "priority": "high"}),
        ("/v1/tasks/batch", {"tasks": [ECHO]}),
        ("/v1/partner/rotate-secret", {}),
    ):
        answer = await partner.client.post(path, json=body, headers=key("k"))
        assert answer.status_code == 422, path
        assert answer.json()["code"] == "idempotency_mismatch"
    await partner.client.post("/v1/partner/rotate-secret", headers=key("r"))
    answer = await partner.client.post("/v1/tasks", json=ECHO, headers=key("r"))
    assert answer.json()["code"] == "idempotency_mismatch"
    assert await count(partner.client) == 1


async def test_keys_are_each_partners_own(face: Face) -> None:
    partner, other = await face.partner(), await face.partner()
    ids = {
        (await client.post("/v1/tasks", json=body, headers=key("k"))).json()["id"]
        for client, body in (
            (partner.client, ECHO),
            (other.client, ECHO),
            (face.admin, {**ECHO, "partner": partner.id}),
        )
    }
    assert len(ids) == 3


@pytest.mark.parametrize("path", ["portal-link", "tokens", "keys"])
async def test_what_hands_on_the_rights_of_a_key_is_repeated_to_that_key_only(
    sqlite_face: Face, path: str
) -> None:
    partner = await sqlite_face.partner()
    task = (await partner.client.post("/v1/tasks", json=ECHO)).json()
    body = {"tasks": [task["id"]]} if path == "tokens" else {}
    clients = []
    for scopes in (
        ["keys:write", "tasks:read", "files:read", "endpoints:write"],
        ["keys:write", "files:read"],
    ):
        asked = {"scopes": scopes}
        made = await sqlite_face.admin.post(f"/v1/partners/{partner.id}/keys", json=asked)
        clients.append(await sqlite_face.client(made.json()["key"]))
    first, again = [await clients[0].post(f"/v1/{path}", json=body, headers=key("k")) for _ in range(2)]
    assert (first.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert again.json() == first.json()

    other = await clients[1].post(f"/v1/{path}", json=body, headers=key("k"))

    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


async def test_repeat_of_a_file_shows_what_the_key_that_repeats_may_see(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    path = f"/v1/partners/{partner.id}/keys"
    made = await sqlite_face.admin.post(path, json={"scopes": ["files:write"]})
    writer = await sqlite_face.client(made.json()["key"])
    announced = {"name": "a.txt", "content_type": "text/plain", "size": 3}
    for first, second in ((partner.client, writer), (writer, partner.client)):
        for sent in (
            {"url": "/v1/files?name=a.txt", "content": b"abc"},
            {"url": "/v1/files/uploads", "json": announced},
        ):
            headers = key(f"{first is writer} {sent['url']}")
            answers = [await one.post(**sent, headers=headers) for one in (first, second)]
            files = [answer.json().get("file", answer.json()) for answer in answers]
            assert [answer.status_code for answer in answers] == [201, 201]
            assert files[0]["id"] == files[1]["id"]
            reduced, whole = files if first is writer else files[::-1]
            assert (set(reduced), whole["name"]) == ({"id", "state"}, "a.txt")


async def test_concurrent_repeats_are_one(face: Face) -> None:
    partner = await face.partner()
    answers = await asyncio.gather(
        *(partner.client.post("/v1/tasks", json=ECHO, headers=key("k")) for _ in range(20))
    )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1

    rotations = await asyncio.gather(
        *(partner.client.post("/v1/partner/rotate-secret", headers=key("r")) for _ in range(8))
    )
    assert {answer.status_code for answer in rotations} == {200}
    assert len({answer.json()["secret"] for answer in rotations}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in rotations) == 1


async def test_refusals_do_not_use_the_key_up(face: Face) -> None:
    partner = await face.partner(limits={"max_queued": 1})
    wrong = await partner.client.post("/v1/tasks", json={"type": "no.such"}, headers=key("a"))
    assert wrong.status_code == 422
    assert (await partner.client.post("/v1/tasks", json=ECHO, headers=key("a"))).status_code == 202
    full = await partner.client.post("/v1/tasks", json=ECHO, headers=key("b"))
    assert full.status_code == 429
    await face.admin.patch(f"/v1/partners/{partner.id}", json={"limits": {"max_queued": 2}})
    face.clock.ahead_ms += 5_000
    answer = await partner.client.post("/v1/tasks", json=ECHO, headers=key("b"))
    assert answer.status_code == 202
    assert "idempotency-replayed" not in answer.headers

    taken = await face.admin.post("/v1/partners", json={"name": "acme"})
    assert taken.status_code == 201
    refused = await face.admin.post("/v1/partners", json={"name": "acme"}, headers=key("p"))
    assert refused.status_code == 409
    made = await face.admin.post("/v1/partners", json={"name": "other"}, headers=key("p"))
    assert made.status_code == 201


async def test_known_key_is_answered_however_full_the_house_is(face: Face) -> None:
    partner = await face.partner(limits={"max_queued": 1})
    first = await partner.client.post("/v1/tasks", json=ECHO, headers=key("k"))
    again = await partner.client.post("/v1/tasks", json=ECHO, headers=key("k"))
    assert again.status_code == 202
    assert again.json()["id"] == first.json()["id"]
    other = await partner.client.post("/v1/tasks", json={"type": "test.echo"}, headers=key("k"))
    assert other.json()["code"] == "idempotency_mismatch"


async def test_key_is_forgotten_after_a_day(face: Face) -> None:
    partner = await face.partner()
    first = await partner.client.post("/v1/tasks", json=ECHO, headers=key("k"))
    rotated = await partner.client.post("/v1/partner/rotate-secret", headers=key("r"))
    face.clock.ahead_ms += 24 * 3_600_000 + 10_000
    later = await partner.client.post("/v1/tasks", json=ECHO, headers=key("k"))
    assert later.json()["id"] != first.json()["id"]
    again = await partner.client.post("/v1/partner/rotate-secret", headers=key("r"))
    assert again.json()["secret"] != rotated.json()["secret"]


async def test_answer_with_a_secret_is_replayed_and_nowhere_in_the_clear(face: Face) -> None:
    body = {"name": "acme"}
    first = await face.admin.post("/v1/partners", json=body, headers=key("k"))
    again = await face.admin.post("/v1/partners", json=body, headers=key("k"))
    assert again.status_code == 201
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert again.json() == first.json()

    def dump(tx: Tx) -> str:
        return "".join(
            str(row)
            for table in ("partners", "api_keys", "secrets", "idempotency", "audit")
            for row in tx.conn.exec_driver_sql(f"SELECT * FROM {table}")  # noqa: S608 - names of ours
        )

    stored = await face.store.db.read(dump)
    assert first.json()["id"] in stored
    assert first.json()["secret"].removeprefix("whsec_") not in stored
    assert first.json()["key"].rpartition("_")[2] not in stored


@pytest.mark.parametrize("header", ["", "x" * 256, '"open'])
async def test_wrong_key_is_refused(sqlite_face: Face, header: str) -> None:
    partner = await sqlite_face.partner()
    answer = await partner.client.post("/v1/tasks", json=ECHO, headers=key(header))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == "Idempotency-Key"
