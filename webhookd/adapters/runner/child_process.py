"""The worker's side of `isolation="process"`: one child process for one call.

The child is started by exec (never fork: the worker has threads), leads a session of its own so that it
can be killed with all it started, and dies with the worker (`deathwatch`). What is said over the pipes:
one JSON value a line. To the child: the order, then `"cancel"`. From it: `["progress", percent, message]`,
`["log", line]` and `["span", document]`, then one of the endings in `wire`. A child that leaves without one
has crashed.

A thread waits for the child: that costs less care than a second kind of waiting, and the calls that need
a child are the heavy ones.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import IO, Any, Final, Protocol, cast

from webhookd.adapters.deathwatch import watched
from webhookd.adapters.runner import wire
from webhookd.adapters.runner.ending import Ending
from webhookd.adapters.runner.job import Job
from webhookd.adapters.runner.threads import ThreadPool
from webhookd.core.outcome import ERROR, PRIVATE, Crashed, RetryLater
from webhookd.core.run_log import raised_from

_CHILD_MODULE: Final = "webhookd.adapters.runner.child"


class ChildSpans(Protocol):
    """What lets spans of child processes hang below the run's; in any thread."""

    def here(self) -> Mapping[str, str]:
        """Return the calling context's place in its trace, as headers; empty where it has none."""
        ...

    def take(self, document: Mapping[str, Any]) -> None:
        """Take a span that ended in a child. Never raises."""
        ...


class ChildCall:
    """One call in a child process. The public methods are the main loop's, `_drive` is the thread's."""

    def __init__(
        self,
        job: Job,
        settings: wire.ChildSettings,
        *,
        threads: ThreadPool,
        on_end: Callable[[Ending], None],
        spans: ChildSpans | None = None,
    ) -> None:
        self._job = job
        self._settings = settings
        self._spans = spans
        self._carrier = {} if spans is None else spans.here()
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._stdin: IO[bytes] | None = None  # once the child has its order, and more may be said to it
        self._cancelled = False
        self._abandoned = False
        threads.submit(self._drive, on_end)

    def cancel(self) -> None:
        """Tell the child, once. If it has not had its order yet, the thread tells it after that."""
        with self._lock:
            if not self._cancelled:
                self._cancelled = True
                self._tell()

    def interrupt(self) -> None:
        """As `cancel`: it has the grace to end by itself."""
        self.cancel()

    def abandon(self) -> None:
        """Kill it and everything it started."""
        with self._lock:
            self._abandoned = True
            self._kill()

    def _drive(self) -> Ending:
        try:
            child = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
                watched((sys.executable, "-m", _CHILD_MODULE)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            return RetryLater(code=ERROR, message=PRIVATE, raised=raised_from(error))
        with child:
            with self._lock:
                self._child = child
                if self._abandoned:
                    self._kill()
            try:
                self._give_order(child)
                ending = self._listen(child)
            finally:
                self._collect(child)
        return ending or Crashed(detail=_in_words(child.returncode))

    def _give_order(self, child: subprocess.Popen[bytes]) -> None:
        stdin = cast("IO[bytes]", child.stdin)
        with contextlib.suppress(OSError):  # it died at its start: then there is no ending to read either
            stdin.write(wire.order_line(self._job, self._settings, self._carrier))
            stdin.flush()
        with self._lock:
            self._stdin = stdin
            if self._cancelled:
                self._tell()

    def _listen(self, child: subprocess.Popen[bytes]) -> Ending | None:
        for line in cast("IO[bytes]", child.stdout):
            kind, *values = json.loads(line)
            if kind == wire.PROGRESS:
                self._job.context.progress(*values)
            elif kind == wire.LOGGED:
                self._job.keep_line(*values)
            elif kind != wire.SPAN:
                return wire.ending_from(kind, values)
            elif self._spans is not None:
                self._spans.take(*values)
        return None

    def _collect(self, child: subprocess.Popen[bytes]) -> None:
        """Leave nothing behind: neither the child nor what it started.

        Its exit code is settled before its pipes close, so killing it now does not change what we read.
        """
        with self._lock:
            self._kill()
            self._child = self._stdin = None
        child.wait()

    def _tell(self) -> None:
        if self._stdin is not None:
            with contextlib.suppress(OSError):  # it is gone, and its ending on the way
                self._stdin.write(wire.CANCEL_LINE)
                self._stdin.flush()

    def _kill(self) -> None:
        # Under the lock and only before `wait`: until then the number is the child's and nobody else's.
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a zombie
                os.killpg(self._child.pid, signal.SIGKILL)


def _in_words(return_code: int) -> str:
    if return_code >= 0:
        return f"its process exited with code {return_code} before the function had ended"
    try:
        name = signal.Signals(-return_code).name
    except ValueError:  # a real-time signal
        name = f"signal {-return_code}"
    return f"its process was killed by {name}"
