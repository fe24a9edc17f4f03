"""Facts with places in one trace, and spans on an exporter in memory."""

from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from webhookd.adapters.spans import Spans
from webhookd.core.facts import AttemptEnded, RequestFacts, RunEnded, RunStarted, TasksSubmitted

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER, REQUEST, SUBMISSION, RUN, ATTEMPT = (f"{number:016x}" for number in range(1, 6))
PLACE: dict[str, Any] = {"trace_id": TRACE, "trace_flags": 1, "trace_state": ""}


def request(**changes: Any) -> RequestFacts:
    fields: dict[str, Any] = {
        "method": "POST",
        "route": "/v1/tasks",
        "path": "/v1/tasks",
        "status": 202,
        "duration_ms": 1.5,
        "actor": "prt_1",
        "error_code": None,
        "span_id": REQUEST,
        "parent_span_id": CALLER,
        **PLACE,
    }
    return RequestFacts(**(fields | changes))


def submission(**changes: Any) -> TasksSubmitted:
    fields: dict[str, Any] = {
        "partner_id": "prt_1",
        "count": 1,
        "task_id": "task_1",
        "type": "report.statement",
        "queue": "reports",
        "error": None,
        "duration_us": 900,
        "span_id": SUBMISSION,
        "parent_span_id": REQUEST,
        **PLACE,
    }
    return TasksSubmitted(**(fields | changes))


def started(**changes: Any) -> RunStarted:
    fields: dict[str, Any] = {
        "task_id": "task_1",
        "partner_id": "prt_1",
        "type": "report.statement",
        "queue": "reports",
        "attempt": 2,
        "wait_ms": 7,
        "span_id": RUN,
        "parent_span_id": SUBMISSION,
        **PLACE,
    }
    return RunStarted(**(fields | changes))


def ended(**changes: Any) -> RunEnded:
    fields: dict[str, Any] = {
        "task_id": "task_1",
        "type": "report.statement",
        "attempt": 2,
        "outcome": "succeeded",
        "error": None,
        "wait_ms": 7,
        "run_ms": 3,
        "trace_id": TRACE,
        "span_id": RUN,
    }
    return RunEnded(**(fields | changes))


def attempt(**changes: Any) -> AttemptEnded:
    fields: dict[str, Any] = {
        "delivery_id": "dlv_1",
        "message_id": "msg_1",
        "endpoint_id": "ep_1",
        "number": 1,
        "status": 204,
        "error": None,
        "verdict": "delivered",
        "duration_us": 2_500,
        "since_message_ms": 4,
        "event": "task.succeeded",
        "task_id": "task_1",
        "partner_id": "prt_1",
        "url": "https://partner.example:8443/hooks",
        "at_ms": 1_000,
        "span_id": ATTEMPT,
        "parent_span_id": RUN,
        **PLACE,
    }
    return AttemptEnded(**(fields | changes))


class Recorded:
    """Spans on an exporter in memory; `made` flushes, and closes them."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.spans = Spans(self._exporter, role="api")

    async def made(self) -> list[ReadableSpan]:
        await self.spans.aclose()
        return list(self._exporter.get_finished_spans())

    async def one(self) -> ReadableSpan:
        [span] = await self.made()
        return span


def ids(span: ReadableSpan) -> tuple[str, str, str]:
    """Trace, span and parent; the last empty for none."""
    assert span.context is not None
    parent = "" if span.parent is None else f"{span.parent.span_id:016x}"
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}", parent
