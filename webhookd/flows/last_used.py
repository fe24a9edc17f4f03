"""When keys were last used: noted in memory, told to the database at most once a minute a key."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from cachetools import LRUCache

from webhookd.core.api_keys import USE_EXACT_TO_MS
from webhookd.runtime.every import every
from webhookd.runtime.outage import Outage

TELL_SECONDS: Final = 5.0
_MOST_KEYS: Final = 10_000

Keep = Callable[[Mapping[str, int]], Awaitable[None]]


class LastUsed:
    """Notes uses by the key's id, and tells them while `run` runs. Use it on one event loop.

    What could not be told is kept; a key that is used meanwhile has the later time.
    """

    def __init__(self) -> None:
        self._noted: LRUCache[str, int] = LRUCache(_MOST_KEYS)
        self._untold: dict[str, int] = {}

    def used(self, key_id: str, now_ms: int) -> None:
        """Note that a key was right just now."""
        if now_ms - self._noted.get(key_id, 0) >= USE_EXACT_TO_MS:
            self._noted[key_id] = self._untold[key_id] = now_ms

    async def run(self, keep: Keep) -> None:
        """Tell until cancelled."""

        async def tell() -> None:
            await self.tell(keep)

        await every(TELL_SECONDS, tell, outage=Outage("last_used", "the database"))

    async def tell(self, keep: Keep) -> None:
        """Tell what is new. Raises what `keep` raises."""
        if not self._untold:
            return
        told, self._untold = self._untold, {}
        try:
            await keep(told)
        except BaseException:
            self._untold = told | self._untold
            raise
