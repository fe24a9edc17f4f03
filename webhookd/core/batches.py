"""Batches: many tasks with one end. Rows as values; how ends are counted is the store's (`batch_ends`)."""

from dataclasses import dataclass
from typing import Final

from webhookd.core.model import BatchState, TaskState
from webhookd.core.trace import TraceContext

MAX_TASKS: Final = 1_000_000
"""Tasks of one batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCounts:
    """How many tasks of a batch are in each state."""

    scheduled: int = 0
    queued: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0

    @property
    def left(self) -> int:
        """How many have not ended."""
        return self.scheduled + self.queued + self.running


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBatch:
    """A batch on its way into the store. `defaults_json` is what later tasks begin with.

    `endpoint_ids` None: nobody is named, so whoever subscribes to `batch.completed` gets it.
    """

    id: str
    partner_id: str
    state: BatchState
    metadata_json: str
    defaults_json: str
    callback_url: str | None
    callback_origin: str | None
    endpoint_ids: tuple[str, ...] | None
    trace: TraceContext
    created_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(NewBatch):
    """A batch as everybody sees it. `version` grows with every change of it or of one of its tasks."""

    total: int
    counts: BatchCounts
    version: int
    closed_ms: int | None = None
    cancel_requested_ms: int | None = None
    completed_ms: int | None = None

    @property
    def done(self) -> bool:
        """Whether all of it has ended and nothing more can come."""
        return self.completed_ms is not None

    @property
    def addressed(self) -> bool:
        """Whether it names its receivers itself."""
        return self.callback_url is not None or self.endpoint_ids is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFilter:
    """Which batches to list; None is any. Times bound `created_ms`: since inclusive, until exclusive."""

    state: BatchState | None = None
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchTasks:
    """Which tasks of a batch to list, in the order of their submission."""

    batch_id: str
    state: TaskState | None = None
    ended: bool = False
