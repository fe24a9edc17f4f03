"""All waiters of one process: hears signals, reads each changed task once, wakes whoever waits for it.

Theory of operation. A waiter joins a task first and reads its row then, so a change between the two is seen
by one or the other. A signal names a task and a version; it may be lost, doubled or forged, so it only puts
the task on the list of what is to be read (`_unread`), unless that version was told already. Three loops
run beside the waiters: one reads what is on the list, many rows at a time, and wakes each waiter that has
not had that version; one polls the versions of all tasks that somebody waits for once a second, which finds
what no signal announced; one reviews the waiters' keys. A task is taken off the list before it is read: a
signal that comes during the read puts it back. Versions only grow, so whoever wakes twice finds nothing
newer and waits on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Final, Protocol, TypeVar

import structlog
from cachetools import LRUCache

from webhookd.core.errors import WebhookdError
from webhookd.core.records import Task, TaskSignal
from webhookd.core.watched import EVERYTHING
from webhookd.flows.watch.ends import EndedTasks, EndFinder
from webhookd.flows.watch.fresh import READ_AT_ONCE, FreshReads
from webhookd.flows.watch.snapshots import Shelf, Snapshot, snapshot_of
from webhookd.flows.watch.watch import Ended, Watch
from webhookd.runtime.every import every
from webhookd.runtime.outage import Outage

_log = structlog.get_logger(__name__)

K = TypeVar("K")

POLL_SECONDS: Final = 1.0
REVIEW_SECONDS: Final = 2.0
"""Pause between two looks at the waiters' keys: a revoked one must be noticed within 5 s."""
COMPARE_AT_ONCE: Final = 10_000
MOST_UNREAD: Final = 100_000
"""Changed tasks that wait to be read; what comes on top is found by the poll."""
MOST_RECENT: Final = 20_000
"""Versions remembered for those who follow a whole partner; beyond that they may be told twice."""


class TaskRows(Protocol):
    """Where tasks are read: the store's tasks."""

    async def versions(self, task_ids: Iterable[str]) -> Mapping[str, int]:
        """Return the present versions of the tasks that exist."""
        ...

    async def get_many(self, task_ids: Iterable[str]) -> list[Task]:
        """Return those of the tasks that exist."""
        ...


class _Group:
    """Who waits for one task, and the newest version they heard of."""

    __slots__ = ("version", "watches")

    def __init__(self) -> None:
        self.version = 0
        self.watches: set[Watch] = set()


class Watchers:
    """The waiters of this process. Use it on one event loop; `run` must run beside them.

    `is_good_key` says of a key's id whether it may still look; it may raise Unavailable, and then the
    answer before stands. `make_known` tells those who change tasks what is watched, at once and again
    every second.
    """

    def __init__(
        self,
        rows: TaskRows,
        ends: EndedTasks,
        *,
        is_good_key: Callable[[str], Awaitable[bool]],
        make_known: Callable[[Collection[str]], None] = lambda _names: None,
        base_url: str = "",
    ) -> None:
        self._rows = rows
        self._ends = EndFinder(ends)
        self._is_good_key = is_good_key
        self._make_known = make_known
        self._base_url = base_url
        self._groups: dict[str, _Group] = {}
        self._followers: dict[str | None, set[Watch]] = {}
        self._heeding: dict[str, set[Watch]] = {}
        self._by_key: dict[str, set[Watch]] = {}
        self._recent: LRUCache[str, int] = LRUCache(MOST_RECENT)
        self._unread: dict[str, None] = {}
        self._work = asyncio.Event()
        self.shelf = Shelf()
        self._fresh = FreshReads(self._read)
        self.draining = False

    def __len__(self) -> int:
        """How many wait."""
        return sum(len(watches) for watches in self._by_key.values())

    def watch(self, *, partner_id: str | None, key_id: str) -> Watch:
        """Return a new waiter who may see this partner's tasks (None: all); it must be closed."""
        watch = Watch(self, partner_id=partner_id, key_id=key_id)
        self._by_key.setdefault(key_id, set()).add(watch)
        if self.draining:
            watch.end(Ended.DRAINING)
        return watch

    def hear(self, signals: Sequence[TaskSignal]) -> None:
        """Take in signals: the callback for `Signals.listen`."""
        followed = self._followers
        for signal in signals:
            group = self._groups.get(signal.task_id)
            if (group is not None and signal.version > group.version) or (
                followed
                and (signal.partner_id in followed or None in followed)
                and signal.version > self._recent.get(signal.task_id, 0)
            ):
                self.read(signal.task_id)
            for watch in self._heeding.get(signal.partner_id, ()):
                watch.wake()

    async def present(self, task_id: str, partner_id: str | None) -> Snapshot | None:
        """Return a task as it is now, None where it is unknown or another partner's. Raises Unavailable."""
        snapshot = await self._fresh.get(task_id)
        if snapshot is None or partner_id not in (None, snapshot.task.partner_id):
            return None
        return snapshot

    def drain(self) -> None:
        """Let every waiter go at once, and those who come from now on."""
        self.draining = True
        for watches in self._by_key.values():
            for watch in watches:
                watch.end(Ended.DRAINING)

    async def run(self) -> None:
        """Read, compare and review until cancelled."""
        async with asyncio.TaskGroup() as group:
            for step, pause_seconds in (
                (self._read_changed, 0.0),
                (self._compare, POLL_SECONDS),
                (self._review_keys, REVIEW_SECONDS),
            ):
                steps = every(
                    pause_seconds,
                    step,
                    outage=Outage(f"watch{step.__name__}", "the database"),
                    after_failure_seconds=POLL_SECONDS,
                    survives_defects=True,
                )
                group.create_task(steps, name=f"watch{step.__name__}")

    def join(self, watch: Watch, task_ids: Iterable[str]) -> None:
        """Tell `watch` of these tasks from now on."""
        fresh = []
        for task_id in task_ids:
            group = self._groups.get(task_id)
            if group is None:
                group = self._groups[task_id] = _Group()
                fresh.append(task_id)
            group.watches.add(watch)
        self._make_known(fresh)

    def leave(self, watch: Watch, task_ids: Iterable[str]) -> None:
        """Tell `watch` of these tasks no more."""
        for task_id in task_ids:
            group = self._groups.get(task_id)
            if group is not None:
                group.watches.discard(watch)
                if not group.watches:
                    del self._groups[task_id]

    def known(self, task_id: str, version: int) -> int:
        """One waiter knows this version from the row; so must the others. Return the newest told of."""
        group = self._groups[task_id]
        if version > group.version:
            if len(group.watches) == 1:
                group.version = version
            else:
                self.read(task_id)
        return group.version

    async def follow(self, watch: Watch, partner_id: str | None) -> None:
        """Tell `watch` of every task of a partner (None: of all). Raises Unavailable."""
        self.unfollow(watch)
        self._followers.setdefault(partner_id, set()).add(watch)
        self._make_known([partner_id or EVERYTHING])
        await self._ends.begin(partner_id)

    def unfollow(self, watch: Watch) -> None:
        """Tell `watch` of the tasks it named only."""
        _strike(self._followers, watch)
        if not self._followers:
            self._recent.clear()

    def heed(self, watch: Watch, partner_id: str) -> None:
        """Wake `watch` when a signal tells of any task of a partner."""
        self._heeding.setdefault(partner_id, set()).add(watch)
        self._make_known([partner_id])

    def unheed(self, watch: Watch) -> None:
        """Wake `watch` no more for a partner."""
        _strike(self._heeding, watch)

    def forget(self, watch: Watch) -> None:
        """Let a waiter that is closed go."""
        watches = self._by_key.get(watch.key_id)
        if watches is not None:
            watches.discard(watch)
            if not watches:
                del self._by_key[watch.key_id]

    def read(self, task_id: str) -> None:
        """Read a task again and wake those who wait for it."""
        if len(self._unread) < MOST_UNREAD:
            self._unread[task_id] = None
            self._work.set()

    async def _read_changed(self) -> None:
        self._work.clear()
        if not self._unread:
            await self._work.wait()
        # Taken off before the read: a signal that comes meanwhile asks for another one. Put back while the
        # database is away; whatever else cannot be read must not be tried for ever before all the others.
        batch = list(islice(self._unread, READ_AT_ONCE))
        for task_id in batch:
            del self._unread[task_id]
        try:
            found = await self._read(batch)
        except WebhookdError:
            self._unread = dict.fromkeys(batch) | self._unread
            raise
        for snapshot in found:
            self._tell(snapshot)

    async def _read(self, task_ids: list[str]) -> list[Snapshot]:
        found = await self._rows.get_many(task_ids)
        snapshots = [snapshot_of(task, base_url=self._base_url) for task in found]
        for snapshot in snapshots:
            self.shelf.put(snapshot)
        return snapshots

    def _tell(self, snapshot: Snapshot) -> None:
        task = snapshot.task
        group = self._groups.get(task.id)
        heard = self._recent.get(task.id, 0)
        if group is not None:
            group.version = max(group.version, task.version)
            for watch in group.watches:
                watch.notice(task.id, task.version, news=task.version > heard)
        if self._followers:
            for partner_id in (task.partner_id, None):
                for watch in self._followers.get(partner_id, ()):
                    watch.notice(task.id, task.version, news=task.version > heard)
            self._recent[task.id] = max(task.version, heard)

    async def _compare(self) -> None:
        self._make_known(
            [*self._groups, *self._heeding, *(partner_id or EVERYTHING for partner_id in self._followers)]
        )
        task_ids = list(self._groups)
        for start in range(0, len(task_ids), COMPARE_AT_ONCE):
            versions = await self._rows.versions(task_ids[start : start + COMPARE_AT_ONCE])
            for task_id, version in versions.items():
                group = self._groups.get(task_id)
                if group is not None and version > group.version:
                    self.read(task_id)
        ended = await self._ends.look(set(self._followers))
        if ended:
            for task_id, version in (await self._rows.versions(ended)).items():
                if version > self._recent.get(task_id, 0):
                    self.read(task_id)

    async def _review_keys(self) -> None:
        for key_id in list(self._by_key):
            if not await self._is_good_key(key_id):
                for watch in self._by_key.get(key_id, ()):
                    watch.end(Ended.REVOKED)


def _strike(lists: dict[K, set[Watch]], watch: Watch) -> None:
    for key, watches in list(lists.items()):
        watches.discard(watch)
        if not watches:
            del lists[key]
