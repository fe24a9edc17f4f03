"""What a task function holds while it runs, and how it says that it cannot go on.

`TaskContext` is the function's whole view of the service. It can be made by hand, so that an
operator's function is tested by calling it.
"""

import math
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import structlog

from webhookd.core.outcome import clean_message
from webhookd.core.run_folder import MAX_FILE_BYTES, Attached
from webhookd.taskset.attaching import Attachments, Data, TooMuchAttached, attached_in, forget

PROGRESS_MESSAGE_CHARS: Final = 500

ProgressListener = Callable[[float | None, str | None], None]


class Fail(Exception):
    """Raised by a task function to end the task as `failed` at once: trying again would not help.

    `code` is a short stable word for programs (`account_closed`), `message` a sentence for people.
    Both reach the partner.
    """

    code: str = "failed"
    message: str = ""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code, message)
        self.code = str(code)
        self.message = str(message)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Retry(Exception):
    """Raised by a task function to be tried again, while attempts are left.

    `after` is the pause in seconds or as a timedelta, 366 days at most; None leaves it to the type's retry
    schedule.
    """

    after_seconds: float | None = None
    message: str = ""

    def __init__(
        self, after: float | timedelta | None = None, message: str = "asked to be tried again"
    ) -> None:
        super().__init__(after, message)
        seconds = after.total_seconds() if isinstance(after, timedelta) else after
        if seconds is not None and not (math.isfinite(seconds) and seconds >= 0):
            raise ValueError(f"Retry(after={after!r}): the pause must be zero or more seconds")
        self.after_seconds = seconds
        self.message = str(message)

    def __str__(self) -> str:
        return self.message


class Cancelled(BaseException):
    """Raised by `TaskContext.raise_if_cancelled`.

    Not an `Exception`, so that an `except Exception` around a step does not turn it into a failure.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPartner:
    """For whom a task runs."""

    id: str = "prt_local"
    name: str = "local"


class TaskContext:
    """One run of one task, as its function sees it. Safe to use from any thread.

    `attempt` counts from 1 and goes on over replays; `last_attempt` says that no other follows if this one
    fails. `metadata` is what the partner sent along, `priority` is `low`, `normal` or `high`. `state` is what
    the task set's lifespan gave, None without one. `deadline` (aware, UTC) is when the function will be
    stopped; use `remaining_seconds` to compute with, for it does not jump when the machine's clock does.
    """

    def __init__(
        self,
        *,
        task_id: str = "task_local",
        type: str = "",  # noqa: A002 -- the contract's word for it
        attempt: int = 1,
        max_attempts: int = 3,
        last_attempt: bool | None = None,
        trace_id: str = "",
        partner: TaskPartner | None = None,
        metadata: Mapping[str, Any] | None = None,
        priority: str = "normal",
        state: Any = None,
        timeout_seconds: float = 300.0,
        on_progress: ProgressListener | None = None,
        folder: Path | str | None = None,
        on_attach: Callable[[], None] | None = None,
        max_file_bytes: int = MAX_FILE_BYTES,
    ) -> None:
        self.task_id = task_id
        self.type = type
        self.attempt = attempt
        self.max_attempts = max_attempts
        self.last_attempt = attempt >= max_attempts if last_attempt is None else last_attempt
        self.trace_id = trace_id
        self.partner = partner or TaskPartner()
        self.metadata = dict(metadata or {})
        self.priority = priority
        self.state = state
        self.deadline = datetime.now(UTC) + timedelta(seconds=timeout_seconds)
        self._ends_at = time.monotonic() + timeout_seconds
        self._on_progress = on_progress
        self._folder = folder
        self._on_attach = on_attach
        self._max_file_bytes = max_file_bytes
        self._cancelled = False
        self._percent: float | None = None
        self._message: str | None = None

    @cached_property
    def log(self) -> Any:
        """A structlog logger bound to this run. (structlog's own type for it is Any.)"""
        return structlog.get_logger("webhookd.task").bind(
            task_id=self.task_id, attempt=self.attempt, trace_id=self.trace_id
        )

    @cached_property
    def _attachments(self) -> Attachments:
        folder = self._folder
        if folder is None:
            folder = self._folder = tempfile.mkdtemp(prefix="webhookd-run-")
            weakref.finalize(self, forget, Path(folder))  # a context made by hand has nobody else to do it
        if self._on_attach is not None:
            self._on_attach()
        return Attachments(Path(folder), self._max_file_bytes)

    def attach(self, name: str, data: Data, content_type: str | None = None) -> None:
        """Keep a file as a result of the task: it is in the Task and its webhook once the task has ended.

        `data` are bytes, a path, an open file or an iterable of bytes, read at once and held nowhere.
        `content_type` is guessed from the name where it is left out. A file of the same name takes the
        place of an earlier one, and what a run attaches that of what runs before it did. Ends the task
        with `file_too_large` or `too_many_files`; raises ValueError for a name that is none.
        """
        try:
            self._attachments.add(name, data, content_type)
        except TooMuchAttached as error:
            raise Fail(error.code, error.message) from None

    @property
    def attached(self) -> list[Attached]:
        """What was attached so far, for tests of a function."""
        return [] if self._folder is None else attached_in(Path(self._folder))

    @property
    def remaining_seconds(self) -> float:
        """Seconds left before the function is stopped; never below zero."""
        return max(0.0, self._ends_at - time.monotonic())

    @property
    def cancelled(self) -> bool:
        """True once the function should stop: the task was cancelled, or its time is up."""
        return self._cancelled

    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` if the function should stop: the task then ends as `cancelled`."""
        if self._cancelled:
            raise Cancelled

    def cancel(self) -> None:
        """Make `cancelled` true. The runner calls this, and so may a test."""
        self._cancelled = True

    def progress(self, percent: float | None = None, message: str | None = None) -> None:
        """Say how far it is. Cheap, and may be called as often as one likes: the newest value is shown.

        `percent` is held to 0..100, `message` to 500 characters. What is None, or not a number, stays as
        it was said before.
        """
        if percent is not None and not math.isnan(percent):
            self._percent = min(100.0, max(0.0, float(percent)))
        if message is not None:
            self._message = clean_message(str(message), max_chars=PROGRESS_MESSAGE_CHARS)
        if self._on_progress is not None:
            self._on_progress(self._percent, self._message)
