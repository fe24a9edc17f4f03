"""One read for all who look at the same thing at nearly the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from cachetools import LRUCache

T = TypeVar("T")

RECENT_SECONDS: Final = 0.2
_MOST_KEPT: Final = 1_000


class RecentReads(Generic[T]):
    """Keeps each read for `seconds` from its beginning. Use it on one event loop."""

    def __init__(self, seconds: float = RECENT_SECONDS) -> None:
        self._seconds = seconds
        self._reads: LRUCache[str, tuple[float, asyncio.Future[T]]] = LRUCache(_MOST_KEPT)

    async def get(self, key: str, read: Callable[[], Awaitable[T]]) -> T:
        """Return what was read of `key` a moment ago, or read it. Raises what the read raises."""
        now = asyncio.get_running_loop().time()
        known = self._reads.get(key)
        if known is None or now - known[0] >= self._seconds:
            known = (now, asyncio.ensure_future(read()))
            known[1].add_done_callback(_look)
            self._reads[key] = known
        return await asyncio.shield(known[1])


def _look(done: asyncio.Future[T]) -> None:
    if not done.cancelled():
        done.exception()  # looked at, even where every asker has gone away
