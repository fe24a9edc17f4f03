"""One connection, and reading one response from it within limits.

The parser is llhttp's, strict but for bare LF and blanks after a chunk size; the limits are ours and
count raw bytes: 64 KiB up to the end of the final head, interim (1xx) responses included, and 256 KiB
after it. What is decided here:

- once the final head is in, the attempt has its answer: whatever breaks later only ends the body;
- a byte more than the response poisons the connection, whether it comes in the same packet, before
  the connection is given back, while it lies idle, or is found waiting when it is taken up again. It
  must never be read as the answer to the next request (RFC 9112 section 11.2, response splitting);
- a connection is dropped, never closed politely: a TLS peer that does not answer close_notify would
  hold it for half a minute.
"""

import asyncio
import select
from typing import Final

import httpx
from aiohttp.client_proto import ResponseHandler
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from webhookd.adapters.sender.guard import dialling
from webhookd.adapters.sender.stopwatch import Stopwatch

MAX_HEAD_BYTES: Final = 65_536
MAX_BODY_BYTES: Final = 262_144


class Wire(ResponseHandler):
    """A connection as aiohttp's connector makes and pools it.

    While the connector tunnels through a proxy (CONNECT) it is aiohttp's own protocol; from `ask` to
    `settle` it belongs to one `Exchange`; in between any byte is one too many.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, idle: set["Wire"], idle_limit: int) -> None:
        super().__init__(loop)
        _, self._stopwatch = dialling.get()
        self._stopwatch.wire()
        self._idle = idle
        self._idle_limit = idle_limit
        self._exchange: Exchange | None = None
        self._unasked = select.poll()
        self.used = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._stopwatch.secure()
        self._unasked.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def is_quiet(self) -> bool:
        """Tell whether the idle connection is open and has nothing to read, not even an end of file.

        Asked of the socket itself: what arrived since the event loop last looked counts, so a
        connection the receiver has just closed is not mistaken for a usable one.
        """
        return self.is_connected() and not self._unasked.poll(0)

    def ask(self, request: bytes, stopwatch: Stopwatch) -> "Exchange":
        """Write a whole request and return the exchange its response will be read into.

        Raises:
            httpx.RemoteProtocolError: the connection is gone already.
        """
        if self.transport is None or self.transport.is_closing():
            raise httpx.RemoteProtocolError("the connection was closed before the request")
        self.used = True
        self._idle.discard(self)
        self._exchange = Exchange(self, stopwatch)
        self.transport.write(request)
        stopwatch.ask()
        return self._exchange

    def settle(self) -> bool:
        """End the exchange and tell whether the connection may carry another."""
        exchange, self._exchange = self._exchange, None
        if exchange is None or not exchange.clean or not self.is_connected():
            return False
        # The answer came before our request was through: nobody knows where the next one would start.
        if self.transport is None or self.transport.get_write_buffer_size():
            return False
        # Idle connections are not among those the connector counts, so they need a limit of their own.
        if len(self._idle) >= self._idle_limit:
            return False
        self._idle.add(self)
        return True

    def data_received(self, data: bytes) -> None:
        if self._exchange is not None:
            self._exchange.feed(data)
        elif self._parser is not None:
            super().data_received(data)
        else:
            self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._idle.discard(self)
        if self._exchange is not None:
            self._exchange.lose()
        super().connection_lost(exc)

    def close(self) -> None:
        self.abort()


class Exchange:
    """One request's response as it comes in; the methods named `on_…` are the parser's callbacks."""

    __slots__ = (
        "_body_left",
        "_chunks",
        "_head_left",
        "_over",
        "_parser",
        "_stopwatch",
        "_waiter",
        "_wire",
        "clean",
        "head",
        "headers",
        "status",
    )

    def __init__(self, wire: Wire, stopwatch: Stopwatch) -> None:
        self._wire = wire
        self._stopwatch = stopwatch
        self._parser = HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(
            lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._head_left = MAX_HEAD_BYTES
        self._body_left = MAX_BODY_BYTES
        self._chunks: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._over = False
        self.head: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when `status` and `headers` are those of the final response; fails with an httpx error."""
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.clean = False
        """The response was read to its end, the connection stays open, and nothing came after it."""

    async def next_chunk(self) -> bytes:
        """Return some more of the raw body, empty at its end, however it ended."""
        while not self._chunks and not self._over:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        body = b"".join(self._chunks)
        self._chunks.clear()
        return body

    def feed(self, data: bytes) -> None:
        """Take what came from the socket."""
        if not self._stopwatch.first_byte_ns:
            self._stopwatch.first_byte()
        if self._over:
            self._break_off()
            return
        headed = self.head.done()
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._break_off()
            return
        if headed:
            self._body_left -= len(data)
            if self._body_left < 0:
                self._break_off()
        elif not self.head.done():
            self._head_left -= len(data)
            if self._head_left < 0:
                self._break_off()

    def lose(self) -> None:
        """The connection is gone."""
        self.clean = False
        self._over = True
        if not self.head.done():
            self.head.set_exception(httpx.RemoteProtocolError("no whole response head"))
        self._wake()

    def _break_off(self) -> None:
        self.lose()
        self._wire.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def on_message_begin(self) -> None:
        if self.head.done():
            raise HttpParserError("surplus")
        self.headers.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.head.done():  # else it is a trailer
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200 or status == 101:
            size = sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > MAX_HEAD_BYTES or not self._parser.get_http_version().startswith("1."):
                raise HttpParserError("not an HTTP/1 head within limits")
            self.status = status
            self.head.set_result(None)

    def on_body(self, data: bytes) -> None:
        self._chunks.append(data)
        self._wake()

    def on_message_complete(self) -> None:
        if self.head.done():
            self.clean = self._parser.should_keep_alive()
            self._over = True
            self._wake()
