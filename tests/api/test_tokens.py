"""Tokens for pages: what they read, what they do not, when they die; and which pages may call."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.support.api_face import ADMIN_KEY, Face, PartnerFace
from tests.support.live_api import Live, heard, say
from tests.support.plain_http import async_http_client
from tests.support.work import claim, finish, limit, session
from webhookd.adapters.entropy import new_id
from webhookd.adapters.store.tasks.task_files import use_files
from webhookd.core import ids
from webhookd.core.api_keys import operator_key_hash
from webhookd.core.files import File, FileKind, FileState

ECHO = {"type": "test.echo"}
ORIGIN = "https://app.example.com"


async def submitted(owner: PartnerFace, **body: Any) -> dict[str, Any]:
    """A task, just accepted."""
    task: dict[str, Any] = (await owner.client.post("/v1/tasks", json={**ECHO, **body})).json()
    return task


async def token_of(client: httpx.AsyncClient, **body: Any) -> str:
    """A token."""
    answer = await client.post("/v1/tokens", json=body)
    assert answer.status_code == 201, answer.text
    token: str = answer.json()["token"]
    assert token.startswith("wht_")
    return token


async def test_a_token_reads_the_tasks_it_names_and_nothing_else(sqlite_face: Face) -> None:
    owner = await sqlite_face.partner()
    named, other = await submitted(owner), await submitted(owner)
    answer = await owner.client.post("/v1/tokens", json={"tasks": [named["id"]], "expires_in": 60})
    assert answer.json()["expires_at"] > named["created_at"]
    page = await sqlite_face.client(answer.json()["token"])
    assert (await page.get(f"/v1/tasks/{named['id']}")).json()["id"] == named["id"]
    assert (await page.get(f"/v1/tasks/{named['id']}/timeline")).status_code == 200
    assert (await page.get(f"/v1/tasks/{other['id']}")).status_code == 404
    for path in ("/v1/tasks", "/v1/batches", "/v1/files", "/v1/partner", "/v1/deliveries", "/v1/task-types"):
        assert (await page.get(path)).status_code == 403, path
    assert (await page.get(f"/v1/tasks/{named['id']}?token={answer.json()['token']}")).status_code == 422


async def test_a_key_is_not_taken_from_the_query(sqlite_face: Face) -> None:
    """Where queries are logged, a page's token is good for minutes, and a key for ever."""
    owner = await sqlite_face.partner()
    task = await submitted(owner)
    batch = (await owner.client.post("/v1/batches", json={"tasks": [ECHO]})).json()
    file = (await owner.client.post("/v1/files?name=a", content=b"a")).json()
    nobody = await sqlite_face.client(None)
    for key in (owner.key, ADMIN_KEY):
        for path in (f"/v1/tasks/{task['id']}/events", f"/v1/batches/{batch['id']}/events", file["url"]):
            refused = await nobody.get(path, params={"token": key})
            assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated"), path
            assert refused.headers["www-authenticate"].startswith("Bearer")


async def test_a_token_writes_nothing(sqlite_face: Face) -> None:
    owner = await sqlite_face.partner()
    task = await submitted(owner)
    page = await sqlite_face.client(await token_of(owner.client, tasks=[task["id"]]))
    for call in (
        page.post("/v1/tasks", json=ECHO),
        page.post(f"/v1/tasks/{task['id']}/cancel"),
        page.post("/v1/tokens", json={"tasks": [task["id"]]}),
        page.post("/v1/files?name=a", content=b"a"),
        page.post("/v1/batches", json={"tasks": [ECHO]}),
    ):
        assert (await call).status_code == 403
    assert (await owner.client.get(f"/v1/tasks/{task['id']}")).json()["state"] == "queued"


async def test_a_token_of_a_batch_reads_it_its_tasks_and_their_files(sqlite_face: Face) -> None:
    owner = await sqlite_face.partner()
    file = (await owner.client.post("/v1/files?name=a.txt", content=b"hello")).json()
    stranger = (await owner.client.post("/v1/files?name=b.txt", content=b"other")).json()
    batch = (await owner.client.post("/v1/batches", json={"tasks": [ECHO, ECHO]})).json()
    await sqlite_face.store.write(use_files, [(file["id"], batch["task_ids"][0])])
    alone = await submitted(owner)
    text = await token_of(owner.client, batch=batch["id"])
    page = await sqlite_face.client(text)
    path = f"/v1/batches/{batch['id']}"
    for there in (path, f"{path}/tasks", f"{path}/results", f"/v1/tasks/{batch['task_ids'][1]}"):
        assert (await page.get(there)).status_code == 200, there
    assert (await page.get(f"/v1/tasks/{alone['id']}")).status_code == 404
    assert (await page.get(f"/v1/files/{file['id']}")).json()["name"] == "a.txt"
    nobody = await sqlite_face.client(None)
    download = await nobody.get(f"/v1/files/{file['id']}/content", params={"token": text})
    assert (download.status_code, download.content) == (200, b"hello")
    for wrong in (stranger["id"], "file_00000000000000000000000000"):
        refused = await nobody.get(f"/v1/files/{wrong}/content", params={"token": text})
        assert refused.status_code == 404
    put = await nobody.put(f"/v1/files/{file['id']}/content", params={"token": text}, content=b"x")
    assert put.status_code == 403


async def test_a_token_has_the_scopes_it_was_made_with(sqlite_face: Face) -> None:
    owner = await sqlite_face.partner()
    file = (await owner.client.post("/v1/files?name=a.txt", content=b"hello")).json()
    task = await submitted(owner)
    await sqlite_face.store.write(use_files, [(file["id"], task["id"])])
    page = await sqlite_face.client(await token_of(owner.client, tasks=[task["id"]], scopes=["tasks:read"]))
    assert (await page.get(f"/v1/files/{file['id']}")).status_code == 403
    only_files = await sqlite_face.client(
        await token_of(owner.client, tasks=[task["id"]], scopes=["files:read"])
    )
    assert (await only_files.get(f"/v1/tasks/{task['id']}")).status_code == 403
    assert (await only_files.get(f"/v1/files/{file['id']}")).status_code == 200
    key = await sqlite_face.admin.post(f"/v1/partners/{owner.id}/keys", json={"scopes": ["tasks:read"]})
    reader = await sqlite_face.client(key.json()["key"])
    refused = await reader.post("/v1/tokens", json={"tasks": [task["id"]], "scopes": ["files:read"]})
    assert refused.status_code == 403
    modest = await sqlite_face.client(await token_of(reader, tasks=[task["id"]]))
    assert (await modest.get(f"/v1/tasks/{task['id']}")).status_code == 200
    assert (await modest.get(f"/v1/files/{file['id']}")).status_code == 403


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "$.tasks"),
        ({"tasks": ["task_x"], "batch": "batch_x"}, "$.tasks"),
        ({"tasks": []}, "$.tasks"),
        ({"tasks": ["task_00000000000000000000000000"]}, "$.tasks[0]"),
        ({"tasks": ["x"] * 101}, "$.tasks"),
        ({"batch": "batch_nope"}, "$.batch"),
        ({"tasks": ["x"], "scopes": ["tasks:write"]}, "$.scopes[0]"),
        ({"tasks": ["x"], "expires_in": 0}, "$.expires_in"),
        ({"tasks": ["x"], "expires_in": 86_401}, "$.expires_in"),
        ({"tasks": ["x"], "nope": 1}, "$.nope"),
    ],
)
async def test_what_no_token_is_made_of(sqlite_face: Face, body: dict[str, Any], path: str) -> None:
    owner = await sqlite_face.partner()
    answer = await owner.client.post("/v1/tokens", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["path"] == path


async def test_a_token_expires_and_no_forged_one_is_taken(sqlite_face: Face) -> None:
    owner, other = await sqlite_face.partner(), await sqlite_face.partner()
    task = await submitted(owner)
    text = await token_of(owner.client, tasks=[task["id"]], expires_in=60)
    foreign = await other.client.post("/v1/tokens", json={"tasks": [task["id"]]})
    assert foreign.status_code == 422
    body, _, signature = text.removeprefix("wht_").partition(".")
    for forged in (f"wht_{body[:-2]}AA.{signature}", f"wht_{body}.{signature[:-2]}AA", "wht_", f"wht_{body}"):
        page = await sqlite_face.client(forged)
        refused = await page.get(f"/v1/tasks/{task['id']}")
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
    page = await sqlite_face.client(text)
    assert (await page.get(f"/v1/tasks/{task['id']}")).status_code == 200
    sqlite_face.clock.ahead_ms += 60_001
    assert (await page.get(f"/v1/tasks/{task['id']}")).status_code == 401


async def test_a_token_dies_with_the_key_that_made_it(sqlite_face: Face) -> None:
    owner = await sqlite_face.partner()
    task = await submitted(owner)
    for path, made in (
        ("/v1/keys", await sqlite_face.admin.post(f"/v1/partners/{owner.id}/keys", json={})),
        ("/v1/admin-keys", await sqlite_face.admin.post("/v1/admin-keys", json={"name": "alice"})),
    ):
        maker = await sqlite_face.client(made.json()["key"])
        page = await sqlite_face.client(await token_of(maker, tasks=[task["id"]], expires_in=3_600))
        assert (await page.get(f"/v1/tasks/{task['id']}")).status_code == 200
        assert (await page.get("/v1/partners")).status_code == 403
        assert (await sqlite_face.admin.delete(f"{path}/{made.json()['id']}")).status_code == 204
        sqlite_face.clock.ahead_ms += 5_000
        assert (await page.get(f"/v1/tasks/{task['id']}")).status_code == 401


async def test_an_operators_token_dies_with_the_operators_key(sqlite_face: Face) -> None:
    owner = await sqlite_face.partner()
    task = await submitted(owner)
    text = await token_of(sqlite_face.admin, tasks=[task["id"]])
    options = sqlite_face.parts.options
    page = await sqlite_face.client(text)
    assert (await page.get(f"/v1/tasks/{task['id']}")).status_code == 200
    other = replace(options, admin_key_hash=operator_key_hash(ADMIN_KEY + "-of-later"))
    later = await sqlite_face.client(text, options=other)
    assert (await later.get(f"/v1/tasks/{task['id']}")).status_code == 401


async def test_a_suspended_partners_token_reads_nothing(sqlite_face: Face) -> None:
    owner = await sqlite_face.partner()
    task = await submitted(owner)
    page = await sqlite_face.client(await token_of(owner.client, tasks=[task["id"]]))
    await sqlite_face.admin.patch(f"/v1/partners/{owner.id}", json={"suspended": True})
    assert (await page.get(f"/v1/tasks/{task['id']}")).status_code == 403


async def test_streams_take_a_token_in_the_query_and_end_with_it(live: Live) -> None:
    partner = await live.partner()
    task = await partner.submit()
    other = await partner.submit()
    batch = (await partner.http.post("/v1/batches", json={"tasks": [{"type": "demo.echo"}]})).json()
    text = await token_of(partner.http, tasks=[task["id"]])
    of_batch = await token_of(partner.http, batch=batch["id"])
    async with async_http_client(live.url) as nobody:
        refused = await nobody.get(f"/v1/tasks/{other['id']}/events", params={"token": text})
        assert refused.status_code == 404
        wrong = await nobody.get(f"/v1/tasks/{task['id']}/events", params={"token": "wht_a.b"})
        assert wrong.status_code == 401
        async with nobody.stream("GET", f"/v1/tasks/{task['id']}/events", params={"token": text}) as stream:
            await live.hand.finish(task["id"])
            assert '"state":"succeeded"' in (await stream.aread()).decode()
        await live.hand.finish(batch["task_ids"][0])
        followed = await nobody.get(f"/v1/batches/{batch['id']}/events", params={"token": of_batch})
        assert '"state":"completed"' in followed.text
        short = await token_of(partner.http, tasks=[other["id"]], expires_in=2)
        async with nobody.stream("GET", f"/v1/tasks/{other['id']}/events", params={"token": short}) as stream:
            assert '"state":"succeeded"' not in (await stream.aread()).decode()


async def test_a_websocket_takes_a_token_and_tells_of_what_it_names(live: Live) -> None:
    partner = await live.partner()
    task, other = await partner.submit(), await partner.submit()
    socket = await live.stream(None)
    await say(socket, {"auth": await token_of(partner.http, tasks=[task["id"]])})
    assert await heard(socket) == {"event": "authenticated"}
    await say(socket, {"subscribe": {"all": True}})
    assert (await heard(socket))["code"] == "forbidden"
    await say(socket, {"subscribe": {"tasks": [task["id"], other["id"]]}})
    assert await heard(socket) == {"event": "subscribed", "tasks": [task["id"]]}
    refused = await heard(socket)
    assert (refused["code"], refused["tasks"]) == ("not_found", [other["id"]])
    assert (await heard(socket))["task"]["id"] == task["id"]
    await live.hand.finish(task["id"])
    while (told := await heard(socket))["task"]["state"] != "succeeded":
        assert told["task"]["id"] == task["id"]


async def test_pages_of_the_origins_named_may_call(sqlite_face: Face) -> None:
    options = replace(sqlite_face.parts.options, cors_origins=frozenset({ORIGIN}))
    nobody = await sqlite_face.client(None, options=options)
    preflight = await nobody.options(
        "/v1/tasks",
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, idempotency-key",
        },
    )
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in preflight.headers["access-control-allow-methods"]
    # Cache-Control is what the libraries that stand in for EventSource send.
    assert {"authorization", "idempotency-key", "content-type", "last-event-id", "cache-control"} <= {
        name.strip().lower() for name in preflight.headers["access-control-allow-headers"].split(",")
    }
    assert "access-control-allow-credentials" not in preflight.headers
    refused = await nobody.get("/v1/tasks", headers={"Origin": ORIGIN})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == ORIGIN
    assert "Retry-After" in refused.headers["access-control-expose-headers"]
    assert "Origin" in refused.headers["vary"]
    for origin in ("https://evil.example", f"{ORIGIN}.evil.example", "null", f"{ORIGIN}:8443"):
        answer = await nobody.get("/healthz", headers={"Origin": origin})
        assert "access-control-allow-origin" not in answer.headers
        assert "Origin" in answer.headers["vary"]


async def test_without_the_setting_no_page_may_call(sqlite_face: Face) -> None:
    nobody = await sqlite_face.client(None)
    answer = await nobody.get("/healthz", headers={"Origin": ORIGIN})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    anybody = await sqlite_face.client(
        None, options=replace(sqlite_face.parts.options, cors_origins=frozenset({"*"}))
    )
    answer = await anybody.get("/healthz", headers={"Origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == ORIGIN


async def test_links_to_files_are_shown_to_those_who_may_read_files(sqlite_face: Face) -> None:
    owner = await sqlite_face.partner()
    batch = (await owner.client.post("/v1/batches", json={"tasks": [ECHO]})).json()
    (task_id,) = batch["task_ids"]
    await _ended_with_file(sqlite_face, owner)
    path, of_batch = f"/v1/tasks/{task_id}", f"/v1/batches/{batch['id']}"
    reads = (
        path,
        f"{path}?wait=1",
        f"{path}/events",
        "/v1/tasks",
        f"{of_batch}/tasks",
        f"{of_batch}/results",
    )
    for scopes in (["tasks:write", "tasks:read"], ["tasks:write", "tasks:read", "files:read"]):
        made = await sqlite_face.admin.post(f"/v1/partners/{owner.id}/keys", json={"scopes": scopes})
        client = await sqlite_face.client(made.json()["key"])
        answers = [await client.get(there) for there in reads]
        for answer in (*answers, await client.post(f"{path}/cancel")):
            assert "a.txt" in answer.text, answer.url
            assert ("?token=" in answer.text) == ("files:read" in scopes), answer.url


async def _ended_with_file(face: Face, owner: PartnerFace) -> None:
    """Let a worker end what waits, with a file that it made."""
    by = await session(face.store, "ses_files", lease_until_ms=2**45)
    now_ms = face.clock.now_ms()
    (task,) = (await claim(face.store, 1, by=by, limits=(limit("test.echo"),), now_ms=now_ms)).tasks
    file = File(
        id=new_id(ids.FILE, now_ms),
        partner_id=owner.id,
        name="a.txt",
        content_type="text/plain",
        size=5,
        sha256="00" * 32,
        state=FileState.READY,
        kind=FileKind.RESULT,
        key="k",
        task_id=task.id,
        created_ms=now_ms,
        download_token="a.b",
        download_until_ms=now_ms + 60_000,
    )
    await finish(face.store, task, by=by, now_ms=now_ms, files=(file,))
