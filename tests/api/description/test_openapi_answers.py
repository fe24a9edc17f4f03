"""Real answers held against the OpenAPI document: every call, every status it promises for success."""

import functools
import json
import re
from typing import Any

import httpx
import jsonschema_rs

from tests.support.api_face import Face
from tests.support.description import description
from tests.support.seeds import EXHAUSTED, answered, due, session
from tests.support.strict import strictly
from tests.support.work import claim, finish, limit
from webhookd.api.app import ROUTES
from webhookd.api.description.audience import for_partners
from webhookd.api.description.openapi import openapi_document
from webhookd.core.delivery import Delivered, Verdict

ROWS = {(row.method, row.path): row for row in ROUTES}


@functools.cache
def validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    """Holds a value against a schema of the description, which is long to be made ready."""
    whole = {**json.loads(schema), "components": description()["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


class Witness:
    """Holds each answer against its description, and remembers which were seen."""

    def __init__(self) -> None:
        self.document = description()
        self.seen: set[tuple[str, str, int]] = set()
        patterns = {path: re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) for _, path in ROWS}
        # A fixed path goes before one with a parameter, as in the router.
        self._patterns = sorted(patterns.items(), key=lambda pair: "{" in pair[0])

    async def __call__(self, response: httpx.Response) -> None:
        """The event hook of a client."""
        await response.aread()
        request = response.request
        path = next(path for path, pattern in self._patterns if re.fullmatch(pattern, request.url.path))
        operation = self.document["paths"][path][request.method.lower()]
        told = self._resolved(operation["responses"][str(response.status_code)])
        self.seen.add((request.method, path, response.status_code))
        for name, header in told.get("headers", {}).items():
            described = self._resolved(header)
            if name in response.headers:
                text = response.headers[name]
                value = int(text) if described["schema"].get("type") == "integer" else text
                self._validate(described["schema"], value)
            else:
                assert not described["required"], name
        media = response.headers.get("content-type", "").split(";")[0]
        assert [media] == list(told["content"]) if "content" in told else not response.content
        if media.endswith(("/json", "+json")):
            assert response.text.endswith("}\n"), "a prompt of the shell begins on a line of its own"
            self._validate(told["content"][media]["schema"], response.json())
        returned = ROWS[request.method, path].answers.get(response.status_code)
        if returned is not None and returned.document is not None:
            # Stricter than what is published: no field that is not described.
            strictly(returned.document).validate_json(b"[%b]" % response.content)

    def _validate(self, schema: Any, value: Any) -> None:
        validator(json.dumps(schema)).validate(value)

    def _resolved(self, part: Any) -> Any:
        while "$ref" in part:
            found: Any = self.document
            for step in part["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            part = found
        return part


async def worked(face: Face) -> None:
    """Let a worker end what is queued."""
    await session(face.store)
    now_ms = face.clock.now_ms()
    for task in (await claim(face.store, 50, limits=(limit("test.echo"),), now_ms=now_ms)).tasks:
        await finish(face.store, task, now_ms=now_ms)


async def sent(face: Face, verdict: Verdict) -> None:
    """Let everything that is due be tried once, with this verdict."""
    now_ms = face.clock.now_ms()
    for delivery in await due(face.store, now_ms):
        assert await answered(face.store, delivery, verdict, now_ms=now_ms)


async def test_every_answer_is_as_described(face: Face) -> None:
    witness = Witness()
    face.admin.event_hooks["response"].append(witness)
    partner = await face.partner()
    client, admin = partner.client, face.admin
    client.event_hooks["response"].append(witness)
    await tasks(face, client)
    await batches(face, client)
    await files(client)
    await deliveries_and_dead_letters(face, client)
    await endpoints(face, client)
    await partners_and_keys(admin, client, partner.id)
    await operations(face, admin, client)
    promised = {(method, path, status) for (method, path), row in ROWS.items() for status in row.answers}
    of_object_stores = {("GET", "/v1/files/{id}/content", 307)}  # see test_api_files
    assert promised - of_object_stores - witness.seen == set()


async def tasks(face: Face, client: httpx.AsyncClient) -> None:
    done = (await client.post("/v1/tasks", json={"type": "test.echo", "input": {"a": 1}})).json()
    path = f"/v1/tasks/{done['id']}"
    await client.get(path)
    await worked(face)
    shown = await client.get(path)
    assert (await client.get(path, headers={"If-None-Match": shown.headers["ETag"]})).status_code == 304
    await client.get(f"{path}/timeline")
    await client.get(f"{path}/runs")
    await client.get(f"{path}/input")
    await client.get(f"/v1/traces/{done['trace_id']}")
    await client.get(f"{path}/events")
    await client.get(f"{path}/events", headers={"Last-Event-ID": str(shown.json()["version"])})
    again = {"json": {"type": "test.echo"}, "headers": {"Idempotency-Key": "once", "Prefer": "wait=5"}}
    held = await client.post("/v1/tasks", json={"type": "test.echo"}, headers={"Idempotency-Key": "once"})
    await worked(face)
    assert (await client.post("/v1/tasks", **again)).status_code == 200  # type: ignore[arg-type]  # keywords of httpx
    assert (await client.post(f"/v1/tasks/{held.json()['id']}/cancel")).status_code == 200
    other = (await client.post("/v1/tasks", json={"type": "test.order", "input": {"account": "A"}})).json()
    await client.post(f"/v1/tasks/{other['id']}/cancel")
    await client.post("/v1/tasks/batch", json={"tasks": [{"type": "test.echo"}, {"type": "nope"}]})
    await worked(face)
    await client.get("/v1/tasks?limit=2")
    await client.get("/v1/tasks?metadata.order=42")
    assert (await client.post(f"{path}/rerun")).status_code == 202
    await worked(face)
    await client.get("/v1/task-types")
    for wrong in ({"type": "nope"}, {"type": "test.echo", "callback_url": "http://127.0.0.1/"}, {"a": 1}):
        await client.post("/v1/tasks", json=wrong)
    await client.post("/v1/tasks", content=b"{", headers={"Content-Type": "application/json"})
    await client.post("/v1/tasks", content=b"a", headers={"Content-Type": "text/plain"})
    await client.post("/v1/tasks", json={"type": "test.echo", "input": {"long": "x" * 300_000}})
    await client.get("/v1/tasks/task_unknown")
    await client.get("/v1/tasks?colour=red")


async def batches(face: Face, client: httpx.AsyncClient) -> None:
    body = {"defaults": {"type": "test.echo"}, "tasks": [{}], "open": True}
    made = (await client.post("/v1/batches", json=body)).json()
    path = f"/v1/batches/{made['id']}"
    await client.post(f"{path}/tasks", json={"tasks": [{}, {"type": "nope"}], "partial": True})
    await client.post(f"{path}/tasks", json={"tasks": [{"type": "nope"}]})
    await client.post(f"{path}/close")
    await client.post(f"{path}/close")
    await client.post(f"{path}/tasks", json={"tasks": [{}]})
    await worked(face)
    shown = await client.get(path)
    await client.get(path, headers={"If-None-Match": shown.headers["ETag"]})
    await client.get(f"{path}/tasks?state=succeeded")
    await client.get(f"{path}/results")
    await client.get(f"{path}/events")
    await client.get(f"{path}/events", headers={"Last-Event-ID": str(shown.json()["version"])})
    stopped = (await client.post("/v1/batches", json=body)).json()
    await client.post(f"/v1/batches/{stopped['id']}/cancel")
    await client.post(f"/v1/batches/{stopped['id']}/cancel")
    await client.get("/v1/batches")
    await client.post("/v1/tokens", json={"batch": made["id"]})
    await client.post("/v1/tokens", json={})


async def files(client: httpx.AsyncClient) -> None:
    file = (await client.post("/v1/files?name=a.bin", content=b"hello")).json()
    path = f"/v1/files/{file['id']}"
    await client.get(path)
    await client.get("/v1/files?kind=input")
    shown = await client.get(file["url"])
    await client.get(file["url"], headers={"If-None-Match": shown.headers["ETag"]})
    await client.get(file["url"], headers={"Range": "bytes=1-2"})
    await client.get(file["url"], headers={"Range": "bytes=9-"})
    await client.post("/v1/files", content=b"hello")
    await client.post("/v1/files?name=a", content=b"hello", headers={"Content-Encoding": "gzip"})
    announced = (await client.post("/v1/files/uploads", json={"name": "a", "size": 2})).json()
    await client.post(f"/v1/files/{announced['file']['id']}/complete")
    await client.put(announced["upload"]["url"], content=b"hi")
    await client.post(f"/v1/files/{announced['file']['id']}/complete")
    await client.delete(path)
    await client.get(path)


async def deliveries_and_dead_letters(face: Face, client: httpx.AsyncClient) -> None:
    made = (await client.post("/v1/endpoints", json={"url": "https://dead.example/hooks"})).json()
    submitted = [
        (await client.post("/v1/tasks", json={"type": "test.echo", "endpoints": [made["id"]]})).json()
        for _ in range(4)
    ]
    await worked(face)
    await sent(face, EXHAUSTED)
    found = (await client.get("/v1/dead-letters")).json()["data"]
    assert {letter["task_id"] for letter in found} == {task["id"] for task in submitted}
    ids = [letter["id"] for letter in found]
    await client.get(f"/v1/dead-letters/{ids[0]}")
    await client.get("/v1/dead-letters/summary?group_by=endpoint,error,type,reason,hour")
    await client.post(f"/v1/dead-letters/{ids[0]}/replay")
    await client.post(f"/v1/dead-letters/{ids[0]}/replay")
    await client.delete(f"/v1/dead-letters/{ids[1]}")
    replay = await client.post(
        "/v1/replays", json={"filter": {"reason": "exhausted", "since": "2026-01-01T00:00:00Z"}}
    )
    await errand(client, f"/v1/replays/{replay.json()['id']}")
    discard = await client.post("/v1/discards", json={"all": True, "reason": "superseded"})
    await errand(client, f"/v1/discards/{discard.json()['id']}")
    await client.post(f"/v1/deliveries/{ids[2]}/replay")
    await client.post(f"/v1/deliveries/{ids[2]}/cancel")
    await client.post(f"/v1/deliveries/{ids[2]}/cancel")
    await sent(face, Delivered())
    assert (await client.post(f"/v1/deliveries/{ids[0]}/cancel")).status_code == 409
    await client.get(f"/v1/deliveries/{ids[0]}")
    await client.get("/v1/deliveries?state=delivered")
    (first, *_) = (await client.get("/v1/messages")).json()["data"]
    await client.get(f"/v1/messages/{first['id']}")
    await client.delete(f"/v1/endpoints/{made['id']}")


async def errand(client: httpx.AsyncClient, path: str) -> None:
    await client.get(path)
    await client.get(path.rpartition("/")[0])
    for move in ("pause", "resume"):
        assert (await client.post(f"{path}/{move}")).status_code == 202
    await client.patch(path, json={"rate_per_second": 5})
    await client.post(f"{path}/cancel")
    await client.post(f"{path}/pause")


async def endpoints(face: Face, client: httpx.AsyncClient) -> None:
    made = (
        await client.post(
            "/v1/endpoints",
            json={
                "url": "https://partner.example/hooks",
                "signature": ["v1", "v1a"],
                "headers": {"X-Team": "a"},
                "retry": {"max_attempts": 3},
                "rate_limit": 5,
            },
        )
    ).json()
    path = f"/v1/endpoints/{made['id']}"
    await client.get(path)
    await client.get("/v1/endpoints")
    await client.get(f"{path}/stats?window=1h")
    await client.patch(path, json={"description": "new", "max_concurrency": 2})
    await client.post(f"{path}/rotate-secret", json={"overlap_seconds": 60})
    await client.post(f"{path}/test", headers={"Idempotency-Key": "one-test"})
    await sent(face, Delivered())
    await client.post(f"{path}/test", headers={"Idempotency-Key": "one-test", "Prefer": "wait=5"})
    await client.post(f"{path}/retry")
    await client.post(f"{path}/disable")
    await client.post(f"{path}/retry")
    await client.post(f"{path}/test")
    await client.post(f"{path}/enable")


async def partners_and_keys(admin: httpx.AsyncClient, client: httpx.AsyncClient, partner_id: str) -> None:
    await admin.post("/v1/partners", json={"name": "another", "limits": {"burst": 9}})
    await admin.post("/v1/partners", json={"name": "another"})
    await admin.get("/v1/partners")
    await admin.get(f"/v1/partners/{partner_id}")
    await admin.patch(f"/v1/partners/{partner_id}", json={"weight": 2})
    await client.get("/v1/partner")
    await client.post("/v1/partner/rotate-secret")
    await client.post("/v1/portal-link")
    await admin.post(f"/v1/partners/{partner_id}/portal-link")
    key = (
        await admin.post(
            f"/v1/partners/{partner_id}/keys", json={"name": "ci", "expires_at": "2099-01-01T00:00:00Z"}
        )
    ).json()
    await admin.get(f"/v1/partners/{partner_id}/keys")
    await admin.post("/v1/keys", json={"partner": partner_id})
    await admin.get("/v1/keys")
    await admin.get(f"/v1/keys/{key['id']}")
    await admin.delete(f"/v1/keys/{key['id']}")
    await client.get("/v1/partners")


async def operations(face: Face, admin: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
    await admin.get("/v1/queues")
    await admin.post("/v1/queues/default/pause")
    await admin.post("/v1/queues/default/resume")
    await admin.get("/v1/workers")
    await admin.get("/v1/activity")
    await admin.get("/v1/audit", params={"target": "default", "since": "2026-01-01T00:00:00Z"})
    made = (await admin.post("/v1/admin-keys", json={"name": "alice"})).json()
    await admin.get("/v1/admin-keys")
    await admin.delete(f"/v1/admin-keys/{made['id']}")
    await admin.get("/v1/workers")
    await client.get("/healthz")
    await client.get("/readyz")
    await admin.get("/metrics")
    face.disk[0] = 1
    await client.get("/readyz")
    await client.get("/openapi.json")
    await client.get("/docs")
    await client.get("/v1/partner", headers={"Authorization": "Bearer whk_wrong"})


async def test_document_is_served_whole_to_anybody(face: Face) -> None:
    nobody = await face.client(None)
    answer = await nobody.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == openapi_document(ROUTES, base_url="http://webhookd.test")
    asked = await nobody.get("/openapi.json", headers={"Host": "api.example:8443"})
    assert asked.json()["servers"] == [{"url": "http://api.example:8443"}]
    odd = await nobody.get("/openapi.json", headers={"Host": 'a"]}, <script>'})
    assert odd.status_code == 400 or odd.json()["servers"] == [{"url": "/"}]
    partners = (await nobody.get("/openapi.json?for=partner")).json()
    assert partners == for_partners(answer.json())
    assert (await nobody.get("/openapi.json?for=anybody")).status_code == 422
    public = await face.client(None, options=face.parts.options.__class__(base_url="https://hooks.example"))
    assert (await public.get("/openapi.json")).json()["servers"] == [{"url": "https://hooks.example"}]


async def test_page_and_its_files_are_served_with_a_policy_of_this_origin_only(face: Face) -> None:
    nobody = await face.client(None)
    answer = await nobody.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    for name, kind in (
        ("swagger-ui.css", "text/css"),
        ("swagger-ui-bundle.js", "text/javascript"),
        ("start.js", "text/javascript"),
    ):
        assert f'"docs/{name}' in answer.text
        file = await nobody.get(f"/docs/{name}")
        assert (file.status_code, file.headers["content-type"]) == (200, f"{kind}; charset=utf-8")
        assert file.content
        assert (await nobody.head(f"/docs/{name}")).content == b""
    refused = await nobody.post("/docs/start.js")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    for unknown in ("swagger-ui.js", "..%2Fcore.py", "page.py"):
        assert (await nobody.get(f"/docs/{unknown}")).json()["code"] == "not_found"
