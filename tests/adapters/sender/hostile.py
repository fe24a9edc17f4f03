"""A receiver that misbehaves to the byte: a raw TCP or TLS server driven by a script.

A script is a coroutine function that is given each connection as a `Peer` and does what it likes to
it; when it returns, the connection is closed. `answering` makes the common ones.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Peer:
    """One connection, seen from the receiver."""

    def __init__(
        self, server: "Hostile", number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.number = number
        self.sent_bytes = 0
        self._server = server
        self._reader = reader
        self._writer = writer

    async def request(self) -> bytes:
        """Read one whole request and return it as it came.

        Raises:
            asyncio.IncompleteReadError: the sender closed the connection instead.
        """
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        request = head + await self._reader.readexactly(length)
        self._server.requests.append(request)
        return request

    async def read(self, size: int) -> bytes:
        return await self._reader.read(size)

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        self.sent_bytes += len(data)
        await self._writer.drain()

    async def drip(self, data: bytes, *, pause_seconds: float = 0.02) -> None:
        for byte in data:
            await self.send(bytes([byte]))
            await asyncio.sleep(pause_seconds)

    async def flood(self, data: bytes) -> None:
        """Send the same bytes until the sender has had enough."""
        with suppress(ConnectionError):
            while True:
                await self.send(data)
                await asyncio.sleep(0)

    def reset(self) -> None:
        """Close with a RST instead of a FIN."""
        raw: socket.socket = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def tunnel(self, port: int, *, first: bytes = b"") -> None:
        """Pass bytes to and from a loopback port until either side closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(first)
            await asyncio.wait(
                [
                    asyncio.ensure_future(_copy(self._reader, writer)),
                    asyncio.ensure_future(_copy(reader, self._writer)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            writer.close()

    async def behave(self) -> None:
        """Answer every further request with 200 until the sender closes the connection."""
        while True:
            await self.request()
            await self.send(OK)

    async def until_closed(self) -> None:
        """Wait until the sender closes the connection."""
        with suppress(ConnectionError):
            while await self._reader.read(65536):
                pass


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)


Script = Callable[[Peer], Awaitable[None]]


class Hostile:
    """The server: what it saw, and where it listens."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.port = 0
        self.connections = 0
        self.open = 0
        self.most_open = 0
        self.requests: list[bytes] = []
        self.peers: list[Peer] = []
        self.sni: str | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def url(self, host: str = "127.0.0.1", *, scheme: str = "http", path: str = "/hooks") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = Peer(self, self.connections, reader, writer)
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        self.peers.append(peer)
        try:
            await self.script(peer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the sender left, or the test is over
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.transport.abort() if writer.transport.is_closing() else writer.close()

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def hostile(
    script: Script, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Hostile]:
    """Run a hostile server on a free loopback port."""
    receiver = Hostile(script)

    def remember_name(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> None:
        receiver.sni = name

    if tls is not None:
        tls.sni_callback = remember_name
    server = await asyncio.start_server(receiver.serve, host, 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await receiver.stop()
        await server.wait_closed()


def answering(*answers: bytes, keep_open: bool = True) -> Script:
    """Answer the n-th connection's requests with the n-th answer (the last one from then on)."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(answers[min(peer.number, len(answers) - 1)])
            if not keep_open:
                return

    return script


def after_request(*steps: Callable[[Peer], Awaitable[None]]) -> Script:
    """Do the n-th thing to the n-th connection once its request is in; answer 200 from then on."""

    async def script(peer: Peer) -> None:
        await peer.request()
        if peer.number < len(steps):
            await steps[peer.number](peer)
        else:
            await peer.send(OK)
            await peer.behave()

    return script
