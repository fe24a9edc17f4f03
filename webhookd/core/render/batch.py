"""A batch as JSON: as its webhook announces it, and as the API shows it."""

from typing import Annotated, NotRequired

import orjson
from pydantic import Field
from typing_extensions import TypedDict

from webhookd.core.batches import Batch
from webhookd.core.fields import BatchId, Count, Metadata, Timestamp, TraceId
from webhookd.core.model import BatchState
from webhookd.core.render.owner import OwnerDocument
from webhookd.core.times import opt_rfc3339, to_rfc3339


class BatchCountsDocument(TypedDict):
    """How many tasks of a batch are in each state."""

    total: Count
    """How many there are."""
    scheduled: Count
    """How many wait for their time, or for their next try."""
    queued: Count
    """How many wait for a worker."""
    running: Count
    """How many run."""
    succeeded: Count
    """How many have a result."""
    failed: Count
    """How many failed."""
    cancelled: Count
    """How many were cancelled."""
    expired: Count
    """How many did not start in time."""


class BatchLinksDocument(TypedDict):
    """Where to go from here: paths, or whole URLs where the service knows its public one."""

    self: str
    """The batch itself."""
    events: str
    """The batch as Server-Sent Events."""
    tasks: str
    """The listing of its tasks."""
    results: str
    """What has ended of it, a line a task."""
    close: str
    """Where to POST when no more tasks are to come."""
    cancel: str
    """Where to POST to cancel what has not ended."""


class BatchDocument(TypedDict):
    """Many tasks with one end."""

    id: BatchId
    """The batch's id, for good."""
    state: BatchState
    """`open` while more tasks may come, then `running`; `completed` or `cancelled` once all have ended."""
    done: bool
    """Whether all of its tasks have ended and no more may come."""
    counts: BatchCountsDocument
    """How its tasks stand."""
    metadata: Metadata
    """What was submitted as metadata."""
    callback_url: str | None
    """Where its one webhook goes; null where none was submitted."""
    version: Annotated[int, Field(ge=1)]
    """Grows with every change of the batch or of the state of one of its tasks."""
    trace_id: TraceId
    """The trace it belongs to."""
    created_at: Timestamp
    """When it was accepted."""
    closed_at: Timestamp | None
    """Since when no more tasks may come; null while it is open."""
    cancel_requested_at: Timestamp | None
    """When somebody cancelled it; null where nobody did."""
    completed_at: Timestamp | None
    """When the last of its tasks had ended; null until then."""
    links: BatchLinksDocument
    """Where to go from here."""
    partner: NotRequired[OwnerDocument]
    """Whose it is; to admins only."""


def batch_document(batch: Batch, *, base_url: str = "") -> BatchDocument:
    """Return the Batch of the API and of `batch.completed`, ready for `orjson.dumps`."""
    path = f"{base_url}/v1/batches/{batch.id}"
    counts = batch.counts
    return {
        "id": batch.id,
        "state": batch.state,
        "done": batch.done,
        "counts": {
            "total": batch.total,
            "scheduled": counts.scheduled,
            "queued": counts.queued,
            "running": counts.running,
            "succeeded": counts.succeeded,
            "failed": counts.failed,
            "cancelled": counts.cancelled,
            "expired": counts.expired,
        },
        "metadata": orjson.Fragment(batch.metadata_json),
        "callback_url": batch.callback_url,
        "version": batch.version,
        "trace_id": batch.trace.trace_id,
        "created_at": to_rfc3339(batch.created_ms),
        "closed_at": opt_rfc3339(batch.closed_ms),
        "cancel_requested_at": opt_rfc3339(batch.cancel_requested_ms),
        "completed_at": opt_rfc3339(batch.completed_ms),
        "links": {
            "self": path,
            "events": f"{path}/events",
            "tasks": f"{path}/tasks",
            "results": f"{path}/results",
            "close": f"{path}/close",
            "cancel": f"{path}/cancel",
        },
    }
