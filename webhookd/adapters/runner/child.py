"""The child's side of `isolation="process"`: `python -m webhookd.adapters.runner.child`.

It loads the operator's modules, enters their lifespans, and then makes one run after the other: sync
functions in its main thread, async ones on a loop in a thread. The worker keeps the clock and kills; what is
here has only to listen.
"""

import contextvars
import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from webhookd.adapters.forks import end_if_forked
from webhookd.adapters.runner import protocol
from webhookd.adapters.runner.child_channel import Channel, private_pipes
from webhookd.adapters.runner.child_loop import Cancellation, ChildLoop
from webhookd.adapters.runner.ending import Ending, call
from webhookd.adapters.runner.job import Job, context_of
from webhookd.adapters.runner.lifespans import States
from webhookd.adapters.telemetry import configure_logging
from webhookd.core.run_log import raised_from
from webhookd.taskset import TaskSet, load_task_sets

_PR_SET_CHILD_SUBREAPER: Final = 36  # <linux/prctl.h>

_Orders = queue.SimpleQueue[protocol.Order | None]


def main() -> None:
    """Make the runs ordered on stdin, until told to leave."""
    inbox, channel = private_pipes()
    path, settings = protocol.hello_from(inbox.readline())
    sys.path[:] = path
    configure_logging(log_format=settings.log_format, level=settings.log_level, process="task")
    orders: _Orders = queue.SimpleQueue()
    cancellation = Cancellation()
    threading.Thread(target=_listen, args=(inbox, orders, cancellation), daemon=True).start()
    threading.Thread(target=channel.relay_progress, daemon=True).start()
    _adopt_orphans()
    try:
        stage = _made_ready(settings, channel, cancellation)
    except BaseException as error:  # noqa: BLE001 - whatever it was, the worker is to hear of it
        _flush()
        channel.send(protocol.unready_line(raised_from(error)))
        os._exit(1)
    channel.send(protocol.READY_LINE)
    pid = os.getpid()
    while (order := orders.get()) is not None:
        channel.begin(order.number)
        ending = stage.run(order)
        end_if_forked(pid)
        _flush()
        channel.end(ending, clean=not _has_children())
    stage.loop.leave()
    _flush()
    # Not `sys.exit`: threads that functions left behind would be waited for.
    os._exit(0)


def _made_ready(settings: protocol.ChildSettings, channel: Channel, cancellation: Cancellation) -> "_Stage":
    task_set = load_task_sets(settings.task_spec)
    if settings.spans:
        # Imported late: only where its worker has it loaded too.
        from webhookd.adapters.spans.children import relay_spans

        relay_spans(channel.span)
    loop = ChildLoop()
    return _Stage(task_set, loop.enter(task_set), loop, cancellation, channel)


@dataclass(frozen=True, slots=True)
class _Stage:
    """What all runs in this process share."""

    task_set: TaskSet
    states: States
    loop: ChildLoop
    cancellation: Cancellation
    channel: Channel

    def run(self, order: protocol.Order) -> Ending:
        """Make one run."""
        definition, number, channel = self.task_set[order.type], order.number, self.channel
        context = context_of(
            definition,
            order.facts,
            timeout_seconds=order.timeout_seconds,
            on_progress=lambda percent, message: channel.report(number, percent, message),
            state=self.states.get(definition.lifespan),
        )
        job = Job(
            definition=definition,
            raw_input=order.raw_input,
            facts=order.facts,
            context=context,
            max_result_bytes=order.max_result_bytes,
            keep_line=lambda line: channel.log(number, line),
        )
        place = contextvars.copy_context()  # so that nothing a run sets in it is there for the next
        if order.carrier:
            from webhookd.adapters.spans.children import continue_trace  # as above

            place.run(continue_trace, order.carrier)
        with _memory_limit(order.memory_mb), self.cancellation.of(number, context):
            if definition.is_async:
                return self.loop.run(job, self.cancellation, place)
            return place.run(call, job)


def _listen(inbox: BinaryIO, orders: _Orders, cancellation: Cancellation) -> None:
    """Thread: pass on what the worker says; when it is gone, go too, with everything started here."""
    for line in inbox:
        match protocol.parsed(line):
            case [protocol.RUN, fields]:
                orders.put(protocol.order_from(fields))
            case [protocol.CANCEL, number]:
                cancellation.cancel(number)
            case [protocol.LEAVE]:
                orders.put(None)
    os.killpg(0, signal.SIGKILL)


@contextmanager
def _memory_limit(memory_mb: int | None) -> Iterator[None]:
    if memory_mb is None:
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb * 2**20, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _adopt_orphans() -> None:
    """Let what functions start stay our child when its own parent ends, so that it is seen (prctl(2))."""
    if sys.platform == "linux":
        import ctypes

        with suppress(OSError):
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _has_children() -> bool:
    """Whether a run left processes behind. Only Linux tells; elsewhere they stay until their child goes."""
    with suppress(OSError):
        return any(children.read_text() for children in Path("/proc/self/task").glob("*/children"))
    return False


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr, *logging.getLogger().handlers):
        with suppress(Exception):  # a stream that a function closed
            stream.flush()  # the log is written by a thread, which may end with this process


if __name__ == "__main__":
    main()
