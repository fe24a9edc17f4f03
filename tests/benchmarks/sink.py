"""The far side of the wire: a receiver that costs as little as it can, in a process of its own.

Run as `python -m tests.benchmarks.sink PORT [HANG_PORT]`. On PORT it answers every POST with 200 and
`GET /count` with how many there were and the delays since their `x-sent` or first message; on HANG_PORT it
accepts and never answers.
"""

import asyncio
import sys
import time
from typing import cast

import orjson

from webhookd.runtime.loop_policy import loop_factory

_OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


class Counts:
    """What came in: how many, and when each of the first `_KEPT` distinct `webhook-id`s did."""

    _KEPT = 200_000

    def __init__(self) -> None:
        self.posts = 0
        self.first_at = 0.0
        self.last_at = 0.0
        self.arrivals: list[tuple[str, float]] = []

    def post(self, body: bytes) -> None:
        """Count one."""
        now = time.time()
        self.posts += 1
        self.first_at = self.first_at or now
        self.last_at = now
        if len(self.arrivals) < self._KEPT and b'"latency"' in body:
            self.arrivals.append((orjson.loads(body)["data"]["metadata"]["latency"], now))

    def document(self) -> dict[str, object]:
        """Return all of it."""
        return {
            "posts": self.posts,
            "first_at": self.first_at,
            "last_at": self.last_at,
            "arrivals": self.arrivals,
        }


class Sink(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, read just as far as `content-length`."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(b"content-length: ")
            length = int(head[at + 16 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            body = self._buffer[end + 4 : end + 4 + length]
            self._buffer = self._buffer[end + 4 + length :]
            if head.startswith(b"get /reset"):
                self._counts.__init__()  # type: ignore[misc]  # a fresh count is what is wanted
                self._transport.write(_OK)
            elif head.startswith(b"get"):
                answer = orjson.dumps(self._counts.document())
                self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(answer))
                self._transport.write(answer)
            else:
                self._counts.post(body)
                self._transport.write(_OK)


async def serve(port: int, hang_port: int | None) -> None:
    """Serve until killed."""
    counts = Counts()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Sink(counts), "127.0.0.1", port, backlog=4096)
    if hang_port is not None:
        await loop.create_server(asyncio.Protocol, "127.0.0.1", hang_port, backlog=4096)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None))
