"""`WS /v1/stream`: any number of tasks, or all of a partner's, over one connection.

Each message is a JSON object with one name; docs list them. Who has what to say is `flows.watch`'s business.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from webhookd.adapters.entropy import new_span_id
from webhookd.api.answers import Answer
from webhookd.api.auth import Authenticator
from webhookd.api.caller import Caller
from webhookd.api.client_address import client_address
from webhookd.api.conversation import Conversation
from webhookd.api.edge import brought_trace, context_of, joined_headers
from webhookd.api.handshake import asks_for_websocket, handshake_fault, is_of_this_version
from webhookd.api.held import Held
from webhookd.api.parts import ApiParts
from webhookd.api.problems import MalformedRequest, UpgradeRequired, WrongMethod
from webhookd.api.stream_frames import said_in
from webhookd.api.websocket import (
    FORBIDDEN,
    KEY_FIRST,
    TOO_MANY,
    TRY_LATER,
    UNAUTHENTICATED,
    Close,
    Disconnected,
    Socket,
)
from webhookd.core.errors import Forbidden, RateLimited, Unauthenticated, WebhookdError

_log = structlog.get_logger(__name__)

STREAM_PATH: Final = "/v1/stream"
_ALLOW: Final = "GET, HEAD, OPTIONS"
AUTH_SECONDS: Final = 10.0
MOST_CONNECTIONS: Final = 100
"""Of one partner, to one process."""
MOST_STRANGERS: Final = 100
"""From one address, to one process, that have not said their key yet."""
_REFUSALS: Final[Mapping[type[WebhookdError], int]] = {
    Unauthenticated: UNAUTHENTICATED,
    Forbidden: FORBIDDEN,
    RateLimited: TOO_MANY,
}


class Stream:
    """The endpoint, as an ASGI application. One a process: it counts connections."""

    def __init__(self, parts: ApiParts, authenticator: Authenticator) -> None:
        self._parts = parts
        self._authenticator = authenticator
        self._connections = Held()
        self._strangers = Held()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        socket = Socket(receive, send)
        actor: str | None = None
        code = 1005
        brought = brought_trace(joined_headers(scope))
        trace = self._parts.new_trace() if brought is None else brought.child(new_span_id())
        try:
            await socket.accept([(b"traceparent", trace.header().encode())])
            caller = await self._let_in(scope, socket)
            actor = caller.partner_id or "admin"
            with self._connections.one(caller.partner_id, MOST_CONNECTIONS):
                await Conversation(self._parts, caller, socket).run()
        except RateLimited:
            code = TOO_MANY
            await socket.close(Close(code, f"{MOST_CONNECTIONS} connections are open already"))
        except Close as close:
            code = close.code
            await socket.close(close)
        except Disconnected:
            pass
        finally:
            _log.info("stream_closed", actor=actor, code=code)

    async def _let_in(self, scope: Scope, socket: Socket) -> Caller:
        headers = joined_headers(scope)
        client = scope.get("client")
        peer = client[0] if client else None
        try:
            if b"authorization" in headers:
                caller = await self._authenticator.caller(headers, peer)
            else:
                address = client_address(peer, headers, self._parts.options.trusted_proxies)
                with self._strangers.one(address, MOST_STRANGERS):
                    key = await _first_key(socket)
                caller = await self._authenticator.identify(key, headers, peer)
                await socket.send({"event": "authenticated"})
        except WebhookdError as error:
            raise Close(_REFUSALS.get(type(error), TRY_LATER), error.detail[:120]) from None
        if not caller.may("tasks:read"):
            raise Close(FORBIDDEN, "the key lacks the scope tasks:read")
        return caller


async def _first_key(socket: Socket) -> str:
    """Return the key of the first message. Raises Close where it does not come, or is something else."""
    try:
        async with asyncio.timeout(AUTH_SECONDS):
            text = await socket.receive()
            key = said_in(text).auth  # its size is `stream_connection`'s business
    except TimeoutError:
        key = None
    except WebhookdError:
        key = None
    if key is None:
        raise Close(UNAUTHENTICATED, KEY_FIRST)
    return key


class NoStream:
    """What plain HTTP gets at the same path, as an ASGI application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Say how to come in. Raises UpgradeRequired, MalformedRequest, WrongMethod."""
        context = context_of(scope)
        context.route = STREAM_PATH
        method, headers = scope["method"], scope["headers"]
        if method == "OPTIONS":
            answer = Answer(status=204, headers={"Allow": _ALLOW})
            await answer.send_to(send, more_headers=context.more_headers, head=False)
            return
        if method not in ("GET", "HEAD"):
            raise WrongMethod(_ALLOW)
        if not asks_for_websocket(headers) or not is_of_this_version(headers):
            raise UpgradeRequired("This path is a WebSocket (RFC 6455), version 13.")
        fault = handshake_fault(method=method, http_version=scope["http_version"], headers=headers)
        raise MalformedRequest(fault or "A WebSocket is not opened while earlier requests wait for answers.")


def stream_routes(parts: ApiParts, authenticator: Authenticator) -> list[BaseRoute]:
    """Return the path's routes: the WebSocket, and what is said to others."""
    return [
        WebSocketRoute(STREAM_PATH, Stream(parts, authenticator)),
        Route(STREAM_PATH, NoStream()),
    ]
