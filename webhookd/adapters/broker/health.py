"""`BrokerHealth`: is the broker there, how full is it, how many permits wait. For /readyz and metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import redis

from webhookd.adapters.broker.connection import connect_async

_TIMEOUT_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerStatus:
    """`reason` says why it is not `ok`, without addresses. Memory is None where the server does not tell;
    `max_memory_bytes` 0 is no limit. `queue_lengths` counts permits, not tasks."""

    ok: bool
    reason: str | None = None
    used_memory_bytes: int | None = None
    max_memory_bytes: int | None = None
    queue_lengths: Mapping[str, int] = field(default_factory=dict)


class BrokerHealth:
    """Looks at the server through a connection of its own; use it on one event loop."""

    def __init__(self, broker_url: str, *, namespace: str = "webhookd", queues: Sequence[str]) -> None:
        self._client = connect_async(broker_url, timeout_seconds=_TIMEOUT_SECONDS)
        self._namespace = namespace
        self._queues = tuple(queues)

    async def check(self) -> BrokerStatus:
        """One round trip, at most 1 s a step. Never raises for what is wrong with the broker."""
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                pipeline.ping()
                pipeline.info("memory")
                for queue in self._queues:
                    pipeline.llen(f"{self._namespace}:{queue}")
                pong, memory, *lengths = await pipeline.execute(raise_on_error=False)
            if isinstance(pong, Exception):
                raise pong
        except (redis.RedisError, OSError) as error:
            return BrokerStatus(ok=False, reason=_reason(error))
        known = isinstance(memory, dict)  # a managed server may forbid INFO
        used = int(memory["used_memory"]) if known else None
        limit = int(memory.get("maxmemory", 0)) if known else None
        full = bool(used and limit and used >= limit)
        return BrokerStatus(
            ok=not full,
            reason="out of memory" if full else None,
            used_memory_bytes=used,
            max_memory_bytes=limit,
            queue_lengths={
                queue: length
                for queue, length in zip(self._queues, lengths, strict=True)
                if isinstance(length, int)
            },
        )

    async def aclose(self) -> None:
        await self._client.aclose()


def _reason(error: Exception) -> str:
    match error:
        case redis.AuthenticationError() | redis.exceptions.NoPermissionError():
            return "access denied"
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
