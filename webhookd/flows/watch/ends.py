"""Finding the tasks that ended, for those who follow a whole partner, where no signal told of it.

Every end of a task is a message, and a partner's messages are numbered in the order of their commits: so the
last number seen is a place from which nothing can be missed. What happens between a task's submission and
its end makes no message; followers hear of it by signals alone.
"""

from collections.abc import Collection, Mapping
from typing import Final, Protocol

MOST_A_LOOK: Final = 2_000
"""Messages of one partner read at a time; the rest waits for the next look."""


class EndedTasks(Protocol):
    """Where messages are numbered: the store's changes."""

    async def positions(self, partner_ids: Collection[str] | None) -> Mapping[str, int]:
        """Return the last number of each of these partners (None: of all) that have any."""
        ...

    async def announced(self, partner_id: str, *, after: int, limit: int) -> tuple[list[str], int]:
        """Return the tasks of the partner's next messages, and the last number among those."""
        ...


class EndFinder:
    """Remembers the place of each followed partner."""

    def __init__(self, ends: EndedTasks) -> None:
        self._ends = ends
        self._places: dict[str, int] = {}

    async def begin(self, partner_id: str | None) -> None:
        """Note where a partner (None: every partner) stands. Raises Unavailable."""
        for one, place in (await self._ends.positions(None if partner_id is None else [partner_id])).items():
            self._places.setdefault(one, place)

    async def look(self, followed: Collection[str | None]) -> list[str]:
        """Return the tasks that were announced since the last look, of the followed partners."""
        named = {one for one in followed if one is not None}
        wanted = None if None in followed else named
        if wanted is not None:
            self._places = {one: place for one, place in self._places.items() if one in wanted}
        if not followed:
            return []
        found: list[str] = []
        for partner_id, last in (await self._ends.positions(wanted)).items():
            # A partner without a place had no message when following began.
            place = self._places.get(partner_id, 0)
            if last > place:
                task_ids, read_to = await self._ends.announced(partner_id, after=place, limit=MOST_A_LOOK)
                found += task_ids
                # Nothing read: retention has taken those messages.
                self._places[partner_id] = read_to if read_to > place else last
        return found
