"""What this process does, told to the database every few seconds for the charts of all: no write an event.

What a process had not told when it was killed is missing in the charts, and nowhere else.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from webhookd.core.activity import SPANS_MS, ActivityKind, counted_attempt, counted_run
from webhookd.core.endpoint_stats import Counted, RunningSpans, Span, tallied
from webhookd.core.facts import AttemptEnded, RunEnded
from webhookd.runtime.every import every
from webhookd.runtime.outage import Outage

TELL_SECONDS: Final = 5.0
_MOST_UNTALLIED: Final = 500
"""Events that are tallied together: one by one costs more, and many at once hold the loop up."""

Keep = Callable[[ActivityKind, Sequence[Span]], Awaitable[None]]


class Activity:
    """Listens, and tells while `run` runs. Use it on one event loop.

    `keep` replaces what it was given before of the same spans. While it fails they are kept here.
    """

    def __init__(self, kind: ActivityKind, keep: Keep, now_ms: Callable[[], int]) -> None:
        self._kind = kind
        self._keep = keep
        self._now_ms = now_ms
        self._untallied: list[Counted] = []
        self._tally = RunningSpans()
        self._over: list[Span] = []
        self._told = True

    def run_ended(self, fact: RunEnded) -> None:
        """Listen to runs."""
        self._count(counted_run(fact, self._now_ms()))

    def attempt_ended(self, fact: AttemptEnded) -> None:
        """Listen to attempts."""
        self._count(counted_attempt(fact, self._now_ms()))

    async def run(self) -> None:
        """Tell until cancelled."""
        await every(TELL_SECONDS, self.tell, outage=Outage("activity", "the database"))

    async def tell(self) -> None:
        """Write the spans that have changed. Raises what `keep` raises."""
        self._fold()
        if self._told:
            return
        over = len(self._over)
        self._told = True
        try:
            await self._keep(self._kind, [*self._over, *self._tally.spans])
        except BaseException:
            self._told = False
            raise
        del self._over[:over]

    def _count(self, counted: Counted | None) -> None:
        if counted is not None:
            self._untallied.append(counted)
            if len(self._untallied) >= _MOST_UNTALLIED:
                self._fold()

    def _fold(self) -> None:
        if self._untallied:
            self._tally, over = tallied(self._tally, self._untallied, SPANS_MS)
            self._untallied, self._told = [], False
            self._over += over
