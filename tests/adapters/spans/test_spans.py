"""Facts as spans: ids, parents, kinds, names and attributes after the semantic conventions; nothing more."""

import asyncio
import contextvars
import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace as otel
from opentelemetry.trace import SpanKind, StatusCode

from tests.support.facts import (
    ATTEMPT,
    CALLER,
    REQUEST,
    RUN,
    SUBMISSION,
    TRACE,
    Recorded,
    attempt,
    ended,
    ids,
    request,
    started,
    submission,
)
from webhookd.adapters.spans import end_run, span_attempt, span_request, span_submission, start_run
from webhookd.core.facts import RunEnded
from webhookd.core.trace import TraceContext


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


async def test_request_is_a_server_span_below_its_caller(recorded: Recorded) -> None:
    before = time.time_ns()
    span_request(recorded.spans, base_url="https://api.example")(request())
    after = time.time_ns()

    span = await recorded.one()

    assert ids(span) == (TRACE, REQUEST, CALLER)
    assert (span.name, span.kind) == ("POST /v1/tasks", SpanKind.SERVER)
    assert dict(span.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/v1/tasks",
        "url.path": "/v1/tasks",
        "url.scheme": "https",
        "server.address": "api.example",
        "server.port": 443,
        "http.response.status_code": 202,
        "webhookd.actor": "prt_1",
    }
    assert span.status.status_code is StatusCode.UNSET
    assert span.parent is not None
    assert span.parent.is_remote
    assert span.start_time is not None
    assert span.end_time is not None
    assert before <= span.end_time <= after
    assert span.end_time - span.start_time == 1_500_000
    assert span.resource.attributes["service.name"] == "webhookd"
    assert span.resource.attributes["webhookd.process"] == "api"


async def test_request_without_a_caller_begins_the_trace(recorded: Recorded) -> None:
    span_request(recorded.spans, base_url="http://[::1]:8080")(request(parent_span_id=""))
    span = await recorded.one()
    assert ids(span) == (TRACE, REQUEST, "")
    assert span.attributes is not None
    assert (span.attributes["server.address"], span.attributes["server.port"]) == ("::1", 8080)


@pytest.mark.parametrize(
    ("changes", "name", "error", "more"),
    [
        (
            {"status": 503, "error_code": "overloaded"},
            "POST /v1/tasks",
            "overloaded",
            {"error.type": "overloaded"},
        ),
        ({"status": 429, "error_code": "rate_limited"}, "POST /v1/tasks", None, {}),
        ({"status": 404, "route": None, "path": None, "actor": None}, "POST", None, {}),
        (
            {"method": "BREW", "status": 405},
            "HTTP /v1/tasks",
            None,
            {"http.request.method": "_OTHER", "http.request.method_original": "BREW"},
        ),
    ],
)
async def test_only_faults_of_ours_are_errors_of_a_request(
    recorded: Recorded, changes: dict[str, Any], name: str, error: str | None, more: dict[str, Any]
) -> None:
    span_request(recorded.spans, base_url="http://x")(request(**changes))
    span = await recorded.one()
    assert span.name == name
    assert span.status.status_code is (StatusCode.UNSET if error is None else StatusCode.ERROR)
    assert span.status.description == error
    assert dict(span.attributes or {}) | more == dict(span.attributes or {})
    assert ("error.type" in (span.attributes or {})) == (error is not None)


async def test_request_nobody_waited_for_has_no_status(recorded: Recorded) -> None:
    span_request(recorded.spans, base_url="http://x")(request(status=499))
    assert "http.response.status_code" not in ((await recorded.one()).attributes or {})


async def test_request_is_linked_to_what_it_put_in_motion(recorded: Recorded) -> None:
    there = TraceContext(trace_id="f" * 32, parent_id="e" * 16, flags=1)
    nowhere = TraceContext(trace_id="f" * 32, parent_id="", flags=1)
    span_request(recorded.spans, base_url="http://x")(request(links=(there, nowhere)))
    [link] = (await recorded.one()).links
    assert (f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}") == ("f" * 32, "e" * 16)


async def test_submission_is_a_producer_span_below_its_request(recorded: Recorded) -> None:
    span_submission(recorded.spans)(submission())
    span = await recorded.one()
    assert ids(span) == (TRACE, SUBMISSION, REQUEST)
    assert (span.name, span.kind) == ("send reports", SpanKind.PRODUCER)
    assert dict(span.attributes or {}) == {
        "messaging.system": "webhookd",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "reports",
        "messaging.message.id": "task_1",
        "webhookd.partner.id": "prt_1",
        "webhookd.task.type": "report.statement",
    }


async def test_batch_over_several_queues_names_none(recorded: Recorded) -> None:
    span_submission(recorded.spans)(submission(count=3, task_id=None, type=None, queue=None))
    span = await recorded.one()
    assert span.name == "send"
    assert span.attributes is not None
    assert span.attributes["messaging.batch.message_count"] == 3
    assert "messaging.destination.name" not in span.attributes


async def test_submission_of_unknown_outcome_is_an_error(recorded: Recorded) -> None:
    span_submission(recorded.spans)(submission(error="unavailable"))
    span = await recorded.one()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "unavailable")


async def run_of(recorded: Recorded, end: RunEnded, inside: Callable[[], None] = lambda: None) -> None:
    """Start a run and end it as the executor does: in one asyncio task."""

    async def one_try() -> None:
        start_run(recorded.spans)(started())
        inside()
        end_run()(end)

    await asyncio.create_task(one_try())


async def test_run_is_a_consumer_span_below_and_linked_to_its_submission(recorded: Recorded) -> None:
    await run_of(recorded, ended())
    span = await recorded.one()
    assert ids(span) == (TRACE, RUN, SUBMISSION)
    assert (span.name, span.kind) == ("process reports", SpanKind.CONSUMER)
    assert [f"{link.context.span_id:016x}" for link in span.links] == [SUBMISSION]
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes or {}) == {
        "messaging.system": "webhookd",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "reports",
        "messaging.message.id": "task_1",
        "webhookd.partner.id": "prt_1",
        "webhookd.task.type": "report.statement",
        "webhookd.task.attempt": 2,
        "webhookd.task.wait_ms": 7,
        "webhookd.run.outcome": "succeeded",
    }


async def test_run_is_the_current_span_of_its_function_in_a_copy_of_the_context(recorded: Recorded) -> None:
    current: list[int] = []

    def function() -> None:
        otel.get_current_span().set_attribute("operators.own", value=True)
        current.append(otel.get_current_span().get_span_context().span_id)

    await run_of(recorded, ended(), lambda: contextvars.copy_context().run(function))

    assert current == [int(RUN, 16)]
    assert ((await recorded.one()).attributes or {})["operators.own"] is True
    assert not otel.get_current_span().get_span_context().is_valid, "it leaks out of its task"


async def test_run_ends_when_its_function_did_and_not_when_that_was_written(recorded: Recorded) -> None:
    await run_of(recorded, ended(write_us=50_000), lambda: time.sleep(0.1))
    written = time.time_ns()
    end_time = (await recorded.one()).end_time
    assert end_time is not None
    assert end_time <= written - 50_000_000


@pytest.mark.parametrize(
    ("outcome", "error", "description"),
    [
        ("retry", "exception", "exception"),
        ("failed", "account_closed", "account_closed"),
        ("lost", None, "lost"),
        ("cancelled", None, None),
        ("handed_back", None, None),
    ],
)
async def test_run_is_an_error_where_it_did_not_do_its_work(
    recorded: Recorded, outcome: str, error: str | None, description: str | None
) -> None:
    await run_of(recorded, ended(outcome=outcome, error=error))
    span = await recorded.one()
    assert span.status.description == description
    assert (span.attributes or {}).get("error.type") == description
    assert span.status.status_code is (StatusCode.UNSET if description is None else StatusCode.ERROR)


async def test_try_that_never_began_ends_nobody_elses_span(recorded: Recorded) -> None:
    def inside() -> None:
        end_run()(ended(span_id="", outcome="handed_back"))
        end_run()(ended(span_id=ATTEMPT, outcome="lost"))

    await run_of(recorded, ended(), inside)

    assert ((await recorded.one()).attributes or {})["webhookd.run.outcome"] == "succeeded"


async def test_attempt_is_a_client_span_below_the_run(recorded: Recorded) -> None:
    listen = span_attempt(recorded.spans, now_ms=lambda: 1_010)
    before = time.time_ns()
    listen(attempt())
    span = await recorded.one()
    assert ids(span) == (TRACE, ATTEMPT, RUN)
    assert (span.name, span.kind) == ("POST", SpanKind.CLIENT)
    assert dict(span.attributes or {}) == {
        "http.request.method": "POST",
        "url.full": "https://partner.example:8443/hooks",
        "server.address": "partner.example",
        "server.port": 8443,
        "http.response.status_code": 204,
        "webhookd.delivery.id": "dlv_1",
        "webhookd.message.id": "msg_1",
        "webhookd.endpoint.id": "ep_1",
        "webhookd.task.id": "task_1",
        "webhookd.event": "task.succeeded",
        "webhookd.partner.id": "prt_1",
        "webhookd.attempt.verdict": "delivered",
    }
    assert span.start_time is not None
    assert span.end_time == span.start_time + 2_500_000
    assert -1_000_000_000 < span.start_time - (before - 10_000_000) < 1_000_000_000


@pytest.mark.parametrize(
    ("changes", "kind", "description"),
    [
        ({"status": 503, "error": "http_503", "verdict": "retry"}, "503", "http_503"),
        ({"status": None, "error": "timeout", "verdict": "retry"}, "timeout", "timeout"),
        ({"status": None, "error": "blocked", "verdict": "dead"}, "blocked", "blocked"),
    ],
)
async def test_attempt_that_failed_says_so_with_the_public_code(
    recorded: Recorded, changes: dict[str, Any], kind: str, description: str
) -> None:
    span_attempt(recorded.spans, now_ms=lambda: 1_010)(attempt(**changes))
    span = await recorded.one()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, description)
    assert (span.attributes or {})["error.type"] == kind


async def test_attempt_counts_its_resends(recorded: Recorded) -> None:
    listen = span_attempt(recorded.spans, now_ms=lambda: 1_010)
    listen(attempt())
    listen(attempt(number=3))
    counts = {(span.attributes or {}).get("http.request.resend_count") for span in await recorded.made()}
    assert counts == {None, 2}


async def test_what_is_not_sampled_makes_no_spans(recorded: Recorded) -> None:
    span_request(recorded.spans, base_url="http://x")(request(trace_flags=0))
    span_submission(recorded.spans)(submission(trace_flags=0))
    span_attempt(recorded.spans, now_ms=lambda: 1_010)(attempt(trace_flags=0))
    seen: list[otel.SpanContext] = []

    async def one_try() -> None:
        start_run(recorded.spans)(started(trace_flags=0))
        seen.append(otel.get_current_span().get_span_context())
        end_run()(ended())

    await asyncio.create_task(one_try())

    assert await recorded.made() == []
    [context] = seen
    assert f"{context.trace_id:032x}" == TRACE, "an operator's own calls must stay in the trace"
    assert not context.trace_flags.sampled
