"""Orderly stops under load: nothing lost, nothing doubled, nothing charged, and in time."""

import asyncio
import itertools
import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close

from tests.faults.invariants import looking_into, settled, verify
from tests.faults.load import Load, partner_under_load
from tests.faults.site import Site
from tests.support.installation import QUICK, Installation, Parts
from tests.support.plain_http import async_http_client
from tests.support.services import is_alive, until
from webhookd.adapters.store.schema import tasks
from webhookd.adapters.store.tx import Tx

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.long]

SHUTDOWN_SECONDS = float(QUICK["WEBHOOKD_SHUTDOWN_SECONDS"])
RESTARTING = 1012


async def test_workers_stopped_again_and_again_lose_double_and_charge_nothing(site: Site) -> None:
    installation = site.installation
    async with partner_under_load(installation, "stops") as (load, receiver):
        submitting = asyncio.create_task(load.submit_many(range(120), over_seconds=6))
        # Longer than the time a process has to stop: it is interrupted, again and again, and handed back.
        long = {**load.body(0), "type": "demo.sleep", "input": {"seconds": SHUTDOWN_SECONDS + 2}}
        await load.submit(1000, long)
        for role in ("tasks", "deliver", "tasks"):
            await asyncio.sleep(1.5)
            pids = installation.children()[role]
            for pid in pids:
                os.kill(pid, signal.SIGTERM)
            await until(
                lambda pids=pids: not any(is_alive(pid) for pid in pids),  # type: ignore[misc, arg-type]
                what="the end of what was told to stop",
                seconds=SHUTDOWN_SECONDS + 5,
            )
        await submitting
        await settled(installation)
        await verify(installation, [load], receiver.hits)
        assert await _charged(installation, load) == {}


async def _charged(installation: Installation, load: Load) -> dict[str, int]:
    """Return the tasks that used up more attempts than they asked for."""

    def read(tx: Tx) -> dict[str, int]:
        found = tx.conn.execute(select(tasks.c.id, tasks.c.type, tasks.c.attempts))
        asked = {"demo.fail": 2}
        return {
            row.id: row.attempts
            for row in found
            if row.id in load.ids and row.attempts != asked.get(row.type, 1)
        }

    async with looking_into(installation) as database:
        return await database.read(read)


async def test_rolling_restart_is_not_noticed_by_clients_that_retry(parts: Site) -> None:
    installation = parts.installation
    assert isinstance(installation, Parts)
    async with partner_under_load(installation, "rolling") as (load, receiver):
        watcher = asyncio.create_task(_watch(installation.urls[0], load.key))
        polled = await load.submit(1000, {**load.body(1), "run_at": _in_an_hour()})
        stopping = asyncio.Event()
        submitting = asyncio.create_task(_submit_until(stopping, load))
        await asyncio.sleep(1)
        poll = asyncio.create_task(_long_poll(installation.urls[0], load.key, polled))
        await asyncio.sleep(0.5)
        installation.keep("worker-2", "--processes", "2")
        for name in ("api-1", "api-2", "worker-1"):
            assert await installation.let_go(name) == 0
            if name != "worker-1":
                installation.keep(name)
            await installation.ready(tasks=2)
        installation.keep("worker-1", "--processes", "2")
        await installation.ready(tasks=4)
        assert await installation.let_go("worker-2") == 0
        stopping.set()
        await submitting
        assert await poll == 200, "a call under way is answered"
        code, reason = await watcher
        assert code == RESTARTING
        assert reason
        async with installation.client(load.key) as client:
            assert (await client.post(f"/v1/tasks/{polled}/cancel")).is_success
        await settled(installation)
        await verify(installation, [load], receiver.hits)
        assert set(load.answers) == {202}


def _in_an_hour() -> str:
    return (datetime.now(UTC) + timedelta(hours=1)).isoformat()


async def _submit_until(stopping: asyncio.Event, load: Load) -> None:
    numbers: Iterator[int] = itertools.count()
    while not stopping.is_set():
        await load.submit_many([next(numbers) for _ in range(5)], over_seconds=0.3)


async def _watch(url: str, key: str) -> tuple[int, str]:
    """Follow everything until the server ends it; return its close code and reason."""
    address = f"ws{url.removeprefix('http')}/v1/stream"
    async with connect(address, additional_headers={"Authorization": f"Bearer {key}"}) as stream:
        await stream.send(json.dumps({"subscribe": {"all": True}}))
        ended = await _end_of(stream)
    assert ended is not None, "cut, not closed"
    return ended.code, ended.reason


async def _end_of(stream: ClientConnection) -> Close | None:
    try:
        while True:
            await stream.recv()
    except ConnectionClosed as closed:
        return closed.rcvd


async def _long_poll(url: str, key: str, task_id: str) -> int:
    """Ask for a task that does not end; return the status."""
    async with async_http_client(timeout=60) as client:
        answer = await client.get(
            f"{url}/v1/tasks/{task_id}",
            params={"wait": 50},
            headers={"Authorization": f"Bearer {key}"},
        )
    return answer.status_code
