"""Bare TCP connections to a running API, and what is said on them byte by byte."""

import asyncio
import base64
import json
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from tests.support.live_api import Live

TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


class Raw:
    """A bare TCP connection to the API."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def rest(self) -> bytes:
        """What the server sends until it closes."""
        with suppress(ConnectionError):
            return await asyncio.wait_for(self.reader.read(), 30)
        return b""

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of one response with a Content-Length."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 30)
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        return int(head.split(b" ", 2)[1]), await asyncio.wait_for(self.reader.readexactly(length), 30)

    async def drip(self, data: bytes, seconds: float = 0.05) -> None:
        """Send the same bytes over and over until the server has closed."""
        with suppress(ConnectionError):
            while not (self.reader.at_eof() or self.writer.is_closing()):
                await self.send(data)
                await asyncio.sleep(seconds)

    async def upgrade(self, key: str | None) -> None:
        """Become a WebSocket."""
        secret = base64.b64encode(os.urandom(16)).decode()
        auth = "" if key is None else f"Authorization: Bearer {key}\r\n"
        brought = f"00-{'1' * 32}"
        await self.send(
            b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            + f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {secret}\r\n{auth}".encode()
            + f"traceparent: {brought}-{'2' * 16}-01\r\n\r\n".encode()
        )
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 30)
        assert b" 101 " in head
        assert f"\r\ntraceparent: {brought}-".encode() in head

    async def close_code(self) -> tuple[int, str]:
        """Read frames until the server's close; its code and reason."""
        while True:
            opcode, payload = await asyncio.wait_for(self._frame(), 30)
            if opcode == CLOSE:
                return struct.unpack("!H", payload[:2])[0], payload[2:].decode()

    async def message(self) -> Any:
        """Read frames until a text; what it holds."""
        while True:
            opcode, payload = await asyncio.wait_for(self._frame(), 30)
            if opcode == TEXT:
                return json.loads(payload)

    async def _frame(self) -> tuple[int, bytes]:
        first, second = await self.reader.readexactly(2)
        length = second & 0x7F
        if length == 126:
            [length] = struct.unpack("!H", await self.reader.readexactly(2))
        return first & 0x0F, await self.reader.readexactly(length)


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True) -> bytes:
    """A WebSocket frame of a client; the mask is all zeros."""
    head = bytes([(0x80 if fin else 0) | opcode])
    length = bytes([(0x80 if masked else 0) | len(payload)]) if len(payload) < 126 else b""
    if not length:
        length = bytes([(0x80 if masked else 0) | 126]) + struct.pack("!H", len(payload))
    return head + length + (b"\0\0\0\0" if masked else b"") + payload


def handshake(path: str = "/v1/stream", key: str | None = None) -> bytes:
    """A request to become a WebSocket."""
    nonce = base64.b64encode(os.urandom(16)).decode()
    auth = f"Authorization: Bearer {key}\r\n" if key else ""
    return (
        f"GET {path} HTTP/1.1\r\nHost: x\r\n{auth}Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {nonce}\r\n\r\n"
    ).encode()


@asynccontextmanager
async def raw(live: Live) -> AsyncIterator[Raw]:
    """A connection, closed at the end of the block."""
    at = urlsplit(live.url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def problem(answer: bytes) -> tuple[int, str]:
    """Status and code of the last response in these bytes, which must be a problem."""
    head, _, body = answer.rpartition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    document = json.loads(body)
    assert f"traceparent: 00-{document['trace_id']}-".encode() in head
    return document["status"], document["code"]
