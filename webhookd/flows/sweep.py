"""The sweep: finds by index what nobody rang for, and repairs it. Every worker runs one; none is special.

An idle sweep reads a few index entries and writes nothing. Where nothing has gone on for a while it comes
less often, and still in time for whatever is known to fall due: then it only guards against lost rings. Work
with its own pace (bulk replays, retention) hangs on as chores.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from webhookd.core.errors import ServiceError
from webhookd.core.records import Waiting
from webhookd.core.submission import REST_SECONDS
from webhookd.flows.alarm import Alarm

log = structlog.get_logger(__name__)

DELIVER_QUEUE = "deliver"
HEAL_SECONDS = 30.0
STIRRED_SECONDS: Final = 10.0
"""How long after the last sign of work it sweeps at its usual pace."""
_STEPS_A_SWEEP = 20


class Repairs(Protocol):
    """The store's repairs, each one transaction of bounded size. They tell whether there may be more."""

    async def waiting(self) -> Waiting:
        """Read what waits."""
        ...

    async def rescue(self, now_ms: int) -> bool:
        """Take back what one ended process held."""
        ...

    async def fall_due(self, now_ms: int) -> bool:
        """Queue scheduled tasks whose time has come."""
        ...

    async def expire(self, now_ms: int) -> bool:
        """End tasks that did not start in time."""
        ...

    async def overdue(self, now_ms: int) -> None:
        """Take back what its process has lost sight of."""
        ...

    async def heal(self, now_ms: int) -> None:
        """Set counters right."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    """Something done every `every_seconds`; `step` tells whether it has more to do at once."""

    name: str
    every_seconds: float
    step: Callable[[], Awaitable[bool]]


class Sweeper:
    """`run` sweeps until cancelled; `ring` makes it sweep at once, `stir` at its usual pace for a while.

    `is_written` tells whether this process could renew its own lease: a store that can be read and not
    written (a standby, a full disk) is away as well, and nobody else's lease can have been renewed.
    """

    def __init__(
        self,
        *,
        repairs: Repairs,
        alarm: Alarm,
        ring: Callable[[str], None],
        now_ms: Callable[[], int],
        every_seconds: float,
        lease_seconds: float,
        is_written: Callable[[], bool] = lambda: True,
        chores: Sequence[Chore] = (),
    ) -> None:
        self._repairs = repairs
        self._alarm = alarm
        self._ring = ring
        self._now_ms = now_ms
        self._every_seconds = every_seconds
        self._lease_seconds = lease_seconds
        self._is_written = is_written
        self._was_away = False
        self._leases_count_from = 0.0
        self._chores = (*chores, Chore(name="heal", every_seconds=HEAL_SECONDS, step=self._heal))
        self._chore_due = {chore.name: 0.0 for chore in self._chores}
        self._woken = asyncio.Event()
        self._rests_from = time.monotonic() + STIRRED_SECONDS
        self._resting = False

    def ring(self) -> None:
        """Sweep at once: something known falls due now."""
        self._woken.set()

    def stir(self) -> None:
        """There is work, or somebody says so: what falls due next may not be known yet."""
        self._rests_from = time.monotonic() + STIRRED_SECONDS
        if self._resting:
            self._woken.set()

    async def run(self) -> None:
        """Sweep forever; a store that is away is waited for."""
        while True:
            try:
                pause_seconds = await self.sweep()
            except ServiceError as error:
                log.warning("sweep_failed", reason=error.detail)
                pause_seconds = self._every_seconds
                self._rests_from = time.monotonic() + STIRRED_SECONDS
            self._woken.clear()
            self._resting = pause_seconds > self._every_seconds
            try:
                async with asyncio.timeout(pause_seconds):
                    await self._woken.wait()
            except TimeoutError:
                continue
            finally:
                self._resting = False

    async def sweep(self) -> float:
        """Do what is due; return the seconds until there may be more, at most the sweep's own pause.

        Raises ServiceError where the store is away.
        """
        if not self._is_written():
            self._was_away = True
        try:
            return await self._sweep()
        except ServiceError:
            self._was_away = True
            raise

    async def _sweep(self) -> float:
        waiting = await self._look()
        now_ms = self._now_ms()
        leases_count = time.monotonic() >= self._leases_count_from
        for due_ms, repair in (
            (waiting.next_lease_ms if leases_count else None, self._repairs.rescue),
            (waiting.next_task_ms, self._repairs.fall_due),
            (waiting.next_expiry_ms, self._repairs.expire),
        ):
            if due_ms is not None and due_ms <= now_ms:
                await self._repeat(repair)
        for queue in waiting.queues:
            self._ring(queue)
        if waiting.next_lane_ms is not None:
            self._alarm.at(DELIVER_QUEUE, max(waiting.next_lane_ms, now_ms))
        more = await self._do_chores()
        if more or waiting.queues or not leases_count:
            self._rests_from = time.monotonic() + STIRRED_SECONDS
        return self._pause_seconds(waiting, now_ms)

    def _pause_seconds(self, waiting: Waiting, swept_ms: int) -> float:
        """Until the next of what is known falls due, at most the usual pause, or the one at rest."""
        rests = time.monotonic() >= self._rests_from
        longest = max(self._every_seconds, REST_SECONDS) if rests else self._every_seconds
        times = (waiting.next_task_ms, waiting.next_expiry_ms, waiting.next_lease_ms)
        soonest = min((ms for ms in times if ms is not None and ms > swept_ms), default=None)
        if soonest is None:
            return longest
        return min(longest, max(0.01, (soonest - self._now_ms()) / 1000))

    async def _look(self) -> Waiting:
        """Read what waits. After an outage of the store, leases count only once all had time to renew theirs.

        Otherwise whoever sweeps first would take from processes that are well what they are working on.
        """
        started = time.monotonic()
        waiting = await self._repairs.waiting()
        now = time.monotonic()
        if self._was_away or now - started > self._lease_seconds / 3:
            self._was_away = False
            self._leases_count_from = now + self._lease_seconds
        return waiting

    async def _repeat(self, repair: Callable[[int], Awaitable[bool]]) -> None:
        for _ in range(_STEPS_A_SWEEP):
            if not await repair(self._now_ms()):
                return

    async def _do_chores(self) -> bool:
        """Do those that are due; tell whether one has more to do at once."""
        any_more = False
        for chore in self._chores:
            if time.monotonic() >= self._chore_due[chore.name]:
                more = await chore.step()
                self._chore_due[chore.name] = time.monotonic() + (0 if more else chore.every_seconds)
                any_more = any_more or more
        return any_more

    async def _heal(self) -> bool:
        await self._repairs.overdue(self._now_ms())
        await self._repairs.heal(self._now_ms())
        return False
