"""How an answer is written on its connection, and whether the connection can be used after it."""

from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

SMALL_BODY_BYTES: Final = 65_536
"""A body that was not waited for and is no larger is read past, and the connection kept."""


class Answering(RequestResponseCycle):
    """One request and its answer. `closes`: no other request is answered on this connection.

    It closes where a client may or may not send its body: it was refused before it was told to go on
    (RFC 9110 section 10.1.1), or its body is large and not here yet. An answer of unknown length to HTTP/1.0,
    which has no chunks, ends with the connection.
    """

    closes = False
    _ends_with_the_connection = False

    async def send(self, message: Any) -> None:
        """Write the head or a part of the body; return once the socket has taken all but the last of it."""
        if not self.response_started:
            if self.waiting_for_100_continue or (self.more_body and not self._rest_is_small()):
                self.keep_alive = False
            if self.scope["http_version"] == "1.0" and not _has_length(message):
                self._ends_with_the_connection = True
                self.chunked_encoding = False
        elif self._ends_with_the_connection:
            self.expected_content_length = len(message.get("body", b""))
        if self.response_started and not message.get("more_body", False):
            # uvicorn would close at once; `HttpConnection` does it with a pause for what is on its way.
            self.closes, self.keep_alive = not self.keep_alive, True
        await super().send(message)
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()

    def _rest_is_small(self) -> bool:
        for name, value in self.scope["headers"]:
            if name == b"content-length":
                return int(value) <= SMALL_BODY_BYTES
        return False


def _has_length(message: Any) -> bool:
    return any(name.lower() == b"content-length" for name, _ in message.get("headers", ()))
