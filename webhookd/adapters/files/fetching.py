"""Fetching a file that a task's input names by URL: through the address guard, like every callback.

Redirects are not followed, nothing is decompressed, no cookies are kept and no proxy of the environment is
asked. What went wrong is told as a code, without addresses or anybody's text.
"""

import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Final

import aiohttp
from yarl import URL

from webhookd.adapters.sender.build import parse_proxy
from webhookd.adapters.sender.guard import AddressBlocked, Dialling, Guard, dialling
from webhookd.adapters.sender.lookups import Lookups, Resolve, system_addresses
from webhookd.adapters.sender.stopwatch import Stopwatch
from webhookd.core.egress import CallbackUrl, EgressPolicy, check_url, relay_allowed
from webhookd.core.errors import UrlNotAllowed
from webhookd.core.files import FetchFailed

CONNECT_SECONDS: Final = 15.0
SILENCE_SECONDS: Final = 30.0
CHUNK_BYTES: Final = 262_144
AT_ONCE: Final = 16


class Fetcher:
    """Opens URLs. Make it on the loop that uses it, and close it there."""

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        proxy_url: str | None = None,
        user_agent: str,
        ssl_context: ssl.SSLContext | None = None,
        resolve: Resolve = system_addresses,
    ) -> None:
        self._policy = policy
        self._proxy = parse_proxy(proxy_url) if proxy_url else None
        guard = Guard(policy, Lookups(resolve, threads=AT_ONCE), None)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=guard,
                socket_factory=guard.make_socket,
                use_dns_cache=False,
                ssl=ssl_context or ssl.create_default_context(),
                limit=AT_ONCE,
                force_close=True,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            headers={"User-Agent": user_agent, "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS),
        )

    async def aclose(self) -> None:
        """Drop what is open."""
        await self._session.close()

    @contextlib.asynccontextmanager
    async def open(self, url: str) -> AsyncIterator[tuple[str | None, AsyncIterator[bytes]]]:
        """Yield the content type and the bytes. Raises FetchFailed, on the way too."""
        with _told():
            callback = check_url(url, self._policy)
            if self._proxy is not None and not relay_allowed(callback, self._policy):
                raise FetchFailed("blocked")
            dialling.set((_wanted(callback, self._proxy), Stopwatch()))
            async with self._session.get(
                URL(callback.url, encoded=True), allow_redirects=False, proxy=self._proxy
            ) as answer:
                if answer.status != 200:
                    raise FetchFailed(f"http_{answer.status}")
                if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
                    raise FetchFailed("compressed")
                yield answer.headers.get("Content-Type"), answer.content.iter_chunked(CHUNK_BYTES)


def _wanted(callback: CallbackUrl, proxy: URL | None) -> Dialling:
    if proxy is None:
        return Dialling(host=callback.host, port=callback.port, scheme=callback.scheme, exempt=False)
    return Dialling(host=proxy.raw_host or "", port=proxy.port or 0, scheme=proxy.scheme, exempt=True)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except UrlNotAllowed:
        raise FetchFailed("blocked") from None
    except TimeoutError:
        raise FetchFailed("timeout") from None
    except aiohttp.ClientConnectorError as error:
        raise FetchFailed(_of_connecting(error)) from None
    except AddressBlocked:
        raise FetchFailed("blocked") from None
    except aiohttp.ClientError:
        raise FetchFailed("protocol") from None


def _of_connecting(error: aiohttp.ClientConnectorError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, AddressBlocked):
            return "blocked"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "dns"
    return "tls" if isinstance(error, aiohttp.ClientSSLError) else "connect"
