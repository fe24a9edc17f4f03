"""`Ringer`: tells workers that a queue may have work, off the path of whoever has made the work.

Rings are lossy by design: they coalesce, wait no longer than 250 ms a step, are never retried, and what
fails is counted and forgotten. A lost ring costs a few seconds, not the work (see `permits`, and the sweep).
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import redis

from webhookd.adapters.broker.permits import PermitBroker, is_wrong_type, permit

_TIMEOUT_SECONDS = 0.25
_GAP_SECONDS = 0.01  # rings that come while one is under way, or right after it, are one ring
_AWAY_SECONDS = 0.25  # the same, after a failure


class Ringer:
    """Puts permits into the broker until it holds `permits_per_queue` of a queue.

    Use it on one event loop. A handful of permits is enough: a worker that is woken claims all it can, and
    rings again for what it leaves. `rung` and `failed` count permits and failures since the start.
    """

    def __init__(self, broker_url: str, *, namespace: str = "webhookd", permits_per_queue: int = 4) -> None:
        self._broker = PermitBroker(
            broker_url, namespace=namespace, timeout_seconds=_TIMEOUT_SECONDS, role="ringer"
        )
        self._limit = permits_per_queue
        # Dramatiq enqueues synchronously: in a thread, where waiting for the network stops nobody.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ringer")
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
        """Ring what is pending (at most some 250 ms a step), then let the thread and connections go."""
        self._closed = True
        if self._pump is not None:
            await self._pump
        self._thread.shutdown()
        self._broker.close()

    async def _ring_pending(self) -> None:
        loop = asyncio.get_running_loop()
        while self._pending:
            queues, self._pending = self._pending, set()
            done = await loop.run_in_executor(self._thread, self._ring_all, queues)
            if not self._closed:
                await asyncio.sleep(_GAP_SECONDS if done else _AWAY_SECONDS)

    def _ring_all(self, queues: set[str]) -> bool:
        try:
            for queue in queues:
                self._ring_one(queue)
        except redis.RedisError as error:
            self.failed += 1
            self._broker.outage.noticed(error)
            return False
        self._broker.outage.over()
        return True

    def _ring_one(self, queue: str) -> None:
        try:
            if self._broker.count(queue) < self._limit:
                self._broker.enqueue(permit(queue))
                self.rung += 1
        except redis.ResponseError as error:
            if is_wrong_type(error):  # mended for the next ring
                self._broker.clear(queue)
            raise
