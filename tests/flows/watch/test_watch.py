"""Waiting for tasks: what is told to whom, when, and how often the rows are read."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from tests.support.records import a_queued_task
from tests.support.services import until
from webhookd.core.errors import Unavailable
from webhookd.core.records import Task, TaskSignal
from webhookd.core.watched import EVERYTHING
from webhookd.flows.watch import Ended, Snapshot, Watch, Watchers
from webhookd.flows.watch import watch as watch_module
from webhookd.flows.watch import watchers as watchers_module
from webhookd.flows.watch.snapshots import Shelf, snapshot_of

TASK = a_queued_task(created_ms=1, due_ms=1)


@dataclass(slots=True)
class Rows:
    """A store of tasks and feeds, which may be away, and counts what it is asked."""

    tasks: dict[str, Task] = field(default_factory=dict)
    feeds: dict[str, list[str]] = field(default_factory=dict)
    away: bool = False
    reads: list[list[str]] = field(default_factory=list)
    bad_keys: set[str] = field(default_factory=set)

    def put(self, task_id: str, version: int, partner_id: str = "prt_1") -> TaskSignal:
        """Write a version; the signal that would tell of it."""
        self.tasks[task_id] = replace(TASK, id=task_id, version=version, partner_id=partner_id)
        return TaskSignal(task_id=task_id, partner_id=partner_id, version=version)

    async def versions(self, task_ids: Iterable[str]) -> Mapping[str, int]:
        await self._answer()
        return {one: self.tasks[one].version for one in task_ids if one in self.tasks}

    async def get_many(self, task_ids: Iterable[str]) -> list[Task]:
        wanted = list(task_ids)
        self.reads.append(wanted)
        found = [self.tasks[one] for one in wanted if one in self.tasks]
        await self._answer()
        return found

    async def positions(self, partner_ids: Collection[str] | None) -> Mapping[str, int]:
        await self._answer()
        return {
            one: len(feed) for one, feed in self.feeds.items() if partner_ids is None or one in partner_ids
        }

    async def announced(self, partner_id: str, *, after: int, limit: int) -> tuple[list[str], int]:
        await self._answer()
        found = self.feeds[partner_id][after : after + limit]
        return found, after + len(found)

    async def is_good(self, key_id: str) -> bool:
        await self._answer()
        return key_id not in self.bad_keys

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("The database does not answer.")


@asynccontextmanager
async def running(
    rows: Rows,
    *,
    poll_seconds: float = 3_600.0,
    make_known: Callable[[Collection[str]], None] = lambda _names: None,
) -> AsyncIterator[Watchers]:
    """Watchers that run; by default they never look by themselves after the first time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watchers_module, "POLL_SECONDS", poll_seconds)
        patch.setattr(watchers_module, "REVIEW_SECONDS", 0.01)
        watchers = Watchers(rows, rows, is_good_key=rows.is_good, make_known=make_known)
        work = asyncio.create_task(watchers.run())
        await asyncio.sleep(0.01)
        try:
            yield watchers
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)


def waiter(
    watchers: Watchers, *task_ids: str, knows: int | None = 1, partner_id: str | None = "prt_1"
) -> Watch:
    watch = watchers.watch(partner_id=partner_id, key_id="key_1")
    watch.add(task_ids)
    for task_id in task_ids if knows is not None else ():
        watch.saw(task_id, knows or 0)
    return watch


async def told(watch: Watch, seconds: float = 10.0) -> list[tuple[str, int]]:
    return [(snapshot.task.id, snapshot.task.version) for snapshot in await watch.next(seconds)]


async def nothing(watch: Watch) -> bool:
    return not await watch.next(0.05)


async def test_signal_is_passed_on_as_the_row_says() -> None:
    rows = Rows()
    rows.put("task_a", 1)
    async with running(rows) as watchers:
        with waiter(watchers, "task_a") as watch:
            rows.put("task_a", 3)
            watchers.hear([TaskSignal(task_id="task_a", partner_id="prt_1", version=2)])
            assert await told(watch) == [("task_a", 3)]
            watchers.hear([TaskSignal(task_id="task_a", partner_id="prt_1", version=3)])
            assert await nothing(watch)


async def test_one_read_serves_all_who_wait() -> None:
    rows = Rows()
    rows.put("task_a", 1)
    async with running(rows) as watchers:
        watches = [waiter(watchers, "task_a") for _ in range(100)]
        rows.reads.clear()
        watchers.hear([rows.put("task_a", 2)])
        handed = await asyncio.gather(*(watch.next(10) for watch in watches))
        assert len({id(snapshots[0].body) for snapshots in handed}) == 1
        assert rows.reads == [["task_a"]]


async def test_change_between_subscribing_and_reading_is_not_missed() -> None:
    rows = Rows()
    async with running(rows) as watchers:
        with waiter(watchers, "task_a", knows=None) as watch:
            watchers.hear([rows.put("task_a", 2)])
            assert await nothing(watch)  # what it knows is not known yet
            watch.saw("task_a", 1)  # its own read was of the state before
            assert await told(watch) == [("task_a", 2)]


async def test_known_version_is_not_told() -> None:
    rows = Rows()
    async with running(rows) as watchers:
        with waiter(watchers, "task_a", knows=2) as watch, waiter(watchers, "task_a", knows=1) as behind:
            watchers.hear([rows.put("task_a", 2)])
            assert await told(behind) == [("task_a", 2)]
            assert await nothing(watch)


async def test_one_who_reads_ahead_does_not_silence_the_signal_for_the_others() -> None:
    rows = Rows()
    rows.put("task_a", 1)
    async with running(rows) as watchers:
        with waiter(watchers, "task_a") as first:
            rows.put("task_a", 2)
            with waiter(watchers, "task_a", knows=2):
                assert await told(first) == [("task_a", 2)]


async def test_slow_reader_is_handed_the_newest_only() -> None:
    rows = Rows()
    async with running(rows) as watchers:
        with waiter(watchers, "task_a") as watch:
            for version in range(2, 9):
                watchers.hear([rows.put("task_a", version)])
                await asyncio.sleep(0.005)
            assert await told(watch) == [("task_a", 8)]
            assert await nothing(watch)


async def test_lost_signal_is_found_by_comparing() -> None:
    rows = Rows()
    rows.put("task_a", 1)
    async with running(rows, poll_seconds=0.01) as watchers:
        with waiter(watchers, "task_a") as watch:
            rows.put("task_a", 2)
            assert await told(watch) == [("task_a", 2)]


async def test_follower_hears_of_one_partner_and_of_each_version_once() -> None:
    rows = Rows()
    async with running(rows) as watchers:
        with waiter(watchers) as watch, waiter(watchers, partner_id=None) as admin:
            await watch.follow("prt_1")
            await admin.follow(None)
            own, foreign = rows.put("task_a", 1), rows.put("task_b", 1, "prt_2")
            watchers.hear([own, foreign])
            watchers.hear([own, foreign])
            assert await told(watch) == [("task_a", 1)]
            assert sorted(await told(admin)) == [("task_a", 1), ("task_b", 1)]
            watchers.hear([own, foreign])
            assert await nothing(watch)
            assert await nothing(admin)


async def test_signal_that_lies_about_the_partner_shows_nothing() -> None:
    rows = Rows()
    rows.put("task_b", 2, "prt_2")
    lie = TaskSignal(task_id="task_b", partner_id="prt_1", version=2)
    async with running(rows) as watchers:
        with waiter(watchers, "task_b") as named, waiter(watchers) as follower:
            await follower.follow("prt_1")
            watchers.hear([lie])
            assert await nothing(named)
            assert await nothing(follower)
        assert await watchers.present("task_b", "prt_1") is None
        assert await watchers.present("task_b", None) is not None


async def test_ends_no_signal_told_of_are_found_in_the_feed() -> None:
    rows = Rows(feeds={"prt_1": ["task_old"]})
    rows.put("task_old", 5)
    async with running(rows, poll_seconds=0.01) as watchers:
        with waiter(watchers) as watch, waiter(watchers, partner_id=None) as admin:
            await watch.follow("prt_1")
            await admin.follow(None)
            rows.put("task_a", 3)
            rows.put("task_b", 3, "prt_2")
            rows.feeds["prt_1"].append("task_a")
            rows.feeds["prt_2"] = ["task_b"]
            assert await told(watch) == [("task_a", 3)]
            heard = await told(admin)
            heard += await told(admin) if len(heard) == 1 else []
            assert sorted(heard) == [("task_a", 3), ("task_b", 3)]


async def test_messages_that_retention_took_are_not_looked_for_for_ever() -> None:
    rows = Rows(feeds={"prt_1": []})
    async with running(rows, poll_seconds=0.01) as watchers:
        with waiter(watchers) as watch:
            await watch.follow("prt_1")
            rows.put("task_a", 2)
            rows.feeds["prt_1"] += ["task_gone", "task_a"]
            assert await told(watch) == [("task_a", 2)]


async def test_follower_with_too_much_unread_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "MOST_PENDING", 5)
    rows = Rows()
    async with running(rows) as watchers:
        with waiter(watchers) as watch:
            await watch.follow("prt_1")
            watchers.hear([rows.put(f"task_{number}", 1) for number in range(6)])
            while watch.ended is None:  # noqa: ASYNC110 - nobody reads, so nothing tells
                await asyncio.sleep(0.005)
            assert watch.ended is Ended.OVERFLOWN
            assert await watch.next(10) == []


async def test_unfollowing_leaves_the_named_tasks() -> None:
    rows = Rows()
    async with running(rows) as watchers:
        with waiter(watchers, "task_a") as watch:
            await watch.follow("prt_1")
            watch.unfollow()
            watchers.hear([rows.put("task_a", 2), rows.put("task_b", 2)])
            assert await told(watch) == [("task_a", 2)]
            watch.remove(["task_a", "task_unknown"])
            watchers.hear([rows.put("task_a", 3)])
            assert await nothing(watch)


async def test_nothing_is_left_of_those_who_left() -> None:
    rows = Rows()
    async with running(rows) as watchers:
        with waiter(watchers, "task_a") as watch:
            await watch.follow("prt_1")
            watch.heed("prt_1")
            assert len(watchers) == 1
        assert len(watchers) == 0
        rows.reads.clear()
        watchers.hear([rows.put("task_a", 2)])
        await asyncio.sleep(0.02)
        assert rows.reads == []


async def test_draining_lets_everybody_go_also_those_who_come_late() -> None:
    async with running(Rows()) as watchers:
        with waiter(watchers, "task_a") as watch:
            waiting = asyncio.create_task(watch.next())
            await asyncio.sleep(0)
            watchers.drain()
            assert await waiting == []
            assert watch.ended is Ended.DRAINING
        with watchers.watch(partner_id=None, key_id="key_1") as late:
            assert await late.next() == []


async def test_revoked_key_lets_its_waiters_go() -> None:
    rows = Rows()
    async with running(rows) as watchers:
        with waiter(watchers, "task_a") as watch, watchers.watch(partner_id=None, key_id="key_2") as other:
            rows.bad_keys.add("key_1")
            assert await watch.next(10) == []
            assert watch.ended is Ended.REVOKED
            assert other.ended is None


async def test_first_reason_to_end_stays() -> None:
    async with running(Rows()) as watchers:
        with waiter(watchers) as watch:
            watch.end(Ended.GONE)
            watchers.drain()
            assert watch.ended is Ended.GONE


async def test_changes_wait_while_the_database_is_away() -> None:
    rows = Rows()
    async with running(rows, poll_seconds=0.01) as watchers:
        with waiter(watchers, "task_a") as watch:
            rows.away = True
            watchers.hear([rows.put("task_a", 2)])
            assert await nothing(watch)
            with pytest.raises(Unavailable):
                await watchers.present("task_a", None)
            rows.away = False
            assert await told(watch) == [("task_a", 2)]


async def test_reads_of_the_present_are_shared_but_never_older_than_the_question() -> None:
    rows = Rows()
    rows.put("task_a", 1)
    async with running(rows) as watchers:
        rows.reads.clear()
        first = asyncio.create_task(watchers.present("task_a", None))
        while not rows.reads:  # noqa: ASYNC110 - until the read has begun
            await asyncio.sleep(0)
        rows.put("task_a", 2)
        later = await asyncio.gather(*(watchers.present("task_a", None) for _ in range(20)))
        before = await first
        assert before is not None
        assert before.task.version == 1
        assert {snapshot.task.version for snapshot in later if snapshot} == {2}
        assert len(rows.reads) == 2
        assert await watchers.present("task_unknown", None) is None


async def test_heeding_ends_a_pause_without_reading() -> None:
    rows = Rows()
    async with running(rows) as watchers:
        with waiter(watchers) as watch:
            watch.heed("prt_1")
            rows.reads.clear()
            pause = asyncio.create_task(watch.pause(3_600))
            await asyncio.sleep(0)
            watchers.hear([rows.put("task_a", 1)])
            await asyncio.wait_for(pause, 10)
            watchers.hear([rows.put("task_a", 2)])
            await asyncio.wait_for(watch.pause(3_600), 10)  # it came between two pauses
            await watch.pause(0.01)
            assert rows.reads == []


def shelved(task_id: str, version: int, size: int = 0) -> Snapshot:
    task = replace(TASK, id=task_id, version=version, metadata_json=f'{{"a":"{"x" * size}"}}')
    return snapshot_of(task, base_url="")


def test_shelf_has_the_newest() -> None:
    shelf = Shelf()
    shelf.put(shelved("task_a", 2))
    shelf.put(shelved("task_a", 1))
    found = shelf.get("task_a", version=1)
    assert found is not None
    assert found.task.version == 2
    assert shelf.get("task_a", version=3) is None
    assert shelf.get("task_b", version=1) is None


def test_full_shelf_drops_the_oldest_but_never_the_last() -> None:
    shelf = Shelf(max_bytes=10_000)
    for number in range(5):
        shelf.put(shelved(f"task_{number}", 1, size=3_000))
    kept = [number for number in range(5) if shelf.get(f"task_{number}", version=1)]
    assert kept == [3, 4]
    shelf.put(shelved("task_large", 1, size=50_000))
    assert shelf.get("task_large", version=1) is not None
    assert shelf.get("task_4", version=1) is None


async def test_what_is_watched_is_made_known_at_once() -> None:
    known: list[str] = []
    async with running(Rows(), make_known=known.extend) as watchers:
        with waiter(watchers, "task_a", knows=None) as watch, waiter(watchers, "task_a", knows=None) as admin:
            assert known == ["task_a"]
            await watch.follow("prt_1")
            await admin.follow(None)
            watch.heed("prt_2")
            assert known == ["task_a", "prt_1", EVERYTHING, "prt_2"]


async def test_what_is_watched_is_made_known_again_and_again_and_no_longer_than_it_is() -> None:
    known: list[frozenset[str]] = []
    async with running(
        Rows(), poll_seconds=0.01, make_known=lambda names: known.append(frozenset(names))
    ) as watchers:
        with waiter(watchers, "task_a", "task_b", knows=None) as watch:
            await watch.follow("prt_1")
            both = {"task_a", "task_b", "prt_1"}
            await until(lambda: known.count(frozenset(both)) >= 2, what="the second time")
        known.clear()
        await until(lambda: known, what="the next look")
        assert set(known) == {frozenset()}
