"""Runs async functions on an event loop in a thread of its own.

A function that blocks this loop holds up the other async functions of this worker, and nothing else.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable

import structlog

from webhookd.adapters.forks import end_if_forked
from webhookd.adapters.runner.ending import Ending, Stopped, call_async
from webhookd.adapters.runner.job import Job

log = structlog.get_logger(__name__)

_LEFTOVER_SECONDS = 1.0


class LoopThread:
    """Started with the first call. Used from one event loop, on which `on_end` is called."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="task-loop", daemon=True)
        self._stopping = False
        self._thread.start()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, for what is to live on it."""
        return self._loop

    def submit(self, job: Job, on_end: Callable[[Ending], None]) -> "LoopCall":
        """Run the function, in a copy of the caller's context; `on_end` gets its ending."""
        home = asyncio.get_running_loop()

        def post(ending: Ending) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the worker has given this up
                home.call_soon_threadsafe(on_end, ending)

        return LoopCall(self._loop, job, post)

    async def close(self) -> None:
        """Stop the loop and cancel what runs there; a blocked one is left to die with the process."""
        self._stopping = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join, 2 * _LEFTOVER_SECONDS)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        while not self._stopping:
            try:
                self._loop.run_forever()
            except BaseException:  # SystemExit from a task that a function started must not end us
                log.exception("task_loop_broken")
        self._loop.run_until_complete(_cancel_leftovers())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


async def _cancel_leftovers() -> None:
    leftovers = asyncio.all_tasks() - {asyncio.current_task()}
    for task in leftovers:
        task.cancel()
    if leftovers:
        await asyncio.wait(leftovers, timeout=_LEFTOVER_SECONDS)


class LoopCall:
    """One call on the loop. Its methods are called from the main loop, the rest happens over there."""

    def __init__(self, loop: asyncio.AbstractEventLoop, job: Job, post: Callable[[Ending], None]) -> None:
        self._loop = loop
        self._job = job
        self._post = post
        self._told = False
        self._task: asyncio.Task[None] | None = None
        loop.call_soon_threadsafe(self._begin)  # in a copy of the caller's context, as asyncio does it

    def cancel(self) -> None:
        """Cancel the asyncio task, as an async function expects it."""
        self._told = True
        self._loop.call_soon_threadsafe(self._cancel_task)

    def interrupt(self) -> None:
        """As `cancel`: asyncio knows no stronger word."""
        self.cancel()

    def abandon(self) -> None:
        """It swallows its cancellation, or blocks the loop: its slot stays taken."""

    def _begin(self) -> None:
        if self._told:  # before it began; cancelling the task then would skip the coroutine's body
            self._post(Stopped())
        else:
            self._task = self._loop.create_task(self._drive())

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _drive(self) -> None:
        pid = os.getpid()
        ending = await call_async(self._job)
        end_if_forked(pid)
        self._post(ending)
