"""Reading one response within limits.

The parser is llhttp's, strict but for bare LF and blanks after a chunk size. The limits are ours and
count raw bytes: 64 KiB up to the end of the final head, interim (1xx) responses included, and 256 KiB
after it. Once the final head is in, the attempt has its answer: whatever breaks later only ends the
body. A byte more than the response is never read as the answer to the next request (response
splitting, RFC 9112 section 11.2): it breaks the connection off.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from webhookd.adapters.sender.stopwatch import Stopwatch

MAX_HEAD_BYTES: Final = 65_536
MAX_BODY_BYTES: Final = 262_144


class Exchange:
    """One request's response as it comes in; the methods named `on_…` are the parser's callbacks.

    `head` is done when `status` and `headers` are those of the final response, or when there will be
    none, which leaves `status` at 0. `clean` says the response was read to its end, the receiver keeps the
    connection open, and nothing came after it.
    """

    __slots__ = (
        "_abort",
        "_body_bytes",
        "_chunks",
        "_head_bytes",
        "_header_bytes",
        "_parser",
        "_stopwatch",
        "_waiter",
        "clean",
        "head",
        "headers",
        "status",
    )

    def __init__(self, abort: Callable[[], None], stopwatch: Stopwatch) -> None:
        """`abort` drops the connection; it must not call back before it returns."""
        self._abort = abort
        self._stopwatch = stopwatch
        # None once the response is over; that also undoes the reference cycle with its callbacks,
        # which would otherwise be the garbage collector's, once a request.
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(
            lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._head_bytes = self._header_bytes = self._body_bytes = 0
        self._chunks: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self.head: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.clean = False

    @property
    def over(self) -> bool:
        """No more of the body will come, be it complete or broken off."""
        return self._parser is None

    async def next_chunk(self) -> bytes:
        """Return some more of the raw body, empty at its end, however it ended."""
        while not self._chunks and not self.over:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self.take()

    def take(self) -> bytes:
        """Return what is here of the raw body and not taken yet."""
        body = b"".join(self._chunks)
        self._chunks.clear()
        return body

    def feed(self, data: bytes) -> None:
        """Take what came from the socket."""
        if not self._stopwatch.first_byte_ns:
            self._stopwatch.first_byte()
        if self._parser is None:  # the response was over
            self._break_off()
            return
        headed = self.head.done()
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._break_off()
            return
        if headed:
            self._body_bytes += len(data)
        elif not self.head.done():
            self._head_bytes += len(data)
        if self._body_bytes > MAX_BODY_BYTES or self._head_bytes > MAX_HEAD_BYTES:
            self._break_off()

    def lose(self) -> None:
        """The connection is gone."""
        self.clean = False
        self._parser = None
        if not self.head.done():
            self.head.set_result(None)
        self._wake()

    def _break_off(self) -> None:
        self.lose()
        self._abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def on_message_begin(self) -> None:
        if self.head.done():
            raise HttpParserError("a second response")
        self.headers.clear()
        self._header_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.head.done():  # else it is a trailer
            self.headers.append((name, value))
            self._header_bytes += len(name) + len(value)

    def on_headers_complete(self) -> None:
        assert self._parser is not None  # noqa: S101  # it is calling
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            return  # interim: the final response follows
        version = self._parser.get_http_version()
        if status < 100 or self._header_bytes > MAX_HEAD_BYTES or not version.startswith("1."):
            raise HttpParserError("not the head of an HTTP/1 response within limits")
        self.status = status
        self.head.set_result(None)

    def on_body(self, data: bytes) -> None:
        self._chunks.append(data)
        self._wake()

    def on_message_complete(self) -> None:
        assert self._parser is not None  # noqa: S101  # it is calling
        if self.head.done():
            self.clean = self._parser.should_keep_alive()
            self._parser = None
            self._wake()
