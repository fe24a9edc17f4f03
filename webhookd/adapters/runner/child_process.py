"""The worker's side of `isolation="process"`: one child process for one call.

The child is started by exec (never fork: the worker has threads), leads a session of its own so that it
can be killed with all it started, and dies with the worker (`deathwatch`). What is said over the pipes:
one JSON value a line. To the child: the order, then `"cancel"`. From it: `["progress", percent, message]`,
then one of the endings in `wire`. A child that leaves without an ending has crashed.

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
from collections.abc import Callable
from typing import Final

from webhookd.adapters.deathwatch import watched
from webhookd.adapters.runner import wire
from webhookd.adapters.runner.ending import Ending, Job
from webhookd.adapters.runner.threads import ThreadPool
from webhookd.core.outcome import Crashed, RetryLater

_CHILD_MODULE: Final = "webhookd.adapters.runner.child"
_EXIT_SECONDS: Final = 2.0


class ChildCall:
    """One call in a child process. The public methods are the main loop's, `_drive` is the thread's."""

    def __init__(
        self, job: Job, *, task_spec: str, threads: ThreadPool, on_end: Callable[[Ending], None]
    ) -> None:
        self._job = job
        self._task_spec = task_spec
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._listening = False  # it has its order, and more may be said to it
        self._cancelled = False
        self._abandoned = False
        threads.submit(self._drive, on_end)

    def cancel(self) -> None:
        """Tell the child once; before it has its order, the thread will."""
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

    def _tell(self) -> None:
        if self._listening and self._child is not None and self._child.stdin is not None:
            with contextlib.suppress(OSError):  # it is gone already, and its ending on the way
                self._child.stdin.write(wire.CANCEL_LINE)
                self._child.stdin.flush()

    def _kill(self) -> None:
        """Under the lock. Until `wait` has collected the child, its process group cannot be another's."""
        if self._child is not None and self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a zombie
                os.killpg(self._child.pid, signal.SIGKILL)

    def _drive(self) -> Ending:
        try:
            child = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
                watched((sys.executable, "-m", _CHILD_MODULE)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            return RetryLater(code="exception", message=f"no child process could be started: {error.strerror}")
        with self._lock:
            self._child = child
            if self._abandoned:
                self._kill()
        try:
            self._give_order(child)
            ending = self._listen(child)
        finally:
            self._collect(child)
        return ending or Crashed(detail=_exit_in_words(child.returncode))

    def _give_order(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdin is not None  # noqa: S101 -- a pipe was asked for; this is for the type checker
        order = wire.order(self._job, task_spec=self._task_spec, sys_path=sys.path)
        with contextlib.suppress(OSError):  # it died at its start: there will be no ending either
            child.stdin.write(order)
            child.stdin.flush()
        with self._lock:
            self._listening = True
            if self._cancelled:
                self._tell()

    def _listen(self, child: subprocess.Popen[bytes]) -> Ending | None:
        assert child.stdout is not None  # noqa: S101 -- as above
        for line in child.stdout:
            kind, *values = json.loads(line)
            if kind != "progress":
                return wire.ending(kind, values)
            self._job.context.progress(*values)
        return None

    def _collect(self, child: subprocess.Popen[bytes]) -> None:
        """Leave nothing behind: neither the child, nor what it started, nor the pipes."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_EXIT_SECONDS)
        ...
