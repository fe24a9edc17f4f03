"""`Spans`: makes spans with ids that were decided elsewhere, and has them exported."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog
from opentelemetry import context as otel_context
from opentelemetry import trace as otel
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, ParentBased
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanKind, Status, StatusCode

import webhookd
from webhookd.adapters import entropy
from webhookd.adapters.spans import children
from webhookd.adapters.spans.exporting import OutageToldOnce
from webhookd.adapters.spans.places import span_context
from webhookd.core.trace import SAMPLED, TraceContext

log = structlog.get_logger(__name__)

Attributes = Mapping[str, str | int | bool]

FLUSH_SECONDS: Final = 3.0
"""How long the end of a process waits for an exporter that is slow or away."""


class Placed(Protocol):
    """A fact that has a place in a trace; see `core.facts`."""

    @property
    def trace_id(self) -> str: ...
    @property
    def span_id(self) -> str: ...
    @property
    def parent_span_id(self) -> str: ...
    @property
    def trace_flags(self) -> int: ...
    @property
    def trace_state(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """When it happened, in Unix nanoseconds of this machine's clock, as those of operators' own spans are."""

    start_ns: int
    end_ns: int

    @classmethod
    def until_now(cls, duration_us: float) -> "Period":
        """It has just ended, and took so long."""
        end_ns = time.time_ns()
        return cls(start_ns=end_ns - int(duration_us * 1_000), end_ns=end_ns)


class Spans:
    """The spans of one process. Any thread may use it; `aclose` flushes.

    `role` is `api`, `tasks` or `deliver`. Traces that come from elsewhere are recorded as their `sampled`
    flag says. For those that begin here the standard `OTEL_TRACES_SAMPLER` decides; all, if it is not set.
    """

    def __init__(self, exporter: SpanExporter, *, role: str) -> None:
        self._exporter = OutageToldOnce(exporter)
        self._wanted: ContextVar[tuple[int, int] | None] = ContextVar("wanted_ids", default=None)
        # Asked for a provider's default, the SDK reads the variables; a sampler that minds no parent is
        # asked about roots alone, or half a trace would be missing.
        self._sampler = ParentBased(TracerProvider(shutdown_on_exit=False).sampler)
        self._provider = TracerProvider(
            sampler=self._sampler,
            resource=_resource(role),
            shutdown_on_exit=False,
            id_generator=_WantedIds(self._wanted),
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("webhookd", webhookd.__version__)

    def install(self) -> None:
        """Let operators' functions find the provider as OpenTelemetry's global one; theirs stays, if any."""
        otel.set_tracer_provider(self._provider)

    def new_trace(self) -> TraceContext:
        """Begin a trace for a caller that brought none; whether it is sampled is decided here."""
        begun = entropy.new_trace()
        result = self._sampler.should_sample(
            otel_context.Context(), int(begun.trace_id, 16), "", SpanKind.SERVER
        )
        if result.decision is Decision.RECORD_AND_SAMPLE:
            return begun
        return TraceContext(trace_id=begun.trace_id, parent_id=begun.parent_id, flags=begun.flags & ~SAMPLED)

    def add(
        self,
        name: str,
        kind: SpanKind,
        fact: Placed,
        period: Period,
        attributes: Attributes,
        *,
        remote: bool,
        links: Sequence[TraceContext] = (),
        error: str | None = None,
    ) -> None:
        """Make the span of something that has ended. `remote`: what is above it was another process.

        `error` is a public error code; None says nothing of the outcome.
        """
        span = self.start(name, kind, fact, attributes, remote=remote, links=links, start_ns=period.start_ns)
        if error is not None:
            span.set_status(Status(StatusCode.ERROR, error))
        span.end(period.end_ns)

    def start(
        self,
        name: str,
        kind: SpanKind,
        fact: Placed,
        attributes: Attributes,
        *,
        remote: bool,
        links: Sequence[TraceContext] = (),
        start_ns: int | None = None,
    ) -> Span:
        """Begin the span of something; its ids are the fact's. Not sampled: it records nothing."""
        with self._ids(fact.trace_id, fact.span_id):
            return self._tracer.start_span(
                name,
                below(fact, remote=remote),
                kind,
                dict(attributes),
                [Link(span_context(link)) for link in links if link.parent_id],
                start_ns,
            )

    def here(self) -> dict[str, str]:
        """Return `traceparent` and `tracestate` of the calling context, for a child process; may be empty."""
        return children.carrier_of(otel.get_current_span().get_span_context())

    def take(self, document: Mapping[str, Any]) -> None:
        """Export a span that ended in a child process. Never raises: the task matters, not this."""
        try:
            ended = children.EndedSpan.parse(document)
            tracer = self._provider.get_tracer(ended.scope_name, ended.scope_version)
            with self._ids(ended.trace_id, ended.span_id):
                span = tracer.start_span(
                    ended.name,
                    below(ended, remote=False),
                    ended.kind,
                    ended.attributes,
                    ended.links,
                    ended.start_ns,
                )
            for name, attributes, at_ns in ended.events:
                span.add_event(name, attributes, at_ns)
            span.set_status(ended.status)
            span.end(ended.end_ns)
        except Exception as error:  # noqa: BLE001 - whatever a function has put into it
            log.warning("span_of_child_dropped", reason=repr(error))

    async def aclose(self) -> None:
        """Flush, for at most FLUSH_SECONDS and not to an exporter that is away, and end the exporter."""
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def close() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # the loop is closed: it took too long
                loop.call_soon_threadsafe(closed.set)

        if self._exporter.away:
            self._exporter.shutdown()
        threading.Thread(target=close, name="spans-close", daemon=True).start()
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await closed.wait()
        except TimeoutError:
            log.warning("spans_not_flushed")
            # Wakes it where it waits before trying again. What hangs in a socket is left: it is a daemon.
            self._exporter.shutdown()

    @contextmanager
    def _ids(self, trace_id: str, span_id: str) -> Any:
        token = self._wanted.set((int(trace_id, 16), int(span_id, 16)))
        try:
            yield
        finally:
            self._wanted.reset(token)


class _WantedIds(RandomIdGenerator):
    """Gives out the ids that are wanted in this context, else random ones (to operators' own spans)."""

    def __init__(self, wanted: ContextVar[tuple[int, int] | None]) -> None:
        self._wanted = wanted

    def generate_trace_id(self) -> int:
        wanted = self._wanted.get()
        return super().generate_trace_id() if wanted is None else wanted[0]

    def generate_span_id(self) -> int:
        wanted = self._wanted.get()
        return super().generate_span_id() if wanted is None else wanted[1]

    def is_trace_id_random(self) -> bool:
        """Nobody here knows it of a caller's; the flag is level 2's, and we speak level 1."""
        return False


def below(fact: Placed, *, remote: bool) -> otel_context.Context:
    """Return the context of what is above the fact, and nothing else of the calling one's."""
    if not fact.parent_span_id:
        return otel_context.Context()
    parent = TraceContext(
        trace_id=fact.trace_id,
        parent_id=fact.parent_span_id,
        flags=fact.trace_flags,
        state=fact.trace_state,
    )
    span = NonRecordingSpan(span_context(parent, remote=remote))
    return otel.set_span_in_context(span, otel_context.Context())


def _resource(role: str) -> Resource:
    """Say who we are, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES do."""
    detected = Resource.create()
    named = not str(detected.attributes.get(SERVICE_NAME, "")).startswith("unknown_service")
    ours = {
        SERVICE_NAME: "webhookd",
        "service.version": webhookd.__version__,
        "service.instance.id": f"{role}-{socket.gethostname()}-{os.getpid()}",
        "webhookd.process": role,
    }
    if named:
        del ours[SERVICE_NAME]
    return detected.merge(Resource(ours))
