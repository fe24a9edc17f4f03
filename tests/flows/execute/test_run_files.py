"""Files of runs: what an input names lies there for the function, what it attaches is there with the end."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from tests.flows.execute import file_tasks
from tests.support.api_face import Face
from tests.support.services import until
from tests.support.work import submission_of, task_of
from webhookd.adapters.entropy import new_id
from webhookd.adapters.files import Bucket
from webhookd.adapters.files.fetching import Fetcher
from webhookd.adapters.runner import Runner
from webhookd.adapters.store.tasks.tasks import cancel_task
from webhookd.core import ids
from webhookd.core.egress import EgressPolicy
from webhookd.core.errors import Unavailable
from webhookd.core.file_links import FileLinks, Link
from webhookd.core.records import Task
from webhookd.flows.alarm import Alarm
from webhookd.flows.execute import Executor
from webhookd.flows.execute.file_inputs import RunFiles
from webhookd.flows.lease import Lease

MAX_BYTES = 5_000_000
LINKS = FileLinks(lambda: (b"k" * 32,))


class Worker:
    """A task worker's executor on a real store, a real runner and a real folder of files."""

    def __init__(self, face: Face, executor: Executor, partner_id: str, key: str, root: Path) -> None:
        self.face = face
        self.store = face.store
        self.executor = executor
        self.partner_id = partner_id
        self.key = key
        self.root = root

    async def submitted(self, kind: str, given: Any, *file_ids: str) -> str:
        now_ms = self.face.clock.now_ms()
        task = task_of(
            self.partner_id,
            now_ms=now_ms,
            type=kind,
            input_json=orjson.dumps(given).decode(),
            file_ids=file_ids,
            max_attempts=file_tasks.tasks[kind].max_attempts,
        )
        await self.store.tasks.submit(submission_of(task, now_ms=now_ms))
        return task.id

    async def ended(self, task_id: str) -> Task:
        async def is_done() -> bool:
            await self.executor.turn("default")
            await self.store.sweeps.fall_due(self.face.clock.now_ms())
            return (await self.look(task_id)).done

        await until(is_done, what="its end")
        task = await self.look(task_id)
        await until(lambda: not list(self.root.iterdir()), what="an empty folder of runs")
        return task

    async def run(self, kind: str, given: Any, *file_ids: str) -> Task:
        return await self.ended(await self.submitted(kind, given, *file_ids))

    async def look(self, task_id: str) -> Task:
        task = await self.store.tasks.get(task_id, None)
        assert task is not None
        return task

    async def uploaded(self, content: bytes, name: str = "a.txt") -> str:
        client = await self.face.client(self.key)
        headers = {"Content-Type": "text/plain"}
        answer = await client.post(f"/v1/files?name={name}", content=content, headers=headers)
        assert answer.status_code == 201, answer.text
        file_id: str = answer.json()["id"]
        return file_id

    async def content(self, task: Task, name: str) -> bytes:
        (file,) = [one for one in task.files if one.name == name]
        return b"".join([part async for part in self.face.parts.files.read(file.key)])

    async def keys(self) -> set[str]:
        return {entry.key async for entries in self.face.parts.files.entries() for entry in entries}


@pytest.fixture
async def worker(sqlite_face: Face, tmp_path: Path) -> AsyncIterator[Worker]:
    face, now_ms = sqlite_face, sqlite_face.clock.now_ms
    partner = await face.partner()
    root = tmp_path / "runs"
    root.mkdir()
    lease = Lease(
        face.store.sessions,
        face.store.clock,
        new_id=lambda: new_id(ids.SESSION, now_ms()),
        kind="tasks",
        host="test",
        pid=1,
        detail={},
        lease_seconds=60,
    )
    fetcher = Fetcher(EgressPolicy.parse("127.0.0.1/32"), user_agent="webhookd/test")
    alarm = Alarm(lambda _: None, now_ms)
    executor = Executor(
        tasks=face.store.tasks,
        runner=Runner(slots=2, task_spec="tests.flows.execute.file_tasks:tasks"),
        task_set=file_tasks.tasks,
        lease=lease,
        alarm=alarm,
        ring=lambda _: None,
        now_ms=now_ms,
        new_span_id=lambda: "",
        files=RunFiles(
            rows=face.store.files,
            store=face.parts.files,
            fetch=fetcher,
            links=LINKS,
            root=root,
            max_bytes=MAX_BYTES,
            max_stored_bytes=20_000_000,
            keep_ms=None,
            now_ms=now_ms,
            new_id=lambda now: new_id(ids.FILE, now),
        ),
    )
    await face.store.queues.ensure(["default"])
    await lease.begin()
    yield Worker(face, executor, partner.id, partner.key, root)
    await executor.stop(0)
    await fetcher.aclose()
    alarm.close()


@pytest.mark.parametrize("kind", ["files.look", "files.look.async", "files.look.child"])
async def test_a_file_of_the_input_lies_there_for_the_function(worker: Worker, kind: str) -> None:
    one = await worker.uploaded(b"hello")

    task = await worker.run(kind, {"one": one}, one)

    assert task.state == "succeeded", task.error_message
    seen = orjson.loads(task.result_json or "")
    assert (seen[0] if isinstance(seen, list) else seen) == {
        "name": "a.txt",
        "type": "text/plain",
        "text": "hello",
    }
    if kind == "files.look.child":
        assert await worker.content(task, "copy.txt") == b"hello"


async def test_files_stand_in_any_place_of_a_model(worker: Worker) -> None:
    one, other = await worker.uploaded(b"1", "1.txt"), await worker.uploaded(b"2", "2.txt")

    task = await worker.run("files.look", {"one": one, "maybe": other, "many": [other, one]}, one, other)

    names = [seen["name"] for seen in orjson.loads(task.result_json or "")]
    assert names == ["1.txt", "2.txt", "2.txt", "1.txt"]


async def test_another_partner_s_file_is_not_brought(worker: Worker) -> None:
    other = await worker.face.partner()
    answer = await other.client.post("/v1/files?name=a", content=b"theirs")
    theirs = answer.json()["id"]

    task = await worker.run("files.look", {"one": theirs})

    assert (task.state, task.error_code) == ("failed", "file_not_found")


async def test_what_is_attached_in_any_way_is_there_with_the_end(worker: Worker, tmp_path: Path) -> None:
    task = await worker.run("files.attach", {"folder": str(tmp_path)})

    assert task.state == "succeeded", task.error_message
    kinds = {file.name: (file.content_type, file.size, file.task_id) for file in task.files}
    assert kinds == {
        "bytes.bin": ("application/octet-stream", 23, task.id),
        "parts.txt": ("text/plain", 14, task.id),
        "path.json": ("application/json", 2, task.id),
        "open.json": ("application/json", 2, task.id),
    }
    assert await worker.content(task, "bytes.bin") == b"the second of this name"
    assert await worker.content(task, "parts.txt") == b"part 1, part 2"
    client = await worker.face.client(worker.key)
    listed = (await client.get("/v1/files", params={"task": task.id, "kind": "result"})).json()["data"]
    shown = (await client.get(f"/v1/tasks/{task.id}")).json()
    assert {file["id"] for file in listed} == {file["id"] for file in shown["files"]}
    file = task.files[0]
    assert file.download_token is not None
    assert LINKS.is_good(Link.DOWNLOAD, file.id, file.download_token, worker.face.clock.now_ms())


async def test_a_failure_keeps_what_was_attached_before_it(worker: Worker, tmp_path: Path) -> None:
    task = await worker.run("files.attach", {"folder": str(tmp_path), "then": "fail"})

    assert (task.state, task.error_code, len(task.files)) == ("failed", "no_luck", 4)


async def test_a_retried_run_replaces_what_the_run_before_attached(worker: Worker, tmp_path: Path) -> None:
    task = await worker.run("files.attach", {"folder": str(tmp_path), "then": "retry"})

    assert (task.state, task.attempts, len(task.files)) == ("succeeded", 2, 4)
    assert await worker.keys() == {file.key for file in task.files}


@pytest.mark.parametrize(("then", "code"), [("too large", "file_too_large"), ("too many", "too_many_files")])
async def test_more_than_a_run_may_attach_ends_the_task(
    worker: Worker, tmp_path: Path, then: str, code: str
) -> None:
    task = await worker.run("files.attach", {"folder": str(tmp_path), "then": then})

    assert (task.state, task.error_code) == ("failed", code)


async def test_a_name_that_is_a_path_is_a_fault_of_the_function(worker: Worker, tmp_path: Path) -> None:
    task = await worker.run("files.attach", {"folder": str(tmp_path), "then": "path"})

    assert (task.state, task.error_code, task.attempts) == ("failed", "error", 2)


async def test_a_cancelled_run_ends_as_cancelled(worker: Worker, tmp_path: Path) -> None:
    task_id = await worker.submitted("files.attach", {"folder": str(tmp_path), "then": "wait"})
    watching = asyncio.create_task(worker.executor.watch_cancellations())
    await worker.executor.turn("default")
    await worker.store.db.write(cancel_task, task_id, worker.partner_id)

    task = await worker.ended(task_id)
    watching.cancel()

    assert task.state == "cancelled"


async def test_a_store_that_is_away_when_files_are_to_be_kept_is_tried_again(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = Bucket.put, 0

    async def away_once(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise Unavailable("The file store cannot be reached.", retry_after_seconds=5)
        return await real(*args, **kwargs)

    monkeypatch.setattr(Bucket, "put", away_once)
    task = await worker.run("files.attach", {"folder": str(tmp_path)})

    assert (task.state, task.attempts, len(task.files)) == ("succeeded", 2, 4)


async def test_a_file_whose_bytes_cannot_be_read_is_brought_by_the_next_try(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_id = await worker.uploaded(b"hello")
    (key,) = await worker.keys()
    bucket, real = worker.face.parts.files, Bucket.read

    async def chunks(content: bytes) -> AsyncIterator[bytes]:
        yield content

    async def short_once(*args: Any) -> AsyncIterator[bytes]:
        try:
            async for part in real(*args):
                yield part
        except Unavailable:
            await bucket.put(key, chunks(b"hello"), max_bytes=5)
            raise

    monkeypatch.setattr(Bucket, "read", short_once)
    await bucket.put(key, chunks(b"hel"), max_bytes=5)
    task = await worker.run("files.look.again", {"one": file_id}, file_id)

    assert (task.state, task.attempts) == ("succeeded", 2)


async def test_a_partner_that_stores_too_much_gets_no_more_results(worker: Worker, tmp_path: Path) -> None:
    for _ in range(4):
        await worker.uploaded(b"x" * 4_999_999)

    task = await worker.run("files.attach", {"folder": str(tmp_path)})

    assert (task.state, task.error_code) == ("failed", "quota_exceeded")


@pytest.fixture
async def site() -> AsyncIterator[str]:
    """A web server with files, on an address that the operator lets through."""

    async def serve(request: web.Request) -> web.StreamResponse:
        match request.match_info["what"]:
            case "good.txt":
                return web.Response(text="from afar")
            case "moved":
                return web.Response(status=302, headers={"Location": "/good.txt"})
            case "large":
                return web.Response(body=b"x" * (MAX_BYTES + 1))
            case "packed":
                return web.Response(body=b"x", headers={"Content-Encoding": "gzip"})
            case "cut":
                answer = web.StreamResponse(headers={"Content-Length": "100"})
                await answer.prepare(request)
                await answer.write(b"half")
                assert request.transport is not None
                request.transport.close()
                return answer
        return web.Response(status=404)

    app = web.Application()
    app.router.add_get("/{what}", serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_file_is_fetched_from_where_the_input_says(worker: Worker, site: str) -> None:
    task = await worker.run("files.look", {"one": {"url": f"{site}/good.txt"}})

    assert task.state == "succeeded", task.error_message
    (seen,) = orjson.loads(task.result_json or "")
    assert (seen["name"], seen["text"]) == ("good.txt", "from afar")
    assert seen["type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("path", "code", "says"),
    [
        ("none", "file_not_fetched", "http_404"),
        ("moved", "file_not_fetched", "http_302"),
        ("packed", "file_not_fetched", "compressed"),
        ("cut", "file_not_fetched", "protocol"),
        ("large", "file_too_large", "larger"),
    ],
)
async def test_what_is_no_file_there_fails_the_run(
    worker: Worker, site: str, path: str, code: str, says: str
) -> None:
    task = await worker.run("files.look", {"one": {"url": f"{site}/{path}"}})

    assert (task.state, task.error_code) == ("failed", code)
    assert says in (task.error_message or "")


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest",
        "https://10.0.0.1/x",
        "https://[::1]/x",
        "http://[::ffff:10.0.0.1]/x",
    ],
)
async def test_an_address_that_may_not_be_called_is_not_called(worker: Worker, url: str) -> None:
    task = await worker.run("files.look", {"one": {"url": url}})

    assert (task.state, task.error_code) == ("failed", "url_not_allowed")


async def test_a_name_that_leads_to_a_private_address_is_blocked_where_it_is_dialled(worker: Worker) -> None:
    fetcher = Fetcher(EgressPolicy.parse(""), user_agent="x", resolve=lambda _: ["10.0.0.1"])
    files = worker.executor._files
    assert files is not None
    files._fetch = fetcher

    task = await worker.run("files.look", {"one": {"url": "https://files.partner.example/x"}})
    await fetcher.aclose()

    assert (task.state, task.error_code) == ("failed", "url_not_allowed")


async def test_a_submission_names_files_that_are_there(worker: Worker) -> None:
    mine = await worker.uploaded(b"hello")
    client = await worker.face.client(worker.key, task_types=file_tasks.tasks)
    other = await worker.face.partner()
    theirs = (await other.client.post("/v1/files?name=a", content=b"theirs")).json()["id"]
    announced = (await client.post("/v1/files/uploads", json={"name": "a", "size": 1})).json()["file"]["id"]

    good = await client.post("/v1/tasks", json={"type": "files.look", "input": {"one": mine}})
    assert good.status_code == 202, good.text
    refused = await client.delete(f"/v1/files/{mine}")
    assert refused.status_code == 409
    for wrong in (theirs, announced, "file_00000000000000000000000000"):
        answer = await client.post(
            "/v1/tasks", json={"type": "files.look", "input": {"one": mine, "many": [mine, wrong]}}
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
        assert [one["path"] for one in answer.json()["errors"]] == ["$.input.many[1]"]
    nonsense = await client.post("/v1/tasks", json={"type": "files.look", "input": {"one": "photo.jpg"}})
    assert nonsense.json()["errors"] == [
        {"path": "$.input.one", "message": 'must be the id of a file, or {"url": "https://…"}'}
    ]
    blocked = await client.post(
        "/v1/tasks", json={"type": "files.look", "input": {"one": {"url": "https://10.0.0.1/x"}}}
    )
    assert (blocked.status_code, blocked.json()["code"]) == (422, "url_not_allowed")
    assert blocked.json()["errors"][0]["path"] == "$.input.one"
    batch = await client.post(
        "/v1/tasks/batch",
        json={"tasks": [{"type": "files.look", "input": {"one": one}} for one in (mine, theirs)]},
    )
    assert [one["status"] for one in batch.json()["results"]] == [202, 422]


def test_the_folder_of_a_killed_worker_is_removed_by_the_next(tmp_path: Path) -> None:
    from webhookd.adapters.files.run_root import PREFIX, run_root

    with run_root(tmp_path) as held:
        left = tmp_path / f"{PREFIX}left"
        left.mkdir()
        (left / "lock").touch()
        (left / "input-0").write_bytes(b"x")
        (tmp_path / f"{PREFIX}beginning").mkdir()
        with run_root(tmp_path) as other:
            assert {path.name for path in tmp_path.iterdir()} == {
                held.name,
                other.name,
                f"{PREFIX}beginning",
            }
    assert os.listdir(tmp_path) == [f"{PREFIX}beginning"]  # noqa: PTH208 - names are meant
