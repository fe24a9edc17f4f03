"""How this program talks to Redis or Valkey: time-outs, retries, protocol.

Everything is said explicitly, because redis-py 8 would wait 5 s and try ten times by default, and because
its protocol 3 begins every connection with questions only Redis' own cloud answers.
"""

from typing import Any, TypedDict

import redis
import redis.asyncio
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from webhookd.core.errors import SettingsError


class _Options(TypedDict):
    socket_timeout: float
    socket_connect_timeout: float
    protocol: int
    driver_info: None


def _options(timeout_seconds: float) -> _Options:
    return {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "protocol": 2,
        "driver_info": None,  # no CLIENT SETINFO: it costs a connection two round trips
    }


def connect(url: str, *, timeout_seconds: float) -> redis.Redis:
    """A client that fails within `timeout_seconds` a step and never retries. It connects at first use.

    Raises `SettingsError` when the URL is no `redis://`, `rediss://` or `unix://` one.
    """
    try:
        return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **_options(timeout_seconds))
    except (ValueError, TypeError):
        raise _wrong_url() from None


def connect_async(url: str, *, timeout_seconds: float) -> redis.asyncio.Redis:
    """As `connect`, for the event loop it is first used on."""
    try:
        client = redis.asyncio.Redis.from_url(
            url, retry=AsyncRetry(NoBackoff(), 0), **_options(timeout_seconds)
        )
    except (ValueError, TypeError):
        raise _wrong_url() from None
    pool = client.connection_pool
    pool.connection_class = _says_closed(pool.connection_class)
    return client


def check_url(url: str) -> None:
    """Raise SettingsError for a URL, or a parameter of one, that no connection could be made with."""
    client = connect(url, timeout_seconds=1)
    pool = client.connection_pool
    try:
        pool.connection_class(**pool.connection_kwargs)  # made, not connected
    except (TypeError, ValueError, redis.RedisError, OSError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"WEBHOOKD_BROKER_URL has a parameter that cannot be used: {reason}.") from None


def is_access_denied(error: Exception) -> bool:
    """Whether the server refuses its user: a connection, a command, also one in a script or a transaction."""
    match error:
        case redis.AuthenticationError() | redis.exceptions.NoPermissionError():
            return True
        case redis.ResponseError():
            return any(words in str(error) for words in ("NOPERM", "ACL failure"))
        case _:
            return False


class _SaysClosed(AbstractConnection):
    """A connection that says so when the other side has closed it.

    uvloop calls that a RuntimeError, and redis-py passes it on: nobody would take it for an outage.
    """

    __slots__ = ()

    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        try:
            await super().send_packed_command(*args, **kwargs)
        except RuntimeError as error:
            raise redis.ConnectionError("the connection was closed") from error


def _says_closed(connection: type[AbstractConnection]) -> type[AbstractConnection]:
    return type(connection.__name__, (_SaysClosed, connection), {})


def _wrong_url() -> SettingsError:
    # The URL may hold a password, so it is not repeated.
    return SettingsError(
        "WEBHOOKD_BROKER_URL must look like redis://host:6379/0, rediss://host:6380/0 or unix:///path."
    )
