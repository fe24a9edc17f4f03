"""`lacking`: which of the rights that the work needs the broker's user has not. For `webhookd doctor`.

A row for each word of the ACL that `docs/how-to/run-with-postgresql.md` gives; a test holds the two equal.
Each is tried, because a user may seldom ask for its own rights. What is tried with a key uses one of doctor's
own, and leaves nothing behind.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import redis
import redis.asyncio

from webhookd.adapters.broker.connection import connect_async, is_access_denied

_KEY: Final = "webhookd:__doctor__"  # no queue of anybody's: their names begin with a letter
_CHANNELS: Final = ("webhookd:signals", "webhookd:watched")
_SCRIPT: Final = "return 1"
_SHA: Final = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"  # of _SCRIPT

Command = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """A word of the ACL, what stands still without it, and the command that tells; `after` another one.

    One that `spoils` its connection leaves it unfit for others.
    """

    word: str
    serves: str
    command: Command
    after: Command = ()
    spoils: bool = False


def _rows(serves: str, *commands: Command) -> tuple[Right, ...]:
    return tuple(
        Right(
            word=str(command[0]).lower().replace(" ", "|"),
            serves=serves,
            command=command,
            spoils=command[0] in {"MULTI", "SUBSCRIBE"},
        )
        for command in commands
    )


RIGHTS: Final = (
    *_rows("health", ("PING",), ("INFO", "memory")),
    *_rows("rates", ("TIME",), ("SET", _KEY, 1, "PX", 1000), ("GET", _KEY)),
    *_rows("rates and hints", ("SCRIPT LOAD", _SCRIPT), ("EVALSHA", _SHA, 0)),
    *_rows(
        "hints",
        ("UNLINK", _KEY),
        ("RPUSH", _KEY, 1),
        ("LLEN", _KEY),
        ("BLPOP", _KEY, 1),
        ("HDEL", f"{_KEY}:bodies", 1),
        ("HLEN", f"{_KEY}:bodies"),
    ),
    *_rows("metrics", ("TYPE", _KEY), ("HINCRBY", f"{_KEY}:sums", 1, 1), ("HGETALL", f"{_KEY}:sums")),
    *_rows("metrics", ("MULTI",)),
    Right(word="exec", serves="metrics", command=("EXEC",), after=("MULTI",), spoils=True),
    *_rows("watchers", *(("PUBLISH", channel, "[]") for channel in _CHANNELS)),
    *_rows("watchers", *(("SUBSCRIBE", channel) for channel in _CHANNELS)),
)


async def lacking(url: str, *, timeout_seconds: float) -> tuple[Right, ...]:
    """Try each right; return those that are refused. Raises redis.RedisError or OSError without an answer.

    A refusal may be of the command, of our keys or of our channel.
    """
    client = connect_async(url, timeout_seconds=timeout_seconds)
    try:
        refused = tuple([right for right in RIGHTS if await _is_refused(client, right)])
        with suppress(redis.ResponseError):
            await client.unlink(_KEY, *(f"{_KEY}:{kind}" for kind in ("bodies", "sums")))
    finally:
        await client.aclose()
    return refused


async def _is_refused(client: redis.asyncio.Redis, right: Right) -> bool:
    connection: Any
    try:
        async with client.client() as connection:
            if right.after:
                with suppress(redis.ResponseError):
                    await connection.execute_command(*right.after)
            await connection.execute_command(*right.command)
    except redis.ResponseError as error:
        return is_access_denied(error)
    finally:
        if right.spoils:
            await client.connection_pool.disconnect()
    return False
