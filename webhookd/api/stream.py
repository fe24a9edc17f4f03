"""`WS /v1/stream`: any number of tasks, or all of a partner's, over one connection.

Each message is a JSON object with one name; docs list them. Who has what to say is `flows.watch`'s business.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Literal

import structlog
from pydantic import Field
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from webhookd.api.answers import Answer
from webhookd.api.auth import Authenticator
from webhookd.api.caller import Caller
from webhookd.api.client_address import client_address
from webhookd.api.edge import exchange_of
from webhookd.api.granted import covers
from webhookd.api.handshake import asks_for_websocket, handshake_fault, is_of_this_version
from webhookd.api.held import Held
from webhookd.api.json_body import parse_json
from webhookd.api.parts import ApiParts
from webhookd.api.problems import MalformedRequest, UpgradeRequired, WrongMethod, field_errors
from webhookd.api.receipts import body_to
from webhookd.api.websocket import (
    BAD_MESSAGES,
    FORBIDDEN,
    KEY_FIRST,
    RESTARTING,
    STOPPING,
    TOO_MANY,
    TOO_SLOW,
    TRY_LATER,
    UNAUTHENTICATED,
    Close,
    Disconnected,
    Socket,
)
from webhookd.api.wire import Body, parse_body
from webhookd.core.errors import (
    FieldError,
    Forbidden,
    Invalid,
    MalformedJson,
    NotFound,
    RateLimited,
    Unauthenticated,
    WebhookdError,
)
from webhookd.flows.watch import Ended, Watch

_log = structlog.get_logger(__name__)

STREAM_PATH: Final = "/v1/stream"
AUTH_SECONDS: Final = 10.0
MOST_TASKS: Final = 1_000
READ_AT_ONCE: Final = 50
MOST_CONNECTIONS: Final = 100
"""Of one partner, to one process."""
MOST_STRANGERS: Final = 100
"""From one address, to one process, that have not said their key yet."""
MOST_MISTAKES: Final = 5

_ENDS: Final = {
    Ended.REVOKED: (UNAUTHENTICATED, "the key is no longer good"),
    Ended.DRAINING: (RESTARTING, STOPPING),
    Ended.OVERFLOWN: (TOO_SLOW, "more changed than was read; connect again"),
}
_REFUSALS: Final[Mapping[type[WebhookdError], int]] = {
    Unauthenticated: UNAUTHENTICATED,
    Forbidden: FORBIDDEN,
    RateLimited: TOO_MANY,
}


class Some(Body):
    """What to hear of: named tasks, or all (of the partner an admin names; without one, of everybody).

    `since` has the versions already known.
    """

    tasks: list[str] | None = Field(None, min_length=1, max_length=MOST_TASKS)
    all: Literal[True] | None = None
    partner: str | None = None
    since: dict[str, int] = Field(default_factory=dict)


class Fewer(Body):
    """What to hear of no more."""

    tasks: list[str] | None = Field(None, min_length=1, max_length=MOST_TASKS)
    all: Literal[True] | None = None


class Said(Body):
    """One message: exactly one of these."""

    auth: str | None = None
    subscribe: Some | None = None
    unsubscribe: Fewer | None = None
    ping: Any = None


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
        try:
            await socket.accept()
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
        headers = dict(scope["headers"])
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


class Conversation:
    """One connection that was let in."""

    def __init__(self, parts: ApiParts, caller: Caller, socket: Socket) -> None:
        self._parts = parts
        self._caller = caller
        self._socket = socket

    async def run(self) -> None:
        """Listen, and push what is new. Raises Close or Disconnected at the end."""
        caller, base_url = self._caller, self._parts.options.base_url
        with self._parts.watchers.watch(partner_id=caller.partner_id, key_id=caller.review_id) as watch:
            listening = asyncio.create_task(self._listen(watch), name="stream-listen")
            listening.add_done_callback(lambda _: watch.end(Ended.GONE))
            try:
                while watch.ended is None:
                    for snapshot in await watch.next():
                        task = body_to(caller, snapshot, base_url=base_url).decode()
                        await self._socket.send_text(f'{{"event":"task.updated","task":{task}}}')
                if watch.ended is Ended.GONE:
                    await listening
                raise Close(*_ENDS[watch.ended])
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    async def _listen(self, watch: Watch) -> None:
        mistakes = 0
        while True:
            text = await self._socket.receive()
            try:
                await self._take(_parse(text), watch)
            except WebhookdError as error:
                mistakes += isinstance(error, MalformedJson | Invalid)
                if mistakes >= MOST_MISTAKES:
                    raise Close(BAD_MESSAGES, f"{MOST_MISTAKES} messages were not understood") from None
                await self._refuse(error)

    async def _take(self, said: Said, watch: Watch) -> None:
        match said:
            case Said(subscribe=Some(tasks=list(task_ids)) as some):
                await self._subscribe(watch, task_ids, some.since)
            case Said(subscribe=Some() as some):
                await self._follow(watch, some.partner)
            case Said(unsubscribe=Fewer(tasks=list(task_ids))):
                watch.remove(task_ids)
                await self._socket.send({"event": "unsubscribed", "tasks": task_ids})
            case Said(unsubscribe=Fewer()):
                watch.unfollow()
                await self._socket.send({"event": "unsubscribed", "all": True})
            case Said(auth=str()):
                raise Invalid("This connection has its key already.")
            case _:
                await self._socket.send({"event": "pong", "ping": said.ping})

    async def _subscribe(self, watch: Watch, named: list[str], since: dict[str, int]) -> None:
        task_ids = list(dict.fromkeys(named))
        watch.remove(task_ids)
        if len(watch) + len(task_ids) > MOST_TASKS:
            raise Invalid(
                f"One connection may name {MOST_TASKS} tasks; unsubscribe from those that are done, "
                'or subscribe to {"all": true}.'
            )
        watch.add(task_ids)
        try:
            versions = await self._versions(task_ids)
        except WebhookdError:
            watch.remove(task_ids)
            raise
        unknown = [task_id for task_id in task_ids if task_id not in versions]
        watch.remove(unknown)
        if versions:
            known = [task_id for task_id in task_ids if task_id in versions]
            await self._socket.send({"event": "subscribed", "tasks": known})
        if unknown:
            await self._refuse(NotFound("There are no such tasks."), tasks=unknown)
        for task_id, version in versions.items():
            if since.get(task_id, 0) < version:
                watch.due(task_id, version)
            else:
                watch.saw(task_id, version)

    async def _versions(self, task_ids: list[str]) -> dict[str, int]:
        """Read some tasks at a time: their results may be large."""
        present, partner_id = self._parts.watchers.present, self._caller.partner_id
        grant = self._caller.grant
        versions: dict[str, int] = {}
        for start in range(0, len(task_ids), READ_AT_ONCE):
            some = task_ids[start : start + READ_AT_ONCE]
            for snapshot in await asyncio.gather(*(present(task_id, partner_id) for task_id in some)):
                if snapshot is not None and (grant is None or covers(grant, snapshot.task)):
                    versions[snapshot.task.id] = snapshot.task.version
        return versions

    async def _follow(self, watch: Watch, partner_id: str | None) -> None:
        if self._caller.grant is not None:
            raise Forbidden("A token reads only what it names.")
        if not self._caller.is_admin:
            if partner_id is not None:
                raise _wrong("subscribe.partner", "is not known here")
            partner_id = self._caller.partner_id
        elif partner_id is not None and await self._parts.store.partners.get(partner_id) is None:
            raise NotFound("There is no such partner.")
        await watch.follow(partner_id)
        await self._socket.send({"event": "subscribed", "all": True})

    async def _refuse(self, error: WebhookdError, **more: Any) -> None:
        document: dict[str, Any] = {"event": "error", "code": error.code, "detail": error.detail, **more}
        if error.errors:
            document["errors"] = field_errors(error)
        await self._socket.send(document)


async def _first_key(socket: Socket) -> str:
    """Return the key of the first message. Raises Close where it does not come, or is something else."""
    try:
        async with asyncio.timeout(AUTH_SECONDS):
            text = await socket.receive()
            key = _parse(text).auth  # its size is `stream_connection`'s business
    except TimeoutError:
        key = None
    except WebhookdError:
        key = None
    if key is None:
        raise Close(UNAUTHENTICATED, KEY_FIRST)
    return key


def _parse(text: str | None) -> Said:
    """Read a message. Raises MalformedJson, Invalid."""
    if text is None:
        raise MalformedJson("Messages must be text, not binary.")
    value = parse_json(text.encode())
    said = parse_body(Said, value)
    if len(said.model_fields_set) != 1:
        raise Invalid("A message has exactly one of auth, subscribe, unsubscribe and ping.")
    for name, what in (("subscribe", said.subscribe), ("unsubscribe", said.unsubscribe)):
        if what is not None and (what.tasks is None) == (what.all is None):
            raise _wrong(name, 'must have either "tasks" or "all": true')
        if name in said.model_fields_set and what is None:
            raise _wrong(name, "must be an object")
    return said


def _wrong(name: str, message: str) -> Invalid:
    return Invalid("The message is not valid.", errors=[FieldError(path=f"$.{name}", message=message)])


class NoStream:
    """What plain HTTP gets at the same path, as an ASGI application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Say how to come in. Raises UpgradeRequired, MalformedRequest, WrongMethod."""
        exchange_of(scope).route = STREAM_PATH
        method, headers = scope["method"], scope["headers"]
        if method == "OPTIONS":
            await Answer(status=204, headers={"Allow": "GET"}).send_to(send, more_headers=[], head=False)
            return
        if method not in ("GET", "HEAD"):
            raise WrongMethod("GET")
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
