"""The API's own routes, called from within the process for somebody who was let in already.

What comes after the key is the same as from outside, because it is the same code: scope, rate, query,
`Idempotency-Key`, body, handler, audit. Only bytes on a wire are left out. A refusal is raised, not rendered.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode

import orjson
from starlette.routing import BaseRoute, Router
from starlette.types import Message, Receive, Scope, Send

from webhookd.api.caller import Caller
from webhookd.api.edge import SCOPE_KEY, RequestContext
from webhookd.core.errors import NotFound
from webhookd.core.trace import TraceContext

_VERSION: Final = {"version": "3.0", "spec_version": "2.3"}
_OF_THE_CLIENT: Final = (b"x-forwarded-for", b"forwarded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks: the caller, its connection's address and headers, its place in its trace."""

    caller: Caller
    client: tuple[str, int] | None
    headers: Mapping[bytes, bytes]
    trace: TraceContext


@dataclass(slots=True)
class Said:
    """What a route answered; `body` is empty where it answered with none."""

    status: int = 0
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def document(self) -> Any:
        """The body as JSON; None where there is none."""
        return orjson.loads(self.body) if self.body else None


class Inside:
    """The API from within."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._router = Router(routes, redirect_slashes=False, default=_nothing_here)

    async def ask(
        self,
        method: str,
        path: str,
        asker: Asker,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        stream: AsyncIterator[bytes] | None = None,
    ) -> Said:
        """Call a route and return what it says. Raises what it refuses with, as an error of ours.

        The body is `body` as JSON, or the bytes of `stream` as they come.
        """
        raw = b"" if body is None else orjson.dumps(body)
        sent = {name.lower().encode(): value.encode() for name, value in (headers or {}).items()}
        if raw:
            sent |= {b"content-type": b"application/json", b"content-length": b"%d" % len(raw)}
        forwarded = {name: asker.headers[name] for name in _OF_THE_CLIENT if name in asker.headers}
        context = RequestContext(
            trace=asker.trace, caller_span_id="", headers={**forwarded, **sent}, caller=asker.caller
        )
        scope: Scope = {
            "type": "http",
            "asgi": _VERSION,
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": quote(path).encode(),
            "root_path": "",
            "query_string": urlencode(query or {}).encode(),
            "headers": [*context.headers.items()],
            "client": asker.client,
            "server": None,
            SCOPE_KEY: context,
        }
        said = Said()
        parts = _messages(raw, stream)

        async def receive() -> Message:
            if (message := await anext(parts, None)) is not None:
                return message
            await asyncio.Event().wait()  # whoever asks from within does not go away
            raise AssertionError

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                said.status = message["status"]
                said.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
            else:
                said.body += message.get("body", b"")

        await self._router(scope, receive, send)
        return said


async def _messages(raw: bytes, stream: AsyncIterator[bytes] | None) -> AsyncIterator[Message]:
    if stream is not None:
        async for part in stream:
            yield {"type": "http.request", "body": part, "more_body": True}
    yield {"type": "http.request", "body": raw, "more_body": False}


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's shape
    raise NotFound("There is nothing at this path.")
