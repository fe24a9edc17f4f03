"""Filters of listings, and what dead letters are counted by, as values."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from webhookd.core.model import DeliveryState, TaskState

GROUP_KEYS: Final = ("partner", "endpoint", "error", "type", "reason", "hour", "kind")
"""What dead letters are counted by; `partner` is for admins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Which tasks to list; None is any. Times bound `created_ms`: since inclusive, until exclusive.

    `tags` are of pairs of metadata that it has, each, up to three (`core.metadata`)."""

    state: TaskState | None = None
    type: str | None = None
    batch_id: str | None = None
    tags: tuple[str, ...] = ()
    idempotency_key: str | None = None
    rerun_of: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """Which deliveries to list; None is any. Times bound `created_ms`: since inclusive, until exclusive.

    `status` is an HTTP status or its hundred (`5xx`), of the last answer.
    """

    state: DeliveryState | None = None
    endpoint_id: str | None = None
    task_id: str | None = None
    type: str | None = None
    event: str | None = None
    error: str | None = None
    status: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


class LetterGroup(NamedTuple):
    """Dead letters that are alike in what they are counted by; the rest is None. Times are of their death."""

    partner: str | None
    endpoint: str | None
    error: str | None
    type: str | None
    reason: str | None
    hour: int | None
    kind: str | None
    letters: int
    first_ms: int
    last_ms: int

    def key(self, group_by: tuple[str, ...]) -> tuple[str | int | None, ...]:
        """Return what it has in common with those it belongs to."""
        return tuple(getattr(self, name) for name in group_by)
