"""Turns at something there is little of: few at once, fewer of one owner, and owners go round.

Whoever waits stands in its owner's own line, so that the length of one's line is nobody else's business.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from typing import Final

from webhookd.core.errors import RateLimited

RETRY_SECONDS: Final = 1.0


class Turns:
    """At most `at_once` turns, at most `each` of one owner; `waiting` of one owner may stand in line.

    Use it on one event loop.
    """

    def __init__(self, *, at_once: int, each: int, waiting: int, what: str) -> None:
        self._at_once = at_once
        self._each = each
        self._waiting = waiting
        self._what = what
        self._taken: Counter[str] = Counter()
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def take(self, owner: str, *, patience_seconds: float | None = None) -> None:
        """Wait for a turn; it lasts until `give_back`. Raises RateLimited where too many do."""
        if owner not in self._lines and self._is_free_for(owner):
            self._taken[owner] += 1
            return
        line = self._lines.setdefault(owner, deque())
        if len(line) >= self._waiting:
            raise self._too_many()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.append(turn)
        try:
            async with asyncio.timeout(patience_seconds):
                await turn
        except TimeoutError:
            self._leave(owner, turn)
            raise self._too_many() from None
        except asyncio.CancelledError:
            self._leave(owner, turn)
            raise

    def give_back(self, owner: str) -> None:
        """End a turn; the next owner in the round gets it."""
        self._taken[owner] -= 1
        if not self._taken[owner]:
            del self._taken[owner]
        self._call_next()

    def _is_free_for(self, owner: str) -> bool:
        return self._taken.total() < self._at_once and self._taken[owner] < self._each

    def _call_next(self) -> None:
        for owner in list(self._lines):
            if self._taken.total() >= self._at_once:
                return
            if self._taken[owner] >= self._each:
                continue
            line = self._lines[owner]
            while line and line[0].cancelled():  # it gave up, and has not stepped out yet
                line.popleft()
            turn = line.popleft() if line else None
            if line:
                self._lines.move_to_end(owner)
            else:
                del self._lines[owner]
            if turn is not None:
                self._taken[owner] += 1
                turn.set_result(None)

    def _leave(self, owner: str, turn: asyncio.Future[None]) -> None:
        """Step out of the line, or give back what came at the same moment."""
        if turn.done() and not turn.cancelled():
            self.give_back(owner)
            return
        line = self._lines.get(owner)
        if line is not None and turn in line:
            line.remove(turn)
            if not line:
                del self._lines[owner]

    def _too_many(self) -> RateLimited:
        return RateLimited(
            f"Too many {self._what} of this partner are waiting; send fewer at once.",
            retry_after_seconds=RETRY_SECONDS,
        )
