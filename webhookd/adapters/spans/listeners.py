"""How facts become spans: one small function a fact.

In them is what facts hold: names, ids, numbers, codes, and of a callback URL what stands before its query.
Never a body, a header, a key or a secret, nor what an exception says, which may quote any of them.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from time import time_ns
from typing import Final
from urllib.parse import urlsplit

from opentelemetry import context as otel_context
from opentelemetry import trace as otel
from opentelemetry.trace import SpanKind, Status, StatusCode

from webhookd.adapters.spans.spans import Attributes, Period, Spans
from webhookd.core.facts import AttemptEnded, RequestFacts, RunEnded, RunStarted, TasksSubmitted
from webhookd.core.trace import SAMPLED, TraceContext

SYSTEM: Final = "webhookd"
NOBODY_LISTENED: Final = 499
"""The status in facts of a request whose client went away first; it was never sent."""

_METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"}
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_NOT_ERRORS: Final = frozenset({"succeeded", "cancelled", "handed_back"})


def server_attributes(base_url: str) -> Attributes:
    """Return what all requests have in common: where, by its base URL, this service is reached."""
    parts = urlsplit(base_url)
    return {
        "url.scheme": parts.scheme,
        "server.address": parts.hostname or "",
        "server.port": parts.port or _DEFAULT_PORTS[parts.scheme],
    }


def span_request(spans: Spans, *, base_url: str) -> Callable[[RequestFacts], None]:
    """Return the listener to requests: a SERVER span each."""
    server = server_attributes(base_url)

    def listen(fact: RequestFacts) -> None:
        if not fact.trace_flags & SAMPLED:
            return
        known = fact.method in _METHODS
        attributes: dict[str, str | int | bool] = {
            "http.request.method": fact.method if known else "_OTHER",
            **server,
        }
        name = fact.method if known else "HTTP"
        if not known:
            attributes["http.request.method_original"] = fact.method[:32]
        if fact.route is not None:
            attributes["http.route"] = fact.route
            name += f" {fact.route}"
        if fact.path is not None:
            attributes["url.path"] = fact.path
        if fact.status != NOBODY_LISTENED:
            attributes["http.response.status_code"] = fact.status
        if fact.actor is not None:
            attributes["webhookd.actor"] = fact.actor
        if fact.error_code is not None:
            attributes["webhookd.error.code"] = fact.error_code
        error = None
        if fact.status >= 500:
            error = fact.error_code or str(fact.status)
            attributes["error.type"] = error
        period = Period.until_now(fact.duration_ms * 1_000)
        spans.add(name, SpanKind.SERVER, fact, period, attributes, remote=True, links=fact.links, error=error)

    return listen


def span_submission(spans: Spans) -> Callable[[TasksSubmitted], None]:
    """Return the listener to submissions: a PRODUCER span each, of one task or of a batch."""

    def listen(fact: TasksSubmitted) -> None:
        if not fact.trace_flags & SAMPLED:
            return
        attributes: dict[str, str | int | bool] = {
            "messaging.system": SYSTEM,
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "webhookd.partner.id": fact.partner_id,
        }
        if fact.queue is not None:
            attributes["messaging.destination.name"] = fact.queue
        if fact.task_id is None:
            attributes["messaging.batch.message_count"] = fact.count
        else:
            attributes["messaging.message.id"] = fact.task_id
        if fact.type is not None:
            attributes["webhookd.task.type"] = fact.type
        if fact.error is not None:
            attributes["error.type"] = fact.error
        name = "send" if fact.queue is None else f"send {fact.queue}"
        period = Period.until_now(fact.duration_us)
        spans.add(name, SpanKind.PRODUCER, fact, period, attributes, remote=False, error=fact.error)

    return listen


def start_run(spans: Spans) -> Callable[[RunStarted], None]:
    """Return the listener to beginning runs: a CONSUMER span each, current where the function will run."""

    def listen(fact: RunStarted) -> None:
        attributes: Attributes = {
            "messaging.system": SYSTEM,
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": fact.queue,
            "messaging.message.id": fact.task_id,
            "webhookd.partner.id": fact.partner_id,
            "webhookd.task.type": fact.type,
            "webhookd.task.attempt": fact.attempt,
            "webhookd.task.wait_ms": max(0, fact.wait_ms),
        }
        # The convention: the message's creation is the parent of a span that has no other, and linked too.
        creation = TraceContext(
            trace_id=fact.trace_id,
            parent_id=fact.parent_span_id,
            flags=fact.trace_flags,
            state=fact.trace_state,
        )
        span = spans.start(
            f"process {fact.queue}", SpanKind.CONSUMER, fact, attributes, remote=True, links=(creation,)
        )
        # Not detached: the context is this try's own and ends with it. Threads and loops get copies of it.
        otel_context.attach(otel.set_span_in_context(span, otel_context.Context()))

    return listen


def end_run() -> Callable[[RunEnded], None]:
    """Return the listener to ended runs; it must be called in the context that `start_run` was called in."""

    def listen(fact: RunEnded) -> None:
        span = otel.get_current_span()
        # A try that was handed back before it began inherits the context of the one it waited behind.
        if not fact.span_id or span.get_span_context().span_id != int(fact.span_id, 16):
            return
        span.set_attribute("webhookd.run.outcome", fact.outcome)
        if fact.outcome not in _NOT_ERRORS:
            error = fact.error or fact.outcome
            span.set_attribute("error.type", error)
            span.set_status(Status(StatusCode.ERROR, error))
        started_ns = getattr(span, "start_time", None) or 0
        span.end(max(started_ns, time_ns() - fact.write_us * 1_000))

    return listen


def span_attempt(spans: Spans, *, now_ms: Callable[[], int]) -> Callable[[AttemptEnded], None]:
    """Return the listener to attempts: a CLIENT span each. `now_ms` is the clock of the facts' `at_ms`."""

    def listen(fact: AttemptEnded) -> None:
        if not fact.trace_flags & SAMPLED:
            return
        attributes: dict[str, str | int | bool] = {
            "http.request.method": "POST",
            **_destination(fact.url),
            "webhookd.delivery.id": fact.delivery_id,
            "webhookd.message.id": fact.message_id,
            "webhookd.event": fact.event,
            "webhookd.partner.id": fact.partner_id,
            "webhookd.attempt.verdict": fact.verdict,
        }
        if fact.number > 1:
            attributes["http.request.resend_count"] = fact.number - 1
        if fact.status is not None:
            attributes["http.response.status_code"] = fact.status
        if fact.endpoint_id is not None:
            attributes["webhookd.endpoint.id"] = fact.endpoint_id
        if fact.task_id is not None:
            attributes["webhookd.task.id"] = fact.task_id
        if fact.error is not None:
            attributes["error.type"] = fact.error.removeprefix("http_")
        start_ns = time_ns() - (now_ms() - fact.at_ms) * 1_000_000
        period = Period(start_ns=start_ns, end_ns=start_ns + fact.duration_us * 1_000)
        spans.add("POST", SpanKind.CLIENT, fact, period, attributes, remote=True, error=fact.error)

    return listen


@lru_cache(maxsize=4_096)
def _destination(url: str) -> Mapping[str, str | int]:
    parts = urlsplit(url)
    return {
        "url.full": url,
        "server.address": parts.hostname or "",
        "server.port": parts.port or _DEFAULT_PORTS.get(parts.scheme, 0),
    }
