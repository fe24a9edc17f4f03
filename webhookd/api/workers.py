"""The processes of the installation: where each is, what it runs, and since when."""

from typing import Annotated, Final

from pydantic import Field
from typing_extensions import TypedDict

from webhookd.adapters.store.upkeep.workers import HeldTask, Worker, read_workers
from webhookd.api.answers import Answer, page_answer
from webhookd.api.api_route import ADMIN, AnyRoute, ApiRoute, lists
from webhookd.api.call import Call
from webhookd.api.wire import ListingQuery, cursor_of
from webhookd.core import ids
from webhookd.core.fields import Count, PartnerId, TaskId, Timestamp, WorkerRole
from webhookd.core.times import to_rfc3339


class WorkerPartnerDocument(TypedDict):
    """For whom a task runs."""

    id: PartnerId
    """The partner's id."""
    name: str
    """What it is called."""


class RunningTaskDocument(TypedDict):
    """A task that a worker runs, or has claimed and runs in a moment."""

    task_id: TaskId
    """The task."""
    type: str
    """The task's type."""
    partner: WorkerPartnerDocument
    """Whose it is."""
    attempt: Annotated[int, Field(ge=1)]
    """The number of this run."""
    started_at: Timestamp
    """Since when."""
    deadline_at: Timestamp
    """When it is stopped."""
    cancel_requested: bool
    """Whether it was told to stop."""


class WorkerDocument(TypedDict):
    """A process with a running lease."""

    id: str
    """The id of its session."""
    role: WorkerRole
    """What it does."""
    host: str
    """The machine it is on."""
    pid: int
    """Its process there."""
    queues: list[str]
    """The queues it works on."""
    slots: Count
    """How many tasks it runs at a time."""
    started_at: Timestamp
    """Since when."""
    lease_until: Timestamp
    """Where it is not renewed by then, others take over what it holds."""
    running: list[RunningTaskDocument]
    """The tasks it runs, 500 at most, the oldest first."""
    in_flight: Count
    """How many deliveries it is making."""


class WorkerListing(ListingQuery):
    """`GET /v1/workers`."""

    cursor: str | None = cursor_of(ids.SESSION)


async def list_workers(call: Call[None, WorkerListing]) -> Answer:
    """`GET /v1/workers`."""
    workers, cursor = await call.read(read_workers, call.now_ms, call.query.page)
    return page_answer([worker_document(worker) for worker in workers], cursor)


def worker_document(worker: Worker) -> WorkerDocument:
    """Return the worker of the API."""
    return {
        "id": worker.id,
        "role": worker.role,
        "host": worker.host,
        "pid": worker.pid,
        "queues": list(worker.queues),
        "slots": worker.slots,
        "started_at": to_rfc3339(worker.started_ms),
        "lease_until": to_rfc3339(worker.lease_until_ms),
        "running": [_running(task) for task in worker.running],
        "in_flight": worker.in_flight,
    }


def _running(task: HeldTask) -> RunningTaskDocument:
    return {
        "task_id": task.id,
        "type": task.type,
        "partner": {"id": task.partner_id, "name": task.partner_name},
        "attempt": task.attempt,
        "started_at": to_rfc3339(task.started_ms),
        "deadline_at": to_rfc3339(task.deadline_ms),
        "cancel_requested": task.cancel_requested,
    }


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="GET",
        path="/v1/workers",
        handler=list_workers,
        id="listWorkers",
        tag="Operations",
        summary="See which process runs what, and since when",
        access=ADMIN,
        query=WorkerListing,
        answers=lists(WorkerDocument),
    ),
)
