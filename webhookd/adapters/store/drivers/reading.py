"""Reads that outlive their callers: a thread cannot be stopped, so whoever counts reads waits for its end."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_noted: ContextVar["list[Future[Any]] | None"] = ContextVar("reads_noted", default=None)


def note(read: "Future[Any]") -> None:
    """Tell whoever counts about a read that goes on in a thread."""
    reads = _noted.get()
    if reads is not None:
        reads.append(read)


@contextmanager
def until_reads_end(then: Callable[[], None]) -> Iterator[None]:
    """Call `then` on this event loop once the block, and every read begun in it, has ended."""
    loop = asyncio.get_running_loop()
    reads: list[Future[Any]] = []
    token = _noted.set(reads)
    try:
        yield
    finally:
        _noted.reset(token)
        _after(reads, then, loop)


def _after(reads: "list[Future[Any]]", then: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
    while reads:
        read = reads.pop()
        if not read.done():
            read.add_done_callback(lambda _: _call(loop, lambda: _after(reads, then, loop)))
            return
    then()


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(callback)
