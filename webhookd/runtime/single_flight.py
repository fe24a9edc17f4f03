"""One look for all who want the same thing at nearly the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

from cachetools import LRUCache

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

RECENT_SECONDS: Final = 0.2
_MOST_KEPT: Final = 1_000


class SingleFlight(Generic[K, T]):
    """Shares each look while it is under way, or for `seconds` from its beginning. Use it on one event loop.

    Who asks may be cancelled; the look goes on for the others.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._seconds = seconds
        self._looks: LRUCache[K, tuple[float, asyncio.Future[T]]] = LRUCache(_MOST_KEPT)

    async def get(self, key: K, look: Callable[[], Awaitable[T]]) -> T:
        """Return what a shared look at `key` finds, or look. Raises what the look raises."""
        now = asyncio.get_running_loop().time()
        known = self._looks.get(key)
        if known is None or not self._is_shared(*known, now):
            known = (now, asyncio.ensure_future(look()))
            known[1].add_done_callback(_look_away)
            self._looks[key] = known
        return await asyncio.shield(known[1])

    def _is_shared(self, begun: float, answer: asyncio.Future[T], now: float) -> bool:
        return not answer.done() if self._seconds is None else now - begun < self._seconds


def _look_away(done: asyncio.Future[T]) -> None:
    if not done.cancelled():
        done.exception()  # looked at, even where every asker has gone away
