"""A child's way to its worker: lines from whichever thread, those of a run with its number."""

import os
import threading
import time
from typing import Any, BinaryIO, Final

from webhookd.adapters.runner import protocol
from webhookd.adapters.runner.ending import Ending

_PROGRESS_INTERVAL_SECONDS: Final = 0.1


class Channel:
    """Writes to the worker, from whichever thread."""

    def __init__(self, outbox: BinaryIO) -> None:
        self._outbox = outbox
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._newest: tuple[int, float | None, str | None] | None = None
        self._number = 0

    def send(self, line: bytes) -> None:
        """Write a line."""
        with self._lock:
            self._write(line)

    def begin(self, number: int) -> None:
        """Say that a run begins: lines are its own from now on."""
        with self._lock:
            self._number = number
            self._newest = None
            self._write(protocol.run_says(number, protocol.BEGAN))

    def report(self, number: int, percent: float | None, message: str | None) -> None:
        """Remember a run's newest progress; `relay_progress` passes it on."""
        with self._lock:
            if number != self._number:
                return
            self._newest = (number, percent, message)
        self._news.set()

    def span(self, document: dict[str, Any]) -> None:
        """Pass on a span that ended."""
        self.send(protocol.run_says(self._number, protocol.SPAN, document))

    def log(self, number: int, line: str) -> None:
        """Pass on a line that a run logged."""
        self.send(protocol.run_says(number, protocol.LOGGED, line))

    def end(self, ending: Ending, *, clean: bool) -> None:
        """Say how the run ended; `clean`: it left nothing running."""
        self._send_newest()
        self.send(protocol.run_says(self._number, protocol.ENDED, clean, *protocol.ending_values(ending)))

    def relay_progress(self) -> None:
        """Thread: the newest report, at most once per interval, however many there are."""
        while self._news.wait():
            self._news.clear()
            self._send_newest()
            time.sleep(_PROGRESS_INTERVAL_SECONDS)

    def _send_newest(self) -> None:
        with self._lock:
            if self._newest is not None:
                number, percent, message = self._newest
                self._write(protocol.run_says(number, protocol.PROGRESS, percent, message))
                self._newest = None

    def _write(self, line: bytes) -> None:
        self._outbox.write(line)
        self._outbox.flush()


def private_pipes() -> tuple[BinaryIO, Channel]:
    """Take the pipes away from stdin and stdout, so that functions may print and ask as they like.

    The copies are not inherited by what they start, and what they print goes to the worker's stderr.
    """
    inbox, outbox = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return os.fdopen(inbox, "rb"), Channel(os.fdopen(outbox, "wb"))
