"""An object store that misbehaves, as seen by its client: it accepts every connection."""

import asyncio
import contextlib
import socket
import struct
from typing import Final, Self

MISDEEDS: Final = ("silent", "silent mid-body", "reset", "reset mid-body", "short", "500", "no S3")
"""What it does once a request has come. Mid-body: when it has given, or taken, some of the bytes."""
_RESET: Final = struct.pack("ii", 1, 0)


class BadStore:
    """Listens for as long as the context lasts. `asked` is set by the first request."""

    def __init__(self, misdeed: str) -> None:
        self._misdeed = misdeed
        self._server: asyncio.Server | None = None
        self._over = asyncio.Event()
        self.asked = asyncio.Event()

    @property
    def environment(self) -> dict[str, str]:
        """The variables of AWS's own tools."""
        assert self._server is not None
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}",
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_REGION": "us-east-1",
        }

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._over.set()
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.asked.set()
            await self._misbehave(writer, gives=head.startswith(b"GET"))
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _misbehave(self, writer: asyncio.StreamWriter, *, gives: bool) -> None:
        match self._misdeed:
            case "500":
                writer.write(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            case "no S3":
                writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
            case "short" | "silent mid-body" | "reset mid-body" if gives:
                writer.write(
                    b'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-999/1000\r\nETag: "a"\r\n'
                    b"Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: 1000\r\n\r\n"
                    + b"x"
                    * 500
                )
        await writer.drain()
        if self._misdeed.startswith("silent"):
            await self._over.wait()
        if self._misdeed.startswith("reset"):
            raw: socket.socket = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
