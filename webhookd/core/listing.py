"""Filters of listings, as values."""

from dataclasses import dataclass

from webhookd.core.model import TaskState


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Which tasks to list; None is any. Times bound `created_ms`: since inclusive, until exclusive."""

    state: TaskState | None = None
    type: str | None = None
    batch_id: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
