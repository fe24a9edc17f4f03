"""The guarded transport: `httpx.Request` in, `httpx.Response` out.

Called directly by `Sender`; respx and `httpx.MockTransport` take its place in tests. It judges the URL
by the rules of registration once more (the operator's may have changed since), takes a connection
from the guarded connector, writes the head exactly as given and reads the response.

It has no time-out of its own: the caller's deadline cancels it, wherever it is.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import aiohttp
import httpx
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from yarl import URL

from webhookd.adapters.sender.connector import GuardedConnector
from webhookd.adapters.sender.exchange import Exchange
from webhookd.adapters.sender.faults import AnswerFailed, Blocked, dialling_fault
from webhookd.adapters.sender.guard import Dialling, dialling
from webhookd.adapters.sender.stopwatch import Stopwatch
from webhookd.adapters.sender.wire import Wire
from webhookd.core.egress import EgressPolicy, check_url, relay_allowed
from webhookd.core.errors import UrlNotAllowed

_REMEMBERED_ROUTES: Final = 2048
_NO_TIMEOUT: Final = aiohttp.ClientTimeout()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What is the same for every request to one URL.

    `plan` is what aiohttp's connector wants to know of a request: it is dialled for, never sent.
    `target` is the request target, a path, or the absolute URL for plain http through a proxy.
    """

    plan: aiohttp.ClientRequest
    wanted: Dialling
    tls: bool
    target: bytes
    proxy_lines: tuple[bytes, ...]


class _Plan(aiohttp.ClientRequest):
    """A request to dial for, whose connections are kept apart by `owner`.

    What comes late on a kept connection may look like the answer to the next request. So the next one is of
    the same partner, which could only deceive itself.
    """

    def __init__(self, *args: Any, owner: str, **options: Any) -> None:
        super().__init__(*args, **options)
        key = super().connection_key
        self._key = key._replace(server_hostname=f"{key.server_hostname or ''} {owner}")

    @property
    def connection_key(self) -> ConnectionKey:
        """The pool's key. The connector only compares it; it dials by the URL."""
        return self._key


class GuardedTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 over connections to allowed addresses only, through an egress proxy where one is set.

    Headers go out exactly as they are in the request, so `host` and `content-length` are the caller's.
    `request.extensions["stopwatch"]`, where given, is marked. The response's stream is raw (nothing
    is decompressed), ends after 256 KiB, and simply ends where the body breaks off.
    """

    def __init__(
        self, connector: GuardedConnector, policy: EgressPolicy, *, proxy: URL | None = None
    ) -> None:
        self._connector = connector
        self._policy = policy
        self._proxy = proxy
        self._route = lru_cache(_REMEMBERED_ROUTES)(self._plan)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; return once the head of the response is in.

        A kept connection that is closed before one byte of an answer had been given up by the receiver:
        the request is written once more, on a fresh connection, and `request.extensions["resent"]` is set.

        Raises:
            httpx.TransportError: for all that is the far side's or the proxy's fault. What was read of an
                answer by then is in `request.extensions["heard"]`: (status or None, headers).
            OSError: this machine is out of sockets, memory or threads.
            ValueError: a header would break the message apart, or the body is not in memory.
        """
        route = self._route(str(request.url), request.extensions.get("owner", ""))
        stopwatch = request.extensions.get("stopwatch") or Stopwatch()
        message = _message(request, route)
        connection, wire = await self._connect(route, stopwatch)
        kept = wire.used
        try:
            return await _ask(connection, wire, message, stopwatch, request)
        except AnswerFailed:
            if not kept or stopwatch.first_byte_ns:
                raise
        connection, wire = await self._connect(route, stopwatch, fresh=True)
        request.extensions["resent"] = True
        return await _ask(connection, wire, message, stopwatch, request)

    async def aclose(self) -> None:
        """Drop every connection."""
        await self._connector.close()

    async def _connect(
        self, route: Route, stopwatch: Stopwatch, *, fresh: bool = False
    ) -> tuple[Connection, Wire]:
        dialling.set((route.wanted, stopwatch))
        stopwatch.proxied = route.wanted.exempt
        while True:
            try:
                connection = await self._connector.connect(route.plan, [], _NO_TIMEOUT)
            except (aiohttp.ClientError, OSError) as fault:
                raise dialling_fault(
                    fault, wanted=route.wanted, tls=route.tls, stopwatch=stopwatch
                ) from fault
            wire = connection.protocol
            assert isinstance(wire, Wire)  # noqa: S101  # the connector makes no others
            if not wire.used or (wire.is_quiet() and not fresh):
                return connection, wire
            connection.close()

    def _plan(self, url: str, owner: str) -> Route:
        try:
            callback = check_url(url, self._policy)
        except UrlNotAllowed:
            raise Blocked("the URL is refused") from None
        proxy = self._proxy
        if proxy is not None and not relay_allowed(callback, self._policy):
            raise Blocked("the URL is refused")
        target = callback.url.removeprefix(callback.origin)
        proxy_lines: tuple[bytes, ...] = ()
        if proxy is None:
            wanted = Dialling(host=callback.host, port=callback.port, scheme=callback.scheme, exempt=False)
        else:
            wanted = Dialling(
                host=proxy.raw_host or "", port=proxy.port or 0, scheme=proxy.scheme, exempt=True
            )
            if callback.scheme == "http":
                target, proxy_lines = callback.url, _proxy_authorization(proxy)
        return Route(
            plan=_Plan(
                "POST",
                URL(callback.url, encoded=True),
                loop=asyncio.get_running_loop(),
                proxy=proxy,
                owner=owner,
            ),
            wanted=wanted,
            tls=callback.scheme == "https",
            target=target.encode("ascii"),
            proxy_lines=proxy_lines,
        )


class _Body(httpx.AsyncByteStream):
    """The raw response body as it comes in; closing it gives the connection back, or drops it."""

    def __init__(self, connection: Connection, wire: Wire, exchange: Exchange) -> None:
        self._connection = connection
        self._wire = wire
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self._exchange.next_chunk():
            yield chunk

    async def aclose(self) -> None:
        if self._wire.settle():
            self._connection.release()
        else:
            self._connection.close()


async def _ask(
    connection: Connection, wire: Wire, message: bytes, stopwatch: Stopwatch, request: httpx.Request
) -> httpx.Response:
    """Write the message and read the head of its answer."""
    exchange: Exchange | None = None
    try:
        exchange = wire.ask(message, stopwatch)
        await exchange.head
    except BaseException:
        if exchange is not None:
            request.extensions["heard"] = exchange.heard()
        connection.close()
        raise
    body: httpx.AsyncByteStream = _Body(connection, wire, exchange)
    if exchange.over:
        # Most answers are all here by now: give the connection back before they are looked at.
        await body.aclose()
        body = httpx.ByteStream(exchange.take())
    if not exchange.status:
        request.extensions["heard"] = exchange.heard()
        raise AnswerFailed(exchange.fault)
    return httpx.Response(exchange.status, headers=exchange.headers, stream=body)


def _message(request: httpx.Request, route: Route) -> bytes:
    """Return the request as it goes over the wire."""
    if not isinstance(request.stream, httpx.ByteStream):
        raise ValueError("the body must be whole: it would need a framing that is not the caller's")  # noqa: TRY004  # of the value
    lines = [b"%b %b HTTP/1.1" % (request.method.encode("ascii"), route.target), *route.proxy_lines]
    lines += [b"%b: %b" % header for header in request.headers.raw]
    head = b"\r\n".join(lines)
    if head.count(b"\r") != len(lines) - 1 or head.count(b"\n") != len(lines) - 1 or b"\0" in head:
        raise ValueError("a header holds a line break or NUL")
    return b"%b\r\n\r\n%b" % (head, b"".join(request.stream))


def _proxy_authorization(proxy: URL) -> tuple[bytes, ...]:
    """Return the header line for the credentials in the proxy's URL, if it has any.

    For CONNECT aiohttp sends them itself.
    """
    if proxy.user is None:
        return ()
    credentials = aiohttp.encode_basic_auth(proxy.user, proxy.password or "")
    return (f"proxy-authorization: {credentials}".encode("ascii"),)
