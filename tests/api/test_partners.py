"""Partners, keys and the audit log over HTTP."""

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.support.api_face import ADMIN_KEY, Face
from webhookd.adapters.store.access.last_used import keep_last_used
from webhookd.adapters.store.endpoints import secrets
from webhookd.api.client_address import parse_proxies
from webhookd.core.api_keys import USE_EXACT_TO_MS
from webhookd.core.model import SCOPES, USUAL_SCOPES
from webhookd.core.times import to_rfc3339


async def opened(face: Face, partner_id: str) -> list[str]:
    """The partner's signing secrets, newest first, out of the vault."""
    now_ms = face.clock.now_ms()
    live = await face.store.db.read(secrets.live, partner_id, [None], now_ms=now_ms)
    return [
        face.parts.vault.open(
            one.sealed, partner=partner_id, endpoint=None, field=secrets.SECRET_FIELD
        ).decode()
        for one in live
    ]


async def test_new_partner_is_shown_its_key_and_secret_once(face: Face) -> None:
    answer = await face.admin.post("/v1/partners", json={"name": "acme", "limits": {"burst": 7}, "weight": 3})
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"/v1/partners/{made['id']}"
    assert made["key"].startswith("whk_")
    assert made["secret"].startswith("whsec_")
    assert made["limits"] == {"rate_per_second": 1_000, "burst": 7, "max_queued": 100_000}
    assert await opened(face, made["id"]) == [made["secret"]]

    shown = (await face.admin.get(answer.headers["location"])).json()
    assert shown == {name: value for name, value in made.items() if name not in ("key", "secret")}
    listed = (await face.admin.get("/v1/partners")).json()
    assert listed == {"data": [shown], "next_cursor": None}
    own = (await (await face.client(made["key"])).get("/v1/partner")).json()
    assert {name: own[name] for name in shown} == shown
    assert (await face.admin.get(f"/v1/partner?partner={made['id']}")).json()["id"] == made["id"]


async def told_uses(face: Face) -> None:
    """Write which keys were used, as an API process does every few seconds."""

    async def keep(used: Mapping[str, int]) -> None:
        await face.store.write(keep_last_used, used)

    await face.parts.last_used.tell(keep)


async def test_last_use_of_keys_is_shown_to_a_minute(face: Face) -> None:
    partner = await face.partner()
    admin_key = (await face.admin.post("/v1/admin-keys", json={"name": "alice"})).json()
    assert admin_key["last_used_at"] is None
    alice = await face.client(admin_key["key"])
    path = f"/v1/partners/{partner.id}/keys"
    unused = (await alice.post(path, json={"name": "unused"})).json()
    assert (await partner.client.get("/v1/partner")).status_code == 200

    await told_uses(face)

    uses = {one["id"]: one["last_used_at"] for one in (await alice.get(path)).json()["data"]}
    assert uses.pop(unused["id"]) is None
    (last,) = uses.values()
    assert last is not None
    (listed,) = (await face.admin.get("/v1/admin-keys")).json()["data"]
    assert listed["last_used_at"] is not None

    face.clock.ahead_ms += 2 * USE_EXACT_TO_MS
    await partner.client.get("/v1/partner")
    await told_uses(face)
    assert max(one["last_used_at"] or "" for one in (await alice.get(path)).json()["data"]) > last


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "$.name"),
        ({"name": ""}, "$.name"),
        ({"name": " a"}, "$.name"),
        ({"name": "a\nb"}, "$.name"),
        ({"name": 5}, "$.name"),
        ({"name": "a", "limits": {"burst": 0}}, "$.limits.burst"),
        ({"name": "a", "limits": {"rate_per_second": "5"}}, "$.limits.rate_per_second"),
        ({"name": "a", "weight": 0}, "$.weight"),
        ({"name": "a", "id": "prt_x"}, "$.id"),
    ],
)
async def test_wrong_partner_is_refused(sqlite_face: Face, body: dict[str, Any], path: str) -> None:
    answer = await sqlite_face.admin.post("/v1/partners", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == path


async def test_patch_changes_what_it_names(face: Face) -> None:
    partner = await face.partner(limits={"burst": 7, "max_queued": 9})
    path = f"/v1/partners/{partner.id}"
    changed = await face.admin.patch(path, json={"weight": 5, "limits": {"burst": None}})
    assert changed.status_code == 200
    assert changed.json()["weight"] == 5
    assert changed.json()["limits"] == {"rate_per_second": 1_000, "burst": 5_000, "max_queued": 9}
    assert (await face.admin.patch(path, json={})).json() == changed.json()
    assert (await face.admin.patch(path, json={"id": "prt_x"})).status_code == 422
    assert (await face.admin.patch("/v1/partners/prt_unknown", json={"weight": 2})).status_code == 404
    other = await face.partner()
    taken = (await face.admin.get(f"/v1/partners/{other.id}")).json()["name"]
    assert (await face.admin.patch(path, json={"name": taken})).status_code == 409


async def test_partners_are_paged_newest_first(face: Face) -> None:
    made = [(await face.partner()).id for _ in range(3)]
    listed = (await face.admin.get("/v1/partners?limit=2")).json()
    more = (await face.admin.get(f"/v1/partners?limit=2&cursor={listed['next_cursor']}")).json()
    assert {one["id"] for one in listed["data"] + more["data"]} == set(made)
    assert more["next_cursor"] is None


async def test_rotated_secret_signs_beside_the_old_one_until_the_overlap_ends(face: Face) -> None:
    partner = await face.partner()
    answer = await partner.client.post("/v1/partner/rotate-secret", json={"overlap_seconds": 60})
    assert answer.status_code == 200
    second = answer.json()["secret"]
    assert await opened(face, partner.id) == [second, partner.secret]
    third = (await partner.client.post("/v1/partner/rotate-secret", json={"overlap_seconds": 0})).json()
    assert await opened(face, partner.id) == [third["secret"]], "0 cuts off the overlap before it too"
    default = await face.admin.post("/v1/partner/rotate-secret", json={"partner": partner.id})
    assert await opened(face, partner.id) == [default.json()["secret"], third["secret"]]


@pytest.mark.parametrize("overlap", [-1, 604_801, "60", True])
async def test_an_overlap_out_of_range_is_refused(sqlite_face: Face, overlap: object) -> None:
    partner = await sqlite_face.partner()
    refused = await partner.client.post("/v1/partner/rotate-secret", json={"overlap_seconds": overlap})
    assert refused.status_code == 422
    longest = await partner.client.post("/v1/partner/rotate-secret", json={"overlap_seconds": 604_800})
    assert longest.status_code == 200


async def test_secrets_that_all_sign_are_not_heaped_up_without_end(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    answers = [(await partner.client.post("/v1/partner/rotate-secret")).status_code for _ in range(50)]
    assert answers == [200] * 49 + [409]
    leaked = await partner.client.post("/v1/partner/rotate-secret", json={"overlap_seconds": 0})
    assert leaked.status_code == 200, "nothing is heaped up by it"


async def test_several_keys_live_at_once_each_with_its_scopes(face: Face) -> None:
    partner = await face.partner()
    path = f"/v1/partners/{partner.id}/keys"
    body = {"name": "reader", "scopes": ["tasks:read", "tasks:read"], "expires_at": "2099-01-01T00:00:00Z"}
    made = await face.admin.post(path, json=body)
    assert made.status_code == 201
    key = made.json()
    assert key["scopes"] == ["tasks:read"]
    assert key["expires_at"] == "2099-01-01T00:00:00.000Z"
    assert (await (await face.client(key["key"])).get("/v1/partner")).json()["id"] == partner.id
    everything = (await face.admin.post(path)).json()
    assert everything["scopes"] == [
        "tasks:write",
        "tasks:read",
        "files:write",
        "files:read",
        "endpoints:write",
        "deliveries:replay",
    ]

    listed = (await face.admin.get(path)).json()["data"]
    assert len(listed) == 3
    assert all("key" not in one and "hash" not in str(one) for one in listed)
    assert (await face.admin.delete(f"/v1/keys/{key['id']}")).status_code == 204
    assert (await face.admin.delete(f"/v1/keys/{key['id']}")).status_code == 204
    revoked = {one["id"]: one["revoked_at"] for one in (await face.admin.get(path)).json()["data"]}
    assert revoked[key["id"]] is not None
    assert revoked[everything["id"]] is None


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"scopes": ["everything"]}, "$.scopes[0]"),
        ({"scopes": []}, "$.scopes"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "$.expires_at"),
        ({"name": "x" * 101}, "$.name"),
    ],
)
async def test_wrong_key_is_refused(sqlite_face: Face, body: dict[str, Any], path: str) -> None:
    partner = await sqlite_face.partner()
    answer = await sqlite_face.admin.post(f"/v1/partners/{partner.id}/keys", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == path


async def test_a_partner_makes_keys_of_its_own_with_no_more_than_its_key_has(face: Face) -> None:
    partner, stranger = await face.partner(), await face.partner()
    assert (await partner.client.post("/v1/keys")).status_code == 403, "only where it was asked for"
    path = f"/v1/partners/{partner.id}/keys"
    made = await face.admin.post(path, json={"name": "ops", "scopes": ["keys:write", "tasks:read"]})
    manager = await face.client(made.json()["key"])

    reader = await manager.post("/v1/keys", json={"name": "reader", "scopes": ["tasks:read"]})
    usual = await manager.post("/v1/keys", json={"name": "usual"})
    more = await manager.post("/v1/keys", json={"scopes": ["tasks:read", "endpoints:write"]})

    assert (reader.status_code, reader.json()["scopes"]) == (201, ["tasks:read"])
    assert usual.json()["scopes"] == ["tasks:read"], "the usual ones, as far as this key has them"
    assert (more.status_code, more.json()["code"]) == (403, "forbidden")
    assert "endpoints:write" in more.json()["detail"]
    its = await face.client(reader.json()["key"])
    assert (await its.get("/v1/partner")).json()["scopes"] == ["tasks:read"]
    assert (await its.get("/v1/keys")).status_code == 403
    listed = (await manager.get("/v1/keys")).json()["data"]
    assert [one["name"] for one in listed] == ["usual", "reader", "ops", f"first key of {partner.name}"]
    (foreign,) = (await face.admin.get("/v1/keys", params={"partner": stranger.id})).json()["data"]
    assert (await manager.get(f"/v1/keys/{listed[0]['id']}")).json() == listed[0]
    assert (await face.admin.get(f"/v1/keys/{foreign['id']}")).json() == foreign
    assert (await manager.get(f"/v1/keys/{foreign['id']}")).status_code == 404
    assert (await face.admin.get("/v1/keys/key_unknown")).status_code == 404
    assert (await manager.delete(f"/v1/keys/{foreign['id']}")).status_code == 404
    assert (await manager.delete(f"/v1/keys/{reader.json()['id']}")).status_code == 204


async def test_an_admin_makes_a_key_for_a_partner_it_names(face: Face) -> None:
    partner = await face.partner()
    assert (await face.admin.post("/v1/keys")).json()["errors"][0]["path"] == "$.partner"
    made = await face.admin.post("/v1/keys", json={"partner": partner.id, "scopes": ["keys:write"]})
    assert (made.status_code, made.json()["partner"]) == (201, partner.id)
    alone = await face.client(made.json()["key"])
    assert (await alone.post("/v1/keys")).json()["errors"][0]["path"] == "$.scopes"
    assert len((await face.admin.get("/v1/keys")).json()["data"]) == 2


async def test_a_partner_sees_its_limits_what_it_uses_and_what_its_key_may(face: Face) -> None:
    partner = await face.partner(limits={"max_queued": 9})
    await partner.client.post("/v1/tasks", json={"type": "test.echo"})
    soon = to_rfc3339(face.clock.now_ms() + 3_600_000)
    await partner.client.post("/v1/tasks", json={"type": "test.echo", "run_at": soon})
    await partner.client.post("/v1/endpoints", json={"url": "https://hooks.partner.example/in"})
    await partner.client.post("/v1/files?name=a", content=b"12345")

    seen = (await partner.client.get("/v1/partner")).json()

    assert (seen["id"], seen["limits"]["max_queued"]) == (partner.id, 9)
    assert seen["use"] == {
        "queued": 2, "stored_files": 1, "stored_bytes": 5, "endpoints": 1, "keys": 1, "replays": 0
    }  # fmt: skip
    assert seen["quotas"] == {
        "stored_bytes": 10_737_418_240, "endpoints": 1_000, "keys": 100, "replays": 10
    }  # fmt: skip
    assert seen["scopes"] == list(USUAL_SCOPES)
    as_admin = (await face.admin.get("/v1/partner", params={"partner": partner.id})).json()
    assert as_admin == {**seen, "scopes": list(SCOPES)}


async def test_a_secret_that_is_brought_signs_from_then_on(face: Face) -> None:
    partner = await face.partner()
    brought = "whsec_" + base64.b64encode(bytes(range(24))).decode()

    answer = await partner.client.post("/v1/partner/rotate-secret", json={"secret": brought})

    assert (answer.status_code, answer.json()["secret"]) == (200, brought)
    assert (await opened(face, partner.id))[0] == brought


async def test_keys_of_nobody_are_not_found(face: Face) -> None:
    assert (await face.admin.post("/v1/partners/prt_unknown/keys")).status_code == 404
    assert (await face.admin.get("/v1/partners/prt_unknown/keys")).status_code == 404
    assert (await face.admin.delete("/v1/keys/key_unknown")).status_code == 404


async def test_partners_may_not_do_what_admins_do(face: Face) -> None:
    partner = await face.partner()
    for method, path in (
        ("POST", "/v1/partners"),
        ("GET", "/v1/partners"),
        ("PATCH", f"/v1/partners/{partner.id}"),
        ("POST", f"/v1/partners/{partner.id}/keys"),
        ("DELETE", "/v1/keys/key_x"),
        ("GET", "/v1/audit"),
        ("GET", "/v1/queues"),
        ("POST", "/v1/queues/default/pause"),
    ):
        answer = await partner.client.request(method, path, json={})
        assert answer.status_code == 403, path


async def test_changes_are_in_the_audit_log_without_secrets(face: Face) -> None:
    partner, other = await face.partner(), await face.partner()
    await face.admin.patch(f"/v1/partners/{partner.id}", json={"suspended": False})
    await partner.client.post("/v1/partner/rotate-secret")
    await face.admin.patch("/v1/partners/prt_unknown", json={"weight": 2})
    answer = await face.admin.get(f"/v1/audit?partner={partner.id}")
    entries = answer.json()["data"]
    assert [entry["action"] for entry in entries] == [
        "partner.rotate-secret",
        "partner.change",
        "partner.create",
    ]
    assert [entry["actor"] for entry in entries[1:]] == ["operator@192.0.2.7"] * 2
    assert [entry["key"] for entry in entries[1:]] == [None] * 2
    assert (entries[0]["actor"], entries[0]["key"][:4]) == (f"first key of {partner.name}", "key_")
    assert {entry["address"] for entry in entries} == {"192.0.2.7"}
    assert entries[1]["detail"] == {"suspended": False}
    assert {entry["target"] for entry in entries} == {partner.id}
    everything = (await face.admin.get("/v1/audit?limit=2")).json()
    assert len(everything["data"]) == 2
    assert everything["next_cursor"]
    assert partner.secret not in answer.text
    assert other.id not in answer.text


async def test_a_partner_submits_and_sees_the_types_it_may_and_no_others(face: Face) -> None:
    partner = await face.partner(task_types=["test.order"])
    path = f"/v1/partners/{partner.id}"
    assert (await face.admin.get(path)).json()["task_types"] == ["test.order"]

    async def known() -> list[str]:
        return [one["type"] for one in (await partner.client.get("/v1/task-types")).json()["data"]]

    async def submits(name: str) -> int:
        given = {"account": "A-1"}
        return (await partner.client.post("/v1/tasks", json={"type": name, "input": given})).status_code

    assert await known() == ["test.order"]
    refused = await partner.client.post("/v1/tasks", json={"type": "test.echo"})
    [error] = refused.json()["errors"]
    assert (refused.status_code, error["path"]) == (422, "$.type")
    assert error["message"].endswith("known are test.order")
    body = {"tasks": [{"type": "test.echo"}, {"type": "test.order", "input": {"account": "A-1"}}]}
    results = (await partner.client.post("/v1/tasks/batch", json=body)).json()["results"]
    assert [one["status"] for one in results] == [422, 202]
    on_behalf = await face.admin.post("/v1/tasks", json={"type": "test.echo", "partner": partner.id})
    assert on_behalf.status_code == 422

    for patterns, types in (
        (["other.*"], []),
        (["other.*", "test.*"], ["test.echo", "test.order"]),
        (["test.ech"], []),
        ([], ["test.echo", "test.order"]),
        (["test.echo"], ["test.echo"]),
        (None, ["test.echo", "test.order"]),
    ):
        changed = await face.admin.patch(path, json={"task_types": patterns})
        assert changed.json()["task_types"] == (patterns or [])
        face.clock.ahead_ms += 5_000  # so long a key is trusted
        assert await known() == types
        assert [await submits(name) == 202 for name in ("test.echo", "test.order")] == [
            name in types for name in ("test.echo", "test.order")
        ]
    for wrong in (["a b"], ["*.x"], "test.echo", [5], ["x"] * 101):
        assert (await face.admin.patch(path, json={"task_types": wrong})).status_code == 422
    everything = (await face.admin.get("/v1/task-types")).json()["data"]
    assert [one["type"] for one in everything] == ["test.echo", "test.order"]


async def test_admin_keys_have_names_that_the_audit_log_shows(face: Face) -> None:
    made = await face.admin.post(
        "/v1/admin-keys", json={"name": "alice", "expires_at": "2099-01-01T00:00:00Z"}
    )
    assert made.status_code == 201
    key = made.json()
    assert key["key"].startswith("wha_")
    assert (key["name"], key["expires_at"]) == ("alice", "2099-01-01T00:00:00.000Z")
    alice = await face.client(key["key"])

    partner = (await alice.post("/v1/partners", json={"name": "made-by-alice"})).json()

    (entry,) = (await alice.get("/v1/audit", params={"actor": "alice"})).json()["data"]
    assert (entry["action"], entry["target"], entry["key"]) == ("partner.create", partner["id"], key["id"])
    assert (await face.admin.get("/v1/audit", params={"actor": key["id"]})).json()["data"] == [entry]
    by_target = (await alice.get("/v1/audit", params={"target": key["id"]})).json()["data"]
    assert [(one["action"], one["actor"]) for one in by_target] == [
        ("admin-key.create", "operator@192.0.2.7")
    ]
    listed = (await alice.get("/v1/admin-keys")).json()["data"]
    assert [(one["id"], one["name"], one["revoked_at"]) for one in listed] == [(key["id"], "alice", None)]
    assert key["key"] not in str(listed)
    assert (await face.admin.delete(f"/v1/admin-keys/{key['id']}")).status_code == 204
    face.clock.ahead_ms += 10_000
    assert (await alice.get("/v1/audit")).status_code == 401


async def test_admin_keys_are_for_admins_and_are_no_partners_keys(face: Face) -> None:
    partner = await face.partner()
    (key,) = (await face.admin.get(f"/v1/partners/{partner.id}/keys")).json()["data"]
    assert (await partner.client.post("/v1/admin-keys", json={"name": "me"})).status_code == 403
    assert (await partner.client.get("/v1/admin-keys")).status_code == 403
    assert (await face.admin.delete(f"/v1/admin-keys/{key['id']}")).status_code == 404
    assert (await face.admin.delete("/v1/admin-keys/key_unknown")).status_code == 404


@pytest.mark.parametrize("name", ["", " alice", "al\nice", "operator@db1", "key_1", "x" * 101, None, 7])
async def test_a_key_cannot_be_named_so_that_the_audit_log_would_mislead(
    sqlite_face: Face, name: object
) -> None:
    partner = await sqlite_face.partner()
    answers = [await sqlite_face.admin.post("/v1/admin-keys", json={"name": name})]
    if name != "":
        answers.append(await sqlite_face.admin.post(f"/v1/partners/{partner.id}/keys", json={"name": name}))
    for answer in answers:
        assert answer.status_code == 422
        assert [one["path"] for one in answer.json()["errors"]] == ["$.name"]


async def test_the_audit_log_has_the_address_that_a_trusted_proxy_names(face: Face) -> None:
    proxied = replace(face.parts.options, trusted_proxies=parse_proxies(["192.0.2.0/24"]))
    admin = await face.client(ADMIN_KEY, options=proxied)
    await admin.post("/v1/admin-keys", json={"name": "bob"}, headers={"X-Forwarded-For": "2001:db8::17"})
    (entry,) = (await face.admin.get("/v1/audit?action=admin-key.create")).json()["data"]
    assert (entry["actor"], entry["address"]) == ("operator@2001:db8::17", "2001:db8::17")
