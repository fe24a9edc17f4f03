"""How fast the guarded sender posts, beside a bare aiohttp client.

One process sends, another is the sink: it parses requests just enough to answer 200 on a kept-alive
connection. Loopback, plain http, 512-byte bodies with the headers of a real delivery, 64 in flight,
uvloop on both sides. Several rounds in turn, so that both see the same machine.
"""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from statistics import median
from time import perf_counter, process_time
from typing import cast

import aiohttp
import httptools
import uvloop

from webhookd.adapters.sender import build_sender
from webhookd.core.egress import EgressPolicy

ROUNDS = 3
POSTS_PER_ROUND = 8_000
IN_FLIGHT = 64
BODY = b'{"type":"task.succeeded","data":"' + b"x" * 477 + b'"}'
HEADERS = {
    "content-type": "application/json",
    "user-agent": "webhookd/0.1.0",
    "webhook-id": "msg_01jzw0c4v6ew5r9y2m7ndq8hbt",
    "webhook-timestamp": "1700000000",
    "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    "webhook-attempt": "1",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}
RESPONSE = b"HTTP/1.1 200 OK\r\nServer: sink\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


class Sink(asyncio.Protocol):
    """Answers every request with the same 200."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._transport.write(RESPONSE)


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def posts_per_second(post: Callable[[], Awaitable[int | None]]) -> tuple[float, float]:
    """Return (posts a second, CPU µs of this process a post)."""
    left = POSTS_PER_ROUND

    async def keep_posting() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            status = await post()
            assert status == 200, status

    began, cpu = perf_counter(), process_time()
    await asyncio.gather(*(keep_posting() for _ in range(IN_FLIGHT)))
    return POSTS_PER_ROUND / (perf_counter() - began), (process_time() - cpu) / POSTS_PER_ROUND * 1e6


async def compare(port: int) -> None:
    url = f"http://127.0.0.1:{port}/hooks"
    sender = build_sender(
        EgressPolicy.parse("127.0.0.0/8"),
        timeout_seconds=15,
        proxy_url=None,
        max_connections=256,
        max_per_host=256,
    )
    target = sender.prepare(url)
    headers = list(HEADERS.items())

    async def guarded() -> int | None:
        return (await sender.post(target, headers=headers, body=BODY)).status

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def bare() -> int | None:
            async with session.post(url, data=BODY, headers=HEADERS) as response:
                await response.read()
                return response.status

        rows = {"bare aiohttp": bare, "guarded sender": guarded}
        results: dict[str, list[tuple[float, float]]] = {name: [] for name in rows}
        for _ in range(ROUNDS):
            for name, post in rows.items():
                results[name].append(await posts_per_second(post))
    await sender.close()
    for name, rounds in results.items():
        print(median(rate for rate, _ in rounds), median(cpu for _, cpu in rounds), name)


def compared() -> dict[str, tuple[float, float]]:
    """Return posts a second and CPU µs a post, by who sends."""
    ours = [sys.executable, "-m", "tests.benchmarks.sender"]
    with subprocess.Popen([*ours, "--sink"], stdout=subprocess.PIPE, text=True) as sink:
        try:
            assert sink.stdout is not None
            port = sink.stdout.readline().strip()
            printed = subprocess.run([*ours, port], capture_output=True, text=True, check=True).stdout
        finally:
            sink.kill()
    rows = (line.split(" ", 2) for line in printed.splitlines())
    return {name: (float(rate), float(cpu)) for rate, cpu, name in rows}


if __name__ == "__main__":
    uvloop.run(serve() if sys.argv[1] == "--sink" else compare(int(sys.argv[1])))
