"""One timer per queue that rings at the soonest known due time. Lost timers cost a sweep, not work."""

import asyncio
from collections.abc import Callable
from typing import Final

SWEEP: Final = "sweep"
"""The name under which a task's due time is noted: the sweep lets it fall due. No queue has it."""
_SLACK_MS = 2


class Alarm:
    """`ring(queue)` is called on the loop once `now_ms()` has passed the soonest `due_ms` given."""

    def __init__(self, ring: Callable[[str], None], now_ms: Callable[[], int]) -> None:
        self._ring = ring
        self._now_ms = now_ms
        self._set: dict[str, tuple[int, asyncio.TimerHandle]] = {}

    def at(self, queue: str, due_ms: int) -> None:
        """Ring `queue` at `due_ms`, or sooner if it is already to be rung sooner."""
        earlier = self._set.get(queue)
        if earlier is not None:
            if earlier[0] <= due_ms:
                return
            earlier[1].cancel()
        delay_seconds = max(0, due_ms - self._now_ms() + _SLACK_MS) / 1000
        timer = asyncio.get_running_loop().call_later(delay_seconds, self._fire, queue)
        self._set[queue] = (due_ms, timer)

    def close(self) -> None:
        """Forget every timer."""
        for _, timer in self._set.values():
            timer.cancel()
        self._set.clear()

    def _fire(self, queue: str) -> None:
        del self._set[queue]
        self._ring(queue)
