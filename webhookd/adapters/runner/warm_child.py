"""The worker's side of one child process: started by exec, told one run after the other.

It leads a session of its own, so that it can be killed with all it started, and dies with the worker
(`deathwatch`). What is said over the pipes is `protocol`'s.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from typing import IO, Any, Final, cast

from webhookd.adapters.deathwatch import watched
from webhookd.adapters.runner import protocol

_CHILD_MODULE: Final = "webhookd.adapters.runner.child"
LEAVE_SECONDS: Final = 3.0
"""How long a child that is to leave may take for it: lifespans are left there."""


class WarmChild:
    """A child. One thread at a time drives it; `say` and `kill` may come from another."""

    def __init__(self, settings: protocol.ChildSettings) -> None:
        """Start it, from a thread that lives as long as it. Raises OSError."""
        self._process = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
            watched((sys.executable, "-m", _CHILD_MODULE)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._lock = threading.Lock()
        self._is_over = False
        self.is_ready = False
        self.runs = 0
        self.idle_since = time.monotonic()
        self.say(protocol.hello_line(settings))

    @property
    def pid(self) -> int:
        """Its process, and its process group."""
        return self._process.pid

    def say(self, line: bytes) -> None:
        """Write a line to it. Where it is gone, nobody hears it: reading tells that."""
        with self._lock:
            if not self._is_over:
                with contextlib.suppress(OSError):
                    stdin = cast("IO[bytes]", self._process.stdin)
                    stdin.write(line)
                    stdin.flush()

    def hear(self) -> list[Any] | None:
        """Return what it says next; None: it is gone."""
        line = cast("IO[bytes]", self._process.stdout).readline()
        return protocol.parsed(line) if line.endswith(b"\n") else None

    def kill(self) -> None:
        """Kill it and everything it started."""
        # Under the lock and only before `wait`: until then the number is the child's and nobody else's.
        with self._lock:
            if not self._is_over:
                with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a zombie
                    os.killpg(self.pid, signal.SIGKILL)

    def end(self) -> str:
        """Leave nothing behind, neither the child nor what it started; return in words how it had ended.

        Its exit code is settled before its pipes close, so killing it now does not change what we read.
        """
        self.kill()
        with self._lock:
            self._is_over = True
        with self._process:
            return_code = self._process.wait()
            with contextlib.suppress(BrokenPipeError):  # what it did not hear may still be in the buffer
                cast("IO[bytes]", self._process.stdin).close()
        return _in_words(return_code)

    def leave(self) -> None:
        """Let it leave its lifespans, if it ever came so far, and end it."""
        stdout = cast("IO[bytes]", self._process.stdout)
        if self.is_ready or select.select([stdout], [], [], 0)[0]:
            self.say(protocol.LEAVE_LINE)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(LEAVE_SECONDS)
        self.end()


def _in_words(return_code: int) -> str:
    if return_code >= 0:
        return f"its process exited with code {return_code} before the function had ended"
    try:
        name = signal.Signals(-return_code).name
    except ValueError:  # a real-time signal
        name = f"signal {-return_code}"
    return f"its process was killed by {name}"
