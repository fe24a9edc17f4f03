"""`check_up`: all that `webhookd doctor` asks of the broker. For every day: `health`."""

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import redis

from webhookd.adapters.broker.connection import connect_async
from webhookd.adapters.broker.health import ACCESS_DENIED, BrokerHealth
from webhookd.adapters.broker.rights import Right, lacking
from webhookd.core.admission import BrokerStatus

_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerCheckup:
    """What the server says of itself; None where it does not tell (a managed one may not).

    `ahead_seconds` is how far this machine's clock is ahead of its. `persistent`: it writes a file. `lacking`
    are the rights that our user has not.
    """

    status: BrokerStatus
    server: str | None = None
    policy: str | None = None
    persistent: bool | None = None
    ahead_seconds: float | None = None
    lacking: tuple[Right, ...] = ()


async def check_up(url: str) -> BrokerCheckup:
    """Look once; a few seconds at most. Raises SettingsError for a wrong URL, nothing for a bad server."""
    health = BrokerHealth(url)
    try:
        status = await health.check()
    finally:
        await health.aclose()
    answers = status.reason in (None, ACCESS_DENIED) or status.used_memory_bytes is not None
    if not answers:
        return BrokerCheckup(status=status)
    refused: tuple[Right, ...] = ()
    client = connect_async(url, timeout_seconds=_TIMEOUT_SECONDS)
    try:
        with suppress(redis.RedisError, OSError):
            refused = await lacking(url, timeout_seconds=_TIMEOUT_SECONDS)
            info = await _info(client)
            return BrokerCheckup(
                status=status,
                server=_server(info),
                policy=info.get("maxmemory_policy"),
                persistent=_persistent(info),
                ahead_seconds=await _ahead_seconds(client),
                lacking=refused,
            )
    finally:
        await client.aclose()
    return BrokerCheckup(status=status, lacking=refused)


async def _ahead_seconds(client: Any) -> float | None:
    asked_at = time.time()
    try:
        seconds, microseconds = await client.time()
    except redis.ResponseError:
        return None
    return (asked_at + time.time()) / 2 - float(seconds + microseconds / 1e6)


async def _info(client: Any) -> dict[str, Any]:
    with suppress(redis.ResponseError):
        found: dict[str, Any] = await client.info()
        return found
    return {}


def _server(info: dict[str, Any]) -> str | None:
    if version := info.get("valkey_version"):
        return f"Valkey {version}"
    return f"Redis {info['redis_version']}" if "redis_version" in info else None


def _persistent(info: dict[str, Any]) -> bool | None:
    if "aof_enabled" not in info:
        return None
    # INFO does not tell whether snapshots are planned; one that was made says that they are.
    return bool(info["aof_enabled"] or info.get("rdb_saves"))
