"""`Ringer`: tells workers that a queue may have work, off the path of whoever has made the work.

Rings are lossy by design: they coalesce, wait no longer than 250 ms, are never retried, and what fails is
counted and forgotten. A lost ring costs a few seconds, not the work (see `permits`, and the sweep).
"""

import asyncio
from collections.abc import Iterable

import redis

from webhookd.adapters.broker.connection import connect_async
from webhookd.adapters.broker.rings import PERMIT, RING, is_wrong_type, keys_of, list_key
from webhookd.runtime.outage import Outage

_TIMEOUT_SECONDS = 0.25
_GAP_SECONDS = 0.01  # rings that come while one is under way, or right after it, are one ring
_AWAY_SECONDS = 0.25  # the same, after a failure


class Ringer:
    """Puts permits into the broker until it holds `permits_per_queue` of a queue.

    Use it on one event loop. A handful of permits is enough: a worker that is woken claims all it can, and
    rings again for what it leaves. `rung` and `failed` count permits and failures since the start.
    """

    def __init__(self, broker_url: str, *, namespace: str = "webhookd", permits_per_queue: int = 4) -> None:
        self._client = connect_async(broker_url, timeout_seconds=_TIMEOUT_SECONDS)
        self._script = self._client.register_script(RING)
        self._outage = Outage(f"ringer of {namespace}")
        self._namespace = namespace
        self._limit = permits_per_queue
        self._pending: set[str] = set()
        self._pump: asyncio.Task[None] | None = None
        self._closed = False
        self.rung = 0
        self.failed = 0

    def ring(self, queue: str) -> None:
        """Note that `queue` may have work, and return at once. Must be called on the loop; never raises."""
        if self._closed:
            return
        self._pending.add(queue)
        if self._pump is None or self._pump.done():
            self._pump = asyncio.get_running_loop().create_task(self._ring_pending(), name="ringer")

    async def aclose(self) -> None:
        """Ring what is pending (at most some 250 ms a step), then let the connections go."""
        self._closed = True
        if self._pump is not None:
            await self._pump
        await self._client.aclose()

    async def _ring_pending(self) -> None:
        while self._pending:
            queues, self._pending = self._pending, set()
            done = await self._ring(queues)
            if not self._closed:
                await asyncio.sleep(_GAP_SECONDS if done else _AWAY_SECONDS)

    async def _ring(self, queues: Iterable[str]) -> bool:
        keys = [list_key(self._namespace, queue) for queue in queues]
        try:
            self.rung += int(await self._script(keys=keys, args=[self._limit, PERMIT]))
        except (redis.RedisError, OSError) as error:
            self.failed += 1
            self._outage.noticed(error)
            if isinstance(error, redis.ResponseError) and is_wrong_type(error):
                await self._clear(queues)
            return False
        self._outage.over()
        return True

    async def _clear(self, queues: Iterable[str]) -> None:
        """Drop what lies in the place of our keys, so that the next ring is heard; best effort."""
        try:
            for queue in queues:
                await self._client.unlink(*keys_of(self._namespace, queue))
        except (redis.RedisError, OSError) as error:
            self._outage.noticed(error)
