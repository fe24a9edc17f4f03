"""A receiver of webhooks as a partner would write it: verifies with the official library, records, answers.

`webhookd listen` shows what it receives, the demo and the tests look at what it recorded. It takes
anything a stranger may send, and never fails because of it.
"""

import asyncio
import contextlib
import socket
import time
from base64 import b64decode
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import uvicorn
from standardwebhooks import Webhook
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from webhookd.core.errors import SettingsError
from webhookd.runtime.uvicorn_server import UvicornServer

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
_KEPT_HITS: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """What to answer, after `delay_seconds`."""

    status: int = 200
    retry_after_seconds: int | None = None
    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One request. `problem` is why it does not verify, "" where it does; None: there is no secret to try.

    `headers` have lower-case names; `at` is Unix seconds.
    """

    at: float
    path: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    problem: str | None
    status: int

    @property
    def webhook_id(self) -> str:
        """The `webhook-id`, "" where there is none."""
        return self.headers.get("webhook-id", "")

    @property
    def verified(self) -> bool:
        """Whether a secret was there and the signature is good."""
        return self.problem == ""


class Receiver:
    """An ASGI application. `first` are the answers to the first requests, `reply` that to all others.

    A request that does not verify is answered with 400, as a careful receiver does, unless `reply` or
    `first` say worse. `on_hit` is called before the answer goes out.
    """

    def __init__(
        self,
        *,
        secrets: Sequence[str] = (),
        reply: Reaction | None = None,
        first: Iterable[Reaction] = (),
    ) -> None:
        self.hits: deque[Hit] = deque(maxlen=_KEPT_HITS)
        self.reply = reply or Reaction()
        self._first = iter(first)
        self.on_hit: Callable[[Hit], None] | None = None
        self._verifiers = [_verifier(secret) for secret in secrets]

    def trust(self, secret: str) -> None:
        """Take one more secret. Raises SettingsError where it is none."""
        self._verifiers.append(_verifier(secret))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        with contextlib.suppress(ClientDisconnect):
            response = await self._answer(request)
            await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method != "POST":
            return PlainTextResponse("POST webhooks here.\n", 405, {"Allow": "POST"})
        body = await _body(request)
        if body is None:
            return PlainTextResponse("too large\n", 413)
        headers = {name.lower(): value for name, value in request.headers.items()}
        problem = self._problem(body, headers)
        reply = next(self._first, self.reply)
        status = 400 if problem and reply.status < 300 else reply.status
        hit = Hit(
            at=time.time(),
            path=request.scope["path"],
            headers=headers,
            body=body,
            problem=problem,
            status=status,
        )
        self.hits.append(hit)
        if self.on_hit is not None:
            self.on_hit(hit)
        await asyncio.sleep(reply.delay_seconds)
        after = reply.retry_after_seconds
        more = {} if after is None else {"Retry-After": str(after)}
        return PlainTextResponse("thank you\n" if status < 300 else "not taken\n", status, more)

    def _problem(self, body: bytes, headers: dict[str, str]) -> str | None:
        problem = None
        for verifier in self._verifiers:
            try:
                verifier.verify(body, headers, json_parse=False)
            except Exception as error:  # noqa: BLE001 - the library raises anything on garbage
                problem = _TOLD.get(str(error), str(error)) or type(error).__name__
            else:
                return ""
        return problem


_TOLD: Final = {"No matching signature found": "signed with another secret: the endpoint's?"}
"""What the library says, and what it mostly means here: a listener is given the partner's secret first."""


def _verifier(secret: str) -> Webhook:
    text = secret.removeprefix("whsec_")
    try:
        # The library skips what is no base64, and would then verify nothing without saying why.
        key = b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        key = b""
    if not key:
        raise SettingsError("The secret to verify with must be whsec_ and base64; this one is not.")
    return Webhook(key)


async def _body(request: Request) -> bytes | None:
    """Return the body, or None where it is too large."""
    parts = bytearray()
    async for chunk in request.stream():
        parts += chunk
        if len(parts) > MAX_BODY_BYTES:
            return None
    return bytes(parts)


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 is any free one. Raises SettingsError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = str(error.strerror).partition(" (while")[0]  # the library's own words repeat the address
        raise SettingsError(f"Cannot listen on {host}:{port} ({reason}); choose another port.") from None


def url_of(listener: socket.socket) -> str:
    """Return the URL of a socket from `bind`."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


@contextlib.asynccontextmanager
async def receiving(receiver: Receiver, listener: socket.socket) -> AsyncIterator[str]:
    """Serve the receiver on the running loop; the value is its URL. The socket stays the caller's."""
    config = uvicorn.Config(
        receiver,
        log_config=None,
        access_log=False,
        lifespan="off",
        log_level="critical",
        ws="none",
        timeout_graceful_shutdown=1,
    )
    server = UvicornServer(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="receiver")
    try:
        yield url_of(listener)
    finally:
        server.should_exit = True
        await serving
