"""One waiter: what it was told, what is new to it, and waiting for more.

Of a task only the newest state is ever handed out, however many versions went by meanwhile.
"""

import asyncio
from collections.abc import Iterable
from enum import Enum, auto
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from webhookd.flows.watch.snapshots import Snapshot

if TYPE_CHECKING:
    from webhookd.flows.watch.watchers import Watchers

AT_ONCE: Final = 50
"""How many snapshots a waiter is handed at a time."""
_UNREAD: Final = 2**63
"""What is told of a task whose row was not read yet: no version is news then."""
MOST_PENDING: Final = 10_000
"""How many changed tasks may wait for a reader of everything before it is given up as too slow."""


class Ended(Enum):
    """Why there is nothing more to wait for."""

    GONE = auto()
    """The other side went away."""
    REVOKED = auto()
    """Its key is no longer good."""
    DRAINING = auto()
    """This process stops."""
    OVERFLOWN = auto()
    """It reads too slowly for what it asked for."""


class Watch:
    """A waiter, from `Watchers.watch`; use it as a context manager, in one coroutine at a time.

    `partner_id` is what it may see (None: all). `ended` says why it will hear no more, if so.
    """

    __slots__ = (
        "_following",
        "_heeding",
        "_pending",
        "_stirred",
        "_told",
        "_waiting",
        "_watchers",
        "ended",
        "key_id",
        "partner_id",
    )

    def __init__(self, watchers: "Watchers", *, partner_id: str | None, key_id: str) -> None:
        self.partner_id = partner_id
        self.key_id = key_id
        self.ended: Ended | None = None
        self._watchers = watchers
        self._following = False
        self._heeding = False
        self._stirred = False
        self._told: dict[str, int] = {}
        self._pending: dict[str, int] = {}
        self._waiting: asyncio.Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watchers.leave(self, self._told)
        if self._following:
            self._watchers.unfollow(self)
        if self._heeding:
            self._watchers.unheed(self)
        self._watchers.forget(self)

    def __len__(self) -> int:
        """How many tasks it names."""
        return len(self._told)

    def add(self, task_ids: Iterable[str]) -> None:
        """Watch these tasks. Then read their rows, and give what they say to `saw` or `due`.

        In this order nothing is missed; and nothing is handed out before `saw` or `due`.
        """
        fresh = [task_id for task_id in task_ids if task_id not in self._told]
        self._told.update(dict.fromkeys(fresh, _UNREAD))
        self._watchers.join(self, fresh)

    def saw(self, task_id: str, version: int) -> None:
        """Note that the other side knows this version: it is told of later ones only."""
        self._told[task_id] = version
        newest = self._watchers.known(task_id, version)
        if newest > version:
            self.notice(task_id, newest, news=True)

    def due(self, task_id: str, version: int) -> None:
        """Hand out this version (or a later one) next."""
        self._told[task_id] = 0
        self.notice(task_id, version, news=True)

    def remove(self, task_ids: Iterable[str]) -> None:
        """Hear no more of these tasks."""
        known = [task_id for task_id in task_ids if task_id in self._told]
        for task_id in known:
            del self._told[task_id]
            self._pending.pop(task_id, None)
        self._watchers.leave(self, known)

    async def follow(self, partner_id: str | None) -> None:
        """Hear of every task of a partner (None: of all partners) from now on. Raises Unavailable."""
        self._following = True
        await self._watchers.follow(self, partner_id)

    def unfollow(self) -> None:
        """Hear of the tasks named only."""
        self._following = False
        self._watchers.unfollow(self)
        self._pending = {one: version for one, version in self._pending.items() if one in self._told}

    def notice(self, task_id: str, version: int, *, news: bool) -> None:
        """A task has this version. `news`: nobody was told of it before (all that a follower goes by)."""
        told = self._told.get(task_id)
        pending = self._pending.get(task_id)
        if (news if told is None else version > told) or pending is not None:
            self._pending[task_id] = max(version, pending or 0)
            if len(self._pending) > MOST_PENDING:
                self.end(Ended.OVERFLOWN)
            self.wake()

    def end(self, reason: Ended) -> None:
        """Make `next` return at once from now on; the first reason stays."""
        self.ended = self.ended or reason
        self.wake()

    async def next(self, timeout_seconds: float | None = None) -> list[Snapshot]:
        """Return the newest states not handed out yet; empty at the time-out, or when `ended` is set."""
        loop = asyncio.get_running_loop()
        give_up_at = None if timeout_seconds is None else loop.time() + timeout_seconds
        while self.ended is None:
            ready = self._take()
            if ready or (give_up_at is not None and loop.time() >= give_up_at):
                return ready
            await self._woken(give_up_at)
        return []

    def heed(self, partner_id: str) -> None:
        """Let `pause` end early whenever a partner's task changes; nothing is read for it."""
        self._heeding = True
        self._watchers.heed(self, partner_id)

    async def pause(self, timeout_seconds: float) -> None:
        """Wait for a change heeded since the last pause, for `ended`, or for so long."""
        if not self._stirred and self.ended is None:
            await self._woken(asyncio.get_running_loop().time() + timeout_seconds)
        self._stirred = False

    async def _woken(self, give_up_at: float | None) -> None:
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        timer = None if give_up_at is None else loop.call_at(give_up_at, self.wake)
        try:
            await self._waiting
        finally:
            self._waiting = None
            if timer is not None:
                timer.cancel()

    def wake(self) -> None:
        """Let `next` look again, and `pause` end."""
        self._stirred = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _take(self) -> list[Snapshot]:
        taken: list[Snapshot] = []
        for task_id, version in list(islice(self._pending.items(), AT_ONCE)):
            snapshot = self._watchers.shelf.get(task_id, version=version)
            if snapshot is None:
                self._watchers.read(task_id)
                continue
            del self._pending[task_id]
            if task_id in self._told:
                self._told[task_id] = snapshot.task.version
            # The row, not the signal, says whose task it is.
            if self.partner_id in (None, snapshot.task.partner_id):
                taken.append(snapshot)
        return taken
