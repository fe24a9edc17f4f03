"""A task as JSON: as a webhook announces it, and as the API shows it."""

from typing import Annotated, Any, NotRequired, cast

import orjson
from pydantic import Field
from typing_extensions import TypedDict

from webhookd.core.fields import (
    BatchId,
    Count,
    Metadata,
    PriorityName,
    TaskErrorCode,
    TaskId,
    Timestamp,
    TraceId,
)
from webhookd.core.model import TaskState
from webhookd.core.records import DeliveryCounts, Task
from webhookd.core.render.file import FileDocument, file_document
from webhookd.core.render.owner import OwnerDocument
from webhookd.core.times import opt_rfc3339, to_rfc3339


class TaskErrorDocument(TypedDict):
    """Why a task failed."""

    code: TaskErrorCode
    """For programs: the function's own code, or one of the service's."""
    message: str
    """For people: a sentence."""


class TaskProgressDocument(TypedDict):
    """How far a task is, as its function last said."""

    percent: float | None
    """From 0 to 100; null until the function says something, 100 once it has succeeded."""
    message: str | None
    """What it is doing; null until the function says something."""


class DeliveryCountsDocument(TypedDict):
    """How the deliveries of a task stand."""

    pending: Count
    """How many wait for their next attempt."""
    delivered: Count
    """How many the receiver has taken."""
    dead: Count
    """How many were given up."""
    parked: Count
    """How many wait for their endpoint to be enabled."""


class TaskLinksDocument(TypedDict):
    """Where to go from here: paths, or whole URLs where the service knows its public one."""

    self: str
    """The task itself."""
    events: str
    """The task as Server-Sent Events."""
    timeline: str
    """The task's whole life."""
    cancel: str
    """Where to POST to cancel it."""
    deliveries: str
    """The listing of its deliveries."""


class AnnouncedTaskDocument(TypedDict):
    """A task as a webhook carries it: as it was at the event, without `deliveries`."""

    id: TaskId
    """The task's id, for good."""
    type: str
    """The task's type."""
    state: TaskState
    """Where it is in its life."""
    done: bool
    """Whether it has ended."""
    result: Any
    """What the function returned; null until then. Its shape is the type's own."""
    error: TaskErrorDocument | None
    """Why it failed; while it waits for its next try, why the last one did. Null where nothing did, and
    once it is cancelled."""
    progress: TaskProgressDocument
    """How far it is."""
    metadata: Metadata
    """What was submitted as metadata."""
    priority: PriorityName
    """As submitted, or `normal`."""
    attempts: Count
    """How often it was started since its submission or its last replay."""
    version: Annotated[int, Field(ge=1)]
    """Grows with every change of state or progress."""
    trace_id: TraceId
    """The trace it belongs to."""
    callback_url: str | None
    """Where its own webhooks go; null where none was submitted."""
    created_at: Timestamp
    """When it was accepted."""
    run_at: Timestamp | None
    """Not before this time; while it waits for its next try, the time of that try. Null: at once."""
    expires_at: Timestamp | None
    """When it expires if it has not been started; null: never."""
    started_at: Timestamp | None
    """When its last try began; null before the first."""
    finished_at: Timestamp | None
    """When it ended; null until then."""
    files: list[FileDocument]
    """What its function attached; empty until it has ended."""
    batch: BatchId | None
    """The batch it belongs to; null where to none."""
    rerun_of: TaskId | None
    """The task that it runs again; null where it is none's."""
    cancel_requested_at: Timestamp | None
    """When somebody asked for its cancellation while it ran; null where nobody did."""
    links: TaskLinksDocument
    """Where to go from here."""


class TaskDocument(AnnouncedTaskDocument):
    """A task. `version` grows with every change of state or progress."""

    deliveries: DeliveryCountsDocument
    """How its deliveries stand."""
    partner: NotRequired[OwnerDocument]
    """Whose it is; to admins only."""


def announced_task_document(task: Task, *, base_url: str = "") -> AnnouncedTaskDocument:
    """Return the Task of a webhook, ready for `orjson.dumps`.

    It has no `deliveries`, because its bytes are fixed before the first delivery is tried. `base_url` (no
    trailing slash) makes the links absolute.
    """
    path = f"{base_url}/v1/tasks/{task.id}"
    return {
        "id": task.id,
        "type": task.type,
        "state": task.state,
        "done": task.done,
        "result": None if task.result_json is None else orjson.Fragment(task.result_json),
        "error": None
        if task.error_code is None
        else {"code": task.error_code, "message": task.error_message or ""},
        "progress": {"percent": _percent(task), "message": task.progress_message},
        "metadata": orjson.Fragment(task.metadata_json),
        "priority": task.priority.label,
        "attempts": task.attempts,
        "version": task.version,
        "trace_id": task.trace.trace_id,
        "callback_url": task.callback_url,
        "created_at": to_rfc3339(task.created_ms),
        "run_at": opt_rfc3339(task.due_ms if task.state == "scheduled" else task.run_at_ms),
        "expires_at": opt_rfc3339(task.expires_ms),
        "started_at": opt_rfc3339(task.started_ms),
        "finished_at": opt_rfc3339(task.finished_ms),
        "files": [file_document(file, base_url=base_url) for file in task.files],
        "batch": task.batch_id,
        "rerun_of": task.rerun_of,
        "cancel_requested_at": opt_rfc3339(task.cancel_requested_ms),
        "links": {
            "self": path,
            "events": f"{path}/events",
            "timeline": f"{path}/timeline",
            "cancel": f"{path}/cancel",
            "deliveries": f"{base_url}/v1/deliveries?task={task.id}",
        },
    }


def _percent(task: Task) -> float | None:
    return 100.0 if task.state is TaskState.SUCCEEDED else task.progress_percent


def task_document(task: Task, *, base_url: str = "") -> TaskDocument:
    """Return the Task of the API, ready for `orjson.dumps`: as announced, and how its deliveries stand."""
    announced = announced_task_document(task, base_url=base_url)
    return cast("TaskDocument", {**announced, "deliveries": counts_document(task.deliveries)})


def counts_document(counts: DeliveryCounts) -> DeliveryCountsDocument:
    """Return `{pending, delivered, dead, parked}`."""
    return {
        "pending": counts.pending,
        "delivered": counts.delivered,
        "dead": counts.dead,
        "parked": counts.parked,
    }
