"""One WebSocket: text in, JSON text out, and how it ends. What is said on it is `stream`'s business."""

import asyncio
from typing import Any, Final

import orjson
from starlette.types import Message, Receive, Send

from webhookd.api.answers import Headers

SEND_SECONDS: Final = 20.0
"""How long the other side may take nothing before it is given up."""
CLOSE_SECONDS: Final = 5.0
MOST_KEY_MESSAGE: Final = 1_024
"""Bytes of the first message where the key is in it: nobody is known yet whose room it could cost."""
KEY_FIRST: Final = 'send {"auth": "<key>"} first, or an Authorization header'
"""The reason that goes with UNAUTHENTICATED."""

BAD_MESSAGES: Final = 4400
UNAUTHENTICATED: Final = 4401
FORBIDDEN: Final = 4403
TOO_SLOW: Final = 4408
TOO_MANY: Final = 4429
RESTARTING: Final = 1012
STOPPING: Final = "this server stops; connect again"
"""The reason that goes with RESTARTING."""
TRY_LATER: Final = 1013


class Close(Exception):
    """Raised to end a connection with a close code (RFC 6455 section 7.4) and a reason of ≤ 123 bytes."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Disconnected(Exception):
    """Raised when the other side has gone, or the server closed the connection."""


class Socket:
    """The ASGI side of a WebSocket; several coroutines may send, one may receive."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send

    async def accept(self, headers: Headers) -> None:
        """Take the connection, with these headers. Raises Disconnected."""
        await self._receive()
        await self._write({"type": "websocket.accept", "headers": headers})

    async def receive(self) -> str | None:
        """Return the next text message, None for a binary one. Raises Disconnected."""
        message = await self._receive()
        if message["type"] != "websocket.receive":
            raise Disconnected
        return message.get("text")

    async def send(self, document: Any) -> None:
        """Send anything orjson writes. Raises Disconnected, or Close where it is not taken in time."""
        await self.send_text(orjson.dumps(document).decode())

    async def send_text(self, text: str) -> None:
        """Send text. Raises as `send`."""
        await self._write({"type": "websocket.send", "text": text})

    async def close(self, close: Close) -> None:
        """Say goodbye, unless the other side has gone or takes nothing."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._send({"type": "websocket.close", "code": close.code, "reason": close.reason})
        except (TimeoutError, OSError, RuntimeError):
            pass  # uvicorn raises RuntimeError after its own close

    async def _write(self, message: Message) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._send(message)
        except TimeoutError:
            raise Close(TOO_SLOW, "what was sent is not being read") from None
        except (OSError, RuntimeError):
            raise Disconnected from None
