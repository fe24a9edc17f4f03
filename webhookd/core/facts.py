"""What happened, as frozen facts: flows and the API emit them; logs, metrics and traces listen.

A fact holds names, ids and numbers, never a URL, a body, a header, a key or a secret, so a listener can
show all of it. Listeners are called on the hot path: they must be quick and must not raise.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFacts:
    """What is known of a request once it was answered.

    `route` is the template (`/v1/tasks/{id}`), None where no route matched; `actor` is a partner's id,
    or `admin`, None where nobody was let in.
    """

    method: str
    route: str | None
    status: int
    duration_ms: float
    actor: str | None
    trace_id: str
    error_code: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """One try of a task's function ended, and what came of it was written (or lost).

    `outcome` is a value of `execution.End`, or `lost`. `wait_ms` is from falling due to being claimed.
    """

    task_id: str
    type: str
    attempt: int
    outcome: str
    error: str | None
    wait_ms: int
    run_ms: int
    trace_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnded:
    """One HTTP try ended, and what came of it was written (or lost).

    `verdict` is `delivered`, `retry`, `dead`, `not_counted` or `lost`; `error` is what the partner is
    told, None for a 2xx. `since_message_ms` is from the making of the message.
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
