"""Connections below ASGI: the bounds that uvicorn leaves open.

A client may take its time with the body (`body`) and with reading (`asgi`, TCP_USER_TIMEOUT), each within
limits of its own; here are those of the head, of requests sent ahead, and of WebSocket frames that never
reach the application. What is no HTTP at all is answered as every other mistake is: with a problem.
"""

from asyncio import TimerHandle, Transport
from typing import Any, Final

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from webhookd.adapters.entropy import new_trace
from webhookd.api.handshake import asks_for_websocket, handshake_fault
from webhookd.api.problems import HeadTooLarge, MalformedRequest, RequestTimeout, WrongMethod, problem_answer
from webhookd.api.websocket import RESTARTING, STOPPING
from webhookd.core.errors import WebhookdError

HEAD_SECONDS: Final = 15.0
"""From the connection, or the first byte of a further request, to the end of the head."""
MOST_HEAD_BYTES: Final = 65_536
MOST_SENT_AHEAD: Final = 64
"""Requests of one connection that wait for the answer to the one before (pipelining)."""
MOST_FRAGMENTS: Final = 1_024
"""Frames of one WebSocket message; their bytes are limited by `ws_max_size`, but empty ones have none."""
MESSAGE_TOO_BIG: Final = 1009


class HttpConnection(HttpToolsProtocol):
    """HTTP/1.1 with a deadline and a size for the head, and a bound on requests sent ahead.

    The parser stops at the end of any head that names an upgrade and takes what follows for another
    protocol's. Only a WebSocket's handshake is one. For every other such request a fresh parser goes on from
    there: it is told the same head without `Upgrade`, and so finds the body, and the next request, where
    they are.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head_timer: TimerHandle | None = None
        self._in_head = False
        self._head_bytes = 0
        self._upgraded = False
        self._hears_nothing = False
        self._refusal: WebhookdError | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """A head is to come."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is to come."""
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in bytes; if they leave us waiting for a head, then not for long."""
        was_in_head = self._in_head
        self._unset_keepalive_if_required()
        self._parse(data)
        if self._upgraded or self.transport.is_closing():
            return
        if was_in_head and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self._refuse(HeadTooLarge(f"The head is larger than {MOST_HEAD_BYTES:,} bytes."))
                return
        cycle: RequestResponseCycle | None = self.cycle
        idle = cycle is None or cycle.response_complete
        if idle and self.timeout_keep_alive_task is None:
            self._await_head()

    def _parse(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while True:
                try:
                    self.parser.feed_data(rest)
                except HttpParserUpgrade as upgrade:
                    rest = rest[upgrade.args[0] :]
                else:
                    return
                if self._opens_websocket():
                    self.handle_websocket_upgrade()
                    if rest:
                        self.transport.get_protocol().data_received(bytes(rest))  # type: ignore[attr-defined]
                    return
                if self.parser.get_method() == b"CONNECT":
                    self._refuse(WrongMethod("GET, POST, PATCH and DELETE"))
                    return
                self._go_on_as_http()
        except HttpParserError:
            self.send_400_response("")

    def _opens_websocket(self) -> bool:
        """Whether to switch. Not while an earlier request's answer is to come: it would be read as frames."""
        cycle: RequestResponseCycle | None = self.cycle
        return (cycle is None or cycle.response_complete) and not handshake_fault(
            method=self.parser.get_method().decode(),
            http_version=self.parser.get_http_version(),
            headers=self.headers,
        )

    def _go_on_as_http(self) -> None:
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s\r\n" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
        self._hears_nothing = True  # until the head is complete: the rest of it has been heard already
        self.parser.feed_data(b"".join(lines) + b"\r\n")
        if asks_for_websocket(self.headers):
            self.cycle.keep_alive = False  # what comes behind may well be frames

    def on_message_begin(self) -> None:
        """The parser has met the first byte of a request."""
        if self._hears_nothing:
            return
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Some more of the request's target."""
        if not self._hears_nothing:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; trailers, which come after the body, are none (RFC 9110 section 6.5.1)."""
        if self._in_head and not self._hears_nothing:
            super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        """The head is here, unless the parser takes it for the last of HTTP: `_parse` decides that."""
        if self.parser.should_upgrade():
            return
        self._in_head = self._hears_nothing = False
        self._head_came()
        super().on_headers_complete()
        if len(self.pipeline) > MOST_SENT_AHEAD:
            self._refusal = MalformedRequest("Too many requests were sent ahead of their answers.")
            raise HttpParserCallbackError

    def on_message_complete(self) -> None:
        """The body is here."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """From here on the connection is another protocol's."""
        self._upgraded = True
        self._head_came()
        self.scope["method"] = "GET"
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - ours says as much
        """Refuse what the parser could not make sense of."""
        self._refuse(self._refusal or MalformedRequest("This is not an HTTP/1.1 request."))

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def _head_came(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._in_head:
            self._refuse(RequestTimeout(f"The head did not arrive within {HEAD_SECONDS:g} seconds."))
        else:  # nobody has asked anything: there is nothing to answer
            self.transport.close()

    def _refuse(self, error: WebhookdError) -> None:
        """Answer and close. Whatever else was asked on this connection is not answered any more."""
        answer = problem_answer(error, trace_id=new_trace().trace_id)
        headers = {
            "content-type": answer.content_type,
            **answer.headers,
            "content-length": str(len(answer.body)),
            "connection": "close",
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
        self.transport.write(STATUS_LINE[answer.status] + head.encode() + answer.body)
        self.transport.close()


class StreamConnection(WebSocketsSansIOProtocol):
    """WebSocket frames from a client that does not read what it makes us write, or never ends a message.

    Frames begin where the answer to the handshake ends: what comes before it waits, and is dropped where the
    answer is a refusal.
    """

    _unread = False
    _early = b""

    def data_received(self, data: bytes) -> None:
        """Take in the handshake or frames; from between the two, no more than one read."""
        if self.handshake_initiated and not self.handshake_complete:
            self._early += data
            self.transport.pause_reading()
        else:
            super().data_received(data)

    async def send(self, message: Any) -> None:
        """Write; once that was the answer to the handshake, hear what has been sent meanwhile."""
        await super().send(message)
        if self._early and self.handshake_complete and not self.transport.is_closing():
            early, self._early = self._early, b""
            self.transport.resume_reading()
            super().data_received(early)

    def pause_writing(self) -> None:
        """The client does not read: let it say nothing more, or the answers to its pings would pile up."""
        super().pause_writing()
        self._unread = True
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        self._unread = False
        if not self.read_paused:
            self.transport.resume_reading()

    async def receive(self) -> Any:
        """Hand a message to the application, which lets the next come in: unless the client is not to."""
        message = await super().receive()
        if self._unread and not self.transport.is_closing():
            self.transport.pause_reading()
        return message

    def handle_cont(self, event: Any) -> None:
        """Take one more fragment."""
        if len(self.frames) >= MOST_FRAGMENTS:
            reason = "too many fragments"
            self.queue.put_nowait({"type": "websocket.disconnect", "code": MESSAGE_TOO_BIG, "reason": reason})
            self.conn.fail(MESSAGE_TOO_BIG, reason)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.transport.close()
            return
        super().handle_cont(event)

    def shutdown(self) -> None:
        """The server stops. Those who were let in have been told; this is for who is not yet."""
        if self.handshake_complete and not self.close_sent and not self.transport.is_closing():
            self.stop_keepalive()
            self.queue.put_nowait({"type": "websocket.disconnect", "code": RESTARTING})
            self.conn.send_close(RESTARTING, STOPPING)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.transport.close()
            return
        super().shutdown()
