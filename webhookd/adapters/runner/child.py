"""The child's side of `isolation="process"`: `python -m webhookd.adapters.runner.child`.

It reads one order, runs that one function in its main thread, writes how it ended, and is gone. The
worker keeps the clock and kills; what is here has only to listen.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from typing import Any, BinaryIO, Final

from webhookd.adapters.forks import end_if_forked
from webhookd.adapters.runner import wire
from webhookd.adapters.runner.ending import Ending, Stopped, call, call_async
from webhookd.adapters.runner.job import Job, context_of
from webhookd.adapters.telemetry import configure_logging
from webhookd.core.errors import SettingsError
from webhookd.core.outcome import ERROR, PRIVATE, RetryLater
from webhookd.core.run_log import raised_from
from webhookd.taskset import TaskContext, load_task_sets

_PROGRESS_INTERVAL_SECONDS: Final = 0.1


def main() -> None:
    """Run the one function ordered on stdin."""
    inbox, channel = _private_pipes()
    pid = os.getpid()
    ending = _run(wire.order_from(inbox.readline()), inbox, channel)
    end_if_forked(pid)
    for stream in (sys.stdout, sys.stderr, *logging.getLogger().handlers):
        stream.flush()  # the log is written by a thread, which ends with this process
    channel.end(ending)
    # Not `sys.exit`: threads that the function left behind would be waited for.
    os._exit(0)


class _Channel:
    """Writes to the worker, from whichever thread."""

    def __init__(self, outbox: BinaryIO) -> None:
        self._outbox = outbox
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._newest: tuple[float | None, str | None] | None = None

    def report(self, percent: float | None, message: str | None) -> None:
        with self._lock:
            self._newest = (percent, message)
        self._news.set()

    def span(self, document: dict[str, Any]) -> None:
        self._send(wire.span_line(document))

    def log(self, line: str) -> None:
        self._send(wire.log_line(line))

    def _send(self, line: bytes) -> None:
        with self._lock:
            self._outbox.write(line)
            self._outbox.flush()

    def end(self, ending: Ending) -> None:
        self._send_newest()
        self._send(wire.ending_line(ending))

    def relay_progress(self) -> None:
        """Thread: the newest report, at most once per interval, however many there are."""
        while self._news.wait():
            self._news.clear()
            self._send_newest()
            time.sleep(_PROGRESS_INTERVAL_SECONDS)

    def _send_newest(self) -> None:
        with self._lock:
            if self._newest is not None:
                self._outbox.write(wire.progress_line(*self._newest))
                self._outbox.flush()
                self._newest = None


def _private_pipes() -> tuple[BinaryIO, _Channel]:
    """Take the pipes away from stdin and stdout, so that the function may print and ask as it likes.

    The copies are not inherited by what it starts, and what it prints goes to the worker's stderr.
    """
    inbox, outbox = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return os.fdopen(inbox, "rb"), _Channel(os.fdopen(outbox, "wb"))


def _run(order: wire.Order, inbox: BinaryIO, channel: _Channel) -> Ending:
    sys.path[:] = order.sys_path
    settings = order.settings
    configure_logging(log_format=settings.log_format, level=settings.log_level, process="task")
    if order.memory_mb is not None:
        _limit_memory(order.memory_mb)
    try:
        definition = load_task_sets(settings.task_spec)[order.type]
    except SettingsError as error:
        return RetryLater(code=ERROR, message=PRIVATE, raised=raised_from(error))
    if order.carrier:
        # Imported late: only where its worker has it loaded too.
        from webhookd.adapters.spans.children import continue_trace

        continue_trace(order.carrier, channel.span)
    context = context_of(
        definition, order.facts, timeout_seconds=order.timeout_seconds, on_progress=channel.report
    )
    job = Job(
        definition=definition,
        raw_input=order.raw_input,
        facts=order.facts,
        context=context,
        max_result_bytes=order.max_result_bytes,
        keep_line=channel.log,
    )
    cancellation = _Cancellation(context)
    threading.Thread(target=cancellation.listen, args=(inbox,), daemon=True).start()
    threading.Thread(target=channel.relay_progress, daemon=True).start()
    if not definition.is_async:
        return call(job)
    # Not `asyncio.run`, which would wait for threads that the function left behind.
    return asyncio.new_event_loop().run_until_complete(cancellation.run_async(job))


class _Cancellation:
    """Passes the worker's word on to the function."""

    def __init__(self, context: TaskContext) -> None:
        self._context = context
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def listen(self, inbox: BinaryIO) -> None:
        """Thread: cancel when told; when the worker is gone, go too, with everything started here."""
        for _ in inbox:
            self._context.cancel()
            if self._loop is not None and self._task is not None:
                self._loop.call_soon_threadsafe(self._task.cancel)
        os.killpg(0, signal.SIGKILL)

    async def run_async(self, job: Job) -> Ending:
        """Run an async function so that it can be cancelled."""
        endings: list[Ending] = []

        async def drive() -> None:
            endings.append(await call_async(job))

        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(drive())
        if self._context.cancelled:
            self._task.cancel()
        # The ending is taken from the list: a cancellation that comes just after it would hide it.
        await asyncio.wait({self._task})
        return endings[0] if endings else Stopped()


def _limit_memory(memory_mb: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (memory_mb * 2**20, memory_mb * 2**20))


if __name__ == "__main__":
    main()
