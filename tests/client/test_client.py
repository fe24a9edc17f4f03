"""The client against a far side that misbehaves: what is sent again, what is raised, what is verified."""

import inspect
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import httpx
import pytest
import respx
from standardwebhooks import Webhook

from webhookd.client import (
    ApiError,
    AsyncClient,
    Batch,
    Client,
    ClientError,
    Conflict,
    File,
    Forbidden,
    Invalid,
    NoAnswer,
    NotFound,
    Patience,
    Task,
    TimedOut,
    Unauthenticated,
    Unavailable,
    VerificationFailed,
    verify,
)

URL = "https://tasks.example/base"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
QUICK = Patience(retries=3, first_pause_seconds=0.001, longest_pause_seconds=2.0)
TASK = {"id": "task_1", "state": "queued", "done": False, "version": 1, "progress": {"percent": None}}
ENDED = {**TASK, "state": "succeeded", "done": True, "version": 3, "result": {"pages": 2}}


def problem(status: int, code: str, **more: Any) -> httpx.Response:
    document = {"type": "about:blank", "title": "No", "status": status, "detail": "Not so.", "code": code}
    return httpx.Response(status, json={**document, "trace_id": "ab" * 16, **more})


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(URL, "whk_key", patience=QUICK) as client:
        yield client


@respx.mock
def test_a_task_is_submitted_with_the_key_and_an_idempotency_key(client: Client) -> None:
    route = respx.post(f"{URL}/v1/tasks").respond(202, json=TASK)
    task = client.submit("demo.echo", {"a": 1}, endpoints=[], metadata={"order": "42"})
    assert task.state == task["state"] == "queued"
    assert task.progress.percent is None
    sent = route.calls.last.request
    assert json.loads(sent.content) == {
        "type": "demo.echo",
        "input": {"a": 1},
        "endpoints": [],
        "metadata": {"order": "42"},
    }
    assert sent.headers["authorization"] == "Bearer whk_key"
    assert sent.headers["idempotency-key"]


@respx.mock
def test_what_breaks_off_is_sent_again_with_the_same_idempotency_key(client: Client) -> None:
    answers: list[httpx.Response | Exception] = [
        httpx.ConnectError("refused"),
        httpx.ReadError("reset"),
        problem(503, "unavailable"),
        httpx.Response(202, json=TASK),
    ]
    route = respx.post(f"{URL}/v1/tasks").mock(side_effect=answers)
    client.submit("demo.echo")
    assert len({call.request.headers["idempotency-key"] for call in route.calls}) == 1
    assert route.call_count == 4


@respx.mock
def test_retry_after_is_waited_for_unless_it_is_too_long(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("webhookd.client.doing.time.sleep", pauses.append)
    respx.get(f"{URL}/v1/tasks/task_1").mock(
        side_effect=[
            httpx.Response(429, headers={"Retry-After": "2"}, json={}),
            httpx.Response(200, json=TASK),
            httpx.Response(
                503, headers={"Retry-After": "3600"}, json={"detail": "Full.", "code": "overloaded"}
            ),
        ]
    )
    assert client.get("task_1").id == "task_1"
    assert pauses == [2.0]
    with pytest.raises(Unavailable) as raised:
        client.get("task_1")
    assert (raised.value.code, raised.value.retry_after_seconds) == ("overloaded", 3600)


@respx.mock
def test_after_the_last_retry_the_failure_is_raised(client: Client) -> None:
    route = respx.get(f"{URL}/v1/tasks/task_1").mock(side_effect=httpx.ConnectTimeout("too slow"))
    with pytest.raises(NoAnswer, match="too slow"):
        client.get("task_1")
    assert route.call_count == 4


@respx.mock
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Invalid),
        (401, Unauthenticated),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (413, Invalid),
        (415, Invalid),
        (422, Invalid),
        (418, ApiError),
    ],
)
def test_a_refusal_is_raised_at_once_with_the_problem_s_fields(
    client: Client, status: int, kind: type[ApiError]
) -> None:
    errors = [{"path": "$.type", "message": "is not a task type here"}]
    route = respx.post(f"{URL}/v1/tasks").mock(return_value=problem(status, "some_code", errors=errors))
    with pytest.raises(kind) as raised:
        client.submit("nope")
    error = raised.value
    assert (error.status, error.code, error.detail, error.trace_id) == (
        status,
        "some_code",
        "Not so.",
        "ab" * 16,
    )
    assert error.errors[0].path == "$.type"
    assert "$.type: is not a task type here" in str(error)
    assert route.call_count == 1


@respx.mock
def test_what_is_not_webhookd_is_said(client: Client) -> None:
    respx.get(f"{URL}/v1/tasks/task_1").respond(404, text="<h1>nginx</h1>")
    with pytest.raises(NotFound, match="not as webhookd does; is the URL right"):
        client.get("task_1")


@respx.mock
def test_waiting_polls_until_the_task_is_done(client: Client) -> None:
    asked = respx.get(f"{URL}/v1/tasks/task_1").mock(
        side_effect=[httpx.Response(200, json=one) for one in (TASK, {**TASK, "version": 2}, ENDED)]
    )
    assert client.wait("task_1").result.pages == 2
    assert dict(asked.calls.last.request.url.params) == {"wait": "30", "version": "2"}


@respx.mock
def test_waiting_ends_with_the_time_given(client: Client) -> None:
    respx.get(f"{URL}/v1/tasks/task_1").respond(200, json=TASK)
    with pytest.raises(TimedOut, match="task_1 has not ended within 0 seconds; it is queued") as raised:
        client.wait("task_1", timeout=0)
    assert raised.value.task["state"] == "queued"
    assert isinstance(raised.value, TimeoutError)


@respx.mock
def test_watching_gives_each_new_version_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhookd.client.doing.time.sleep", lambda _: None)
    versions = [TASK, TASK, {**TASK, "version": 2}, ENDED]
    respx.get(f"{URL}/v1/tasks/task_1").mock(side_effect=[httpx.Response(200, json=one) for one in versions])
    assert [task.version for task in client.watch("task_1")] == [1, 2, 3]


@respx.mock
def test_a_batch_is_waited_for_and_watched_like_a_task(client: Client) -> None:
    batch = {"id": "batch_1", "state": "running", "done": False, "version": 1}
    completed = {**batch, "state": "completed", "done": True, "version": 4, "counts": {"total": 2}}
    route = respx.get(f"{URL}/v1/batches/batch_1")
    for of in ("batch_1", Batch(batch)):
        route.mock(side_effect=[httpx.Response(200, json=one) for one in (batch, completed) * 2])
        assert client.wait(of).counts.total == 2  # type: ignore[arg-type]  # Typed callers have wait_batch
        assert [one.version for one in client.watch(of)] == [1, 4]  # type: ignore[arg-type]
    route.mock(return_value=httpx.Response(200, json=batch))
    with pytest.raises(TimedOut, match="batch_1 has not ended"):
        client.wait("batch_1", timeout=0)


@respx.mock
def test_a_listing_goes_on_to_its_last_page(client: Client) -> None:
    route = respx.get(f"{URL}/v1/tasks").mock(
        side_effect=[
            httpx.Response(200, json={"data": [TASK], "next_cursor": "c1"}),
            httpx.Response(200, json={"data": [ENDED], "next_cursor": None}),
        ]
    )
    found = list(client.list("tasks", state="queued"))
    assert [task.version for task in found] == [1, 3]
    assert dict(route.calls.last.request.url.params) == {
        "limit": "500",
        "state": "queued",
        "cursor": "c1",
    }


@respx.mock
def test_the_feed_is_listed_to_its_end(client: Client) -> None:
    def page(request: httpx.Request) -> httpx.Response:
        after = request.url.params.get("after", "")
        rows = {"": ["a", "b"], "c2": ["c"], "c3": []}[after]
        return httpx.Response(
            200,
            json={"data": [{"id": f"msg_{row}"} for row in rows], "next_cursor": "c2" if not after else "c3"},
        )

    respx.get(f"{URL}/v1/messages").mock(side_effect=page)
    assert [message.id for message in client.list("messages")] == ["msg_a", "msg_b", "msg_c"]
    assert [message.id for message in client.list("messages", after="c2")] == ["msg_c"]


@respx.mock
def test_what_is_listed_may_be_below_an_id(client: Client) -> None:
    task_id = f"task_{'0' * 26}"
    asked = respx.get(url__startswith=URL).respond(json={"data": [], "next_cursor": None})
    for what, path in (
        (f"tasks/{task_id}/runs", f"tasks/{task_id}/runs"),
        ("dead_letters", "dead-letters"),
        (f"partners/prt_{'0' * 26}/keys", f"partners/prt_{'0' * 26}/keys"),
    ):
        assert list(client.list(what)) == []
        assert asked.calls.last.request.url.path == f"/base/v1/{path}"


@respx.mock
def test_times_of_filters_may_be_datetimes(client: Client) -> None:
    at = datetime(2026, 11, 24, 6, tzinfo=UTC)
    asked = respx.route(url__startswith=URL).respond(json={"data": [], "next_cursor": None})
    list(client.list("tasks", since=at))
    list(client.dead_letters.list(until=at))
    list(client.dead_letters.summary("hour", since=at))
    queries = [call.request.url.params for call in asked.calls]
    times = [datetime.fromisoformat(query.get("since", query.get("until"))) for query in queries]
    assert times == [at, at, at]
    client.replay(since=at, dry_run=True)
    client.discard(until=at, why="old")
    bodies = [json.loads(call.request.content)["filter"] for call in list(asked.calls)[-2:]]
    assert [datetime.fromisoformat(*body.values()) for body in bodies] == [at, at]


@pytest.mark.parametrize(
    "url", ["tasks.example", "localhost:8080", "ftp://x", "http://[::1", "http://", "/v1"]
)
def test_a_url_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ClientError, match="must look like"):
        Client(url, "whk_key")


@pytest.mark.parametrize("key", ["whk_a\n", "whk_ä", "whk a", "\x00"])
def test_a_key_that_is_none_is_refused_at_once(key: str) -> None:
    with pytest.raises(ClientError, match="printable"):
        Client(URL, key)


@respx.mock
def test_what_can_never_be_sent_is_not_tried_again(client: Client) -> None:
    asked = respx.get(f"{URL}/v1/tasks/x").mock(side_effect=httpx.LocalProtocolError("Illegal header value"))
    with pytest.raises(NoAnswer, match="Illegal"):
        client.get("x")
    assert asked.call_count == 1


@respx.mock
def test_an_id_cannot_leave_its_place_in_the_path(client: Client) -> None:
    route = respx.route().respond(404, json={"detail": "No.", "code": "not_found"})
    with pytest.raises(NotFound):
        client.get("../../admin?x=1")
    assert route.calls.last.request.url.raw_path == b"/base/v1/tasks/..%2F..%2Fadmin%3Fx%3D1"


def _open_again(path: Path) -> bytes | Path:
    return path


def _bytes_of(path: Path) -> bytes | Path:
    return path.read_bytes()


@respx.mock
@pytest.mark.parametrize("source", [_open_again, _bytes_of])
def test_an_upload_that_breaks_off_is_sent_again(
    client: Client, tmp_path: Path, source: Callable[[Path], bytes | Path]
) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"\xff\xd8" * 300_000)
    bodies: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(request.read())
        return httpx.Response(201, json={"id": "file_1"}) if len(bodies) > 1 else problem(503, "unavailable")

    route = respx.post(f"{URL}/v1/files").mock(side_effect=answer)
    assert client.upload(source(photo), name="photo.jpg").id == "file_1"
    assert bodies == [photo.read_bytes()] * 2
    request = route.calls.last.request
    assert request.url.params["name"] == "photo.jpg"
    assert request.headers["content-type"] == "image/jpeg"


@respx.mock
def test_an_upload_is_named_like_what_is_read(client: Client, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"")
    route = respx.post(f"{URL}/v1/files").respond(201, json={"id": "file_1"})
    with photo.open("rb") as opened, tempfile.TemporaryFile() as nameless:
        sources = (photo, str(photo), opened, nameless, io.BytesIO(), b"")
        for source in sources:
            client.upload(source)
    names = [call.request.url.params["name"] for call in route.calls]
    assert names == ["photo.jpg"] * 3 + ["file"] * 3


@respx.mock
def test_what_can_be_read_only_once_is_not_sent_again(client: Client) -> None:
    route = respx.post(f"{URL}/v1/files").mock(return_value=problem(503, "unavailable"))
    with pytest.raises(Unavailable):
        client.upload(iter([b"a", b"b"]), name="letters")
    assert route.call_count == 1


@respx.mock
def test_a_download_appears_whole_or_not_at_all(client: Client, tmp_path: Path) -> None:
    respx.get(f"{URL}/v1/files/file_1/content").respond(200, content=b"%PDF" * 1000)
    respx.get(f"{URL}/v1/files/file_2/content").mock(return_value=problem(404, "not_found"))
    assert client.download("file_1", tmp_path / "a.pdf").read_bytes() == b"%PDF" * 1000
    with pytest.raises(NotFound):
        client.download("file_2", tmp_path / "b.pdf")
    assert [path.name for path in tmp_path.iterdir()] == ["a.pdf"]


@respx.mock
def test_a_download_into_a_folder_gets_the_name_of_the_file(client: Client, tmp_path: Path) -> None:
    file = {"id": "file_1", "name": "a.pdf"}
    respx.get(f"{URL}/v1/files/file_1").respond(200, json=file)
    respx.get(f"{URL}/v1/files/file_1/content").respond(200, content=b"%PDF")
    outside = {**file, "name": "../../b.pdf"}
    for of, name in (("file_1", "a.pdf"), (File(file), "a.pdf"), (File(outside), "b.pdf")):
        assert client.download(of, tmp_path) == tmp_path / name
        assert (tmp_path / name).read_bytes() == b"%PDF"
        (tmp_path / name).unlink()


@respx.mock
@pytest.mark.parametrize(
    "name", ["x" * 255, "x" * 251 + ".pdf", "ü" * 255, "😀" * 100 + ".tar.gz", "." + "x" * 254]
)
def test_a_download_into_a_folder_has_a_name_that_fits(client: Client, tmp_path: Path, name: str) -> None:
    respx.get(f"{URL}/v1/files/file_1/content").respond(content=b"bytes")
    written = client.download(File({"id": "file_1", "name": name}), tmp_path)
    assert [*tmp_path.iterdir()] == [written]
    assert written.read_bytes() == b"bytes"
    assert written.suffix == Path(name).suffix
    assert name.startswith(written.stem)


@respx.mock
def test_the_key_is_not_taken_to_the_object_store(client: Client) -> None:
    respx.get(f"{URL}/v1/files/file_1/content").respond(307, headers={"Location": "https://bucket.example/x"})
    store = respx.get("https://bucket.example/x").respond(200, content=b"bytes")
    assert client.read_file("file_1") == b"bytes"
    assert "authorization" not in store.calls.last.request.headers


def test_a_replay_of_everything_must_be_said(client: Client) -> None:
    with pytest.raises(ClientError, match="all=True"):
        client.replay(dry_run=True)


def test_a_client_without_a_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEBHOOKD_KEY", raising=False)
    with pytest.raises(ClientError, match="WEBHOOKD_KEY"):
        Client(URL)


@respx.mock
async def test_the_asynchronous_client_does_the_same(tmp_path: Path) -> None:
    respx.post(f"{URL}/v1/tasks").respond(202, json=TASK)
    respx.get(f"{URL}/v1/tasks/task_1").mock(
        side_effect=[httpx.ReadError("reset"), *(httpx.Response(200, json=one) for one in (TASK, ENDED))]
    )
    respx.get(f"{URL}/v1/endpoints").respond(200, json={"data": [{"id": "ep_1"}], "next_cursor": None})
    respx.post(f"{URL}/v1/files").respond(201, json={"id": "file_1"})
    respx.get(f"{URL}/v1/files/file_1/content").respond(200, content=b"bytes")
    async with AsyncClient(URL, "whk_key", patience=QUICK) as client:
        task = await client.submit("demo.echo")
        assert [version.version async for version in client.watch(task)] == [1, 3]
        assert [endpoint.id async for endpoint in client.endpoints.list()] == ["ep_1"]
        file = await client.upload(iter([b"a", b"b"]))
        assert (await client.download(file, tmp_path / "a")).read_bytes() == b"bytes"


def _signed(body: str, *, secret: str = SECRET, minutes_ago: int = 0) -> dict[str, str]:
    at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    return {
        "Webhook-Id": "msg_1",
        "Webhook-Timestamp": str(int(at.timestamp())),
        "Webhook-Signature": f"v1a,AAAA {Webhook(secret).sign('msg_1', at, body)}",
    }


def test_a_genuine_webhook_is_returned_as_its_event() -> None:
    body = '{"type":"task.succeeded","timestamp":"2026-11-24T06:00:00.000Z","data":{"id":"task_1"}}'
    other = "whsec_" + "A" * 32
    for secret in (SECRET, [other, SECRET]):
        event = verify(_signed(body), body.encode(), secret)
        assert (event.type, event.data.id) == ("task.succeeded", "task_1")


@pytest.mark.parametrize(
    ("sign", "body", "secret", "why"),
    [
        (lambda: _signed("{}"), b"{ }", SECRET, "No matching signature"),
        (lambda: _signed("{}"), b"{}", "whsec_" + "A" * 32, "No matching signature"),
        (lambda: _signed("{}", minutes_ago=7), b"{}", SECRET, "too old"),
        (lambda: _signed("{}", minutes_ago=-7), b"{}", SECRET, "too new"),
        (dict, b"{}", SECRET, "headers"),
        (lambda: {**_signed("{}"), "Webhook-Signature": "v1"}, b"{}", SECRET, "malformed"),
        (lambda: _signed("{}"), b"\xff", SECRET, "malformed"),
        (lambda: _signed("{}"), b"{}", "not base64!", "whsec_"),
        (lambda: _signed("{}"), b"{}", [], "No secret"),
        (lambda: _signed("no json"), b"no json", SECRET, "not JSON"),
    ],
)
def test_anything_else_is_not_verified(
    sign: Callable[[], dict[str, str]], body: bytes, secret: str | list[str], why: str
) -> None:
    with pytest.raises(VerificationFailed, match=why):
        verify(sign(), body, secret)


def test_the_client_imports_nothing_of_the_service() -> None:
    code = (
        "import sys, webhookd.client; "
        "print([m for m in sys.modules if m.startswith('webhookd.') and not m.startswith('webhookd.client')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def methods_of(kind: type) -> Iterator[tuple[str, Any]]:
    """The public methods of a client, or of a noun of it."""
    for name, method in vars(kind).items():
        if not name.startswith("_") and inspect.isfunction(method):
            yield f"{kind.__name__}.{name}", method


@pytest.mark.parametrize(
    ("kind", "of_one", "of_many"),
    [
        (Client, Task, Iterator[Task]),
        (AsyncClient, Awaitable[Task], AsyncIterator[Task]),
    ],
)
def test_methods_tell_their_arguments_and_what_they_return(kind: type, of_one: Any, of_many: Any) -> None:
    submit, watch = (inspect.signature(getattr(kind, name)) for name in ("submit", "watch"))
    assert list(submit.parameters)[:3] == ["self", "type", "input"]
    assert submit.return_annotation == of_one
    assert watch.return_annotation == of_many
    for _, method in methods_of(kind):
        assert next(iter(inspect.signature(method).parameters)) == "self"


def test_a_stand_in_for_the_client_takes_what_it_takes() -> None:
    fake = create_autospec(Client, instance=True)
    fake.submit("demo.echo", {"a": 1}, metadata={"order": "42"})
    fake.replay(endpoint="ep_1")
    with pytest.raises(TypeError):
        fake.submit("demo.echo", colour="red")


@respx.mock
def test_a_retry_after_that_is_a_date_is_waited_for_or_told(client: Client) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True)
    late = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    respx.get(f"{URL}/v1/tasks/task_1").mock(
        side_effect=[httpx.Response(503, headers={"Retry-After": soon}), httpx.Response(200, json=TASK)]
    )
    assert client.get("task_1").id == "task_1"
    respx.get(f"{URL}/v1/tasks/task_2").respond(503, headers={"Retry-After": late})
    with pytest.raises(Unavailable) as refused:
        client.get("task_2")
    assert 3_500 < (refused.value.retry_after_seconds or 0) <= 3_600
    respx.get(f"{URL}/v1/tasks/task_3").respond(403, headers={"Retry-After": "tomorrow"})
    with pytest.raises(Forbidden) as forbidden:
        client.get("task_3")
    assert forbidden.value.retry_after_seconds is None


@respx.mock
@pytest.mark.parametrize("content", [b"<html>log in to this network</html>", b"[]", b'"ok"'])
def test_a_success_that_is_not_the_services_is_an_error_of_the_tree(client: Client, content: bytes) -> None:
    respx.route().respond(200, content=content)
    for call in (
        lambda: client.get("task_1"),
        lambda: client.submit("demo.echo"),
        lambda: list(client.list("tasks")),
        lambda: client.request("GET", "v1/partner"),
    ):
        with pytest.raises(ApiError, match="is the URL right") as error:
            call()
        assert (error.value.status, error.value.code) == (200, "not_webhookd")


@respx.mock
def test_what_a_try_with_a_lost_answer_deleted_is_deleted(client: Client) -> None:
    gone = problem(404, "not_found")
    respx.delete(f"{URL}/v1/endpoints/ep_1").mock(side_effect=[httpx.ReadError("reset"), gone])
    client.endpoints.delete("ep_1")
    respx.delete(f"{URL}/v1/endpoints/ep_2").mock(return_value=gone)
    with pytest.raises(NotFound):
        client.endpoints.delete("ep_2")
