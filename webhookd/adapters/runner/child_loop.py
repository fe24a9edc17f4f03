"""A child's loop, on which its lifespans live and its async functions run, and how a run is cancelled."""

import asyncio
import contextvars
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from webhookd.adapters.runner.ending import Ending, Stopped, call_async
from webhookd.adapters.runner.job import Job
from webhookd.adapters.runner.lifespans import LEAVE_SECONDS, HeldLifespans, States
from webhookd.taskset import TaskContext, TaskSet


class Cancellation:
    """Passes the worker's word on to the function it is meant for, early or late as it comes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = 0
        self._number = 0
        self._context: TaskContext | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def of(self, number: int, context: TaskContext) -> Iterator[None]:
        """Listen for this run."""
        with self._lock:
            self._number, self._context = number, context
            if self._cancelled == number:
                context.cancel()
        try:
            yield
        finally:
            with self._lock:
                self._context = self._loop = self._task = None

    def cancel(self, number: int) -> None:
        """Thread: the worker said so."""
        with self._lock:
            self._cancelled = number
            if number == self._number and self._context is not None:
                self._context.cancel()
                if self._loop is not None and self._task is not None:
                    self._loop.call_soon_threadsafe(self._task.cancel)

    async def run_async(self, job: Job, place: contextvars.Context) -> Ending:
        """Run an async function so that it can be cancelled."""
        endings: list[Ending] = []

        async def drive() -> None:
            endings.append(await call_async(job))

        task = asyncio.get_running_loop().create_task(drive(), context=place)
        with self._lock:
            self._loop, self._task = asyncio.get_running_loop(), task
        if job.context.cancelled:
            task.cancel()
        # The ending is taken from the list: a cancellation that comes just after it would hide it.
        await asyncio.wait({task})
        return endings[0] if endings else Stopped()


class ChildLoop:
    """The loop of lifespans and async functions, in a thread; started with the first that needs it."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._held: HeldLifespans | None = None

    def enter(self, task_set: TaskSet) -> States:
        """Enter the lifespans of what may run here; return what they gave. Raises SettingsError."""
        lifespans = [d.lifespan for d in task_set if d.isolation == "process" and d.lifespan is not None]
        if not lifespans:
            return {}
        self._held = HeldLifespans(self._running(), lifespans)
        return self._held.entered.result()

    def leave(self) -> None:
        """Leave the lifespans."""
        if self._held is not None:
            with suppress(Exception):  # it was logged; there is nobody here to tell
                self._held.leave().result(LEAVE_SECONDS)

    def run(self, job: Job, cancellation: Cancellation, place: contextvars.Context) -> Ending:
        """Run an async function to its end."""
        loop = self._running()
        return asyncio.run_coroutine_threadsafe(cancellation.run_async(job, place), loop).result()

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._serve, args=(self._loop,), name="task-loop", daemon=True).start()
        return self._loop

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        while True:
            with suppress(BaseException):  # SystemExit from a task that a function started must not end us
                loop.run_forever()
