"""What every answer says to caches and to browsers."""

import httpx
import pytest

from tests.support.api_face import Face


async def answers(face: Face) -> list[httpx.Response]:
    """One answer of each kind: whole, empty, refused by each layer."""
    partner = await face.partner()
    nobody = await face.client(None)
    made = await partner.client.post("/v1/endpoints", json={"url": "https://receiver.example/"})
    task = await partner.client.post("/v1/tasks", json={"type": "test.echo"})
    one = f"/v1/tasks/{task.json()['id']}"
    seen = await partner.client.get(one)
    return [
        made,
        task,
        seen,
        await partner.client.get(one, headers={"If-None-Match": seen.headers["etag"]}),
        await partner.client.post("/v1/partner/rotate-secret"),
        await partner.client.delete(f"/v1/endpoints/{made.json()['id']}"),
        await partner.client.get("/v1/tasks"),
        await partner.client.head("/v1/tasks"),
        await partner.client.options("/v1/tasks"),
        await partner.client.put("/v1/tasks"),
        await partner.client.post("/v1/tasks", content=b"{"),
        await partner.client.get("/v1/tasks/task_unknown"),
        await partner.client.get("/v1/partners"),
        await nobody.get("/v1/tasks"),
        await nobody.get("/nothing"),
        await nobody.get("/healthz"),
        await nobody.get("/readyz"),
        await nobody.get("/metrics"),
        await nobody.get("/openapi.json"),
        await nobody.get("/docs"),
        await nobody.get("/docs/start.js"),
        await nobody.options("/v1/stream"),
        await nobody.get("/v1/stream"),
        await nobody.post("/v1/stream"),
        await face.admin.post("/v1/partners", json={"name": "acme"}),
        await face.admin.post(f"/v1/partners/{partner.id}/keys"),
    ]


async def test_no_answer_is_to_be_sniffed_at(sqlite_face: Face) -> None:
    for answer in await answers(sqlite_face):
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"], answer.request.url


async def test_every_answer_names_its_trace(sqlite_face: Face) -> None:
    for answer in await answers(sqlite_face):
        assert len(answer.headers.get_list("traceparent")) == 1, answer.request.url


async def test_no_cache_keeps_what_was_answered_to_a_key(sqlite_face: Face) -> None:
    for answer in await answers(sqlite_face):
        said = answer.headers.get_list("cache-control")
        if "authorization" in answer.request.headers and answer.request.method not in ("OPTIONS", "PUT"):
            etag = "etag" in answer.headers
            assert said == ["private, no-cache" if etag else "no-store"], answer.request.url


@pytest.mark.parametrize("header", ["Bearer nobodys-key-at-all-0000", "Basic YTpi"])
async def test_a_refused_key_is_kept_by_no_cache_either(sqlite_face: Face, header: str) -> None:
    answer = await (await sqlite_face.client(None)).get("/v1/tasks", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["cache-control"] == "no-store"


async def test_a_secret_shown_again_is_kept_by_no_cache_either(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    for replayed in (None, "true"):
        answer = await partner.client.post("/v1/partner/rotate-secret", headers={"Idempotency-Key": "k"})
        assert answer.headers.get("idempotency-replayed") == replayed
        assert answer.headers["cache-control"] == "no-store"
