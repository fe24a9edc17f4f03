"""What a submission is on its way to the store, and what comes back."""

from dataclasses import dataclass
from typing import Final

from webhookd.core.batches import NewBatch
from webhookd.core.records import NewTask

REST_SECONDS: Final = 5.0
"""The pause between two sweeps where nothing goes on: what falls due sooner is to be rung for."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Submission:
    """One accepted-or-refused-whole request.

    `fingerprint` is a hash of route and parsed body; `layout` is what the API needs to answer a
    repeat of a batch as before (the per-item results, with null where a task stands). All tasks have one
    place in a trace, and `parent_span_id` is what is above it. `batch` is made with its first tasks,
    `batch_id` names an open one that gets more.
    """

    partner_id: str
    tasks: tuple[NewTask, ...]
    key: str | None
    fingerprint: str
    now_ms: int
    layout: str | None = None
    parent_span_id: str = ""
    batch: NewBatch | None = None
    batch_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The tasks a submission stands for; `replayed` when its Idempotency-Key was known.

    `outcome` is the stored JSON text of the first answer, on a replay.
    """

    task_ids: tuple[str, ...]
    replayed: bool
    outcome: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """What a key stands for. `task_ids` are a task submission's, `outcome` is the JSON text kept for it."""

    fingerprint: str
    task_ids: tuple[str, ...]
    outcome: str
