"""What a run leaves behind besides its outcome: its last log lines, and the exception it ended with."""

import threading
import traceback
from collections import deque
from typing import Final

from webhookd.core.outcome import Raised, clean_message

MAX_LINES: Final = 200
MAX_BYTES: Final = 16 * 1024
MAX_LINE_CHARS: Final = 4_000
MAX_TEXT_CHARS: Final = 4_000
MAX_TRACEBACK_CHARS: Final = 16_000


class RunLog:
    """The last lines of a run: at most MAX_LINES, and MAX_BYTES of UTF-8. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lines: deque[tuple[str, int]] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, line: str) -> None:
        """Keep a line, and forget the oldest where there are too many."""
        text = clean_message(line, max_chars=MAX_LINE_CHARS)
        size = len(text.encode()) + 1
        with self._lock:
            self._lines.append((text, size))
            self._bytes += size
            while len(self._lines) > MAX_LINES or self._bytes > MAX_BYTES:
                self._bytes -= self._lines.popleft()[1]

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines, oldest first."""
        with self._lock:
            return tuple(text for text, _ in self._lines)


def raised_from(error: BaseException) -> Raised:
    """Return the exception as text. Never raises: a `__str__` of the operator's may."""
    name = type(error).__name__
    try:
        message = str(error)
        # The first frame is ours: the one that called the function.
        inner = error.__traceback__.tb_next if error.__traceback__ is not None else None
        lines = traceback.format_exception(type(error), error, inner or error.__traceback__)
    except Exception:  # noqa: BLE001 - as said above
        return Raised(type=name, message="", traceback="")
    # Of a long one the end counts: there stands where it was raised, and what it is.
    whole = "".join(lines)
    return Raised(
        type=name,
        message=clean_message(message, max_chars=MAX_TEXT_CHARS),
        traceback=clean_message(whole[-MAX_TRACEBACK_CHARS:], max_chars=MAX_TRACEBACK_CHARS),
    )
