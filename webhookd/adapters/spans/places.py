"""A place in a trace, ours and OpenTelemetry's."""

from opentelemetry.trace import SpanContext, TraceFlags, TraceState

from webhookd.core.trace import SAMPLED, TraceContext


def span_context(place: TraceContext, *, remote: bool = True) -> SpanContext:
    """Return OpenTelemetry's. `remote`: the span there is another process's."""
    return SpanContext(
        int(place.trace_id, 16),
        int(place.parent_id, 16),
        is_remote=remote,
        trace_flags=TraceFlags(place.flags),
        trace_state=TraceState.from_header([place.state]) if place.state else None,
    )


def place_of(span: SpanContext) -> TraceContext:
    """Return ours; the span must be valid."""
    return TraceContext(
        trace_id=f"{span.trace_id:032x}",
        parent_id=f"{span.span_id:016x}",
        flags=span.trace_flags & SAMPLED,
        state=span.trace_state.to_header(),
    )
