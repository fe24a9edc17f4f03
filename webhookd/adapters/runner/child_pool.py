"""Warm children: started ahead, taken for a run, given back, and replaced where they are not good any more.

Once warmed up, one is kept ready beyond those that run, so that a call finds it warm; those nobody has needed
for a while go. All are started by one thread, which lives as long as they: the kernel tells a child that its
parent is gone when the *thread* that started it ends.
"""

import errno
import queue
import threading
import time
from typing import Final

from webhookd.adapters.runner.protocol import ChildSettings
from webhookd.adapters.runner.warm_child import LEAVE_SECONDS, WarmChild

SPARES: Final = 1
IDLE_SECONDS: Final = 60.0


class ChildPool:
    """Used from any thread."""

    def __init__(self, settings: ChildSettings) -> None:
        self._settings = settings
        self._changed = threading.Condition()
        self._idle: list[WarmChild] = []
        self._starting = 0
        self._waiting = 0
        self._spares = 0
        self._failure: OSError | None = None
        self._closed = False
        self._orders: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._nursery: threading.Thread | None = None
        self._leaving: list[threading.Thread] = []

    def warm_up(self) -> None:
        """Start one ahead, and keep one ready from now on. Returns at once."""
        with self._changed:
            self._spares = SPARES
            self._start_ahead()

    def take(self) -> WarmChild:
        """Return a child for one run, as soon as there is one. Raises OSError where none can be started."""
        with self._changed:
            self._waiting += 1
            try:
                while not self._idle:
                    if self._closed:
                        raise OSError(errno.ESHUTDOWN, "the worker stops")
                    self._start_ahead()
                    self._changed.wait()
                    if self._failure is not None and not self._idle:
                        raise self._failure
                child = self._idle.pop()
            finally:
                self._waiting -= 1
            self._start_ahead()
            return child

    def give_back(self, child: WarmChild) -> None:
        """Let others have it."""
        child.idle_since = time.monotonic()
        with self._changed:
            if not self._closed:
                self._idle.append(child)
                self._changed.notify()
                return
        self.retire(child)

    def retire(self, child: WarmChild) -> None:
        """Let it leave in peace; nobody waits for that."""
        thread = threading.Thread(target=child.leave, name="child-leaves", daemon=True)
        thread.start()
        with self._changed:
            self._leaving = [one for one in self._leaving if one.is_alive()] + [thread]

    def close(self) -> None:
        """Let all leave that wait here, and wait for those that leave, for a while."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            self._changed.notify_all()
        for child in idle:
            self.retire(child)
        ends = time.monotonic() + LEAVE_SECONDS + 1
        for thread in tuple(self._leaving):
            thread.join(max(0.0, ends - time.monotonic()))
        self._orders.put(False)  # last: with that thread goes what it started

    def _start_ahead(self) -> None:
        """Have children started for those who wait, and the spare. Called under the lock."""
        missing = 0 if self._closed else self._waiting + self._spares - len(self._idle) - self._starting
        for _ in range(missing):
            self._starting += 1
            self._orders.put(True)
        if self._nursery is None and missing > 0:
            self._nursery = threading.Thread(target=self._nurse, name="child-nursery", daemon=True)
            self._nursery.start()

    def _nurse(self) -> None:
        while True:
            try:
                wanted = self._orders.get(timeout=IDLE_SECONDS / 2)
            except queue.Empty:
                self._let_go()
                continue
            if not wanted:
                return
            child: WarmChild | None = None
            failure: OSError | None = None
            try:
                child = WarmChild(self._settings)
            except OSError as error:
                failure = error
            with self._changed:
                self._starting -= 1
                self._failure = failure
                if child is not None and not self._closed:
                    self._idle.insert(0, child)  # those that are warm already go first
                    child = None
                self._changed.notify_all()
            if child is not None:
                self.retire(child)

    def _let_go(self) -> None:
        """Retire those nobody has needed for a while, but for the spare."""
        before = time.monotonic() - IDLE_SECONDS
        with self._changed:
            most = max(0, len(self._idle) - SPARES)
            old = [child for child in self._idle if child.idle_since < before][:most]
            self._idle = [child for child in self._idle if child not in old]
        for child in old:
            self.retire(child)
