"""How many requests and connections of one partner may wait at a time, in this process.

Each costs a socket and some memory, which the other partners need too.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from webhookd.core.errors import RateLimited

MOST_HELD: Final = 10_000
"""Requests held open: long polls, `Prefer: wait`, event streams and waits for the pull feed together."""
RETRY_SECONDS: Final = 5.0


class Held:
    """Counts by owner: a partner's id, None for admins, an address. Use it on one event loop."""

    def __init__(self) -> None:
        self._held: Counter[str | None] = Counter()

    @contextmanager
    def one(self, owner: str | None, most: int | None = None) -> Iterator[None]:
        """Count one more while it waits. Raises RateLimited where `most` (if None, MOST_HELD) do already."""
        limit = MOST_HELD if most is None else most
        if self._held[owner] >= limit:
            raise RateLimited(
                f"{limit:,} are held open already; close some, or watch many tasks over one WebSocket.",
                retry_after_seconds=RETRY_SECONDS,
            )
        self._held[owner] += 1
        try:
            yield
        finally:
            self._held[owner] -= 1
            if not self._held[owner]:
                del self._held[owner]
