"""A thread that runs functions for an event loop, one after the other."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from webhookd.runtime.own_thread import OwnThread


@pytest.fixture
def thread() -> Iterator[OwnThread]:
    thread = OwnThread("apart")
    yield thread
    thread.close()


async def test_functions_run_in_the_one_thread_in_their_order(thread: OwnThread) -> None:
    def where(number: int) -> tuple[int, str]:
        return number, threading.current_thread().name

    assert await asyncio.gather(*(thread.run(where, n) for n in range(20))) == [
        (n, "apart") for n in range(20)
    ]


async def test_what_a_function_raises_is_its_callers(thread: OwnThread) -> None:
    def fail() -> None:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        await thread.run(fail)
    assert await thread.run(lambda: "goes on") == "goes on"


async def test_a_cancelled_call_is_not_begun_and_one_that_runs_goes_on(thread: OwnThread) -> None:
    begun, go_on, ran = threading.Event(), threading.Event(), list[str]()

    def hold() -> None:
        begun.set()
        go_on.wait()
        ran.append("first")

    first, second = thread.run(hold), thread.run(ran.append, "second")
    await asyncio.to_thread(begun.wait)
    first.cancel()
    second.cancel()
    go_on.set()
    await thread.run(ran.append, "third")
    assert ran == ["first", "third"]


def test_a_loop_that_is_closed_is_not_missed() -> None:
    thread = OwnThread("apart")
    begun, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        go_on.wait()

    async def leave() -> None:
        thread.run(hold)

    asyncio.run(leave())
    begun.wait()
    go_on.set()

    async def come_again() -> int:
        return await thread.run(lambda: 1)

    assert asyncio.run(come_again()) == 1
    thread.close()
