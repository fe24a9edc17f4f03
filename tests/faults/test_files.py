"""Files in real processes: large ones with little memory, and everything killed under a load of them."""

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.installation import Up
from tests.support.plain_http import async_http_client
from tests.support.services import until

pytestmark = [pytest.mark.faults, pytest.mark.slow]

MEGABYTE = b"x" * 1_048_576
MOST_MEMORY_KB = 300 * 1_024


async def megabytes(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield MEGABYTE


def most_memory_kb(pid: int) -> int:
    """The most that this process ever held in memory."""
    (line,) = [
        one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmHWM:")
    ]
    return int(line.split()[1])


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Up]:
    installation = Up(tmp_path, WEBHOOKD_FILES_MAX_BYTES=str(2 << 30))
    try:
        await installation.start()
        yield installation
    finally:
        installation.end()


def stored(up: Up) -> list[str]:
    return sorted(path.name for path in (up.data_dir / "files").iterdir())


@pytest.mark.long
async def test_a_file_of_a_gigabyte_goes_in_through_a_task_and_out_in_300_megabytes(up: Up) -> None:
    partner = await up.partner("large")
    sha256 = hashlib.sha256()
    for _ in range(1_024):
        sha256.update(MEGABYTE)
    async with up.client(partner["key"], timeout=300) as client:
        made = await client.post("/v1/files?name=large.bin", content=megabytes(1_024))
        assert made.status_code == 201, made.text
        assert (made.json()["size"], made.json()["sha256"]) == (1 << 30, sha256.hexdigest())
        copying = {"type": "fault.copy", "input": {"file": made.json()["id"]}}
        task_id = (await client.post("/v1/tasks", json=copying)).json()["id"]

        async def is_done() -> dict[str, Any] | None:
            task: dict[str, Any] = (await client.get(f"/v1/tasks/{task_id}?wait=30")).json()
            return task if task["done"] else None

        task = await until(is_done, what="its end", seconds=600)
        assert task is not None
        (copy,) = task["files"]
        assert (copy["size"], copy["sha256"]) == (1 << 30, sha256.hexdigest())
        size = 0
        async with client.stream("GET", copy["download_url"]) as answer:
            async for chunk in answer.aiter_bytes():
                size += len(chunk)
        assert size == 1 << 30
    for pid in (*up.children()["api"], *up.children()["tasks"]):
        assert most_memory_kb(pid) < MOST_MEMORY_KB


async def test_every_file_that_was_answered_for_is_whole_after_the_machine_went_down(up: Up) -> None:
    partner = await up.partner("power")
    answered: dict[str, bytes] = {}

    async def upload(client: httpx.AsyncClient, number: int) -> None:
        content = os.urandom(200_000)
        answer = await client.post(f"/v1/files?name={number}", content=content)
        if answer.status_code == 201:
            answered[answer.json()["id"]] = content

    async with up.client(partner["key"]) as client:
        uploads = [asyncio.create_task(upload(client, number)) for number in range(40)]
        await until(lambda: len(answered) >= 5, what="some answers")
        up.kill()
        await asyncio.gather(*uploads, return_exceptions=True)
        await up.start()
        listed = (await client.get("/v1/files?limit=500")).json()["data"]
        assert {file["id"] for file in listed} >= answered.keys()
        for file in listed:
            content = (await client.get(file["url"])).content
            assert hashlib.sha256(content).hexdigest() == file["sha256"]
            assert answered.get(file["id"], content) == content


async def test_a_worker_killed_while_it_stores_results_leaves_files_of_one_run_only(up: Up) -> None:
    partner = await up.partner("results")
    async with up.client(partner["key"]) as client:
        tasks = [
            (await client.post("/v1/tasks", json={"type": "report.statement", "input": {"account": str(n)}}))
            for n in range(30)
        ]
        await until(lambda: bool(stored(up)), what="the first result")
        for pid in up.children()["tasks"]:
            os.kill(pid, signal.SIGKILL)
        for submitted in tasks:
            task_id = submitted.json()["id"]
            task = (await client.get(f"/v1/tasks/{task_id}?wait=40")).json()
            assert task["state"] == "succeeded", task
            (file,) = task["files"]
            listed = (await client.get("/v1/files", params={"task": task_id})).json()["data"]
            assert [one["id"] for one in listed] == [file["id"]]
            async with async_http_client(up.url) as nobody:
                content = (await nobody.get(file["download_url"])).content
            assert hashlib.sha256(content).hexdigest() == file["sha256"]
            assert content.startswith(b"%PDF-")
