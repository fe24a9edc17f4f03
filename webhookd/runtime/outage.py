"""An outage is told once, and its end once, however many tries lie between."""

import logging
import threading
import time

_log = logging.getLogger(__name__)


class Outage:
    """Logs that `part` is away, and that it is back. Thread-safe. `who` noticed."""

    def __init__(self, who: str, part: str = "the broker") -> None:
        self._who = who
        self._part = part
        self._lock = threading.Lock()
        self._since: float | None = None

    def noticed(self, error: BaseException) -> None:
        """A try failed."""
        with self._lock:
            first, self._since = self._since is None, self._since or time.monotonic()
        if first:
            _log.warning("%s: %s is away (%s: %s)", self._who, self._part, type(error).__name__, error)

    def over(self) -> None:
        """A try succeeded."""
        if self._since is None:  # the usual case, without the lock
            return
        with self._lock:
            since, self._since = self._since, None
        if since is not None:
            seconds = time.monotonic() - since
            _log.warning("%s: %s is back after %.1f s", self._who, self._part, seconds)
