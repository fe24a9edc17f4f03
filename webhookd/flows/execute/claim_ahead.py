"""How many tasks to claim beyond the free slots.

Where tasks are short, a process claims as many more as it has lately ended in AHEAD_SECONDS. Otherwise
every handful of quick tasks would cost two commits, and the window must outlast a few commits, or small
batches keep the rate small (measured on one busy machine with 8 slots: 0.05 s ahead ran 220 tasks a second
at 1.4 ms of processor each, 0.2 s ahead 630 at 0.45 ms).
"""

AHEAD_SECONDS = 0.2
AHEAD_MOST = 256


class ClaimAhead:
    """How quickly tasks end here, over the last moments, and how many to claim beyond the free slots."""

    _WINDOW_SECONDS = 0.2

    def __init__(self) -> None:
        self._since = 0.0
        self._ended = 0
        self._rate = 0.0

    def ended(self, now: float) -> None:
        """Count a task that ended."""
        self._ended += 1
        self._turn_over(now)

    def forget(self) -> None:
        """Tasks are not that short after all."""
        self._rate = 0.0
        self._ended = 0

    def ahead(self, now: float) -> int:
        """Return how many tasks to claim beyond the free slots."""
        self._turn_over(now)
        return min(AHEAD_MOST, int(self._rate * AHEAD_SECONDS))

    def _turn_over(self, now: float) -> None:
        elapsed = now - self._since
        if elapsed >= self._WINDOW_SECONDS:
            self._rate = self._ended / elapsed
            self._since, self._ended = now, 0
