"""Connections below ASGI: the bounds that uvicorn leaves open.

A client may take its time with the body (`body`) and with reading (`asgi`, TCP_USER_TIMEOUT), each within
limits of its own; here are those of the head, of requests sent ahead, and of WebSocket frames that never
reach the application. What is no HTTP at all is answered as every other mistake is: with a problem.
"""

import re
from asyncio import Event, TimerHandle, Transport
from functools import partial
from typing import Any, Final
from urllib.parse import unquote

import structlog
from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
    parse_url,
)
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from webhookd.api.answering import Answering
from webhookd.api.crowd import Crowd
from webhookd.api.handshake import asks_for_websocket, handshake_fault, list_members
from webhookd.api.problems import (
    HeadTooLarge,
    MalformedRequest,
    RequestTimeout,
    UnknownTransferCoding,
    WrongMethod,
    problem_before_the_edge,
)
from webhookd.core.errors import WebhookdError

_log = structlog.get_logger(__name__)

HEAD_SECONDS: Final = 15.0
"""From the connection, or the first byte of a further request, to the end of the head."""
UNREAD_SECONDS: Final = 60.0
"""From the moment a client falls behind to when it has read all but the last of what was written."""
MOST_HEAD_BYTES: Final = 65_536
MOST_SENT_AHEAD: Final = 64
"""Requests of one connection that wait for the answer to the one before (pipelining)."""
LINGER_SECONDS: Final = 5.0
LINGER_BYTES: Final = 16_777_216
"""How long, and how much, is still taken in and thrown away after the last word on a connection: closed at
once it would be reset by the bytes on their way, and the reset overtakes the answer."""
_METHODS: Final = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
"""What one path or another answers to."""
_REQUEST_LINE: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [!-~]+ HTTP/1\.[01]\r?\n")
"""RFC 9112 section 3. The parser knows some methods only, and stops at every other."""


class HttpConnection(HttpToolsProtocol):
    """HTTP/1.1 with a deadline and a size for the head, and a bound on requests sent ahead.

    The parser stops at the end of any head that names an upgrade and takes what follows for another
    protocol's. Only a WebSocket's handshake is one. For every other such request a fresh parser goes on from
    there: it is told the same head without `Upgrade`, and so finds the body, and the next request, where
    they are.
    """

    def __init__(self, *args: Any, crowd: Crowd, **options: Any) -> None:
        super().__init__(*args, **options)
        self._crowd = crowd
        self._unread_timer: TimerHandle | None = None
        self._head_timer: TimerHandle | None = None
        self._in_head = False
        self._head_bytes = 0
        self._upgraded = False
        self._hears_nothing = False
        self._refusal: WebhookdError | None = None
        self._last_word: WebhookdError | None = None
        self._running: Answering | None = None
        self._deaf = False
        self._linger_timer: TimerHandle | None = None
        self._thrown_away = 0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """A head is to come."""
        super().connection_made(transport)
        self._await_head()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is to come."""
        self._head_came()
        self._crowd.works(self)
        self._all_is_read()
        if self._linger_timer is not None:
            self._linger_timer.cancel()
        if self._running is not None:  # uvicorn tells the newest only
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def give_up(self) -> None:
        """Make room for somebody else: nothing is asked here."""
        self._crowd.works(self)
        self.transport.close()

    def pause_writing(self) -> None:
        """The client leaves an answer unread: not for long."""
        super().pause_writing()
        if self._unread_timer is None:
            self._unread_timer = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads."""
        super().resume_writing()
        self._all_is_read()

    def _all_is_read(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _wait(self) -> None:
        peer = None if self.client is None else self.client[0]
        self._crowd.waits(self, peer, open_now=len(self.connections))

    def data_received(self, data: bytes) -> None:
        """Take in bytes; if they leave us waiting for a head, then not for long."""
        if self._deaf:
            self._throw_away(data)
            return
        was_in_head = self._in_head
        self._unset_keepalive_if_required()
        self._parse(data)
        if self._upgraded or self.transport.is_closing() or self._is_over():
            return
        if was_in_head and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self._refuse(HeadTooLarge(f"The head is larger than {MOST_HEAD_BYTES:,} bytes."))
                return
        if self._is_idle() and self.timeout_keep_alive_task is None:
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
                    self._refuse(_no_method())
                    return
                self._go_on_as_http()
        except HttpParserInvalidMethodError:
            self._refuse(_no_method() if self._is_idle() and _REQUEST_LINE.match(rest) else _no_http())
        except HttpParserError:
            self.send_400_response("")

    def _opens_websocket(self) -> bool:
        """Whether to switch. Not while an earlier request's answer is to come: it would be read as frames."""
        return self._is_idle() and not handshake_fault(
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
        method, version = self.parser.get_method().decode(), self.parser.get_http_version()
        self._refusal = self._fault_of_head(version)
        if self._refusal is not None:
            raise HttpParserCallbackError
        self.scope["method"] = method
        self.scope["http_version"] = version
        if self.parser.should_upgrade():
            return
        self._in_head = self._hears_nothing = False
        self._head_came()
        url = parse_url(self.url)
        self.scope["path"] = unquote(url.path.decode("ascii"))
        self.scope["raw_path"] = url.path
        self.scope["query_string"] = url.query or b""
        self._ask()

    def _fault_of_head(self, version: str) -> WebhookdError | None:
        if version not in ("1.0", "1.1"):
            return _no_http()
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and version == "1.1"):
            return MalformedRequest("A request names its host in one Host header.")  # RFC 9112 section 3.2
        if any(name == b"transfer-encoding" for name, _ in self.headers):
            codings = list_members(self.headers, b"transfer-encoding")
            if codings != [b"chunked"] or version == "1.0":
                return _fault_of_codings(codings)
        if len(self.pipeline) >= MOST_SENT_AHEAD:
            return MalformedRequest("Too many requests were sent ahead of their answers.")
        return None

    def _ask(self) -> None:
        """Let the application answer, after those who asked before."""
        self._crowd.works(self)
        is_idle = self._is_idle()
        cycle = Answering(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=self.scope["http_version"] == "1.1" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        cycle.on_response = partial(self._answered, cycle)
        self.cycle = cycle
        if is_idle:
            self._running = cycle
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def _is_over(self) -> bool:
        return self._deaf

    def _is_idle(self) -> bool:
        cycle: Answering | None = self.cycle  # type: ignore[assignment] # uvicorn has None before the first one
        return cycle is None or cycle.response_complete

    def _answered(self, cycle: Answering) -> None:
        """One answer is written: the next one's turn, or the end."""
        self._running = self.pipeline[-1][0] if self.pipeline else None  # type: ignore[assignment] # always ours
        if self.transport.is_closing():
            return
        if cycle.closes and (cycle.more_body or self.pipeline or self._in_head):
            self._linger()
        elif cycle.closes:
            self.transport.close()
        elif self._last_word is not None and not self.pipeline:
            self._say(self._last_word)
        else:
            self.on_response_complete()
            if self._is_idle():
                self._wait()

    def on_message_complete(self) -> None:
        """The body is here."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """From here on the connection is another protocol's."""
        self._upgraded = True
        self._head_came()
        self._crowd.works(self)
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - ours says as much
        """Refuse what the parser, or we, could not make sense of."""
        self._refuse(self._refusal or _no_http())

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

    def shutdown(self) -> None:
        """The server stops: what was asked is answered, nothing more is heard."""
        try:
            if self._linger_timer is None:
                super().shutdown()
        except Exception:  # noqa: BLE001 - one connection does not keep the others from their end
            _log.exception("connection_not_shut_down")
            self.transport.abort()

    def _refuse(self, error: WebhookdError) -> None:
        """Hear nothing more; answer what was asked before, then this, and close."""
        self._deaf = True
        self._head_came()
        cycle: Answering | None = self.cycle  # type: ignore[assignment] # as in _is_idle
        if cycle is None or (cycle.response_complete and not cycle.more_body):
            self._say(error)
        elif cycle.response_complete:
            self.transport.close()  # the request with the broken body has had its answer
        elif not cycle.more_body:
            self._last_word = error
        elif self.pipeline:
            self.pipeline.popleft()  # it is the body of this last one that is broken
            self._last_word = error
        elif cycle.response_started:
            self.transport.close()
        else:
            self._say(error)
            cycle.disconnected = True
            cycle.message_event.set()

    def _say(self, error: WebhookdError) -> None:
        answer = problem_before_the_edge(error)
        headers = {
            "content-type": answer.content_type,
            **answer.headers,
            "content-length": str(len(answer.body)),
            "connection": "close",
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
        self.transport.write(STATUS_LINE[answer.status] + head.encode() + answer.body)
        self._linger()

    def _linger(self) -> None:
        """Say nothing more, take in what is on its way, and close (RFC 9112 section 9.6)."""
        self._deaf = True
        self._head_came()
        self.pipeline.clear()
        self.transport.write_eof()
        self.flow.resume_reading()
        self._linger_timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _throw_away(self, data: bytes) -> None:
        self._thrown_away += len(data)
        if self._linger_timer is not None and self._thrown_away > LINGER_BYTES:
            self.transport.close()


def _fault_of_codings(codings: list[bytes]) -> WebhookdError:
    """Return why a body in these codings is not read (RFC 9112 sections 6.1 and 6.3). HTTP/1.0 has none."""
    *others, last = codings or [b""]
    if others and last == b"chunked" and b"chunked" not in others:
        return UnknownTransferCoding("A body is sent in chunks or with its length, and in no other coding.")
    return MalformedRequest("Transfer-Encoding must be chunked, once, and HTTP/1.1.")


def _no_http() -> MalformedRequest:
    return MalformedRequest("This is not an HTTP/1.1 request.")


def _no_method() -> WrongMethod:
    return WrongMethod(_METHODS, "No path answers to this method.")
