"""Every row of the table of statuses: what is refused, and how the refusal looks."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import structlog

from tests.support.api_face import ADMIN_KEY, Face, open_face
from tests.support.problems import assert_problem
from tests.support.services import PostgresServer
from webhookd.adapters.log_facts import log_request
from webhookd.api.answers import Answer
from webhookd.api.api_route import OPEN, ApiRoute
from webhookd.api.call import Call
from webhookd.api.routes import starlette_routes
from webhookd.api.wire import NoQuery
from webhookd.core.api_keys import PARTNER_PREFIX
from webhookd.core.errors import WebhookdError

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "body", ["", "{", "[NaN]", '{"type":"a","type":"b"}', '"\\ud800"', "1" * 99, '{"a":"\\u0000"}']
)
async def test_400_for_what_is_not_json(sqlite_face: Face, body: str) -> None:
    partner = await sqlite_face.partner()
    for path in ("/v1/tasks", "/v1/tasks/batch"):
        answer = await partner.client.post(path, content=body, headers=JSON)
        assert_problem(answer, 400, "malformed_json")


@pytest.mark.parametrize("body", ["[]", "null", '"x"', "5"])
async def test_422_for_json_that_is_no_object(sqlite_face: Face, body: str) -> None:
    partner = await sqlite_face.partner()
    answer = await partner.client.post("/v1/tasks", content=body, headers=JSON)
    assert assert_problem(answer, 422, "invalid")["errors"] == [
        {"path": "$", "message": "must be a JSON object"}
    ]


@pytest.mark.parametrize(
    "header",
    [None, "", "Basic YTpi", "Bearer", "Bearer ", "Bearer x y", "Bearer whk_x_y", f"Token {ADMIN_KEY}"],
)
async def test_401_without_a_good_key(sqlite_face: Face, header: str | None) -> None:
    client = await sqlite_face.client(None)
    answer = await client.get("/v1/tasks", headers={} if header is None else {"Authorization": header})
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_401_for_a_key_of_the_right_id_and_the_wrong_secret(face: Face) -> None:
    partner, other = await face.partner(), await face.partner()
    forged = "_".join([*partner.key.split("_")[:2], other.key.split("_")[2]])
    client = await face.client(forged)
    answer = await client.get("/v1/tasks")
    assert_problem(answer, 401, "unauthenticated")
    assert forged not in answer.text


async def test_401_comes_before_anything_else(sqlite_face: Face) -> None:
    client = await sqlite_face.client(None)
    answer = await client.post("/v1/tasks?x=1", content="{", headers={"Content-Type": "text/plain"})
    assert_problem(answer, 401, "unauthenticated")


async def test_401_once_a_key_has_expired(face: Face) -> None:
    partner = await face.partner()
    body = {"expires_at": "2099-01-01T00:00:00Z"}
    made = await face.admin.post(f"/v1/partners/{partner.id}/keys", json=body)
    client = await face.client(made.json()["key"])
    assert (await client.get("/v1/tasks")).status_code == 200
    face.clock.ahead_ms = 100 * 365 * 86_400_000
    assert_problem(await client.get("/v1/tasks"), 401, "unauthenticated")


async def test_401_within_5_seconds_of_a_revocation(face: Face) -> None:
    partner = await face.partner()
    assert (await partner.client.get("/v1/tasks")).status_code == 200
    [key] = (await face.admin.get(f"/v1/partners/{partner.id}/keys")).json()["data"]
    assert (await face.admin.delete(f"/v1/keys/{key['id']}")).status_code == 204
    face.clock.ahead_ms += 5_000
    assert_problem(await partner.client.get("/v1/tasks"), 401, "unauthenticated")


async def test_429_for_guessing_keys_and_neighbours_go_on(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    assert (await partner.client.get("/v1/tasks")).status_code == 200
    sqlite_face.clock.ahead_ms = 10_000_000  # the real clock adds so little that the bucket stays empty
    guesser = await sqlite_face.client(None)
    guesser_app = guesser._transport
    client = httpx.AsyncClient(transport=guesser_app, base_url="http://webhookd.test")
    statuses = []
    for number in range(80):
        key = f"Bearer whk_{number:026d}_{'0' * 43}"
        answer = await client.get("/v1/tasks", headers={"Authorization": key})
        statuses.append(answer.status_code)
    assert statuses[0] == 401
    assert_problem(answer, 429, "rate_limited")
    assert int(answer.headers["retry-after"]) >= 1
    assert (await partner.client.get("/v1/tasks")).status_code == 200
    await client.aclose()


async def test_403_for_a_key_without_the_scope(face: Face) -> None:
    partner = await face.partner()
    made = await face.admin.post(f"/v1/partners/{partner.id}/keys", json={"scopes": ["tasks:read"]})
    client = await face.client(made.json()["key"])
    assert (await client.get("/v1/tasks")).status_code == 200
    assert_problem(await client.post("/v1/tasks", json={"type": "test.echo"}), 403, "forbidden")
    assert_problem(await client.get("/v1/partners"), 403, "forbidden")


async def test_403_while_a_partner_is_suspended(face: Face) -> None:
    partner = await face.partner()
    await face.admin.patch(f"/v1/partners/{partner.id}", json={"suspended": True})
    assert_problem(await partner.client.get("/v1/tasks"), 403, "forbidden")
    await face.admin.patch(f"/v1/partners/{partner.id}", json={"suspended": False})
    assert (await partner.client.get("/v1/tasks")).status_code == 200, "at once, where it was said"


async def test_what_is_done_to_a_key_holds_from_the_next_request_on(face: Face) -> None:
    partner = await face.partner()
    made = (await face.admin.post(f"/v1/partners/{partner.id}/keys", json={})).json()
    named = (await face.admin.post("/v1/admin-keys", json={"name": "brief"})).json()
    of_partner, of_admin = await face.client(made["key"]), await face.client(named["key"])
    of_both = [(of_partner, f"/v1/keys/{made['id']}"), (of_admin, f"/v1/admin-keys/{named['id']}")]
    for client, path in of_both:
        assert (await client.get("/v1/tasks")).status_code == 200
        assert (await face.admin.delete(path)).status_code == 204
        assert_problem(await client.get("/v1/tasks"), 401, "unauthenticated")

    assert (await partner.client.get("/v1/tasks")).status_code == 200
    path = f"/v1/partners/{partner.id}"
    await face.admin.patch(path, json={"task_types": ["report.*"]})
    refused = await partner.client.post("/v1/tasks", json={"type": "test.echo"})
    assert_problem(refused, 422, "invalid")
    await face.admin.patch(path, json={"task_types": [], "suspended": True})
    assert_problem(await partner.client.get("/v1/tasks"), 403, "forbidden")


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/nothing", "/v1/tasks/", "/v1/tasks/a/b/c", "//v1/tasks"])
async def test_404_for_an_unknown_path(sqlite_face: Face, path: str) -> None:
    assert_problem(await sqlite_face.admin.get(path), 404, "not_found")


@pytest.mark.parametrize("task_id", ["task_unknown", "%00", "a%20b", "%ff", "x" * 500, "'"])
async def test_404_for_an_id_that_cannot_be(face: Face, task_id: str) -> None:
    assert_problem(await face.admin.get(f"/v1/tasks/{task_id}"), 404, "not_found")


async def test_405_tells_what_is_allowed(sqlite_face: Face) -> None:
    answer = await sqlite_face.admin.put("/v1/tasks", json={})
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    answer = await sqlite_face.admin.get("/v1/tasks/batch")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "OPTIONS, POST"


async def test_head_is_get_without_a_body_and_options_tells_what_is_allowed(sqlite_face: Face) -> None:
    got, head = await sqlite_face.admin.get("/v1/tasks"), await sqlite_face.admin.head("/v1/tasks")
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == got.headers["content-length"]
    missing = await sqlite_face.admin.head("/v1/tasks/task_unknown")
    assert missing.status_code == 404
    assert missing.content == b""
    client = await sqlite_face.client(None)
    options = await client.options("/v1/tasks")
    assert options.status_code == 204
    assert options.headers["allow"] == "GET, HEAD, OPTIONS, POST"


async def test_409_for_a_name_that_is_taken(face: Face) -> None:
    assert (await face.admin.post("/v1/partners", json={"name": "acme"})).status_code == 201
    answer = await face.admin.post("/v1/partners", json={"name": "acme"})
    assert assert_problem(answer, 409, "conflict")["errors"][0]["path"] == "$.name"


async def test_413_by_the_declared_length_and_as_it_streams(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    limit = sqlite_face.parts.options.max_input_bytes
    fitting = b'{"type":"test.echo","input":{"x":"' + b"x" * (limit - 37) + b'"}}'
    assert len(fitting) == limit
    assert (await partner.client.post("/v1/tasks", content=fitting, headers=JSON)).status_code == 202
    answer = await partner.client.post("/v1/tasks", content=fitting + b" ", headers=JSON)
    assert_problem(answer, 413, "too_large")

    sent = 0

    async def stream() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1_000):
            sent += 1
            yield b" " * 65_536

    answer = await partner.client.post("/v1/tasks", content=stream(), headers=JSON)
    assert_problem(answer, 413, "too_large")
    assert sent < 10
    answer = await partner.client.post("/v1/partner/rotate-secret", content=b" " * 65_537, headers=JSON)
    assert_problem(answer, 413, "too_large")


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin-1",
        "application/jsonp",
        "",
    ],
)
async def test_415_for_what_is_not_said_to_be_json(sqlite_face: Face, content_type: str) -> None:
    partner = await sqlite_face.partner()
    answer = await partner.client.post(
        "/v1/tasks", content='{"type":"test.echo"}', headers={"Content-Type": content_type}
    )
    assert_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("path", ["/v1/tasks", "/v1/tasks/batch", "/v1/endpoints"])
async def test_415_for_a_form_however_large_it_is(sqlite_face: Face, path: str) -> None:
    partner = await sqlite_face.partner()
    answer = await partner.client.post(path, files={"photo": ("photo.jpg", b"x" * 9_000_000, "image/jpeg")})
    problem = assert_problem(answer, 415, "unsupported_media_type")
    assert "application/json" in problem["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/queues/default/pause",
        "/v1/partners",
        "/v1/tasks",
        "/v1/tasks/batch",
        "/v1/replays",
        "/v1/endpoints",
        "/v1/partner/rotate-secret",
        "/v1/tasks/task_1/cancel",
    ],
)
async def test_422_for_null_where_an_object_is_meant(sqlite_face: Face, path: str) -> None:
    answer = await sqlite_face.admin.post(path, content=b"null", headers={"Content-Type": "application/json"})
    problem = assert_problem(answer, 422, "invalid")
    assert problem["errors"] == [{"path": "$", "message": "must be a JSON object"}]


@pytest.mark.parametrize(
    ("path", "body", "wrong"),
    [
        ("/v1/tasks", {"type": "test.echo", "callback_url": None}, "$.callback_url"),
        ("/v1/tasks", {"type": "test.echo", "input": None}, "$.input"),
        ("/v1/endpoints", {"url": "https://a.example", "retry": {"factor": None}}, "$.retry.factor"),
        ("/v1/replays", {"filter": {"kind": None}}, "$.filter.kind"),
    ],
)
async def test_422_for_null_in_what_makes_something(
    sqlite_face: Face, path: str, body: dict[str, Any], wrong: str
) -> None:
    partner = await sqlite_face.partner()
    problem = assert_problem(await partner.client.post(path, json=body), 422, "invalid")
    assert problem["errors"] == [{"path": wrong, "message": "must not be null: leave it out"}]


async def test_an_unknown_type_is_answered_with_all_that_are_known(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    problem = assert_problem(
        await partner.client.post("/v1/tasks", json={"type": "test.ecko"}), 422, "invalid"
    )
    [error] = problem["errors"]
    known = sorted(one.type for one in sqlite_face.parts.task_types)
    assert error["path"] == "$.type"
    assert error["message"].startswith("is not a task type here (did you mean test.echo")
    assert error["message"].endswith(f"; known are {', '.join(known)}")


async def test_415_for_a_compressed_body(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    answer = await partner.client.post(
        "/v1/tasks", content=b"\x1f\x8b", headers={**JSON, "Content-Encoding": "gzip"}
    )
    assert_problem(answer, 415, "unsupported_media_type")
    assert answer.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("coding", ["identity", "Identity", "IDENTITY"])
async def test_identity_is_no_compression(sqlite_face: Face, coding: str) -> None:
    partner = await sqlite_face.partner()
    answer = await partner.client.post(
        "/v1/tasks", content='{"type":"test.echo"}', headers={**JSON, "Content-Encoding": coding}
    )
    assert answer.status_code == 202


@pytest.mark.parametrize(
    "content_type", ["application/json;charset=UTF-8", 'Application/JSON; charset="utf-8"']
)
async def test_json_may_name_its_charset(sqlite_face: Face, content_type: str) -> None:
    partner = await sqlite_face.partner()
    answer = await partner.client.post(
        "/v1/tasks", content='{"type":"test.echo"}', headers={"Content-Type": content_type}
    )
    assert answer.status_code == 202


async def test_408_for_a_body_that_never_ends(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    options = replace(sqlite_face.parts.options, body_timeout_seconds=0.05)
    client = await sqlite_face.client(partner.key, options=options)

    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.01)

    answer = await client.post("/v1/tasks", content=drip(), headers=JSON)
    assert_problem(answer, 408, "request_timeout")


async def test_429_over_the_rate_with_the_seconds_to_wait(face: Face) -> None:
    partner = await face.partner(limits={"rate_per_second": 0.001, "burst": 2})
    first = await partner.client.post("/v1/tasks", json={"type": "test.echo"})
    assert first.headers["ratelimit-policy"] == '"tasks";q=2;w=2000'
    assert first.headers["ratelimit"].startswith('"tasks";r=1;t=')
    assert (await partner.client.post("/v1/tasks", json={"type": "test.echo"})).status_code == 202
    answer = await partner.client.post("/v1/tasks", json={"type": "test.echo"})
    assert_problem(answer, 429, "rate_limited")
    assert 990 <= int(answer.headers["retry-after"]) <= 1_000
    assert answer.headers["ratelimit"].startswith('"tasks";r=0;t=')
    assert (await partner.client.get("/v1/tasks")).status_code == 200


async def test_429_over_the_quota_of_waiting_tasks(face: Face) -> None:
    partner, other = await face.partner(limits={"max_queued": 3}), await face.partner()
    ids = []
    for _ in range(3):
        answer = await partner.client.post("/v1/tasks", json={"type": "test.echo"})
        assert answer.status_code == 202
        ids.append(answer.json()["id"])
    answer = await partner.client.post("/v1/tasks", json={"type": "test.echo"})
    assert_problem(answer, 429, "quota_exceeded")
    assert int(answer.headers["retry-after"]) >= 1
    assert (await other.client.post("/v1/tasks", json={"type": "test.echo"})).status_code == 202
    await partner.client.post(f"/v1/tasks/{ids[0]}/cancel")
    assert (await partner.client.post("/v1/tasks", json={"type": "test.echo"})).status_code == 202


async def test_503_when_the_whole_service_is_full(face: Face) -> None:
    partner = await face.partner()
    client = await face.client(partner.key, **face.with_ceilings(max_queued=1))
    assert (await client.post("/v1/tasks", json={"type": "test.echo"})).status_code == 202
    answer = await client.post("/v1/tasks", json={"type": "test.echo"})
    assert_problem(answer, 503, "overloaded")
    assert int(answer.headers["retry-after"]) >= 1


async def test_503_when_the_disk_is_nearly_full(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    sqlite_face.disk[0] = 999
    await sqlite_face.parts.load.refresh()
    answer = await partner.client.post("/v1/tasks", json={"type": "test.echo"})
    assert_problem(answer, 503, "overloaded")
    assert "disk" in answer.json()["detail"]


async def test_503_when_the_broker_is_out_of_memory(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    full = replace(sqlite_face.broker.status, max_memory_bytes=1_000_000)
    sqlite_face.broker.status = full
    await sqlite_face.parts.load.refresh()
    answer = await partner.client.post("/v1/tasks", json={"type": "test.echo"})
    assert_problem(answer, 503, "overloaded")
    assert int(answer.headers["retry-after"]) >= 1


async def test_503_while_the_database_is_away_and_202_when_it_is_back(
    crashable_postgres: PostgresServer,
) -> None:
    async with open_face(crashable_postgres.create_migrated_database()) as face:
        partner = await face.partner()
        assert (await partner.client.post("/v1/tasks", json={"type": "test.echo"})).status_code == 202
        crashable_postgres.stop("immediate")
        for _ in range(3):  # before the gauge has noticed, and after
            answer = await partner.client.post("/v1/tasks", json={"type": "test.echo"})
            assert_problem(answer, 503, "unavailable")
            assert int(answer.headers["retry-after"]) >= 1
            await face.parts.load.refresh()
        ready = await face.admin.get("/readyz")
        assert_problem(ready, 503, "unavailable")
        assert ready.json()["database"]["status"] == "failed"

        crashable_postgres.start()
        await face.parts.load.refresh()
        assert (await partner.client.post("/v1/tasks", json={"type": "test.echo"})).status_code == 202


async def test_500_shows_a_trace_id_and_nothing_of_the_defect(sqlite_face: Face) -> None:
    async def fail(call: Call[None, NoQuery]) -> Answer:
        raise RuntimeError("whsec_of_somebody")

    row = ApiRoute(
        method="GET",
        path="/v1/fails",
        handler=fail,
        id="fail",
        tag="Tasks",
        summary="Fail",
        access=OPEN,
        query=NoQuery,
        answers={},
    )
    [route] = starlette_routes([row], sqlite_face.parts, None)  # type: ignore[arg-type]  # OPEN asks nobody
    client = await sqlite_face.client(None)
    client._transport.app._app.routes.append(route)  # type: ignore[attr-defined]  # the application in process
    with structlog.testing.capture_logs() as logs:
        answer = await client.get("/v1/fails")
    problem = assert_problem(answer, 500, "internal")
    assert "whsec" not in answer.text
    assert [line["trace_id"] for line in logs if line["event"] == "request_failed"] == [problem["trace_id"]]


async def test_trace_is_continued_and_answered(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01", "tracestate": "a=b"}
    answer = await partner.client.post("/v1/tasks", json={"type": "test.echo"}, headers=headers)
    assert answer.json()["trace_id"] == trace_id
    assert answer.headers["traceparent"].startswith(f"00-{trace_id}-")
    assert "00f067aa0ba902b7" not in answer.headers["traceparent"]
    broken = await partner.client.post("/v1/tasks", json={"type": "test.echo"}, headers={"traceparent": "x"})
    assert broken.json()["trace_id"] == broken.headers["traceparent"].split("-")[1] != trace_id


async def test_one_line_a_request_and_no_secret_in_it(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    with structlog.testing.capture_logs() as logs:
        await partner.client.get("/v1/tasks?type=planted-in-the-query")
        await partner.client.get("/v1/tasks/planted-in-the-path")
        await sqlite_face.admin.get("/v1/planted-elsewhere")
        write = log_request()
        for facts in sqlite_face.facts[-3:]:
            write(facts)
    lines = [line for line in logs if line["event"] == "request"]
    assert [(line["route"], line["status"], line["actor"]) for line in lines] == [
        ("/v1/tasks", 422, partner.id),
        ("/v1/tasks/{id}", 404, partner.id),
        (None, 404, None),
    ]
    assert "planted" not in str(logs)
    assert partner.key not in str(logs)
    assert ADMIN_KEY not in str(logs)


def test_every_error_of_ours_has_a_status_a_code_and_a_title() -> None:
    def all_below(kind: type[WebhookdError]) -> list[type[WebhookdError]]:
        return [kind, *(one for below in kind.__subclasses__() for one in all_below(below))]

    for kind in all_below(WebhookdError):
        assert 400 <= kind.status < 600
        assert kind.code
        assert kind.title


def test_partner_keys_are_recognisable() -> None:
    assert PARTNER_PREFIX == "whk"
