"""Writes log lines in a thread of its own, so that whoever has something to say never waits for its reader.

The reader of stderr may stall: a pipe nobody reads, a terminal that is held, a disk that hangs. Lines then
wait here up to `MAX_WAITING_BYTES`; later ones are dropped and counted, and once lines get through again one
line says how many were. A process that ends waits `END_SECONDS` for its last lines, no longer.
"""

import atexit
import os
import select
import threading
import time
from collections import deque
from contextlib import suppress
from typing import IO, Any, Final

import structlog

log = structlog.get_logger(__name__)

MAX_WAITING_BYTES: Final = 4 * 2**20
END_SECONDS: Final = 1.0
_BATCH_BYTES: Final = 64 * 1024
_STALLED_SECONDS: Final = 0.05
_BUSY_SECONDS: Final = 0.25
_GATHER_SECONDS: Final = 0.1
"""Where the last lines are not `_BUSY_SECONDS` old, further ones gather for so long, or until there are
`_BATCH_BYTES`: to wake this thread for each one costs whoever says them more than the line. A process that is
killed takes what has gathered with it."""


class LogWriter:
    """Takes lines for one stream, from any thread.

    A line that cannot be written is lost, and nothing else: a full disk or a closed terminal must not end
    the work that had something to say.
    """

    def __init__(self, stream: IO[Any]) -> None:
        self._file = _descriptor(stream)
        self._stream = stream
        self.dropped = 0
        self._told = 0
        self._direct = False
        self._lock = threading.Lock()
        self._lines: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._sleeps = True
        self._wake = threading.Semaphore(0)
        self._full = threading.Event()
        self._started = False
        os.register_at_fork(after_in_child=self._become_direct)

    def put(self, data: bytes) -> None:
        """Take what is to be written, lines with their ends. Returns at once."""
        if self._direct:
            self._write(data)
            return
        with self._lock:
            if self._waiting_bytes + len(data) > MAX_WAITING_BYTES:
                self.dropped += 1
                return
            self._waiting_bytes += len(data)
            self._lines.append(data)
            wakes, self._sleeps = self._sleeps, False
            is_full = self._waiting_bytes >= _BATCH_BYTES
            if not self._started:
                self._started = True
                threading.Thread(target=self._serve, name="log-writer", daemon=True).start()
                atexit.register(self.flush)
        if wakes:
            self._wake.release()
        elif is_full and not self._full.is_set():
            self._full.set()

    def flush(self, timeout_seconds: float = END_SECONDS) -> None:
        """Wait until all that was taken is written, but no longer than this."""
        self._full.set()
        ends = time.monotonic() + timeout_seconds
        while self._waiting_bytes and time.monotonic() < ends:
            time.sleep(0.002)

    def _become_direct(self) -> None:
        """In a forked child there is no thread, and the lock may be another's for ever.

        What waits is the parent's to write. The child is an operator's and may wait for its reader itself.
        """
        self._waiting_bytes = 0
        self._direct = True

    def _serve(self) -> None:
        written = -_BUSY_SECONDS
        while True:
            self._wake.acquire()
            while batch := self._take():
                self._write(batch)
                with self._lock:
                    self._waiting_bytes -= len(batch)
                    dropped = self.dropped - self._told
                    self._told = self.dropped
                if dropped:
                    log.warning("log_lines_dropped", lines=dropped)
                before, written = written, time.monotonic()
                if written - before < _BUSY_SECONDS:
                    self._full.wait(_GATHER_SECONDS)
                self._full.clear()

    def _take(self) -> bytes:
        """Return what to write next. Nothing: whoever has the next line wakes this thread."""
        batch: list[bytes] = []
        size = 0
        with self._lock:
            while self._lines and size < _BATCH_BYTES:
                batch.append(self._lines.popleft())
                size += len(batch[-1])
            self._sleeps = not batch
        return b"".join(batch)

    def _write(self, data: bytes) -> None:
        with suppress(OSError, ValueError):  # ValueError: the stream is closed
            if self._file is None:
                self._stream.write(data.decode("utf-8", "replace"))
                self._stream.flush()
                return
            rest = memoryview(data)
            while rest:
                try:
                    rest = rest[os.write(self._file, rest) :]
                except BlockingIOError:  # somebody who has the same terminal or pipe made it so
                    select.select([], [self._file], [], _STALLED_SECONDS)


def _descriptor(stream: IO[Any]) -> int | None:
    """Return the file below a stream; None where it is only in memory."""
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None
