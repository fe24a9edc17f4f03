"""One connection, as aiohttp's connector makes and pools it.

Between two exchanges a connection must be silent: a byte that comes unasked poisons it, whether it
comes while it lies idle or is found waiting in the socket when it is taken up again. (What comes after
the next request was written cannot be told from its answer; a receiver can do that only to itself.)

A connection is dropped, never closed politely: a TLS peer that does not answer close_notify would hold
it for half a minute.
"""

import asyncio
import select

from aiohttp.client_proto import ResponseHandler

from webhookd.adapters.sender.exchange import Exchange
from webhookd.adapters.sender.faults import AnswerFailed
from webhookd.adapters.sender.guard import dialling
from webhookd.adapters.sender.stopwatch import Stopwatch
from webhookd.core.reply import ErrorCode


class Wire(ResponseHandler):
    """A connection.

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
        self._fault: ErrorCode = "closed"
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

    def ask(self, request: bytes, stopwatch: Stopwatch) -> Exchange:
        """Write a whole request and return the exchange its response will be read into.

        Raises:
            AnswerFailed: the connection is gone already.
        """
        if self.transport is None or self.transport.is_closing():
            raise AnswerFailed(self._fault)
        self.used = True
        self._idle.discard(self)
        self._exchange = Exchange(self.abort, stopwatch)
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
            self._fault = "protocol"  # it spoke unasked
            self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._idle.discard(self)
        if exc is not None:
            self._fault = "reset"
        if self._exchange is not None:
            self._exchange.lose(exc)
        super().connection_lost(exc)

    def close(self) -> None:
        self.abort()
