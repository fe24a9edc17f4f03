"""One webhook POST under one deadline, told as a `Reply`.

Speaks `httpx.Request` to any `httpx.AsyncBaseTransport`; what may be called, and how, is the
transport's. Nothing is judged here: a 500 is an answer like a 200.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import httpx

from webhookd.adapters.sender.faults import code_of
from webhookd.adapters.sender.host_slots import HostSlots
from webhookd.adapters.sender.stopwatch import Stopwatch
from webhookd.core.reply import ErrorCode, Reply

MAX_EXCERPT_BYTES: Final = 16_384
MAX_SHOWN_HEADER_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A canonical callback URL made ready for many requests; `host` is the `Host` header.

    Connections are shared among the requests of one `owner` only.
    """

    url: httpx.URL
    host: bytes
    owner: str = ""


class Sender:
    """Sends webhooks over one transport; belongs to the event loop of that transport."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        *,
        timeout_seconds: float,
        excerpt_seconds: float = 2.0,
        max_per_host: int = 1_000_000,
    ) -> None:
        self._transport = transport
        self._timeout_seconds = timeout_seconds
        self._excerpt_seconds = excerpt_seconds
        self._hosts = HostSlots(max_per_host)

    @staticmethod
    def prepare(url: str, *, owner: str = "") -> Target:
        """Take a canonical URL (`core.egress.check_url`) apart, once per lane."""
        parsed = httpx.URL(url)
        return Target(url=parsed, host=parsed.netloc, owner=owner)

    async def post(self, target: Target, *, headers: Sequence[tuple[str, str]], body: bytes) -> Reply:
        """Send one POST with exactly these headers, `host` and `content-length`; nothing is added.

        `timeout_seconds` run from here to the end of the response's head, look-up, dialling and
        waiting for a connection included; then `excerpt_seconds` for the body. The far side's
        faults come back as `Reply.error`.

        Raises:
            OSError: this machine is out of sockets, memory or threads: nobody was asked.
            ValueError: a header holds a line break or NUL.
        """
        stopwatch = Stopwatch()
        request = httpx.Request(
            "POST",
            target.url,
            headers=[
                (b"host", target.host),
                *[(name.encode("ascii"), value.encode()) for name, value in headers],
                (b"content-length", b"%d" % len(body)),
            ],
            stream=httpx.ByteStream(body),
            extensions={"stopwatch": stopwatch, "owner": target.owner},
        )
        tls = target.url.scheme == "https"
        response: httpx.Response | None = None
        excerpt = bytearray()
        error: ErrorCode | None = None
        try:
            async with (
                asyncio.timeout(self._timeout_seconds) as deadline,
                self._hosts.one(target.host),
            ):
                response = await self._transport.handle_async_request(request)
                if isinstance(response.stream, httpx.ByteStream):  # all here: no need to wait for it
                    excerpt += b"".join(response.stream)[:MAX_EXCERPT_BYTES]
                else:
                    deadline.reschedule(asyncio.get_running_loop().time() + self._excerpt_seconds)
                    async for chunk in _stream(response):
                        if len(excerpt) < MAX_EXCERPT_BYTES:
                            excerpt += chunk[: MAX_EXCERPT_BYTES - len(excerpt)]
        except TimeoutError:
            error = "proxy" if stopwatch.reaching_proxy else "timeout"
        except httpx.TransportError as fault:
            error = code_of(fault)
        finally:
            if response is not None:
                await _stream(response).aclose()
        if response is None:
            status, raw = request.extensions.get("heard", (None, ()))
        else:
            status, raw, error = response.status_code, response.headers.raw, None
        shown, retry_after = _shown(raw)
        return Reply(
            status=status,
            error=error,
            headers=shown,
            excerpt=bytes(excerpt),
            retry_after=retry_after,
            resent="resent" in request.extensions,
            timing=stopwatch.timing(tls=tls),
        )

    async def close(self) -> None:
        """Close the transport and its connections."""
        await self._transport.aclose()


def _stream(response: httpx.Response) -> httpx.AsyncByteStream:
    assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101  # an async transport's
    return response.stream


def _shown(raw: Sequence[tuple[bytes, bytes]]) -> tuple[tuple[tuple[str, str], ...], str | None]:
    """Return (headers safe to show, Retry-After).

    Latin-1 never fails and is what a header is (RFC 9110 section 5.5); control characters, which a
    terminal or a page might obey, become U+FFFD.
    """
    shown: list[tuple[str, str]] = []
    retry_after: str | None = None
    left = MAX_SHOWN_HEADER_BYTES
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1").lower(), _printable(raw_value.decode("latin-1"))
        if name == "retry-after" and retry_after is None:
            retry_after = value
        left -= len(name) + len(value)
        if left >= 0:
            shown.append((name, value))
    return tuple(shown), retry_after


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\t\xa0\xad" else "\ufffd" for char in text)
