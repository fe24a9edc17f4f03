"""Endpoints over HTTP."""

import asyncio
import base64
import re
from typing import Any

import orjson
import pytest
from standardwebhooks.webhooks import Webhook

from tests.support.api_face import Face, PartnerFace
from tests.support.seeds import answered, due, later, message_to
from webhookd.adapters.store import schema
from webhookd.adapters.store.endpoints import secrets
from webhookd.adapters.store.endpoints.endpoint_settings import HEADERS_FIELD
from webhookd.core.delivery import Delivered
from webhookd.core.dispatch import DueDelivery
from webhookd.core.signing import SigningKey, signature_header

URL = "https://hooks.partner.example/in"


async def made(partner: PartnerFace, **body: Any) -> dict[str, Any]:
    answer = await partner.client.post("/v1/endpoints", json={"url": URL, **body})
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def live(face: Face, partner: PartnerFace, endpoint_id: str) -> list[str]:
    """The texts of what signs for an endpoint now, newest first."""
    now_ms = face.clock.now_ms()
    rows = await face.store.db.read(secrets.live, partner.id, [endpoint_id], now_ms=now_ms)
    return [
        face.parts.vault.open(
            row.sealed, partner=partner.id, endpoint=endpoint_id, field=secrets.SECRET_FIELD
        ).decode()
        for row in rows
    ]


async def own_headers(face: Face, partner: PartnerFace, endpoint_id: str) -> dict[str, str]:
    """What the sender will add, out of the vault."""
    found = await face.store.endpoints.get(endpoint_id, None)
    assert found is not None
    sealed = found.endpoint.headers_sealed
    if sealed is None:
        return {}
    text = face.parts.vault.open(sealed, partner=partner.id, endpoint=endpoint_id, field=HEADERS_FIELD)
    headers: dict[str, str] = orjson.loads(text)
    return headers


async def test_a_new_endpoint_has_the_defaults_and_shows_its_secret_once(face: Face) -> None:
    partner = await face.partner()

    answer = await partner.client.post("/v1/endpoints", json={"url": "https://Hooks.Partner.example:443/in"})

    assert answer.status_code == 201
    document = answer.json()
    assert answer.headers["location"] == f"/v1/endpoints/{document['id']}"
    assert re.fullmatch(r"ep_[0-9a-z]{26}", document["id"])
    secret = document.pop("secret")
    assert await live(face, partner, document["id"]) == [secret]
    assert document.pop("created_at") == document.pop("updated_at")
    assert document == {
        "id": document["id"],
        "url": URL,
        "description": "",
        "state": "enabled",
        "disabled_reason": None,
        "events": ["task.*"],
        "task_types": [],
        "headers": {},
        "rate_limit": None,
        "max_concurrency": None,
        "ordering": "none",
        "retry": {"max_attempts": None, "base_seconds": None, "factor": None, "cap_seconds": None},
        "signature": ["v1"],
        "failing_since": None,
        "breaker": "closed",
    }
    shown = (await partner.client.get(f"/v1/endpoints/{document['id']}")).json()
    assert "secret" not in shown
    assert {name: shown[name] for name in document} == document
    assert (await partner.client.get("/v1/endpoints")).json() == {"data": [shown], "next_cursor": None}


async def test_every_setting_can_be_given_and_read_back(face: Face) -> None:
    partner = await face.partner()
    settings = {
        "description": "orders",
        "events": ["task.failed", "endpoint.disabled"],
        "task_types": ["report.*", "demo.echo"],
        "rate_limit": 2.5,
        "max_concurrency": 3,
        "ordering": "fifo",
        "retry": {"max_attempts": 4, "base_seconds": 1.5, "factor": 2, "cap_seconds": 60},
        "signature": ["v1", "v1a"],
    }

    document = await made(partner, **settings)

    assert {name: document[name] for name in settings} == settings
    assert document["public_key"].startswith("whpk_")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "$.url"),
        ({"url": None}, "$.url"),
        ({"url": URL, "secret": "whsec_x"}, "$.secret"),
        ({"url": URL, "state": "disabled"}, "$.state"),
        ({"url": URL, "partner": "prt_x"}, "$.partner"),
        ({"url": URL, "events": []}, "$.events"),
        ({"url": URL, "events": ["task.done"]}, "$.events"),
        ({"url": URL, "events": ["*"]}, "$.events"),
        ({"url": URL, "events": ["webhookd.test"]}, "$.events"),
        ({"url": URL, "task_types": ["report.*.x"]}, "$.task_types"),
        ({"url": URL, "task_types": [""]}, "$.task_types"),
        ({"url": URL, "rate_limit": 0}, "$.rate_limit"),
        ({"url": URL, "rate_limit": 10_001}, "$.rate_limit"),
        ({"url": URL, "rate_limit": "5"}, "$.rate_limit"),
        ({"url": URL, "max_concurrency": 0}, "$.max_concurrency"),
        ({"url": URL, "max_concurrency": True}, "$.max_concurrency"),
        ({"url": URL, "ordering": "lifo"}, "$.ordering"),
        ({"url": URL, "retry": {"max_attempts": 0}}, "$.retry.max_attempts"),
        ({"url": URL, "retry": {"max_attempts": 101}}, "$.retry.max_attempts"),
        ({"url": URL, "retry": {"factor": 0.5}}, "$.retry.factor"),
        ({"url": URL, "retry": {"base_seconds": 0}}, "$.retry.base_seconds"),
        ({"url": URL, "retry": {"base_seconds": 0.999}}, "$.retry.base_seconds"),
        ({"url": URL, "retry": {"base_seconds": 1e-6, "cap_seconds": 1}}, "$.retry.base_seconds"),
        ({"url": URL, "retry": {"cap_seconds": 0.5}}, "$.retry.cap_seconds"),
        ({"url": URL, "retry": {"jitter": 0}}, "$.retry.jitter"),
        ({"url": URL, "signature": ["v1a"]}, "$.signature"),
        ({"url": URL, "signature": []}, "$.signature"),
        ({"url": URL, "headers": {"host": "x"}}, "$.headers"),
        ({"url": URL, "headers": {"Content-Length": "1"}}, "$.headers"),
        ({"url": URL, "headers": {"webhook-id": "x"}}, "$.headers"),
        ({"url": URL, "headers": {"Proxy-Authorization": "x"}}, "$.headers"),
        ({"url": URL, "headers": {"traceparent": "x"}}, "$.headers"),
        ({"url": URL, "headers": {"x y": "1"}}, "$.headers"),
        ({"url": URL, "headers": {"x": "a\r\nhost: b"}}, "$.headers"),
        ({"url": URL, "headers": {"x": "é"}}, "$.headers"),
        ({"url": URL, "headers": {"x": ""}}, "$.headers"),
        ({"url": URL, "headers": {"x": "1", "X": "2"}}, "$.headers"),
        ({"url": URL, "headers": {f"x-{n}": "1" for n in range(21)}}, "$.headers"),
        ({"url": URL, "headers": {"x": "a" * 4096}}, "$.headers"),
        ({"url": URL, "headers": {"x": "***"}}, "$.headers"),
    ],
)
async def test_a_wrong_setting_is_refused_by_name(sqlite_face: Face, body: dict[str, Any], path: str) -> None:
    partner = await sqlite_face.partner()

    answer = await partner.client.post("/v1/endpoints", json=body)

    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid"
    assert answer.json()["errors"][0]["path"] == path
    assert (await partner.client.get("/v1/endpoints")).json()["data"] == []


@pytest.mark.parametrize(
    "url",
    ["http://hooks.partner.example/", "https://127.0.0.1/", "https://u:p@a.example/", "ftp://a.example/"],
)
async def test_a_url_that_must_not_be_called_is_refused(sqlite_face: Face, url: str) -> None:
    partner = await sqlite_face.partner()
    document = await made(partner)

    for answer in (
        await partner.client.post("/v1/endpoints", json={"url": url}),
        await partner.client.patch(f"/v1/endpoints/{document['id']}", json={"url": url}),
    ):
        assert answer.status_code == 422
        assert answer.json()["code"] == "url_not_allowed"
        assert answer.json()["errors"][0]["path"] == "$.url"
        assert "u:p" not in answer.text


async def test_headers_are_sealed_and_their_values_never_shown(face: Face) -> None:
    partner = await face.partner()
    headers = {"X-Api-Key": "planted-secret", "authorization": "Bearer planted-secret"}

    document = await made(partner, headers=headers)

    assert document["headers"] == {"X-Api-Key": "***", "authorization": "***"}
    assert await own_headers(face, partner, document["id"]) == headers
    stored = await face.store.db.read(lambda tx: tx.conn.execute(schema.endpoints.select()).one())
    assert "planted-secret" not in str(stored)


async def test_a_patch_changes_what_it_names_and_null_resets(face: Face) -> None:
    partner = await face.partner()
    before = await made(
        partner,
        description="a",
        rate_limit=5,
        headers={"x-a": "1", "x-b": "2"},
        retry={"max_attempts": 3, "base_seconds": 1},
        ordering="fifo",
    )
    path = f"/v1/endpoints/{before['id']}"

    answer = await partner.client.patch(
        path,
        json={
            "url": "https://new.partner.example/",
            "description": None,
            "rate_limit": None,
            "headers": {"x-a": "***", "x-c": "3"},
            "retry": {"max_attempts": 9},
        },
    )

    assert answer.status_code == 200
    after = answer.json()
    assert after["url"] == "https://new.partner.example/"
    assert (after["description"], after["rate_limit"], after["ordering"]) == ("", None, "fifo")
    assert after["retry"] == {"max_attempts": 9, "base_seconds": 1, "factor": None, "cap_seconds": None}
    assert await own_headers(face, partner, before["id"]) == {"x-a": "1", "x-c": "3"}
    assert (await partner.client.patch(path, json={})).json() | {"updated_at": ""} == after | {
        "updated_at": ""
    }

    reset = (await partner.client.patch(path, json={"headers": None, "retry": None})).json()
    assert reset["headers"] == {}
    assert set(reset["retry"].values()) == {None}
    assert await own_headers(face, partner, before["id"]) == {}


@pytest.mark.parametrize("name", ["id", "partner", "state", "secret", "public_key"])
async def test_a_patch_never_moves_identity_or_state(sqlite_face: Face, name: str) -> None:
    partner = await sqlite_face.partner()
    document = await made(partner)

    answer = await partner.client.patch(f"/v1/endpoints/{document['id']}", json={name: "x"})

    assert answer.status_code == 422
    assert (await partner.client.get(f"/v1/endpoints/{document['id']}")).json()["state"] == "enabled"


async def test_a_foreign_endpoint_answers_as_an_unknown_one(face: Face) -> None:
    owner, other = await face.partner(), await face.partner()
    document = await made(owner)
    path = f"/v1/endpoints/{document['id']}"

    for client, target in ((other.client, path), (owner.client, "/v1/endpoints/ep_unknown")):
        answers = [
            await client.get(target),
            await client.patch(target, json={"description": "x"}),
            await client.delete(target),
            await client.post(target + "/rotate-secret", json={}),
            *[await client.post(f"{target}/{move}") for move in ("test", "enable", "disable")],
        ]
        assert [answer.status_code for answer in answers] == [404] * 7
        assert {answer.json()["detail"] for answer in answers} == {"There is no such endpoint."}
    assert (await owner.client.get(path)).status_code == 200
    assert (await face.admin.get(path)).json()["id"] == document["id"]


async def test_a_key_without_the_scope_only_reads(face: Face) -> None:
    partner = await face.partner()
    document = await made(partner)
    key = await face.admin.post(
        f"/v1/partners/{partner.id}/keys", json={"name": "reader", "scopes": ["tasks:read"]}
    )
    reader = await face.client(key.json()["key"])

    assert (await reader.get(f"/v1/endpoints/{document['id']}")).status_code == 200
    assert (await reader.post("/v1/endpoints", json={"url": URL})).status_code == 403
    assert (await reader.post(f"/v1/endpoints/{document['id']}/disable")).status_code == 403


async def test_a_repeated_creation_with_its_key_is_one_endpoint_with_one_secret(face: Face) -> None:
    partner = await face.partner()
    headers = {"Idempotency-Key": "make-it-once"}

    first = await partner.client.post("/v1/endpoints", json={"url": URL}, headers=headers)
    second = await partner.client.post("/v1/endpoints", json={"url": URL}, headers=headers)
    other = await partner.client.post("/v1/endpoints", json={"url": URL + "2"}, headers=headers)

    assert second.json() == first.json()
    assert second.headers["idempotency-replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert len((await partner.client.get("/v1/endpoints")).json()["data"]) == 1


def own_secret(length: int, prefix: str = "whsec_") -> str:
    return prefix + base64.b64encode(bytes(length)).decode()


@pytest.mark.parametrize("length", [24, 64])
async def test_a_secret_can_be_brought_at_the_making_and_at_a_rotation(face: Face, length: int) -> None:
    partner = await face.partner()
    first, second = own_secret(length), own_secret(32)

    document = await made(partner, secret=first, signature=["v1", "v1a"])
    path = f"/v1/endpoints/{document['id']}"
    rotated = await partner.client.post(path + "/rotate-secret", json={"secret": second})

    assert document["secret"] == first
    assert document["public_key"].startswith("whpk_")
    assert (rotated.status_code, rotated.json()["secret"]) == (200, second)
    shared = [text for text in await live(face, partner, document["id"]) if text.startswith("whsec_")]
    assert shared == [second, first]
    assert "secret" not in (await partner.client.get(path)).json()


@pytest.mark.parametrize(
    "secret",
    [
        own_secret(23),
        own_secret(65),
        own_secret(64, "whsk_"),
        own_secret(32, ""),
        "whsec_",
        "whsec_nobase64!",
        "whsec_" + "A" * 1_000,
        17,
        None,
    ],
)
async def test_a_brought_secret_that_is_none_is_refused_and_not_repeated(
    sqlite_face: Face, secret: object
) -> None:
    partner = await sqlite_face.partner()
    path = f"/v1/endpoints/{(await made(partner))['id']}/rotate-secret"

    for answer in (
        await partner.client.post("/v1/endpoints", json={"url": URL, "secret": secret}),
        await partner.client.post(path, json={"secret": secret}),
        await partner.client.post("/v1/partner/rotate-secret", json={"secret": secret}),
    ):
        assert answer.status_code == 422
        assert [one["path"] for one in answer.json()["errors"]] == ["$.secret"]
        assert not isinstance(secret, str) or len(secret) < 10 or secret not in answer.text


async def test_after_a_rotation_both_secrets_sign_until_the_overlap_ends(face: Face) -> None:
    partner = await face.partner()
    document = await made(partner, signature=["v1", "v1a"])
    path = f"/v1/endpoints/{document['id']}"

    answer = await partner.client.post(path + "/rotate-secret", json={"overlap_seconds": 60})

    assert answer.status_code == 200
    rotated = answer.json()
    assert rotated["secret"] not in (None, document["secret"])
    assert rotated["public_key"] not in (None, document["public_key"])
    keys = [SigningKey.parse(text) for text in await live(face, partner, document["id"])]
    assert sorted(key.version for key in keys) == ["v1", "v1", "v1a", "v1a"]
    now = face.clock.now_ms() // 1000
    signed = signature_header(message_id="msg_1", timestamp=now, body=b"{}", secrets=keys)
    sent = {"webhook-id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": signed}
    for secret in (document["secret"], rotated["secret"]):
        Webhook(secret).verify("{}", sent)

    face.clock.ahead_ms = 61_000
    left = await live(face, partner, document["id"])
    assert len(left) == 2
    assert rotated["secret"] in left


async def test_a_rotation_without_overlap_silences_the_old_secret_at_once(face: Face) -> None:
    partner = await face.partner()
    document = await made(partner)

    answer = await partner.client.post(
        f"/v1/endpoints/{document['id']}/rotate-secret", json={"overlap_seconds": 0}
    )

    assert await live(face, partner, document["id"]) == [answer.json()["secret"]]


@pytest.mark.parametrize("overlaps", [[60], [604_800, 60], [60, 0, 3_600]])
async def test_a_rotation_without_overlap_silences_those_of_earlier_overlaps_too(
    face: Face, overlaps: list[int]
) -> None:
    partner = await face.partner()
    document = await made(partner, signature=["v1", "v1a"])
    path = f"/v1/endpoints/{document['id']}/rotate-secret"
    for overlap in overlaps:
        await partner.client.post(path, json={"overlap_seconds": overlap})
        face.clock.ahead_ms += 1_000

    answer = await partner.client.post(path, json={"overlap_seconds": 0})

    v1, v1a = sorted(await live(face, partner, document["id"]))
    assert v1 == answer.json()["secret"]
    assert SigningKey.parse(v1a).public_text == answer.json()["public_key"]


@pytest.mark.parametrize("overlap", [-1, 604_801, "60", True])
async def test_an_overlap_out_of_range_is_refused(sqlite_face: Face, overlap: object) -> None:
    partner = await sqlite_face.partner()
    document = await made(partner)

    answer = await partner.client.post(
        f"/v1/endpoints/{document['id']}/rotate-secret", json={"overlap_seconds": overlap}
    )

    assert answer.status_code == 422


async def test_asking_for_v1a_later_makes_a_key_and_giving_it_up_drops_it(face: Face) -> None:
    partner = await face.partner()
    document = await made(partner)
    path = f"/v1/endpoints/{document['id']}"

    with_key = (await partner.client.patch(path, json={"signature": ["v1", "v1a"]})).json()
    assert with_key["public_key"].startswith("whpk_")
    assert len(await live(face, partner, document["id"])) == 2

    without = (await partner.client.patch(path, json={"signature": None})).json()
    assert "public_key" not in without
    assert await live(face, partner, document["id"]) == [document["secret"]]


async def test_a_test_is_accepted_and_due_at_once(face: Face) -> None:
    partner = await face.partner()
    document = await made(partner, events=["endpoint.disabled"])

    answer = await partner.client.post(f"/v1/endpoints/{document['id']}/test")

    assert answer.status_code == 202
    delivery = answer.json()
    assert (delivery["event"], delivery["state"]) == ("webhookd.test", "pending")
    assert answer.headers["location"] == f"/v1/deliveries/{delivery['id']}"
    assert "deliver" in face.bell.rung
    assert [sent.id for sent in await due(face.store, face.clock.now_ms())] == [delivery["id"]]


async def test_a_test_waited_for_answers_with_the_attempt_and_what_came_back(face: Face) -> None:
    partner = await face.partner()
    path = f"/v1/endpoints/{(await made(partner))['id']}/test"
    waiting = asyncio.create_task(partner.client.post(path, headers={"Prefer": "wait=30"}))
    sent: list[DueDelivery] = []
    while not sent:
        await asyncio.sleep(0.01)
        sent = await due(face.store, face.clock.now_ms())
    assert await answered(face.store, sent[0], later(0), now_ms=face.clock.now_ms())

    answer = await waiting

    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "wait=30")
    tested = answer.json()
    assert (tested["id"], tested["state"]) == (sent[0].id, "dead")
    assert tested["attempts_log"] == [tested["attempt"]]
    assert (tested["attempt"]["status"], tested["attempt"]["response"]["body"]) == (500, "no")


async def test_a_test_not_answered_in_time_is_a_delivery_under_way(face: Face) -> None:
    partner = await face.partner()
    path = f"/v1/endpoints/{(await made(partner))['id']}/test"

    answer = await partner.client.post(path, headers={"Prefer": "wait=0"})

    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "wait=0")
    assert answer.json()["state"] == "pending"
    assert answer.headers["location"].endswith(answer.json()["id"])


async def test_a_test_repeated_with_its_key_is_one_message(face: Face) -> None:
    partner = await face.partner()
    path = f"/v1/endpoints/{(await made(partner))['id']}/test"
    headers = {"Idempotency-Key": "once", "Prefer": "wait=0"}

    first, second = [await partner.client.post(path, headers=headers) for _ in range(2)]

    assert first.json()["id"] == second.json()["id"]
    (delivery,) = await due(face.store, face.clock.now_ms())
    assert await answered(face.store, delivery, Delivered(), now_ms=face.clock.now_ms())
    ended = await partner.client.post(path, headers={**headers, "Prefer": "wait=5"})
    assert (ended.status_code, ended.headers["idempotency-replayed"]) == (200, "true")
    assert ended.json()["state"] == "delivered"


async def test_a_key_that_may_not_read_is_told_no_more_of_a_test_than_its_end(face: Face) -> None:
    partner = await face.partner()
    key = await face.admin.post(f"/v1/partners/{partner.id}/keys", json={"scopes": ["endpoints:write"]})
    writer = await face.client(key.json()["key"])
    path = f"/v1/endpoints/{(await made(partner))['id']}/test"
    headers = {"Idempotency-Key": "once", "Prefer": "wait=5"}
    await writer.post(path, headers={**headers, "Prefer": "wait=0"})
    (delivery,) = await due(face.store, face.clock.now_ms())
    assert await answered(face.store, delivery, Delivered(), now_ms=face.clock.now_ms())

    answer = await writer.post(path, headers=headers)

    assert answer.status_code == 200
    assert set(answer.json()) == {"id", "message_id", "task_id", "endpoint_id", "state"}


async def test_disabling_and_enabling_are_idempotent_and_move_deliveries(face: Face) -> None:
    partner = await face.partner()
    document = await made(partner)
    path = f"/v1/endpoints/{document['id']}"
    delivery = (await partner.client.post(path + "/test")).json()

    for _ in range(2):
        off = await partner.client.post(path + "/disable")
        assert off.status_code == 200
        assert (off.json()["state"], off.json()["disabled_reason"]) == ("disabled", "requested")
    shown = (await partner.client.get(f"/v1/deliveries/{delivery['id']}")).json()
    assert (shown["state"], shown["next_attempt_at"]) == ("parked", None)
    assert (await partner.client.post(path + "/test")).status_code == 409

    for _ in range(2):
        on = await partner.client.post(path + "/enable")
        assert (on.status_code, on.json()["state"]) == (200, "enabled")
    shown = (await partner.client.get(f"/v1/deliveries/{delivery['id']}")).json()
    assert shown["state"] == "pending"


async def test_a_deleted_endpoint_is_gone_and_its_deliveries_are_dead_letters(face: Face) -> None:
    partner = await face.partner()
    document = await made(partner)
    path = f"/v1/endpoints/{document['id']}"
    found = await face.store.endpoints.get(document["id"], None)
    assert found is not None
    delivery_id = await message_to(face.store, found.endpoint, now_ms=face.clock.now_ms())

    answer = await partner.client.delete(path)

    assert (answer.status_code, answer.content) == (204, b"")
    assert (await partner.client.get(path)).status_code == 404
    assert (await partner.client.delete(path)).status_code == 404
    letters = (await partner.client.get("/v1/dead-letters")).json()["data"]
    assert [(letter["id"], letter["reason"]) for letter in letters] == [(delivery_id, "endpoint_deleted")]
    assert (await partner.client.post(f"/v1/dead-letters/{delivery_id}/replay")).status_code == 409
    assert (await partner.client.post(f"/v1/deliveries/{delivery_id}/replay")).status_code == 409


async def test_an_admin_names_the_partner_and_narrows_by_it(face: Face) -> None:
    one, other = await face.partner(), await face.partner()
    await made(other)

    unnamed = await face.admin.post("/v1/endpoints", json={"url": URL})
    named = await face.admin.post("/v1/endpoints", json={"url": URL, "partner": one.id})

    assert unnamed.json()["errors"][0]["path"] == "$.partner"
    assert named.status_code == 201
    assert len((await face.admin.get("/v1/endpoints")).json()["data"]) == 2
    narrowed = (await face.admin.get(f"/v1/endpoints?partner={one.id}")).json()["data"]
    assert [row["id"] for row in narrowed] == [named.json()["id"]]


async def test_the_listing_is_narrowed_to_a_state(face: Face) -> None:
    partner = await face.partner()
    off, on = await made(partner), await made(partner)
    await partner.client.post(f"/v1/endpoints/{off['id']}/disable")

    async def ids(query: str) -> list[str]:
        return [row["id"] for row in (await partner.client.get(f"/v1/endpoints?{query}")).json()["data"]]

    assert await ids("state=disabled") == [off["id"]]
    assert await ids("state=enabled") == [on["id"]]
    assert await ids("failing=true") == []
    assert set(await ids("failing=false")) == {off["id"], on["id"]}
    for wrong in ("state=asleep", "failing=perhaps"):
        refused = await partner.client.get(f"/v1/endpoints?{wrong}")
        assert refused.status_code == 422, wrong


async def test_the_acts_are_in_the_audit_log_without_secrets(face: Face) -> None:
    partner = await face.partner()
    document = await made(partner, headers={"x-key": "planted-secret"})
    path = f"/v1/endpoints/{document['id']}"
    await partner.client.patch(path, json={"description": "b"})
    await partner.client.post(path + "/rotate-secret")
    await partner.client.delete(path)

    log = await face.admin.get("/v1/audit")

    actions = [entry["action"] for entry in log.json()["data"] if entry["target"] == document["id"]]
    assert actions == ["endpoint.delete", "endpoint.rotate-secret", "endpoint.change", "endpoint.create"]
    assert "planted-secret" not in log.text
    assert document["secret"] not in log.text


async def test_the_stats_tell_how_an_endpoint_does(face: Face) -> None:
    partner = await face.partner()
    document = await made(partner)
    path = f"/v1/endpoints/{document['id']}"
    empty = (await partner.client.get(path + "/stats")).json()
    assert (empty["window"], empty["attempts"], empty["p50_ms"]) == ("24h", 0, None)
    assert (empty["failed"], empty["last_success_at"], len(empty["series"])) == ({}, None, 24)
    found = await face.store.endpoints.get(document["id"], None)
    assert found is not None
    for verdict in (Delivered(), later(face.clock.now_ms() + 60_000)):
        await message_to(face.store, found.endpoint, now_ms=face.clock.now_ms())
        (delivery,) = await due(face.store, face.clock.now_ms())
        assert await answered(face.store, delivery, verdict, now_ms=face.clock.now_ms())

    for window, steps in (("1h", 60), ("24h", 24), ("7d", 168)):
        stats = (await partner.client.get(path + "/stats", params={"window": window})).json()
        assert (stats["attempts"], stats["delivered"], stats["failed"]) == (2, 1, {"http_500": 1})
        assert stats["p95_ms"] == pytest.approx(5, rel=0.2)
        assert (stats["pending"], stats["parked"], stats["dead"], stats["breaker"]) == (1, 0, 0, "closed")
        assert stats["failing_since"] is not None
        assert stats["last_success_at"] is not None
        assert len(stats["series"]) == steps
        assert sum(step["attempts"] for step in stats["series"]) == 2
        assert stats["since"] == stats["series"][0]["at"]


async def test_stats_are_the_owners_and_of_known_windows(face: Face) -> None:
    partner, stranger = await face.partner(), await face.partner()
    path = f"/v1/endpoints/{(await made(partner))['id']}/stats"
    assert (await stranger.client.get(path)).status_code == 404
    assert (await face.admin.get(path)).status_code == 200
    refused = await partner.client.get(path, params={"window": "2h"})
    assert (refused.status_code, refused.json()["errors"][0]["path"]) == (422, "$.window")
