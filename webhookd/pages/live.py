"""The live part of a page, as Server-Sent Events: sent anew whenever it looks different.

A page has one such part, the block `live` of its template. The page is made again for the same visit, so
that what is live and what is shown at first cannot differ. How long ago something was is no difference: the
script keeps that. It opens the stream while somebody looks; the stream ends by itself, and with the session,
and the browser comes back.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from starlette.types import Receive, Send

from webhookd.api.answers import Answer, Headers
from webhookd.core.errors import WebhookdError

TICK_SECONDS: Final = 1.0
BUSY_TICKS: Final = 2
QUIET_TICKS: Final = 5
QUIET_AFTER: Final = 15
"""Looks without a change until it is looked less often."""
LONGEST_TICKS: Final = 600
_TIMES: Final = re.compile(rb">[^<]*</time>")
_MEDIA: Final = "text/event-stream; charset=utf-8"
_HEADERS: Final = [(b"content-type", _MEDIA.encode()), (b"x-accel-buffering", b"no")]
_OVER: Final = b"event: over\ndata: \n\n"


class Live:
    """The stream. `look` makes the part, None once the session is over; `leaving`: the process ends."""

    status = 200

    def __init__(
        self,
        first: bytes,
        *,
        look: Callable[[], Awaitable[bytes | None]],
        leaving: Callable[[], bool],
        receive: Receive,
    ) -> None:
        self._first = first
        self._look = look
        self._leaving = leaving
        self._receive = receive

    async def send_to(self, send: Send, *, more_headers: Headers, head: bool) -> None:
        """Write events until the reader goes, the session ends, or it has lasted long enough."""
        headers = [*_HEADERS, *more_headers]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        if not head:
            await send({"type": "http.response.body", "body": b"retry: 2000\n\n", "more_body": True})
            gone = asyncio.create_task(self._gone())
            try:
                await self._follow(send, gone)
            finally:
                gone.cancel()
                with suppress(asyncio.CancelledError):
                    await gone
        await send({"type": "http.response.body", "body": b""})

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _follow(self, send: Send, gone: "asyncio.Task[None]") -> None:
        unchanged = 0
        last = _TIMES.sub(b"", self._first)
        # The page may have been shown a moment earlier: the script sees whether it is the same.
        await send({"type": "http.response.body", "body": _event(self._first), "more_body": True})
        for tick in range(1, LONGEST_TICKS):
            done, _ = await asyncio.wait([gone], timeout=TICK_SECONDS)
            if done or self._leaving():
                return
            if tick % (QUIET_TICKS if unchanged >= QUIET_AFTER else BUSY_TICKS):
                continue
            try:
                now = await self._look()
            except WebhookdError:
                continue  # a part is away for a moment; what is shown stays
            unchanged += 1
            data = b": the same\n\n"
            if now is None:
                data = _OVER
            elif (seen := _TIMES.sub(b"", now)) != last:
                last, unchanged = seen, 0
                data = _event(now)
            await send({"type": "http.response.body", "body": data, "more_body": True})
            if now is None:
                return


def _event(part: bytes) -> bytes:
    lines = part.replace(b"\r", b"").split(b"\n")
    return b"event: live\n" + b"".join(b"data: %b\n" % line for line in lines) + b"\n"


def is_wanted(accept: bytes) -> bool:
    """Whether a request is for the live part."""
    return accept.strip() == b"text/event-stream"


SESSION_OVER: Final = Answer(status=200, body=_OVER, content_type=_MEDIA)
"""Tells a page whose session ended before its stream began; the page is asked for again then."""
NOTHING_LIVE: Final = Answer(status=204)
"""Tells a browser not to come back."""
