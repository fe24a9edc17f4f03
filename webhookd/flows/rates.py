"""Each partner's rates: a token bucket for its tasks and one for its other writes, over all API processes.

The buckets are on the broker, and a process keeps a view of those it meets. Of what a bucket held when the
broker was last asked, a process gives out a share without asking, tells of it within SYNC_SECONDS, and asks
for whatever is beyond. So far below its rate a submission waits for nobody, near it every call is
exact, and n processes together give out at most n / SHARES of what was there too much. While the broker is
away each process goes by its own view.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from cachetools import LRUCache

from webhookd.core.rate import UNUSED, Rate, Taken, Told, spend, take
from webhookd.core.records import Partner

SYNC_SECONDS: Final = 0.1
SHARES: Final = 8
WRITES: Final = Rate(per_second=50, burst=500)
_MAX_BUCKETS: Final = 10_000


class RateKind(StrEnum):
    """What a partner has a rate of."""

    TASKS = "tasks"
    WRITES = "writes"


Shared = Callable[[str, Rate, int, int], Awaitable[Told | None]]
"""Takes from the named bucket of all processes: what was given out already, then what is wanted.

Answers None where nobody answers in time.
"""


@dataclass(slots=True, kw_only=True)
class _View:
    """A bucket as this process sees it: `share` may be given out unasked, of `untold` nobody knows yet."""

    rate: Rate
    full_ms: float = UNUSED
    share: int = 0
    untold: int = 0


class PartnerRates:
    """The buckets. `rate` (tasks a second) and `burst` are for partners without limits of their own.

    Without `shared` they are this process's alone; with it, `now_ms` is the clock. Use it on one event loop.
    """

    def __init__(
        self,
        *,
        rate: float,
        burst: int,
        writes: Rate = WRITES,
        shared: Shared | None = None,
        now_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        self._tasks = Rate(per_second=rate, burst=burst)
        self._writes = writes
        self._shared = shared
        self._now_ms = now_ms
        self._views: LRUCache[tuple[RateKind, str], _View] = LRUCache(_MAX_BUCKETS)
        self._telling: asyncio.Task[None] | None = None

    def rate(self, bucket: RateKind, partner: Partner) -> Rate:
        """Return the rate in force."""
        if bucket is RateKind.WRITES:
            return self._writes
        limits = partner.limits
        if limits.rate_per_second is None and limits.burst is None:
            return self._tasks
        return Rate(
            per_second=self._tasks.per_second if limits.rate_per_second is None else limits.rate_per_second,
            burst=self._tasks.burst if limits.burst is None else limits.burst,
        )

    def look(self, bucket: RateKind, partner: Partner, *, now_ms: int) -> Taken:
        """Return a bucket as this process sees it."""
        view = self._views.get((bucket, partner.id))
        return take(UNUSED if view is None else view.full_ms, self.rate(bucket, partner), 0, now_ms=now_ms)

    async def take(self, bucket: RateKind, partner: Partner, count: int, *, now_ms: int) -> Taken:
        """Take `count` tokens, all or none."""
        view = self._view(bucket, partner)
        if self._shared is not None and view.share < count <= view.rate.burst:
            told = await self._ask(bucket, partner.id, view, wanted=count, now_ms=now_ms)
            if told is not None:
                taken = take(view.full_ms, view.rate, 0 if told.granted else count, now_ms=now_ms)
                return replace(taken, granted=told.granted)
        taken = take(view.full_ms, view.rate, count, now_ms=now_ms)
        if taken.granted and count:
            view.full_ms = taken.full_ms
            view.share = max(0, view.share - count)
            view.untold += count
            self._tell_soon()
        return taken

    async def aclose(self) -> None:
        """Tell no more."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)

    def _view(self, bucket: RateKind, partner: Partner) -> _View:
        rate, place = self.rate(bucket, partner), (bucket, partner.id)
        view = self._views.get(place)
        if view is None:
            view = self._views[place] = _View(rate=rate, share=rate.burst // SHARES)
        elif view.rate != rate:
            view.rate, view.share = rate, 0
        return view

    async def _ask(
        self, bucket: RateKind, partner_id: str, view: _View, *, wanted: int, now_ms: int
    ) -> Told | None:
        """Tell what was given out, ask for more, and take over what the broker knows."""
        assert self._shared is not None  # noqa: S101 - who calls has looked
        told_of, view.untold = view.untold, 0
        told = await self._shared(f"{bucket}:{partner_id}", view.rate, told_of, wanted)
        if told is None:
            view.untold += told_of
            return None
        # What was given out meanwhile is not in the answer yet.
        view.full_ms = spend(now_ms + told.full_in_ms, view.rate, view.untold, now_ms=now_ms)
        view.share = take(view.full_ms, view.rate, 0, now_ms=now_ms).remaining // SHARES
        return told

    def _tell_soon(self) -> None:
        if self._shared is not None and (self._telling is None or self._telling.done()):
            self._telling = asyncio.get_running_loop().create_task(self._tell(), name="rates")

    async def _tell(self) -> None:
        """Tell of what was given out unasked, until there is nothing to tell."""
        while True:
            await asyncio.sleep(SYNC_SECONDS)
            now_ms = self._now_ms()
            untold = [(place, view) for place, view in self._views.items() if view.untold]
            if not untold:
                return
            for (bucket, partner_id), view in untold:
                if await self._ask(bucket, partner_id, view, wanted=0, now_ms=now_ms) is None:
                    break  # nobody is there; what is untold stays so
