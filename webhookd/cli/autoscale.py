"""Carries out what `scaling` decides: reads how the tasks stand, adds workers, retires workers."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

from webhookd.adapters.store.store import Store
from webhookd.adapters.supervised import ChildSpec
from webhookd.adapters.supervisor import Supervisor
from webhookd.core.records import QueueDepth
from webhookd.core.scaling import LOOK_SECONDS, Autoscaler, Reading, WorkerRange
from webhookd.runtime.every import every
from webhookd.runtime.outage import Outage

log = structlog.get_logger(__name__)

_RATE_WINDOW_SECONDS: Final = 20.0


async def autoscale(
    store: Store, supervisor: Supervisor, bounds: WorkerRange, spec: Callable[[int], ChildSpec]
) -> None:
    """Keep the number of task workers right, until cancelled.

    `spec(1)` to `spec(bounds.least)` run already; each further worker gets a number of its own. One
    that retires finishes its tasks while the watch goes on.
    """
    scaler = Autoscaler(bounds)
    reader = _Reader(store)
    names = [spec(number).name for number in range(1, bounds.least + 1)]
    number = bounds.least
    async with asyncio.TaskGroup() as retiring:

        async def look() -> None:
            nonlocal number
            reading = await reader.read()
            target = scaler.target(reading, len(names))
            if target != len(names):
                log.info("scaled", workers=target, before=len(names), waiting=reading.waiting)
            while len(names) < target:
                number += 1
                supervisor.add(spec(number))
                names.append(spec(number).name)
            while len(names) > target:
                retiring.create_task(supervisor.retire(names.pop()))

        await every(LOOK_SECONDS, look, outage=Outage("autoscale", "the database"))


class _Reader:
    """Reads the store; remembers how many tasks had ended before, for the rate."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ended: deque[tuple[float, int]] = deque()

    async def read(self) -> Reading:
        """Return how the tasks stand. Raises Unavailable."""
        depths = [depth for depth in await self._store.queues.depths() if not depth.paused]
        now, now_ms = time.monotonic(), self._store.clock.now_ms()
        workers = [one for one in await self._store.sessions.live(now_ms) if one["kind"] == "tasks"]
        return Reading(
            at_seconds=now,
            waiting=sum(depth.queued for depth in depths),
            oldest_seconds=max((_age_seconds(depth, now_ms) for depth in depths), default=0.0),
            running=sum(depth.running for depth in depths),
            processes=len(workers),
            slots=sum(one["detail"].get("slots", 0) for one in workers),
            ended_per_second=self._rate(now, sum(depth.finished for depth in depths)),
        )

    def _rate(self, now: float, ended: int) -> float:
        self._ended.append((now, ended))
        while len(self._ended) > 2 and now - self._ended[1][0] >= _RATE_WINDOW_SECONDS:
            self._ended.popleft()
        first_at, first = self._ended[0]
        return max(0.0, (ended - first) / (now - first_at)) if now > first_at else 0.0


def _age_seconds(depth: QueueDepth, now_ms: int) -> float:
    return 0.0 if depth.oldest_queued_ms is None else max(0, now_ms - depth.oldest_queued_ms) / 1000
