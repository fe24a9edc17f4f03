"""Carries a function's progress from its thread to the main loop: the newest value, now and then.

A function may report a million times a second; the main loop hears of it once per interval, and of the
last report always.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable

Listener = Callable[[float | None, str | None], None]


class ProgressRelay:
    """`report` may be called from any thread; `listener` is called on `loop`."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, listener: Listener, *, interval_seconds: float
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._interval_seconds = interval_seconds
        self._lock = threading.Lock()
        self._newest: tuple[float | None, str | None] | None = None
        self._scheduled = False
        self._closed = False

    def report(self, percent: float | None, message: str | None) -> None:
        """Remember the newest; wake the main loop only where it is not going to look anyway."""
        with self._lock:
            self._newest = (percent, message)
            if self._scheduled or self._closed:
                return
            self._scheduled = True
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to hear
            self._loop.call_soon_threadsafe(self._flush)

    def close(self) -> None:
        """Deliver what is still to be delivered, then nothing more. Called on the loop."""
        with self._lock:
            self._closed = True
        self._deliver()

    def _flush(self) -> None:
        if self._deliver():
            self._loop.call_later(self._interval_seconds, self._flush)

    def _deliver(self) -> bool:
        with self._lock:
            newest, self._newest = self._newest, None
            self._scheduled = newest is not None
        if newest is None:
            return False
        self._listener(*newest)
        return True
