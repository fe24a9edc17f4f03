"""SQLite's disk: full, nearly full, failing, and held by another program. Each is refused with its reason."""

import asyncio
import contextlib
import resource
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.invariants import settled, verify
from tests.faults.load import partner_under_load
from tests.faults.site import Site
from tests.support.installation import Installation
from tests.support.services import until

pytestmark = [pytest.mark.faults, pytest.mark.slow]

Trouble = Callable[[Installation], AbstractAsyncContextManager[None]]


def _file(installation: Installation) -> Path:
    return Path(installation.database_url.removeprefix("sqlite:///"))


@asynccontextmanager
async def full(installation: Installation) -> AsyncIterator[None]:
    """No page can be added to the file."""
    with contextlib.closing(sqlite3.connect(_file(installation))) as database:
        (pages,) = database.execute("PRAGMA page_count").fetchone()
    installation.arm("max-pages", str(pages))
    try:
        yield
    finally:
        installation.disarm("max-pages")


@asynccontextmanager
async def nearly_full(installation: Installation) -> AsyncIterator[None]:
    """Less is free than WEBHOOKD_MIN_FREE_DISK_BYTES."""
    installation.arm("disk-free", "1000")
    try:
        yield
    finally:
        installation.disarm("disk-free")


@asynccontextmanager
async def failing(installation: Installation) -> AsyncIterator[None]:
    """No process can write beyond the first page of a file any more, log files included."""
    pids = [pid for role in installation.children().values() for pid in role]
    before = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in pids}
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, before[pid][1]))
    try:
        yield
    finally:
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before[pid])


@asynccontextmanager
async def held(installation: Installation) -> AsyncIterator[None]:
    """Another program is in a write transaction and does not end it."""
    with contextlib.closing(sqlite3.connect(_file(installation), isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield


@pytest.mark.parametrize(
    ("trouble", "part", "reason"),
    [
        (full, "database", "database or disk is full"),
        (nearly_full, "disk", "nearly full"),
        (failing, "database", "disk I/O error"),
        (held, "database", "does not answer in time"),
    ],
)
async def test_submissions_are_refused_with_the_reason_while_the_disk_is(
    up: Site, trouble: Trouble, part: str, reason: str
) -> None:
    installation = up.installation
    async with partner_under_load(installation, trouble.__name__) as (load, receiver):
        await load.submit_many(range(10))
        async with trouble(installation):
            load.padding = "x" * 10_000
            submitting = asyncio.create_task(load.submit_many(range(10, 30), over_seconds=2))
            why = await until(lambda: _why_not_ready(installation), what="/readyz says why")
            await until(lambda: load.answers[503], what="a refusal")
            assert why is not None
            assert reason in why[part].get("reason", ""), why
        await submitting
        await installation.ready(tasks=2)
        await settled(installation)
        await verify(installation, [load], receiver.hits)
        assert load.impatient == 0


async def _why_not_ready(installation: Installation) -> dict[str, Any] | None:
    async with installation.client() as client:
        answer = await client.get("/readyz")
    return answer.json() if answer.status_code == 503 else None
