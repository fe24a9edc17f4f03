"""Where the totals of all processes are: one hash on the broker, or memory where there is one process.

The hash is incremented, never set, so a process that ends or restarts takes nothing away. An emptied
broker starts all counters at zero again, which Prometheus understands.

Whoever can reach the broker can write into the hash: what is no number of ours is counted, left out of what
is shown, and taken away.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

import redis

from webhookd.adapters.broker.connection import connect_async
from webhookd.adapters.metrics.tally import add, is_field
from webhookd.runtime.outage import Outage

_TIMEOUT_SECONDS: Final = 0.5
_MAX_FIELDS: Final = 50_000
_MAX_FIELD_CHARS: Final = 512
_MAX_TOTAL: Final = 2**62


class SharedTotals(Protocol):
    """Shared totals by field."""

    async def add(self, increments: Mapping[str, int]) -> dict[str, int]:
        """Add; return what could not be added, to be kept for later."""
        ...

    async def read(self) -> dict[str, int] | None:
        """Return all; None where that failed."""
        ...


class MemoryTotals:
    """Totals of this process alone."""

    def __init__(self) -> None:
        self._totals: dict[str, int] = {}

    async def add(self, increments: Mapping[str, int]) -> dict[str, int]:
        """Add."""
        add(self._totals, increments)
        return {}

    async def read(self) -> dict[str, int] | None:
        """Return all."""
        return dict(self._totals)


class BrokerTotals:
    """Totals on the broker. Never raises for what is wrong with it; use it on one event loop.

    `forged` counts fields that were none of ours.
    """

    def __init__(self, broker_url: str, *, namespace: str = "webhookd") -> None:
        self._client = connect_async(broker_url, timeout_seconds=_TIMEOUT_SECONDS)
        self._key = f"{namespace}:metrics"
        self._outage = Outage("metrics")
        self.forged = 0

    async def add(self, increments: Mapping[str, int]) -> dict[str, int]:
        """Add, in one round trip. Where its answer is lost on the way, increments may count twice."""
        try:
            async with self._client.pipeline(transaction=True) as pipeline:
                for field, by in increments.items():
                    pipeline.hincrby(self._key, field, by)
                results = await pipeline.execute(raise_on_error=False)
            left = {
                field: by
                for (field, by), result in zip(increments.items(), results, strict=True)
                if isinstance(result, Exception)
            }
            if left:
                await self._take_away(left)
        except (redis.RedisError, OSError) as error:
            self._outage.noticed(error)
            return dict(increments)
        self._outage.over()
        return left

    async def read(self) -> dict[str, int] | None:
        """Return all; what is no number of ours is left out."""
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                return await self._read()
        except (redis.RedisError, OSError) as error:  # TimeoutError is one
            self._outage.noticed(error)
            return None

    async def _read(self) -> dict[str, int]:
        if await self._client.type(self._key) not in (b"hash", b"none"):
            await self._take_away([])
            return {}
        if await self._client.hlen(self._key) > _MAX_FIELDS:
            await self._client.unlink(self._key)
            self.forged += 1
            return {}
        totals: dict[str, int] = {}
        forged: list[bytes] = []
        found: Mapping[Any, Any] = await self._client.hgetall(self._key)
        for field, value in found.items():
            total = _total(field, value)
            if total is None:
                forged.append(field)
            else:
                totals[field.decode()] = total
        if forged:
            await self._take_away(forged)
        self._outage.over()
        return totals

    async def aclose(self) -> None:
        """Let the connections go."""
        await self._client.aclose()

    async def _take_away(self, fields: Iterable[str | bytes]) -> None:
        """Take away what somebody else has put where our numbers belong."""
        fields = list(fields)
        self.forged += max(1, len(fields))
        if await self._client.type(self._key) == b"hash":
            await self._client.hdel(self._key, *fields)
        else:
            await self._client.unlink(self._key)


def _total(field: Any, value: Any) -> int | None:
    """Return the number of a field; None where it is none that a process of ours has written."""
    if len(field) > _MAX_FIELD_CHARS or len(value) > len(str(_MAX_TOTAL)):
        return None
    try:
        total, name = int(value), field.decode()
    except ValueError:
        return None
    if not 0 <= total <= _MAX_TOTAL or not is_field(name):
        return None
    return total
