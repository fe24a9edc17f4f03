"""`BrokerHealth`: does the broker serve, and how full is it. For /readyz and metrics.

A check does what the work does: it rings, with the script of the ringer, for a queue that nobody has, takes
the permit as a worker would, and publishes a batch of no signals, and of no names. So a read-only replica is
found, and a user who may not write where we do.
"""

import redis

from webhookd.adapters.broker.connection import connect_async, is_access_denied
from webhookd.adapters.broker.rings import PERMIT, RING, keys_of, list_key
from webhookd.core.admission import BrokerStatus

_TIMEOUT_SECONDS = 1.0
ACCESS_DENIED = "access denied"
OUT_OF_MEMORY = "out of memory"
_PROBED = "__readyz__"  # no queue of anybody's: their names begin with a letter


class BrokerHealth:
    """Looks at the server through a connection of its own; use it on one event loop."""

    def __init__(self, broker_url: str, *, namespace: str = "webhookd") -> None:
        self._client = connect_async(broker_url, timeout_seconds=_TIMEOUT_SECONDS)
        self._namespace = namespace
        self._ring = self._client.register_script(RING)

    async def check(self) -> BrokerStatus:
        """A few round trips, at most 1 s a step. Never raises for what is wrong with the broker."""
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                pipeline.ping()
                pipeline.info("memory")
                pong, memory = await pipeline.execute(raise_on_error=False)
            if isinstance(pong, Exception):
                raise pong
        except (redis.RedisError, OSError) as error:
            return BrokerStatus(ok=False, reason=_reason(error))
        known = isinstance(memory, dict)  # a managed server may forbid INFO
        used = int(memory["used_memory"]) if known else None
        limit = int(memory.get("maxmemory", 0)) if known else None
        full = bool(used and limit and used >= limit)
        reason = OUT_OF_MEMORY if full else await self._cannot_work()
        return BrokerStatus(
            ok=reason is None,
            reason=reason,
            used_memory_bytes=used,
            max_memory_bytes=limit,
        )

    async def aclose(self) -> None:
        """Disconnect."""
        await self._client.aclose()

    async def _cannot_work(self) -> str | None:
        """Ring and publish as the work does; return why that does not work."""
        try:
            key = list_key(self._namespace, _PROBED)
            await self._ring(keys=[key], args=[1, PERMIT])
            # Another process may have taken it: that the server lets us ask is what counts.
            await self._client.blpop([key], timeout=0.01)
            await self._client.unlink(*keys_of(self._namespace, _PROBED))
            for channel in ("signals", "watched"):
                await self._client.publish(f"{self._namespace}:{channel}", b"[]")
        except (redis.RedisError, OSError) as error:
            return _reason(error)
        return None


def _reason(error: Exception) -> str:
    match error:
        case _ if is_access_denied(error):
            return ACCESS_DENIED
        case redis.ReadOnlyError():
            return "read-only, as a replica is"
        case redis.OutOfMemoryError():
            return OUT_OF_MEMORY
        case redis.BusyLoadingError():
            return "loading its data"
        case redis.TimeoutError():
            return "no answer in time"
        case redis.ConnectionError() | OSError():
            return "cannot connect"
        case redis.ResponseError() if "MISCONF" in str(error):
            return "cannot write to its disk"
        case _:
            return "answers with an error"
