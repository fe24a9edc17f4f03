"""Turns: few at once, fewer of one owner, and owners go round."""

import asyncio
import threading
from pathlib import Path

import pytest

from webhookd.adapters.store.database import Database
from webhookd.adapters.store.drivers.reading import until_reads_end
from webhookd.adapters.store.tx import Tx
from webhookd.core.errors import RateLimited, Unavailable
from webhookd.flows.turns import Turns


def _turns(**changes: int) -> Turns:
    limits = {"at_once": 2, "each": 1, "waiting": 3, **changes}
    return Turns(what="reads", **limits)


async def _standing(turns: Turns, owner: str, log: list[str]) -> "asyncio.Task[None]":
    async def stand() -> None:
        await turns.take(owner)
        log.append(owner)

    task = asyncio.create_task(stand())
    await asyncio.sleep(0)
    return task


async def test_long_line_of_one_owner_holds_up_nobody_else() -> None:
    turns, log = _turns(at_once=1), list[str]()
    await turns.take("crowd")
    tasks = [await _standing(turns, owner, log) for owner in ("crowd", "crowd", "crowd", "b", "c")]
    for holder in ("crowd", "crowd", "b", "c"):
        turns.give_back(holder)
        await asyncio.sleep(0)
    assert log == ["crowd", "b", "c", "crowd"]
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_one_owner_never_has_more_than_its_share_though_there_is_room() -> None:
    turns, log = _turns(), list[str]()
    await turns.take("a")
    waiting = await _standing(turns, "a", log)
    await turns.take("b")
    assert log == []
    turns.give_back("b")
    await asyncio.sleep(0)
    assert log == []
    turns.give_back("a")
    await waiting
    assert log == ["a"]


async def test_more_than_may_stand_in_line_are_told_to_come_again() -> None:
    turns, log = _turns(), list[str]()
    await turns.take("a")
    tasks = [await _standing(turns, "a", log) for _ in range(3)]
    with pytest.raises(RateLimited) as refused:
        await turns.take("a")
    assert refused.value.retry_after_seconds
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_whoever_waits_too_long_is_told_to_come_again_and_leaves_the_line() -> None:
    turns, log = _turns(), list[str]()
    await turns.take("a")
    with pytest.raises(RateLimited):
        await turns.take("a", patience_seconds=0)
    next_one = await _standing(turns, "a", log)
    turns.give_back("a")
    await next_one
    assert log == ["a"]


async def test_turn_that_comes_as_its_owner_leaves_goes_to_the_next() -> None:
    turns, log = _turns(at_once=1), list[str]()
    await turns.take("a")
    leaving, staying = await _standing(turns, "b", log), await _standing(turns, "c", log)
    turns.give_back("a")
    leaving.cancel()
    await staying
    assert log == ["c"]
    await asyncio.gather(leaving, return_exceptions=True)


@pytest.mark.parametrize("patience_seconds", [None, 0.01])
async def test_read_that_outlives_its_caller_keeps_its_turn_until_its_thread_ends(
    tmp_path: Path, patience_seconds: float | None
) -> None:
    turns = _turns(waiting=1)
    began, go_on = threading.Event(), threading.Event()

    def slowly(_: Tx) -> None:
        began.set()
        go_on.wait(60)

    async def read() -> None:
        await turns.take("a")
        with until_reads_end(lambda: turns.give_back("a")):
            await database.read(slowly)

    database = await Database.open(f"sqlite:///{tmp_path / 'reads.db'}")
    try:
        database.patience_seconds = patience_seconds
        reading = asyncio.create_task(read())
        await asyncio.to_thread(began.wait, 60)
        if patience_seconds is None:
            reading.cancel()
        with pytest.raises((asyncio.CancelledError, Unavailable)):
            await reading
        with pytest.raises(RateLimited):
            await turns.take("a", patience_seconds=0)
        go_on.set()
        await turns.take("a", patience_seconds=60)
    finally:
        go_on.set()
        await database.close()


@pytest.mark.parametrize("waiting", [1, 2])
async def test_turn_that_comes_as_its_waiter_gives_up_goes_to_the_next(waiting: int) -> None:
    turns, log = _turns(at_once=1), list[str]()
    await turns.take("a")
    gives_up, *others = [await _standing(turns, "b", log) for _ in range(waiting)]
    gives_up.cancel()
    turns.give_back("a")  # before the one that was cancelled has run again
    await asyncio.gather(gives_up, *others, return_exceptions=True)
    assert log == ["b"] * (waiting - 1)
    for _ in others:
        turns.give_back("b")
    await turns.take("c", patience_seconds=0)  # nothing is held any more
