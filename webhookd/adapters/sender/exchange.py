"""Reading one response within limits.

The parser is llhttp's, strict but for bare LF and blanks after a chunk size. A head that it refuses is
put straight, where that is safe, and read once more (see `head`). The limits are ours and
count raw bytes: 64 KiB up to the end of the final head, interim (1xx) responses included, and 256 KiB
after it. Once the final head is in, the attempt has its answer: whatever breaks later only ends the
body. A byte more than the response is never read as the answer to the next request (response
splitting, RFC 9112 section 11.2): it breaks the connection off.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from webhookd.adapters.sender.head import Header, LenientHead, OddHead, is_http, said
from webhookd.adapters.sender.stopwatch import Stopwatch
from webhookd.core.reply import ErrorCode

MAX_HEAD_BYTES: Final = 65_536
MAX_BODY_BYTES: Final = 262_144


class Exchange:
    """One request's response as it comes in; the methods named `on_…` are the parser's callbacks.

    `head` is done when `status` and `headers` are those of the final response, or when there will be
    none, which leaves `status` at 0 and says why in `fault`. `clean` says the response was read to its
    end, its head was not odd, the receiver keeps the connection open, and nothing came after it.
    """

    __slots__ = (
        "_abort",
        "_body_bytes",
        "_chunks",
        "_head_bytes",
        "_header_bytes",
        "_lenient",
        "_parser",
        "_raw_head",
        "_stopwatch",
        "_waiter",
        "clean",
        "fault",
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
        self._parser: HttpResponseParser | None = _strict_parser(self)
        self._lenient: LenientHead | None = None
        self._raw_head: list[bytes] = []
        self._head_bytes = self._header_bytes = self._body_bytes = 0
        self._chunks: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self.head: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.status = 0
        self.headers: list[Header] = []
        self.clean = False
        self.fault: ErrorCode = "protocol"

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
        if not headed:
            self._raw_head.append(data)
        if not self._parsed(self._parser, data):
            self._break_off()
            return
        if headed:
            self._body_bytes += len(data)
        elif not self.head.done():
            self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self.fault = "header_too_large"
            self._break_off()
        elif self._body_bytes > MAX_BODY_BYTES:
            self._break_off()

    def _parsed(self, parser: HttpResponseParser, data: bytes) -> bool:
        try:
            if self._lenient is None or self.head.done():
                parser.feed_data(data)
            else:
                self._put_straight(self._lenient, data)
        except HttpParserUpgrade:
            return False
        except HttpParserError:
            return not self.head.done() and self._read_leniently()
        return True

    def heard(self) -> tuple[int | None, list[Header]]:
        """Return the status and the headers of a head that did not hold, as far as they came."""
        return said(b"".join(self._raw_head))

    def lose(self, why: BaseException | None = None) -> None:
        """The connection is gone; `why` is None where it was closed in order."""
        self.clean = False
        self._parser = None
        if not self.head.done():
            self.fault = self._lost(why)
            self.head.set_result(None)
        self._wake()

    def _lost(self, why: BaseException | None) -> ErrorCode:
        if self.fault != "protocol":  # it was broken off on our side
            return self.fault
        raw = b"".join(self._raw_head)
        if not is_http(raw):
            return "not_http"
        if isinstance(why, ssl.SSLError):
            return "tls_other"
        if why is not None:
            return "reset"
        return "protocol" if raw else "closed"

    def _read_leniently(self) -> bool:
        """Go on with a head that the strict parser refused. False where that cannot be."""
        raw = b"".join(self._raw_head)
        if self._lenient is not None or self.fault != "protocol" or not is_http(raw):
            return False
        self._lenient = LenientHead()
        try:
            self._put_straight(self._lenient, raw)
        except (HttpParserError, HttpParserUpgrade):
            return False
        return True

    def _put_straight(self, lenient: LenientHead, data: bytes) -> None:
        """Feed the odd head; once it is whole, the strict parser reads it as it should have been."""
        try:
            whole = lenient.feed(data)
        except OddHead:
            raise HttpParserError("no head that holds") from None
        if whole is not None:
            head, rest = whole
            self._parser = _strict_parser(self)
            self._parser.feed_data(head)
            if rest and self._parser is not None:
                self._parser.feed_data(rest)

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
        if self._header_bytes > MAX_HEAD_BYTES:
            self.fault = "header_too_large"
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
            self.clean = self._lenient is None and self._parser.should_keep_alive()
            self._parser = None
            self._wake()


def _strict_parser(exchange: Exchange) -> HttpResponseParser:
    parser = HttpResponseParser(exchange)
    parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True)
    return parser
