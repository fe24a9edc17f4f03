"""Spans that operators' functions make in child processes: carried to the worker, and exported there.

Children come and go: an exporter of its own would cost each a connection, and a collector that is away would
hold up its end.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from opentelemetry import context as otel_context
from opentelemetry import trace as otel
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode

from webhookd.adapters.spans.places import place_of, span_context
from webhookd.core import trace

log = structlog.get_logger(__name__)

Attributes = Mapping[str, Any]

_PARENT: Final = "traceparent"
_STATE: Final = "tracestate"


def carrier_of(span: SpanContext) -> dict[str, str]:
    """Return a span as `traceparent` and `tracestate`; empty where there is none."""
    if not span.is_valid:
        return {}
    place = place_of(span)
    carrier = {_PARENT: place.header()}
    if place.state:
        carrier[_STATE] = place.state
    return carrier


def continue_trace(carrier: Mapping[str, str]) -> None:
    """In a child: make the worker's span the current one of this context."""
    place = trace.parse(carrier.get(_PARENT), carrier.get(_STATE))
    if place is not None:
        otel_context.attach(otel.set_span_in_context(NonRecordingSpan(span_context(place))))


def relay_spans(send: Callable[[dict[str, Any]], None]) -> None:
    """In a child, once: give spans that end to `send`."""
    provider = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
    provider.add_span_processor(_Relay(send))
    otel.set_tracer_provider(provider)


class _Relay(SpanProcessor):
    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        self._send = send

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is None or not span.context.trace_flags.sampled:
            return
        try:
            self._send(document_of(span))
        except Exception as error:  # noqa: BLE001 - the function must not fail of it
            log.warning("span_dropped", reason=repr(error))


def document_of(span: ReadableSpan) -> dict[str, Any]:
    """Return an ended span as JSON values; `EndedSpan.parse` reads it."""
    place, scope = place_of(span.context), span.instrumentation_scope
    return {
        "name": span.name,
        "trace_id": place.trace_id,
        "span_id": place.parent_id,
        "parent_span_id": "" if span.parent is None else place_of(span.parent).parent_id,
        "trace_flags": place.flags,
        "trace_state": place.state,
        "kind": span.kind.name,
        "start_ns": span.start_time,
        "end_ns": span.end_time,
        "attributes": _json(span.attributes),
        "events": [[event.name, _json(event.attributes), event.timestamp] for event in span.events],
        "links": [[carrier_of(link.context), _json(link.attributes)] for link in span.links],
        "status": [span.status.status_code.name, span.status.description],
        "scope": ["", ""] if scope is None else [scope.name, scope.version or ""],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedSpan:
    """A span of a child, as the worker has it made anew."""

    name: str
    trace_id: str
    span_id: str
    parent_span_id: str
    trace_flags: int
    trace_state: str
    kind: SpanKind
    start_ns: int
    end_ns: int
    attributes: Attributes
    events: Sequence[tuple[str, Attributes, int]]
    links: Sequence[Link]
    status: Status
    scope_name: str
    scope_version: str

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> "EndedSpan":
        """Read what `document_of` made. Raises KeyError, ValueError and TypeError for anything else."""
        given = dict(document)
        scope_name, scope_version = given.pop("scope")
        code, description = given.pop("status")
        places = [(trace.parse(c.get(_PARENT), c.get(_STATE)), of_link) for c, of_link in given.pop("links")]
        return cls(
            kind=SpanKind[given.pop("kind")],
            events=[(name, of_event, at_ns) for name, of_event, at_ns in given.pop("events")],
            links=[Link(span_context(place), of_link) for place, of_link in places if place is not None],
            status=Status(StatusCode[code], description),
            scope_name=scope_name,
            scope_version=scope_version,
            **given,
        )


def _json(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """JSON has all that attributes may be but bytes."""
    return {
        name: value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        for name, value in (attributes or {}).items()
    }
