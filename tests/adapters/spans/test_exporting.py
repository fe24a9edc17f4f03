"""Where spans go: which are sampled, spans of child processes, exporters that are away, the missing extra."""

import ast
import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import NonRecordingSpan, SpanKind, StatusCode

from tests.support.facts import RUN, TRACE, Recorded, ended, ids, request, started, submission
from webhookd.adapters.spans import Spans, end_run, otlp_exporter, span_request, span_submission, start_run
from webhookd.adapters.spans import spans as spans_module
from webhookd.adapters.spans.children import continue_trace
from webhookd.adapters.spans.exporting import OutageToldOnce
from webhookd.core.errors import SettingsError
from webhookd.settings import Settings, load_settings
from webhookd.wiring.tracing import open_tracing


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


@pytest.mark.parametrize(
    ("sampler", "argument", "sampled"),
    [
        (None, None, 20),
        ("always_off", None, 0),
        ("parentbased_traceidratio", "0", 0),
        ("traceidratio", "1", 20),
    ],
)
async def test_the_standard_sampler_decides_on_traces_that_begin_here_and_on_no_others(
    monkeypatch: pytest.MonkeyPatch, sampler: str | None, argument: str | None, sampled: int
) -> None:
    for name, value in (("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", argument)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    recorded = Recorded()
    begun = [recorded.spans.new_trace() for _ in range(20)]
    for trace in begun:
        span_request(recorded.spans, base_url="http://x")(
            request(trace_id=trace.trace_id, parent_span_id="", trace_flags=trace.flags)
        )
    span_request(recorded.spans, base_url="http://x")(request())
    assert sum(trace.flags for trace in begun) == sampled
    assert len({trace.trace_id for trace in begun}) == 20
    assert len(await recorded.made()) == sampled + 1, "the caller's flag is honoured"


async def test_a_name_given_to_the_service_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "hooks")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    recorded = Recorded()
    span_submission(recorded.spans)(submission())
    attributes = (await recorded.one()).resource.attributes
    assert attributes["service.name"] == "hooks"
    assert attributes["deployment.environment.name"] == "test"


async def test_span_of_a_child_process_comes_out_as_it_went_in(recorded: Recorded) -> None:
    """The child's side runs in a process of its own: it sets the provider of the whole process."""
    child = (
        "import json, sys\n"
        "from opentelemetry import trace\n"
        "from webhookd.adapters.spans.children import continue_trace, relay_spans\n"
        "relay_spans(lambda document: print(json.dumps(document)))\n"
        "continue_trace(json.loads(sys.argv[1]))\n"
        "tracer = trace.get_tracer('own', '1.2')\n"
        "link = trace.Link(trace.get_current_span().get_span_context(), {'why': 'so'})\n"
        "try:\n"
        "    with tracer.start_as_current_span('outer', links=[link], attributes={'n': 1}) as outer:\n"
        "        with tracer.start_as_current_span('inner', kind=trace.SpanKind.CLIENT) as inner:\n"
        "            inner.add_event('half', {'at': 0.5, 'tags': ['a', 'b'], 'raw': b'x'})\n"
        "        raise ValueError('broken')\n"
        "except ValueError:\n"
        "    pass\n"
    )
    documents: list[Any] = []

    async def one_try() -> None:
        start_run(recorded.spans)(started(trace_state="vendor=1"))
        arguments = (sys.executable, "-c", child, json.dumps(recorded.spans.here()))
        process = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        documents.extend(map(json.loads, out.splitlines()))
        for document in documents:
            recorded.spans.take(document)
        recorded.spans.take({"name": "no span"})
        end_run()(ended())

    await asyncio.create_task(one_try())
    spans = {span.name: span for span in await recorded.made()}

    assert set(spans) == {"outer", "inner", "process reports"}
    outer, inner = spans["outer"], spans["inner"]
    assert ids(outer)[0] == ids(inner)[0] == TRACE
    assert ids(outer)[2] == RUN
    assert ids(inner)[2] == ids(outer)[1]
    assert inner.kind is SpanKind.CLIENT
    [half] = inner.events
    assert (half.name, dict(half.attributes or {})) == ("half", {"at": 0.5, "tags": ("a", "b"), "raw": "x"})
    assert [link.attributes for link in outer.links] == [{"why": "so"}]
    assert [event.name for event in outer.events] == ["exception"]
    assert outer.status.status_code is StatusCode.ERROR
    assert outer.instrumentation_scope is not None
    assert (outer.instrumentation_scope.name, outer.instrumentation_scope.version) == ("own", "1.2")
    assert outer.context is not None
    assert outer.context.trace_state.to_header() == "vendor=1"
    times = [(document["start_ns"], document["end_ns"]) for document in documents]
    assert [(span.start_time, span.end_time) for span in (inner, outer)] == times


def test_child_without_a_place_in_a_trace_is_left_alone() -> None:
    continue_trace({})
    assert not otel.get_current_span().get_span_context().is_valid


def test_nothing_is_current_outside_of_runs(recorded: Recorded) -> None:
    assert recorded.spans.here() == {}
    assert isinstance(otel.get_current_span(), NonRecordingSpan)


class Away(SpanExporter):
    """An exporter that fails, or hangs until it is shut down."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.closed = threading.Event()
        self.hangs = hangs
        self.works = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002
        if self.hangs:
            self.closed.wait(30)
        return SpanExportResult.SUCCESS if self.works else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self.closed.set()


def test_outage_of_the_exporter_is_told_once_and_so_is_its_end() -> None:
    away = Away()
    told = OutageToldOnce(away)
    with structlog.testing.capture_logs() as lines:
        for works in (False, False, True, True, False):
            away.works = works
            told.export([ReadableSpan("any")])
    assert [line["event"] for line in lines] == [
        "spans_not_exported",
        "spans_exported_again",
        "spans_not_exported",
    ]
    assert lines[1]["lost"] == 2


def test_exporter_that_raises_is_as_good_as_away() -> None:
    class Broken(Away):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002
            raise OSError

    told = OutageToldOnce(Broken())
    assert told.export([ReadableSpan("any")]) is SpanExportResult.FAILURE
    assert told.away


async def test_exporter_that_hangs_holds_up_neither_work_nor_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans_module, "FLUSH_SECONDS", 0.1)
    away = Away(hangs=True)
    spans = Spans(away, role="api")
    listen = span_submission(spans)
    logging.getLogger("opentelemetry.sdk._shared_internal").setLevel(logging.ERROR)
    for _ in range(5_000):  # over twice what the queue holds
        listen(submission())
    async with asyncio.timeout(10):
        await spans.aclose()
    assert away.closed.is_set()


def test_opentelemetry_is_imported_in_one_place_only() -> None:
    package = Path(spans_module.__file__).parents[2]
    importing = {
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if any(name.split(".")[0] == "opentelemetry" for name in _imported(node))
    }
    assert importing
    assert {name for name in importing if not name.startswith("adapters/spans/")} == set()


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [one.name for one in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


_OPEN = """
import sys
import webhookd.asgi, webhookd.worker, webhookd.cli
from webhookd.core.errors import SettingsError
from webhookd.settings import Settings
from webhookd.wiring.tracing import open_tracing
assert open_tracing(Settings(otel_endpoint=''), 'tasks', lambda: 0).spans is None
assert 'webhookd.adapters.spans' not in sys.modules
try:
    open_tracing(Settings(otel_endpoint='http://collector:4318'), 'tasks', lambda: 0)
except SettingsError as error:
    print(error.detail)
"""


def test_the_base_install_works_without_it_and_says_what_an_endpoint_needs(tmp_path: Path) -> None:
    missing = "raise ModuleNotFoundError('No module named opentelemetry', name='opentelemetry')"
    (tmp_path / "opentelemetry.py").write_text(missing)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", _OPEN], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "OTEL_EXPORTER_OTLP_ENDPOINT is set, but opentelemetry is not installed; "
        "install it with `pip install 'webhookd[otel]'`, or unset the variable.\n"
    )


def test_sdk_that_is_disabled_is_as_good_as_no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    settings = Settings(otel_endpoint="http://collector:4318")
    assert open_tracing(settings, "tasks", lambda: 0).spans is None


@pytest.mark.parametrize(
    ("base", "more", "url"),
    [
        ("http://c:4318", None, "http://c:4318/v1/traces"),
        ("http://c:4318/", None, "http://c:4318/v1/traces"),
        ("https://c/otlp", None, "https://c/otlp/v1/traces"),
        ("http://c:4318", "http://other:1/x", "http://other:1/x"),
    ],
)
def test_endpoint_is_a_base_url(
    monkeypatch: pytest.MonkeyPatch, base: str, more: str | None, url: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", more or "")
    exporter = otlp_exporter(base)
    assert vars(exporter)["_endpoint"] == url
    exporter.shutdown()


def test_endpoint_that_is_no_http_url_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")
    with pytest.raises(SettingsError, match=r"^OTEL_EXPORTER_OTLP_ENDPOINT is wrong"):
        load_settings()
