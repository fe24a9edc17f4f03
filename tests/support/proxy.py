"""A TCP proxy that makes a network misbehave: latency, resets, a black hole, and cuts at a chosen byte.

It runs on an event loop in a thread of its own, so that it serves tests with and without a loop, and
fixtures that outlive them. Every change counts for the connections that are open, and for those to come.
"""

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

_CHUNK = 65_536
_LINGER_NOT = struct.pack("ii", 1, 0)

Address = tuple[str, int] | Path


class Proxy:
    """Between a client and `target`, a host and port or a unix socket. Use it as a context.

    With `tls` it speaks TLS to its clients, for servers that have none.
    """

    def __init__(self, target: Address, *, tls: ssl.SSLContext | None = None) -> None:
        self._target = target
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._server: asyncio.Server | None = None
        self._pairs: set[_Pair] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._cut: _Cut | None = None
        self._refusing = False
        self.latency_seconds = 0.0
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.cuts = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def reset(self) -> None:
        """Reset every connection that is open."""
        self._call(self._reset)

    def refuse(self, refusing: bool = True) -> None:
        """Reset what is open and whatever connects, until told otherwise: the other side is gone."""

        def change() -> None:
            self._refusing = refusing
            if refusing:
                self._reset()

        self._call(change)

    def swallow(self, swallowing: bool = True) -> None:
        """Be a black hole until told otherwise: connections open and stay, nothing comes through."""
        self._call(self._flowing.clear if swallowing else self._flowing.set)

    def cut_after(self, count: int) -> None:
        """Let `count` more bytes through to the target, and reset the connection that had the last, once."""
        self._call(lambda: self._arm(_Cut(count=count, arrived=False)))

    def cut_at(self, needle: bytes, *, arrived: bool, after: bytes = b"") -> None:
        """Reset the connection whose client next sends `needle`, and has sent `after` since now, once.

        `arrived`: the target gets it and acts on it, and its answer is lost. Otherwise it gets nothing.
        """
        self._call(lambda: self._arm(_Cut(needle=needle, after=after, arrived=arrived)))

    def _arm(self, cut: "_Cut") -> None:
        self._cut = cut

    def _reset(self) -> None:
        for pair in tuple(self._pairs):
            pair.reset()

    def _call(self, change: Callable[[], None]) -> None:
        async def run() -> None:
            change()

        self._run(run())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, sock=self._listener, ssl=self._tls)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._reset()
        leftovers = asyncio.all_tasks() - {asyncio.current_task()}
        for task in leftovers:
            task.cancel()
        await asyncio.gather(*leftovers, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._refusing:
            _abort(writer)
            return
        try:
            if isinstance(self._target, Path):
                far_reader, far_writer = await asyncio.open_unix_connection(self._target)
            else:
                far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            _abort(writer)
            return
        pair = _Pair(writer, far_writer)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._upstream(pair, reader), self._downstream(pair, far_reader))
        except (OSError, asyncio.CancelledError):
            pass  # the streams' own callback would complain of a cancellation
        finally:
            pair.reset()
            self._pairs.discard(pair)

    async def _upstream(self, pair: "_Pair", reader: asyncio.StreamReader) -> None:
        while data := await reader.read(_CHUNK):
            await self._through()
            cut = self._cut
            struck = cut is not None and cut.strikes(pair, data)
            if cut is not None and struck:
                self._cut = None
                self.cuts += 1
                pair.doomed = True
                data = cut.remainder(data)
            pair.far.write(data)
            await pair.far.drain()
            if cut is not None and struck and not cut.arrived:
                break
        pair.reset()

    async def _downstream(self, pair: "_Pair", reader: asyncio.StreamReader) -> None:
        while data := await reader.read(_CHUNK):
            await self._through()
            if pair.doomed:
                break
            pair.near.write(data)
            await pair.near.drain()
        pair.reset()

    async def _through(self) -> None:
        if self.latency_seconds:
            await asyncio.sleep(self.latency_seconds)
        await self._flowing.wait()


class _Pair:
    """The two connections of one client. `doomed`: the target's next word is the last."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.near = near
        self.far = far
        self.doomed = False

    def reset(self) -> None:
        for writer in (self.near, self.far):
            _abort(writer)


class _Cut:
    """What a connection is cut for: a number of bytes, or a word of its client's after another."""

    def __init__(self, *, count: int = 0, needle: bytes = b"", after: bytes = b"", arrived: bool) -> None:
        self._left = count
        self._needle = needle
        self._after = after
        self._marked: set[_Pair] = set()
        self.arrived = arrived

    def strikes(self, pair: _Pair, data: bytes) -> bool:
        if not self._needle:
            self._left -= len(data)
            return self._left <= 0
        if self._after in data:
            self._marked.add(pair)
        return pair in self._marked and self._needle in data

    def remainder(self, data: bytes) -> bytes:
        """Return what still goes to the target."""
        if self.arrived:
            return data
        return b"" if self._needle else data[: len(data) + self._left]


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with a reset, not in order: that is what a crashed machine or a firewall does."""
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.family != socket.AF_UNIX:
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    writer.transport.abort()


def address_of(url: str) -> Address:
    """Return where a broker with this URL listens."""
    parts = urlsplit(url)
    return Path(parts.path) if parts.scheme == "unix" else (parts.hostname or "", parts.port or 0)
