"""Rows as values: what flows, store and API hand each other.

Times are Unix milliseconds (`_ms`). JSON that is only passed through stays text (`_json`), so the
bytes a partner sent and the bytes we sign are never re-encoded on the way.
"""

from dataclasses import field
from typing import NamedTuple

from webhookd.core.files import File
from webhookd.core.model import DeliveryState, EndpointState, Priority, TaskState
from webhookd.core.outcome import Raised
from webhookd.core.record import record
from webhookd.core.trace import TraceContext


@record(frozen=True, slots=True, kw_only=True)
class Limits:
    """A partner's own limits; None means the service's default."""

    rate_per_second: float | None = None
    burst: int | None = None
    max_queued: int | None = None


@record(frozen=True, slots=True, kw_only=True)
class LimitsInForce:
    """A partner's own limits, or the service's in their place."""

    rate_per_second: float
    burst: int
    max_queued: int


@record(frozen=True, slots=True, kw_only=True)
class Partner:
    """Who submits tasks; `task_types` are those it may submit, names or `report.*`, empty for all."""

    id: str
    name: str
    weight: int
    limits: Limits
    suspended: bool
    created_ms: int
    task_types: tuple[str, ...] = ()


@record(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key without its secret. `partner_id` None is an admin's. `last_used_ms` is exact to a minute."""

    id: str
    partner_id: str | None
    name: str
    scopes: tuple[str, ...]
    secret_hash: bytes
    created_ms: int
    expires_ms: int | None
    revoked_ms: int | None
    last_used_ms: int | None = None


@record(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A registered callback URL. `headers_sealed` is the vault's text of a JSON object, or None."""

    id: str
    partner_id: str
    url: str
    description: str = ""
    events: tuple[str, ...] = ("task.*",)
    task_types: tuple[str, ...] = ()
    headers_sealed: str | None = None
    header_names: tuple[str, ...] = ()
    rate_limit: float | None = None
    max_concurrency: int | None = None
    ordering: str = "none"
    retry_max_attempts: int | None = None
    retry_base_seconds: float | None = None
    retry_factor: float | None = None
    retry_cap_seconds: float | None = None
    signature: tuple[str, ...] = ("v1",)
    public_key: str | None = None
    state: EndpointState = EndpointState.ENABLED
    disabled_reason: str | None = None
    failing_since_ms: int | None = None
    created_ms: int
    updated_ms: int


class SealedSecret(NamedTuple):
    """A signing secret at rest. `endpoint_id` None is the partner's own; `expires_ms` None is current."""

    id: str
    partner_id: str
    endpoint_id: str | None
    scheme: str
    sealed: str
    created_ms: int
    expires_ms: int | None


@record(frozen=True, slots=True, kw_only=True)
class Submitted:
    """What a task is submitted with, and keeps.

    `endpoint_ids` None: nobody is named, so every subscriber gets a copy; empty: none of them does.
    """

    id: str
    partner_id: str
    type: str
    queue: str
    priority: Priority
    max_attempts: int
    due_ms: int
    run_at_ms: int | None
    expires_ms: int | None
    created_ms: int
    trace: TraceContext
    metadata_json: str
    callback_url: str | None
    callback_origin: str | None
    endpoint_ids: tuple[str, ...] | None = None
    events: tuple[str, ...] = ()
    batch_id: str | None = None
    rerun_of: str | None = None


@record(frozen=True, slots=True, kw_only=True)
class NewTask(Submitted):
    """A task on its way into the store. `due_ms` in the future makes it `scheduled`.

    `file_ids` are the files its input names: they stay while it has not ended.
    """

    scheduled: bool
    input_json: str
    file_ids: tuple[str, ...] = ()


@record(frozen=True, slots=True, kw_only=True)
class DeliveryCounts:
    """How a task's deliveries stand."""

    pending: int = 0
    delivered: int = 0
    dead: int = 0
    parked: int = 0


@record(frozen=True, slots=True, kw_only=True)
class Task(Submitted):
    """A task as everybody sees it. `result_json` is the exact JSON the function returned.

    `attempts` counts from the submission or the last replay, as `max_attempts` does.
    """

    state: TaskState
    version: int
    attempts: int
    progress_percent: float | None = None
    progress_message: str | None = None
    result_json: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    started_ms: int | None = None
    finished_ms: int | None = None
    files: tuple[File, ...] = ()
    cancel_requested_ms: int | None = None
    deliveries: DeliveryCounts = field(default_factory=DeliveryCounts)

    @property
    def done(self) -> bool:
        """Whether the task has ended."""
        return self.finished_ms is not None


@record(frozen=True, slots=True, kw_only=True)
class TaskSignal:
    """A task has a new version."""

    task_id: str
    partner_id: str
    version: int


@record(frozen=True, slots=True, kw_only=True)
class ClaimedTask:
    """A task a process may run now. Writes need the same `session_id` and `token`."""

    id: str
    partner_id: str
    partner_name: str
    type: str
    priority: Priority
    metadata_json: str
    queue: str
    version: int
    attempt: int
    budget_attempt: int
    max_attempts: int
    token: int
    suspect: bool
    trace: TraceContext
    input_json: str
    created_ms: int
    claimed_ms: int
    due_ms: int


@record(frozen=True, slots=True, kw_only=True)
class MessageMade:
    """A message without its body."""

    id: str
    task_id: str | None
    event: str
    created_ms: int


@record(frozen=True, slots=True, kw_only=True)
class Message(MessageMade):
    """The signed bytes. `seq` orders one partner's pull feed."""

    partner_id: str
    body: str
    seq: int


@record(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message on its way to one endpoint, or to a task's own callback URL (`endpoint_id` None).

    `attempts` are all ever made, one under way too; `attempts_in_budget` those since it was made or last
    replayed, which is what `max_attempts` bounds. While it is `in_flight`, `due_ms` is the end of a lease.
    """

    id: str
    message_id: str
    partner_id: str
    task_id: str | None
    task_type: str | None
    endpoint_id: str | None
    lane_id: str
    url: str
    event: str
    state: DeliveryState
    attempts: int
    attempts_in_budget: int
    max_attempts: int
    due_ms: int | None
    in_flight: bool
    last_status: int | None
    last_error: str | None
    dead_reason: str | None
    created_ms: int
    delivered_ms: int | None
    ended_ms: int | None

    @property
    def attempts_left(self) -> int:
        """How many of the present budget are left."""
        return max(0, self.max_attempts - self.attempts_in_budget)

    @property
    def next_attempt_ms(self) -> int | None:
        """When the next attempt is due; None where none is, or one is under way."""
        waits = self.state is DeliveryState.PENDING and not self.in_flight
        return self.due_ms if waits else None


@record(frozen=True, slots=True, kw_only=True)
class AttemptMade:
    """One HTTP try without what was answered. Durations in microseconds.

    `resent` says its request was written twice (see `core.reply.Reply`).
    """

    delivery_id: str
    number: int
    at_ms: int
    duration_us: int
    dns_us: int | None
    connect_us: int | None
    tls_us: int | None
    first_byte_us: int | None
    status: int | None
    error: str | None
    resent: bool = False


@record(frozen=True, slots=True, kw_only=True)
class Attempt(AttemptMade):
    """One HTTP try. `excerpt` is text with U+FFFD for what is not UTF-8."""

    headers: tuple[tuple[str, str], ...]
    excerpt: str


@record(frozen=True, slots=True, kw_only=True)
class Run:
    """One try of a task's function. `outcome`: succeeded, failed, retry, cancelled, crashed, handed_back.

    `host` and `pid` are the worker's; `log` and `raised` are read only where they are to be shown.
    """

    task_id: str
    attempt: int
    token: int
    started_ms: int
    finished_ms: int
    outcome: str
    error_code: str | None
    error_message: str | None
    host: str | None = None
    pid: int | None = None
    log: tuple[str, ...] = ()
    raised: Raised | None = None


@record(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """What ran out of attempts. `id` is the delivery's or the task's own."""

    id: str
    kind: str
    partner_id: str
    reason: str
    at_ms: int
    task_id: str | None
    endpoint_id: str | None
    url: str | None
    event: str | None
    type: str | None
    last_error: str | None


@record(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Bounds of a keyset listing: at most `limit` rows after `cursor` (the last id or key seen)."""

    limit: int = 50
    cursor: str | None = None


@record(frozen=True, slots=True, kw_only=True)
class QueueDepth:
    """One queue's figures from the maintained counters."""

    queue: str
    queued: int
    scheduled: int
    running: int
    finished: int
    oldest_queued_ms: int | None
    paused: bool


@record(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What waits now, and when the next of each kind falls due.

    `queues` have queued tasks. `next_task_ms` is the soonest schedule or expiry, `next_lane_ms` the
    soonest delivery, `next_lease_ms` the soonest end of another process's lease; None: nothing waits.
    """

    queues: frozenset[str]
    next_task_ms: int | None
    next_expiry_ms: int | None
    next_lane_ms: int | None
    next_lease_ms: int | None
