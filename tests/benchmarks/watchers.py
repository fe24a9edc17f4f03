"""How many can wait on one API process: memory for each, and the time to tell all of them of one change.

The watchers are bare sockets in this process.
All long polls wait for one task; WebSockets share one by the hundred, as many as one partner may open.
"""

import asyncio
import base64
import os
import resource
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import httpx

from tests.benchmarks.installation import Installation, Store, installation, make_partner
from webhookd.api.stream import MOST_CONNECTIONS
from webhookd.runtime.loop_policy import loop_factory

CONNECTING_AT_ONCE = 200
TEXT, PING, PONG = 1, 9, 10
CANCELLED = b'"state":"cancelled"'
SETTLE_SECONDS = 5
IDLE_SECONDS = 5
GIVE_UP_SECONDS = 120

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen:
    """What one run showed. CPU is the API's: while nothing happened, and to let in and to tell each."""

    kind: str
    watchers: int
    kb_each: float
    idle_cpu: float
    begin_us_each: float
    tell_us_each: float
    first_ms: float
    median_ms: float
    last_ms: float


class Watcher:
    """One socket that waits for an answer about a task."""

    def __init__(self, url: str, key: str, task_id: str) -> None:
        self._address = urlsplit(url)
        self._key = key
        self._task_id = task_id
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self.telling: asyncio.Task[None]
        self.told_at = 0.0

    async def poll(self) -> None:
        """Send a long poll."""
        await self._send(f"GET /v1/tasks/{self._task_id}?wait=60", "")
        self.telling = asyncio.create_task(self._read_answer())

    async def stream(self) -> None:
        """Open a WebSocket, subscribe, and read what is known already."""
        nonce = base64.b64encode(os.urandom(16)).decode()
        upgrade = (
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {nonce}\r\n"
        )
        await self._send("GET /v1/stream", upgrade)
        await self._reader.readuntil(b"\r\n\r\n")
        self._write_frame(TEXT, f'{{"subscribe":{{"tasks":["{self._task_id}"]}}}}'.encode())
        await self._read_frames(b'"state":"queued"')
        self.telling = asyncio.create_task(self._read_frames(CANCELLED))

    async def _read_answer(self) -> None:
        await self._reader.readuntil(CANCELLED)
        self.told_at = time.perf_counter()

    async def _read_frames(self, sought: bytes) -> None:
        """Read until a message has the bytes sought, and answer pings."""
        payload = b""
        while sought not in payload:
            opcode, size = await self._reader.readexactly(2)
            if size == 126:
                size = int.from_bytes(await self._reader.readexactly(2), "big")
            payload = await self._reader.readexactly(size)
            if opcode == 0x80 | PING:
                self._write_frame(PONG, payload)
        self.told_at = time.perf_counter()

    def _write_frame(self, opcode: int, payload: bytes) -> None:
        """Write a frame of at most 125 bytes; a mask of zeros masks nothing."""
        self._writer.write(bytes([0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0]) + payload)

    def close(self) -> None:
        """Hang up."""
        self._writer.transport.abort()

    async def _send(self, request: str, headers: str) -> None:
        host, port = self._address.hostname, self._address.port
        self._reader, self._writer = await asyncio.open_connection(host, port)
        self._writer.write(
            f"{request} HTTP/1.1\r\nHost: {host}\r\n"
            f"Authorization: Bearer {self._key}\r\n{headers}\r\n".encode()
        )


async def measure(made: Installation, kind: str, count: int) -> Seen:
    """Connect, wait, change, and read the clock."""
    sharing = MOST_CONNECTIONS if kind == "websocket" else count
    owners = [make_partner(made.api_url) for _ in range(0, count, sharing)]
    async with httpx.AsyncClient(base_url=made.api_url, timeout=60) as http:
        tasks = list(zip(owners, await asyncio.gather(*(_submit(http, key) for key in owners)), strict=True))
        watchers = [Watcher(made.api_url, *tasks[number // sharing]) for number in range(count)]
        before = made.memory_mb("api")
        used = made.cpu_seconds("api")
        await _some_at_a_time(watchers, Watcher.stream if kind == "websocket" else Watcher.poll)
        await asyncio.sleep(SETTLE_SECONDS)
        began, started = made.cpu_seconds("api"), time.perf_counter()
        await asyncio.sleep(IDLE_SECONDS)
        idle_cpu = (made.cpu_seconds("api") - began) / (time.perf_counter() - started)
        kb_each = (made.memory_mb("api") - before) * 1024 / count
        settled, changed_at = made.cpu_seconds("api"), time.perf_counter()
        await _some_at_a_time(tasks, lambda task: _cancel(http, *task))
        await asyncio.wait_for(asyncio.gather(*(watcher.telling for watcher in watchers)), GIVE_UP_SECONDS)
        telling_seconds = made.cpu_seconds("api") - settled
    for watcher in watchers:
        watcher.close()
    told = sorted((watcher.told_at - changed_at) * 1000 for watcher in watchers)
    return Seen(
        kind,
        count,
        kb_each,
        idle_cpu,
        (began - used) * 1e6 / count,
        telling_seconds * 1e6 / count,
        told[0],
        told[count // 2],
        told[-1],
    )


async def _submit(http: httpx.AsyncClient, key: str) -> str:
    answer = await http.post(
        "/v1/tasks", json={"type": "demo.echo"}, headers={"Authorization": f"Bearer {key}"}
    )
    answer.raise_for_status()
    task_id: str = answer.json()["id"]
    return task_id


async def _cancel(http: httpx.AsyncClient, key: str, task_id: str) -> None:
    answer = await http.post(f"/v1/tasks/{task_id}/cancel", headers={"Authorization": f"Bearer {key}"})
    answer.raise_for_status()


async def _some_at_a_time(things: list[T], do: Callable[[T], Awaitable[None]]) -> None:
    waiting = iter(things)

    async def work() -> None:
        for thing in waiting:
            await do(thing)

    await asyncio.gather(*(work() for _ in range(CONNECTING_AT_ONCE)))


def watch(store: Store, kind: str, count: int) -> Seen:
    """Measure on an installation of its own. Raises ValueError where this machine allows too few files."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < count + 200:
        raise ValueError(f"{count} watchers need as many open files; the hard limit is {hard}")
    with installation(store) as made:
        made.start("api", "webhookd.asgi", core=0, WEBHOOKD_LOG_LEVEL="warning")
        made.wait_ready()
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(measure(made, kind, count))
