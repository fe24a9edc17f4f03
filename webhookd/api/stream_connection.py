"""A WebSocket's bytes, below ASGI: the bounds that uvicorn leaves open.

Frames that never reach the application are limited here, and what a handshake is refused with is a problem
like any other.
"""

from http import HTTPStatus
from typing import Any, Final

import structlog
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.frames import DATA_OPCODES, Frame
from websockets.http11 import Response
from websockets.server import ServerProtocol
from websockets.typing import LoggerLike

from webhookd.api.problems import HeadTooLarge, MalformedRequest, problem_before_the_edge
from webhookd.api.websocket import KEY_FIRST, MOST_KEY_MESSAGE, RESTARTING, STOPPING, UNAUTHENTICATED
from webhookd.core.errors import ServiceError, Unavailable, WebhookdError

_log = structlog.get_logger(__name__)

MOST_FRAGMENTS: Final = 1_024
"""Frames of one WebSocket message; their bytes are limited by `ws_max_size`, but empty ones have none."""
MESSAGE_TOO_BIG: Final = 1009


class StreamProtocol(ServerProtocol):
    """The protocol's own state, with our words where it refuses.

    While a key is to come the first message has a bound of its own, held where a frame's length is read.
    """

    def __init__(self, *, max_size: int | None, logger: LoggerLike) -> None:
        super().__init__(max_size=max_size, logger=logger)
        self._max_size = max_size
        self.key_to_come = False

    def await_key(self) -> None:
        """Take one short message, and only then longer ones."""
        self.key_to_come = True
        self.max_message_size = MOST_KEY_MESSAGE

    def recv_frame(self, frame: Frame) -> None:
        """Take in a frame; behind the whole first message others may have come already."""
        super().recv_frame(frame)
        if frame.fin and frame.opcode in DATA_OPCODES:
            self.max_message_size = self._max_size

    def fail(self, code: int, reason: str = "") -> None:
        """Close; what is too long to be a key is none."""
        if self.key_to_come and code == MESSAGE_TOO_BIG:
            code, reason = UNAUTHENTICATED, KEY_FIRST
        super().fail(code, reason)

    def reject(self, status: HTTPStatus | int, text: str) -> Response:
        """Return a problem in place of `text`."""
        answer = problem_before_the_edge(_refusal(int(status), text))
        headers = Headers(
            [
                *answer.headers.items(),
                ("Content-Type", answer.content_type),
                ("Content-Length", str(len(answer.body))),
                ("Connection", "close"),
            ]
        )
        return Response(answer.status, HTTPStatus(answer.status).phrase, headers, answer.body)


def _refusal(status: int, text: str) -> WebhookdError:
    if status in (HTTPStatus.REQUEST_URI_TOO_LONG, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE):
        return HeadTooLarge("A line of the handshake is too long, or there are too many.")
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return Unavailable(text)
    if status >= 500:
        return ServiceError("Something went wrong on our side.")
    return MalformedRequest(text.strip() or "This is no WebSocket handshake.")


class StreamConnection(WebSocketsSansIOProtocol):
    """WebSocket frames from a client that does not read what it makes us write, or never ends a message.

    Frames begin where the answer to the handshake ends: what comes before it waits, and is dropped where the
    answer is a refusal.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.conn: StreamProtocol = StreamProtocol(max_size=self.config.ws_max_size, logger=self.conn.logger)
        self._unread = False
        self._early = b""

    def data_received(self, data: bytes) -> None:
        """Take in the handshake or frames; from between the two, no more than one read."""
        if self.handshake_initiated and not self.handshake_complete:
            self._early += data
            self.transport.pause_reading()
            return
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self._refuse_handshake()

    def _refuse_handshake(self) -> None:
        """Answer a head that is HTTP, and that the WebSocket's own parser does not take."""
        self.handshake_initiated = self.handshake_complete = self.close_sent = True
        answer = b"".join(self.conn.data_to_send()) or self.conn.reject(400, "").serialize()
        self.transport.write(answer)
        self.transport.close()

    async def send(self, message: Any) -> None:
        """Write; once that was the answer to the handshake, hear what has been sent meanwhile.

        The first word after it says that the key is good, or that it is not.
        """
        if message["type"] == "websocket.accept" and not any(
            name == b"authorization" for name, _ in self.scope["headers"]
        ):
            self.conn.await_key()
        elif self.conn.key_to_come and self.handshake_complete:
            self.conn.key_to_come = False
            self.transport.resume_reading()
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
        """Hand a message to the application, which lets the next come in: unless the client is not to.

        Behind what may be a key nothing is heard until that is decided.
        """
        message = await super().receive()
        if (
            self._unread or (self.conn.key_to_come and message["type"] == "websocket.receive")
        ) and not self.transport.is_closing():
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
        try:
            self._say_goodbye()
        except Exception:  # noqa: BLE001 - one connection does not keep the others from their end
            _log.exception("connection_not_shut_down")
            self.transport.abort()

    def _say_goodbye(self) -> None:
        if self.close_sent or self.transport.is_closing():
            super().shutdown()
            return
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": RESTARTING})
        if self.handshake_complete:
            self.conn.send_close(RESTARTING, STOPPING)
            self.transport.write(b"".join(self.conn.data_to_send()))
        else:
            self.transport.write(self.conn.reject(503, "This server stops; connect again.").serialize())
            self.handshake_complete = True
        self.close_sent = True
        self.transport.close()
