"""What happened, as frozen facts: flows and the API emit them; logs, metrics and traces listen.

A fact holds names, ids and numbers, of a URL at most what stands before its query, and never a body, a
header, a key or a secret, so a listener can show all of it. Listeners are called on the hot path: they must
be quick and must not raise.

Where it says so, a fact has a place in a trace: `trace_id` (32 hex digits), `span_id` (16) for the thing that
happened, `parent_span_id` for what it happened below (empty: for nothing, it begins the trace), and the
`trace_flags` and `trace_state` that came along. A `span_id` may be empty where nobody asked for spans.
"""

from webhookd.core.record import record
from webhookd.core.trace import SAMPLED, TraceContext


@record(frozen=True, slots=True, kw_only=True)
class RequestFacts:
    """What is known of a request once it was answered.

    `route` is the template (`/v1/tasks/{id}`), None where no route matched; `path` is it with the ids filled
    in that are ids of ours. `actor` is a partner's id, or `admin`, None where nobody was let in. `links` are
    places in other traces that it put something in motion at (a replay's). It has a place in a trace.
    """

    method: str
    route: str | None
    status: int
    duration_ms: float
    actor: str | None
    trace_id: str
    error_code: str | None
    path: str | None = None
    span_id: str = ""
    parent_span_id: str = ""
    trace_flags: int = SAMPLED
    trace_state: str = ""
    links: tuple[TraceContext, ...] = ()


@record(frozen=True, slots=True, kw_only=True)
class TasksSubmitted:
    """Tasks were written to the store, or (`error`: what the caller is told) it is not known that they were.

    `task_id` and `type` are None where there are several; `queue` where those go to several. `span_id` is
    what the tasks' rows have as their parent. It has a place in a trace.
    """

    partner_id: str
    count: int
    task_id: str | None
    type: str | None
    queue: str | None
    error: str | None
    duration_us: int
    trace_id: str
    span_id: str
    parent_span_id: str
    trace_flags: int
    trace_state: str


@record(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A try of a task's function begins. Listeners are called in the context the function will run in.

    `wait_ms` is from falling due to being claimed. It has a place in a trace: below the submission.
    """

    task_id: str
    partner_id: str
    type: str
    queue: str
    attempt: int
    wait_ms: int
    trace_id: str
    span_id: str
    parent_span_id: str
    trace_flags: int
    trace_state: str


@record(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """One try of a task's function ended, and what came of it was written (or lost).

    `outcome` is a value of `execution.End`, or `lost`. `wait_ms` is from falling due to being claimed;
    `write_us` is how long the writing took. `span_id` is that of its RunStarted, empty where there was none.
    """

    task_id: str
    type: str
    attempt: int
    outcome: str
    error: str | None
    wait_ms: int
    run_ms: int
    trace_id: str
    write_us: int = 0
    span_id: str = ""


@record(frozen=True, slots=True, kw_only=True)
class AttemptEnded:
    """One HTTP try ended, and what came of it was written (or lost).

    `verdict` is `delivered`, `retry`, `dead`, `not_counted` or `lost`; `error` is what the partner is
    told, None for a 2xx. `since_message_ms` is from the making of the message. `url` is the URL up to its
    query, `at_ms` (Unix) when the try began. `resent` says the request was written twice. It has a place in
    a trace: `span_id` is what the receiver was told in `traceparent`, and its parent is the run that made
    the message.
    """

    delivery_id: str
    message_id: str
    endpoint_id: str | None
    number: int
    status: int | None
    error: str | None
    verdict: str
    duration_us: int
    since_message_ms: int
    trace_id: str
    event: str = ""
    task_id: str | None = None
    partner_id: str = ""
    url: str = ""
    resent: bool = False
    at_ms: int = 0
    span_id: str = ""
    parent_span_id: str = ""
    trace_flags: int = SAMPLED
    trace_state: str = ""


@record(frozen=True, slots=True, kw_only=True)
class AddressesRefused:
    """A security event for the operator: a callback host led to addresses that may not be called.

    `dialled` are the addresses of the same answer that were left (a mixed answer); empty means the
    attempt was blocked. Never shown to partners.
    """

    host: str
    port: int
    refused: tuple[str, ...]
    dialled: tuple[str, ...]
