"""Where the totals of all processes are: one hash on the broker, or memory where there is one process.

The hash is incremented, never set, so a process that ends or restarts takes nothing away. An emptied
broker starts all counters at zero again, which Prometheus understands.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final, Protocol

import redis

from webhookd.adapters.broker.connection import Outage, connect_async
from webhookd.adapters.metrics.tally import add

_TIMEOUT_SECONDS: Final = 0.5


class Totals(Protocol):
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
    """Totals on the broker. Never raises for what is wrong with it; use it on one event loop."""

    def __init__(self, broker_url: str, *, namespace: str = "webhookd") -> None:
        self._client = connect_async(broker_url, timeout_seconds=_TIMEOUT_SECONDS)
        self._key = f"{namespace}:metrics"
        self._outage = Outage("metrics")

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
                await self._mend(left)
        except (redis.RedisError, OSError) as error:
            self._outage.noticed(error)
            return dict(increments)
        self._outage.over()
        return left

    async def read(self) -> dict[str, int] | None:
        """Return all; what is no number of ours is left out."""
        try:
            found = await self._client.hgetall(self._key)
        except (redis.RedisError, OSError) as error:
            self._outage.noticed(error)
            return None
        self._outage.over()
        totals: dict[str, int] = {}
        for field, value in found.items():
            with suppress(ValueError):
                totals[field if isinstance(field, str) else field.decode()] = int(value)
        return totals

    async def aclose(self) -> None:
        """Let the connections go."""
        await self._client.aclose()

    async def _mend(self, fields: Iterable[str]) -> None:
        """Take away what somebody else has put where our numbers belong."""
        if await self._client.type(self._key) in (b"hash", "hash"):
            await self._client.hdel(self._key, *fields)
        else:
            await self._client.delete(self._key)
