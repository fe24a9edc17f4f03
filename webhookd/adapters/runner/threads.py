"""Runs sync functions, and the waiting on child processes, in threads that can be interrupted.

The threads are daemons of our own: those of `concurrent.futures` are joined at exit, and one function
that never returns would keep the worker from ever stopping.
"""

import asyncio
import contextlib
import contextvars
import os
import queue
import threading
from collections.abc import Callable

import structlog

from webhookd.adapters.forks import end_if_forked
from webhookd.adapters.runner.ending import Ending, Stopped
from webhookd.core.outcome import ERROR, PRIVATE, RetryLater
from webhookd.core.run_log import raised_from
from webhookd.taskset import Cancelled

log = structlog.get_logger(__name__)

Work = Callable[[], Ending]


class ThreadPool:
    """Starts a thread when none is idle. How many calls run at once is the caller's to limit.

    Used from one event loop, on which `on_end` is called.
    """

    def __init__(self) -> None:
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._idle = 0
        self._count = 0

    def submit(self, work: Work, on_end: Callable[[Ending], None]) -> "ThreadCall":
        """Run `work` in a thread, in a copy of the caller's context; `on_end` gets its ending."""
        loop = asyncio.get_running_loop()

        def end(ending: Ending) -> None:
            self._idle += 1
            on_end(ending)

        def post(ending: Ending) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the worker has given this up
                loop.call_soon_threadsafe(end, ending)

        thread_call = ThreadCall(work, post)
        if self._idle:
            self._idle -= 1
        else:
            self._count += 1
            threading.Thread(target=self._serve, name=f"task-{self._count}", daemon=True).start()
        run_context = contextvars.copy_context()
        self._inbox.put(lambda: run_context.run(thread_call.execute))
        return thread_call

    def close(self) -> None:
        """Let the threads end as they become idle."""
        for _ in range(self._count):
            self._inbox.put(None)

    def _serve(self) -> None:
        while (execute := self._inbox.get()) is not None:
            execute()


class ThreadCall:
    """One call in a thread."""

    def __init__(self, work: Work, post: Callable[[Ending], None]) -> None:
        self._work = work
        self._post = post
        self._lock = threading.Lock()
        self._thread_id: int | None = None
        self._interrupted = False

    def cancel(self) -> None:
        """Nothing to do: a sync function asks its context whether it is cancelled."""

    def interrupt(self) -> None:
        """Raise `Cancelled` in the thread, once, at the next bytecode it executes.

        Under the lock that `execute` takes to leave, so it never strikes the call that comes after.
        """
        # Imported late: it brings all of Dramatiq along, which workers have loaded and children need not.
        from dramatiq.threading import raise_thread_exception

        with self._lock:
            if self._interrupted:
                return
            self._interrupted = True
            if self._thread_id is not None:
                raise_thread_exception(self._thread_id, Cancelled)  # type: ignore[no-untyped-call] # Dramatiq has no types here

    def abandon(self) -> None:
        """It is in a call that does not return. A thread cannot be killed: its slot stays taken."""

    def execute(self) -> None:
        """The thread's side."""
        ending: Ending = Stopped()
        pid = os.getpid()
        try:
            try:
                with self._lock:
                    self._thread_id = None if self._interrupted else threading.get_ident()
                if self._thread_id is not None:
                    ending = self._work()
            finally:
                end_if_forked(pid)
                with self._lock:
                    self._thread_id = None
            if self._interrupted:
                _let_pending_exception_strike()
        except Cancelled:
            # It struck between the function's end and here, in our own code: what was returned counts.
            pass
        except Exception as error:  # a defect of ours; unheard of, the task would hang until its lease ends
            log.exception("task_call_broken")
            ending = RetryLater(code=ERROR, message=PRIVATE, raised=raised_from(error))
        self._post(ending)


def _let_pending_exception_strike() -> None:
    """Do nothing: CPython raises what is set for a thread when it enters a function, at the latest here.

    Clearing it (`PyThreadState_SetAsyncExc` with NULL) would leave 3.11 looking for it ever after.
    """
