"""Which run of a task the calling code belongs to, so that log lines of any logger can say so.

It follows the context: into `asyncio` tasks and `asyncio.to_thread`, not into threads a function starts bare.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentRun:
    """A run under way. `keep` takes each line it logs, from any thread."""

    task_id: str
    attempt: int
    trace_id: str
    keep: Callable[[str], None]


_current: ContextVar[CurrentRun | None] = ContextVar("webhookd_current_run", default=None)


def current_run() -> CurrentRun | None:
    """Return the run that the caller is part of."""
    return _current.get()


@contextmanager
def as_current(run: CurrentRun) -> Iterator[None]:
    """Make everything called within part of `run`."""
    token = _current.set(run)
    try:
        yield
    finally:
        _current.reset(token)
