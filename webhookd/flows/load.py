"""How full the service is, sampled in the background so that a submission asks nobody.

Depths come from the store's counters, and what this process let in since is added. Rates are what
the counters gained over the last seconds. Deciding on these figures is `core.admission`.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, Protocol

from webhookd.core.admission import BrokerStatus, Load, drain_seconds
from webhookd.core.errors import WebhookdError
from webhookd.core.records import QueueDepth
from webhookd.runtime.every import every

REFRESH_SECONDS: Final = 0.4
REST_SECONDS: Final = 5.0
"""The pause where nothing waits, ends or comes in; the first that comes ends it."""
SERVER_LOOK_SECONDS: Final = 2.0
RATE_WINDOW_SECONDS: Final = 20.0


class Counters(Protocol):
    """Where the counters are: the store's queues."""

    async def depths(self) -> list[QueueDepth]:
        """Return every queue's figures."""
        ...

    async def partner_queued(self) -> dict[str, int]:
        """Return how many tasks of each partner wait."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    at: float
    ended: dict[str, int]


class LoadGauge:
    """Keeps the figures fresh while `run` runs. Use it on one event loop.

    `look_at_broker` never raises; `free_disk_bytes` answers None where the disk is not ours to watch.
    """

    def __init__(
        self,
        depths: Counters,
        *,
        look_at_broker: Callable[[], Awaitable[BrokerStatus]],
        free_disk_bytes: Callable[[], int | None],
        monotonic: Callable[[], float],
    ) -> None:
        self._source = depths
        self._look_at_broker = look_at_broker
        self._free_disk_bytes = free_disk_bytes
        self._monotonic = monotonic
        self.queues: dict[str, QueueDepth] = {}
        self.broker: BrokerStatus | None = None
        self.disk_free_bytes: int | None = None
        self.database_error: str | None = None
        self._failures = 0
        self._partner_waiting: dict[str, int] = {}
        self._waiting = 0
        self._samples: deque[_Sample] = deque()
        # Let in by this process: not yet committed, committed since the reading under way began,
        # and before it but after the last one.
        self._entering: Counter[str] = Counter()
        self._recent: Counter[str] = Counter()
        self._earlier: Counter[str] = Counter()
        self._refreshing: asyncio.Task[None] | None = None
        self._looked_at = float("-inf")
        self._stirred = asyncio.Event()

    async def run(self) -> None:
        """Refresh for ever; cancel it to stop, which ends a reading under way too."""
        try:
            # Stale figures beat none for the rest of the process's life.
            await every(REFRESH_SECONDS, self._refresh_or_rest, survives_defects=True)
        finally:
            if self._refreshing is not None:
                self._refreshing.cancel()
                await asyncio.wait([self._refreshing])

    async def refresh(self) -> None:
        """Read the figures now; calls that come while one is under way wait for that one."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh(), name="load-gauge")
        await asyncio.shield(self._refreshing)

    async def look(self) -> None:
        """Look at the disk and the broker now."""
        self._looked_at = self._monotonic()
        self.disk_free_bytes = self._free_disk_bytes()
        self.broker = await self._look_at_broker()

    def load_for(self, partner_id: str) -> Load:
        """Return the load as a submission of this partner meets it."""
        entered = self._entering, self._recent, self._earlier
        broker = self.broker
        return Load(
            waiting=self._waiting + sum(one.total() for one in entered),
            partner_waiting=self._partner_waiting.get(partner_id, 0)
            + sum(one[partner_id] for one in entered),
            ended_per_second=self.ended_per_second(),
            disk_free_bytes=self.disk_free_bytes,
            broker_full=broker is not None
            and bool(broker.max_memory_bytes)
            and (broker.used_memory_bytes or 0) >= (broker.max_memory_bytes or 0),
            database_away=self._failures >= 2,
        )

    @contextmanager
    def entering(self, partner_id: str, count: int) -> Iterator[None]:
        """Count tasks as waiting from now on; where the block raises they did not come in."""
        self._entering[partner_id] += count
        self._stirred.set()
        try:
            yield
            self._recent[partner_id] += count
        finally:
            self._entering[partner_id] -= count
            if not self._entering[partner_id]:
                del self._entering[partner_id]

    def ended_per_second(self, queue: str | None = None) -> float:
        """Return how many tasks of a queue (None: of all) ended a second, lately; 0.0 where none did."""
        if len(self._samples) < 2:
            return 0.0
        first, last = self._samples[0], self._samples[-1]
        names = last.ended if queue is None else (queue,)
        gained = sum(last.ended.get(name, 0) - first.ended.get(name, 0) for name in names)
        return max(0.0, gained / (last.at - first.at)) if last.at > first.at else 0.0

    def wait_seconds(self, queue: str) -> float:
        """Return the estimated wait of a task that joins this queue now, at least 1 s."""
        depth = self.queues.get(queue)
        if depth is None or not depth.queued:
            return 1.0
        return drain_seconds(depth.queued, self.ended_per_second(queue))

    async def _refresh_or_rest(self) -> None:
        self._stirred.clear()
        await self.refresh()
        if self._is_quiet():
            with suppress(TimeoutError):
                async with asyncio.timeout(REST_SECONDS):
                    await self._stirred.wait()

    def _is_quiet(self) -> bool:
        waits = self._waiting or self._entering or self._recent or self._earlier
        last = list(self._samples)[-2:]
        return not waits and not self._failures and len(last) == 2 and last[0].ended == last[1].ended

    async def _refresh(self) -> None:
        self._earlier += self._recent
        self._recent = Counter()
        try:
            depths = await self._source.depths()
            self._partner_waiting = await self._source.partner_queued()
            self._waiting = sum(self._partner_waiting.values())
        except WebhookdError as error:
            self._failures += 1
            self.database_error = error.detail
        else:
            self._failures, self.database_error = 0, None
            self._earlier = Counter()
            self.queues = {depth.queue: depth for depth in depths}
            self._sample({depth.queue: depth.finished for depth in depths})
        if self._monotonic() - self._looked_at >= SERVER_LOOK_SECONDS:
            await self.look()

    def _sample(self, ended: dict[str, int]) -> None:
        now = self._monotonic()
        self._samples.append(_Sample(at=now, ended=ended))
        while len(self._samples) > 2 and now - self._samples[1].at >= RATE_WINDOW_SECONDS:
            self._samples.popleft()
