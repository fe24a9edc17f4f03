"""An object store that is away or does not answer: uploads are refused, tasks wait, nothing else does."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.installation import Up
from tests.support.proxy import Proxy
from tests.support.s3 import BUCKET, S3Server
from tests.support.services import until

pytestmark = [pytest.mark.faults, pytest.mark.slow]

SHORT = (
    '{"webhookd.adapters.files.bucket.CALL_SECONDS": 1, "webhookd.adapters.files.bucket.UNDO_SECONDS": 0.2}'
)


@pytest.fixture
async def away(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Up, Proxy]]:
    """An installation, and what is between it and its object store."""
    address = urlsplit(s3.url)
    with Proxy((address.hostname or "", address.port or 0)) as proxy:
        environment = {**s3.environment, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}"}
        up = Up(
            tmp_path_factory.mktemp("outage"),
            WEBHOOKD_FILES_URL=f"s3://{BUCKET}/outages-{os.getpid()}",
            FAULT_CONSTANTS=SHORT,
            **environment,
        )
        try:
            await up.start()
            yield up, proxy
        finally:
            up.end()


async def submitted(client: httpx.AsyncClient, kind: str, given: dict[str, Any]) -> str:
    answer = await client.post("/v1/tasks", json={"type": kind, "input": given})
    assert answer.status_code == 202, answer.text
    task_id: str = answer.json()["id"]
    return task_id


async def task_when(client: httpx.AsyncClient, task_id: str, what: str) -> dict[str, Any]:
    """Return the task as soon as it is `done`, or `error` says why its last run failed."""

    async def look() -> dict[str, Any] | None:
        task: dict[str, Any] = (await client.get(f"/v1/tasks/{task_id}")).json()
        return task if task[what] else None

    task: dict[str, Any] = await until(look, what=f"{what} of {task_id}", seconds=60)
    return task


@pytest.mark.parametrize("how", ["silent", "resets"])
async def test_tasks_wait_for_a_file_store_that_is_away_and_nothing_else_does(
    away: tuple[Up, Proxy], how: str
) -> None:
    up, proxy = away
    partner = await up.partner("away")
    async with up.client(partner["key"], timeout=60) as client:
        whole = await client.post("/v1/files?name=a.txt", content=b"a" * 1_000)
        assert whole.status_code == 201, whole.text
        if how == "silent":
            proxy.swallow()
        else:
            proxy.refuse()

        attaching = await submitted(client, "fault.attach", {})
        waiting = asyncio.create_task(client.post("/v1/files?name=b.txt", content=b"b"))
        echo = await submitted(client, "demo.echo", {"number": 1})
        assert (await task_when(client, echo, "done"))["state"] == "succeeded"
        refused = await waiting
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5"), refused.text
        failed = await task_when(client, attaching, "error")
        assert failed["error"]["code"] == "files_not_stored"

        proxy.swallow(False)
        proxy.refuse(False)
        task = await task_when(client, attaching, "done")
        assert task["state"] == "succeeded", task
        assert task["attempts"] > 1
        assert len(task["files"]) == 1
        again = await client.post("/v1/files?name=b.txt", content=b"b")
        assert again.status_code == 201, again.text
