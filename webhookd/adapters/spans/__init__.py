"""OpenTelemetry spans: the only place that imports it, and loaded only where an OTLP endpoint is set.

Spans are made of the facts that logs and metrics are made of, after the event and with the ids that the
facts name: what flows hand on in `traceparent` costs them no more than it did. Only the span of a run is
begun before the event, because the operator's function runs inside it.

    SERVER    a request              below what the caller's `traceparent` names
    PRODUCER  its tasks to the store below the request; the tasks' rows name it
    CONSUMER  a run of a task        below (and linked to) the PRODUCER; the message it makes names it
    CLIENT    an attempt             below the run; the receiver's `traceparent` names it

Names and attributes: OpenTelemetry semantic conventions for HTTP (stable) and messaging (1.43). `spans` makes
them and hands them to the exporter, `listeners` says what is in them, `exporting` sends them, and `children`
carries those of child processes (`isolation="process"`) to their worker.
"""

from webhookd.adapters.spans.exporting import otlp_exporter
from webhookd.adapters.spans.listeners import (
    end_run,
    span_attempt,
    span_request,
    span_submission,
    start_run,
)
from webhookd.adapters.spans.spans import Spans

__all__ = [
    "Spans",
    "end_run",
    "otlp_exporter",
    "span_attempt",
    "span_request",
    "span_submission",
    "start_run",
]
