"""Processes killed while they store files: between bytes and row, before the answer, in the middle of it.

What is left then is bytes that no row names, which the sweep finds; it
runs here beside the processes, with a clock that is a day ahead.
"""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import select

from tests.faults.invariants import looking_into, settled
from tests.support.installation import Installation, Up
from tests.support.plain_http import async_http_client
from tests.support.s3 import BUCKET, S3Server
from tests.support.services import until
from webhookd.adapters.files import Bucket, open_bucket
from webhookd.adapters.store.schema import files
from webhookd.adapters.store.store import FileStore
from webhookd.core.files import FileState
from webhookd.flows.sweep_files import FileSweeper

pytestmark = [pytest.mark.faults, pytest.mark.slow]

CONTENT = b"the bytes of a photograph, " * 1_000
DAY_MS = 86_400_000
SQLITE, POSTGRESQL, S3 = "a folder and SQLite", "a folder and PostgreSQL", "S3 and SQLite"
PART_BYTES = 6_000_000
"""An object store has a part of an upload by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An installation, and where its files are."""

    installation: Installation
    bucket: Bucket

    async def keys(self) -> set[str]:
        """Return the keys under which there are bytes."""
        return {entry.key async for entries in self.bucket.entries() for entry in entries}

    async def named(self) -> set[str]:
        """Return the keys that rows of ready files name."""
        async with looking_into(self.installation) as database:
            ready = select(files.c.key).where(files.c.state == FileState.READY.value)
            return await database.read(lambda tx: set(tx.conn.execute(ready).scalars()))

    async def sweep(self) -> None:
        """Remove what no row names, as of tomorrow."""
        async with looking_into(self.installation) as database:
            tomorrow_ms = int(time.time() * 1000) + DAY_MS
            rows = FileStore(database)
            await FileSweeper(rows=rows, store=self.bucket, now_ms=lambda: tomorrow_ms).drop_orphans()

    async def is_swept_clean(self) -> bool:
        """Sweep; return whether there was anything to remove. What rows name is there afterwards, alone."""
        before = await self.keys()
        await self.sweep()
        after = await self.keys()
        assert after == await self.named(), "the sweep leaves what rows name, and nothing else"
        return after != before


@pytest.fixture(scope="module")
def up_on_s3(tmp_path_factory: pytest.TempPathFactory, s3: S3Server) -> Iterator[Up]:
    """One whose files are on a server that speaks S3."""
    prefix = f"s3://{BUCKET}/crashes-{os.getpid()}"
    up = Up(tmp_path_factory.mktemp("s3") / "up", WEBHOOKD_FILES_URL=prefix, **s3.environment)
    try:
        asyncio.run(up.start())
        yield up
    finally:
        up.end()


@pytest.fixture
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The one that the test asks for, of the three."""
    if request.param == S3:
        installation: Installation = request.getfixturevalue("up_on_s3")
        s3: S3Server = request.getfixturevalue("s3")
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        url = installation.environment["WEBHOOKD_FILES_URL"]
    else:
        site = request.getfixturevalue("up" if request.param == SQLITE else "parts")
        installation = site.installation
        url = f"file://{quote(str(installation.folder / 'data' / 'files'))}"
    return Place(installation=installation, bucket=open_bucket(url))


@pytest.fixture
async def client(place: Place) -> AsyncIterator[httpx.AsyncClient]:
    """Return the client of a partner of the test's own."""
    partner = await place.installation.partner(f"files {time.time_ns()}")
    async with place.installation.client(partner["key"], timeout=60) as client:
        yield client


async def upload(client: httpx.AsyncClient, content: Any = CONTENT) -> httpx.Response:
    headers = {"Idempotency-Key": "one", "Content-Type": "image/jpeg"}
    return await client.post("/v1/files?name=photo.jpg", content=content, headers=headers)


async def stored(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    answer = await client.get("/v1/files")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


async def downloaded(client: httpx.AsyncClient, file: dict[str, Any]) -> bytes:
    answer = await client.get(file["download_url"], follow_redirects=True)
    assert answer.status_code == 200, answer.text
    assert hashlib.sha256(answer.content).hexdigest() == file["sha256"]
    return answer.content


@pytest.mark.parametrize(
    ("place", "moment"),
    [
        (SQLITE, "kill-in-upload"),
        (S3, "kill-in-upload"),
        (POSTGRESQL, "kill-before-row"),
        (S3, "kill-before-row"),
    ],
    indirect=["place"],
)
async def test_an_api_killed_before_the_row_leaves_only_what_the_sweep_removes(
    place: Place, client: httpx.AsyncClient, moment: str
) -> None:
    async def content() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"x" * 1_000_000

    armed = place.installation.arm(moment, str(PART_BYTES))
    with pytest.raises(httpx.TransportError):
        await upload(client, content())
    assert not armed.exists()
    await place.installation.ready()

    assert await stored(client) == []
    assert await place.is_swept_clean() == (moment == "kill-before-row"), "a write shows all bytes or none"
    again = await upload(client, content())
    assert again.status_code == 201, again.text
    assert [file["id"] for file in await stored(client)] == [again.json()["id"]]
    assert await downloaded(client, again.json()) == b"x" * 10_000_000
    assert not await place.is_swept_clean()


@pytest.mark.parametrize("place", [SQLITE, POSTGRESQL], indirect=True)
async def test_an_api_killed_between_row_and_answer_gives_the_same_file_to_the_retry(
    place: Place, client: httpx.AsyncClient
) -> None:
    armed = place.installation.arm("kill-after-row")
    with pytest.raises(httpx.TransportError):
        await upload(client)
    assert not armed.exists()
    await place.installation.ready()

    again = await upload(client)

    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true"), again.text
    assert [file["id"] for file in await stored(client)] == [again.json()["id"]]
    assert not await place.is_swept_clean(), "the second write's bytes are removed at once"
    assert await downloaded(client, again.json()) == CONTENT


@pytest.mark.parametrize("place", [POSTGRESQL, S3], indirect=True)
async def test_an_announced_file_whose_check_is_killed_is_awaited_still(
    place: Place, client: httpx.AsyncClient
) -> None:
    told = {"name": "a.bin", "content_type": "image/jpeg", "size": len(CONTENT)}
    made = (await client.post("/v1/files/uploads", json=told)).json()
    file_url = f"/v1/files/{made['file']['id']}"

    async def send() -> httpx.Response:
        """Send the bytes to where they are wanted, and have them checked."""
        async with async_http_client(str(client.base_url), timeout=60) as anyone:
            sent = await anyone.put(made["upload"]["url"], content=CONTENT, headers=made["upload"]["headers"])
            assert sent.status_code == 200, sent.text
        return await client.post(f"{file_url}/complete")

    armed = place.installation.arm("kill-before-row")
    with pytest.raises(httpx.TransportError):
        await send()
    assert not armed.exists()
    await place.installation.ready()

    assert (await client.get(file_url)).json()["state"] == "awaiting"
    ready = await send()
    assert ready.status_code == 200, ready.text
    assert await downloaded(client, ready.json()) == CONTENT
    assert await place.is_swept_clean()
    assert await downloaded(client, ready.json()) == CONTENT


@pytest.mark.parametrize("place", [POSTGRESQL, S3], indirect=True)
async def test_a_worker_killed_between_bytes_and_end_leaves_the_files_of_one_run(
    place: Place, client: httpx.AsyncClient
) -> None:
    armed = place.installation.arm("kill-before-row")
    made = await client.post("/v1/tasks", json={"type": "report.statement", "input": {"account": "A-1"}})

    async def is_done() -> dict[str, Any] | None:
        task: dict[str, Any] = (await client.get(f"/v1/tasks/{made.json()['id']}")).json()
        return task if task["done"] else None

    task = await until(is_done, what="the end", seconds=60)

    assert not armed.exists()
    assert task is not None
    assert (task["state"], task["attempts"]) == ("succeeded", 2)
    (file,) = task["files"]
    assert [one["id"] for one in await stored(client)] == [file["id"]]
    await settled(place.installation)
    assert await place.is_swept_clean()
    assert (await downloaded(client, file)).startswith(b"%PDF-")
