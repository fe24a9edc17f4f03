"""What the API answers, as pydantic models: the schemas of /openapi.json are made from them.

No answer is built from these (`core.render` and the handlers write plain dictionaries, which is cheaper);
a test holds every real answer against its model. Documents for admins only are in `admin_documents`.
"""

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, RootModel

from webhookd.core.model import DeliveryState, TaskState
from webhookd.core.replay import ReplayState
from webhookd.core.timeline import KINDS

Timestamp = Annotated[
    str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", json_schema_extra={"format": "date-time"})
]
TraceId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Count = Annotated[int, Field(ge=0)]


TaskId = Annotated[str, Field(pattern="^task_[0-9a-z]{26}$")]
EndpointId = Annotated[str, Field(pattern="^ep_[0-9a-z]{26}$")]
MessageId = Annotated[str, Field(pattern="^msg_[0-9a-z]{26}$")]
DeliveryId = Annotated[str, Field(pattern="^dlv_[0-9a-z]{26}$")]
ReplayId = Annotated[str, Field(pattern="^rpl_[0-9a-z]{26}$")]
DeadLetterId = Annotated[str, Field(pattern="^(task|dlv)_[0-9a-z]{26}$")]

T = TypeVar("T")


class Document(BaseModel):
    """An answer. Fields are only ever added, so a reader should pass over those it does not know."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Page(Document, Generic[T]):
    """A page of a listing; `next_cursor`, where there is more, is the `cursor` of the next call."""

    data: list[T]
    next_cursor: str | None


class FieldProblem(Document):
    """One wrong field: `path` is a JSONPath, or the name of a header."""

    path: str
    message: str


class Problem(Document):
    """RFC 9457. `code` is stable and meant for programs; `trace_id` finds the call in the logs."""

    type: str
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    code: str
    trace_id: TraceId
    errors: list[FieldProblem] = []


class TaskError(Document):
    """Why a task failed."""

    code: str
    message: str


class TaskProgress(Document):
    """How far a task is, as its function last said."""

    percent: float | None
    message: str | None


class DeliveryCounts(Document):
    """How the deliveries of a task stand."""

    pending: Count
    delivered: Count
    dead: Count
    parked: Count


class TaskLinks(Document):
    """Where to go from here."""

    self: str
    events: str
    timeline: str
    cancel: str
    deliveries: str


class AnnouncedTask(Document):
    """A task as a webhook carries it: as it was at the event, without `deliveries`."""

    id: TaskId
    type: str
    state: TaskState
    done: bool
    result: Any
    error: TaskError | None
    progress: TaskProgress
    metadata: dict[str, Any]
    priority: Literal["low", "normal", "high"]
    attempts: Count
    version: Annotated[int, Field(ge=1)]
    trace_id: TraceId
    callback_url: str | None
    created_at: Timestamp
    run_at: Timestamp | None
    expires_at: Timestamp | None
    started_at: Timestamp | None
    finished_at: Timestamp | None
    links: TaskLinks


class Task(AnnouncedTask):
    """A task. `version` grows with every change of state or progress."""

    deliveries: DeliveryCounts


class TaskReceipt(Document):
    """What a key without `tasks:read` is shown of a task that it writes."""

    id: TaskId
    type: str
    state: TaskState
    done: bool
    version: Count
    links: TaskLinks


class WrittenTask(RootModel[Task | TaskReceipt]):
    """The task; to a key without `tasks:read` its id and state only."""


class TaskPage(Page[Task]):
    """Tasks, newest first."""


class AcceptedTask(Document):
    """A task of a batch that was let in."""

    status: Literal[202]
    task: Task | TaskReceipt


class RefusedTask(Document):
    """A task of a batch that was not."""

    status: Annotated[int, Field(ge=400, le=499)]
    error: Problem


class BatchResults(Document):
    """What became of each task of a batch, in its order."""

    results: list[AcceptedTask | RefusedTask]


class TaskType(Document):
    """A type of tasks; `input_schema` is the JSON Schema (2020-12) of its `input`."""

    type: str
    description: str
    queue: str
    timeout_seconds: float
    max_attempts: Count
    input_schema: dict[str, Any]


class TaskTypePage(Page[TaskType]):
    """Task types, by name."""


class TimelineEntry(Document):
    """One thing that happened. What else it has depends on `kind`."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    at: Timestamp
    kind: Annotated[str, Field(json_schema_extra={"enum": list(KINDS)})]
    duration_ms: float | None


class Timeline(Document):
    """The whole life of a task, ordered."""

    task_id: TaskId
    trace_id: TraceId
    type: str
    state: TaskState
    entries: list[TimelineEntry]


class Trace(Document):
    """Every task of a trace; `entries` has what belongs to none. `complete`: nothing was left out."""

    trace_id: TraceId
    tasks: list[Timeline]
    entries: list[TimelineEntry]
    complete: bool


class EndpointRetry(Document):
    """An endpoint's own retry schedule; null is the service's default."""

    max_attempts: int | None
    base_seconds: float | None
    factor: float | None
    cap_seconds: float | None


class Endpoint(Document):
    """A registered callback URL. Values of its own headers are never shown."""

    id: EndpointId
    url: str
    description: str
    state: Literal["enabled", "disabled"]
    disabled_reason: str | None
    events: list[str]
    task_types: list[str]
    headers: dict[str, Literal["***"]]
    rate_limit: float | None
    max_concurrency: int | None
    ordering: Literal["none", "fifo"]
    retry: EndpointRetry
    signature: list[Literal["v1", "v1a"]]
    failing_since: Timestamp | None
    created_at: Timestamp
    updated_at: Timestamp
    public_key: Annotated[str, Field(pattern="^whpk_")] = ""
    breaker: Literal["closed", "open", "half_open"] = "closed"


class NewEndpointSecret(Endpoint):
    """The endpoint with its `secret`, shown this once."""

    secret: Annotated[str, Field(pattern="^whsec_")]


class RotatedEndpointSecret(NewEndpointSecret):
    """The endpoint with its new `secret`, shown this once, and when the one before stops signing."""

    previous_expires_at: Timestamp


class EndpointPage(Page[Endpoint]):
    """Endpoints, newest first."""


class Delivery(Document):
    """One message on its way to one endpoint, or to a task's `callback_url` (`endpoint_id` null)."""

    id: DeliveryId
    message_id: MessageId
    task_id: TaskId | None
    endpoint_id: EndpointId | None
    url: str
    event: str
    state: DeliveryState
    attempts: Count
    max_attempts: Count
    next_attempt_at: Timestamp | None
    last_status: int | None
    last_error: str | None
    dead_reason: str | None
    created_at: Timestamp
    delivered_at: Timestamp | None


class DeliveryReceipt(Document):
    """What a key without `tasks:read` is shown of a delivery that it writes."""

    id: DeliveryId
    message_id: MessageId
    task_id: TaskId | None
    endpoint_id: EndpointId | None
    state: DeliveryState


class WrittenDelivery(RootModel[Delivery | DeliveryReceipt]):
    """The delivery; to a key without `tasks:read` its ids and state only."""


class DeliveryPage(Page[Delivery]):
    """Deliveries, newest first."""


class AttemptParts(Document):
    """Where the time of an attempt went; null where a step did not happen."""

    dns_ms: float | None
    connect_ms: float | None
    tls_ms: float | None
    first_byte_ms: float | None


class AttemptResponse(Document):
    """What the receiver answered; `body` is its first 16 KiB."""

    headers: dict[str, str]
    body: str


class Attempt(Document):
    """One HTTP try. `curl` repeats it by hand, once the signature is put in.

    Where `error` is not of the form `http_NNN`, `status` and `response` are what was read of an answer
    before it failed. `resent` says the receiver closed a kept connection before one byte of an answer, and
    the request was written once more at once: the same attempt.
    """

    number: Annotated[int, Field(ge=1)]
    at: Timestamp
    duration_ms: float
    parts: AttemptParts
    status: int | None
    error: str | None
    resent: bool
    response: AttemptResponse | None
    curl: str


class DeliveryHistory(Delivery):
    """A delivery with its attempts, oldest first."""

    attempts_log: list[Attempt]


class DeadLetter(Document):
    """What ran out of attempts. `id` is the delivery's or the task's own."""

    id: DeadLetterId
    kind: Literal["delivery", "task"]
    reason: str
    at: Timestamp
    task_id: TaskId | None
    endpoint_id: EndpointId | None
    url: str | None
    event: str | None
    type: str | None
    last_error: str | None


class DeadLetterPage(Page[DeadLetter]):
    """Dead letters, newest first."""


class BackAtWork(RootModel[Delivery | Task | DeliveryReceipt | TaskReceipt]):
    """What a dead letter was: a delivery, or a task."""


class ReplayedFilter(Document):
    """Which dead letters are replayed: what was asked for."""

    kind: Literal["delivery", "task"] = "delivery"
    endpoint: str = ""
    type: str = ""
    reason: str = ""
    since: Timestamp = ""
    until: Timestamp = ""


class Replay(Document):
    """A replay of many dead letters."""

    id: ReplayId
    state: ReplayState
    dry_run: bool
    filter: ReplayedFilter
    rate_per_second: float
    matched: Count
    replayed: Count
    created_at: Timestamp
    finished_at: Timestamp | None


class ReplayPage(Page[Replay]):
    """Replays, newest first."""


class FeedMessage(Document):
    """A message of the pull feed: a webhook's body with its id."""

    id: MessageId
    type: str
    timestamp: Timestamp
    data: dict[str, Any]


class FeedPage(Document):
    """Messages after a cursor. `next_cursor` is there on every page, also an empty one."""

    data: list[FeedMessage]
    next_cursor: str
