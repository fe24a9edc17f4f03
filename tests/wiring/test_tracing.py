"""A real `webhookd up` that sends its spans to a collector: one trace over api, tasks and deliver processes.

The processes send in batches of a minute, so what arrives at all was flushed when they stopped.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.collector import ERROR, UNSET, Collector, Seen, collecting
from tests.support.command_line import PATIENCE_SECONDS, Command, environment, run, started
from tests.support.listening import Quiet, listening
from tests.support.plain_http import http_client
from tests.support.services import free_port
from tests.wiring.traced_tasks import PLANTED

ADMIN_KEY = "admin-key-of-the-tracing-tests"
CALLER = "00f067aa0ba902b7"
SECRETS = {
    "query": "planted-in-a-query",
    "input": "planted-in-an-input",
    "metadata": "planted-in-metadata",
    "header": "planted-in-a-header",
    "path": "planted-in-a-path",
}
_ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class Receiver:
    """A receiver; `/fails/N…` refuses the first N of each message."""

    url: str
    traceparents: dict[str, list[str]] = field(default_factory=dict)

    def of(self, trace_id: str) -> list[str]:
        """The span ids that came with the attempts of a trace."""
        return [one.split("-")[2] for one in self.traceparents.get(trace_id, [])]


@contextmanager
def receiving() -> Iterator[Receiver]:
    seen: dict[str, int] = {}
    receiver = Receiver("")

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            message_id, traceparent = self.headers["webhook-id"], self.headers["traceparent"]
            seen[message_id] = seen.get(message_id, 0) + 1
            receiver.traceparents.setdefault(traceparent.split("-")[1], []).append(traceparent)
            _, kind, *more = self.path.partition("?")[0].split("/")
            self.send_response(503 if kind == "fails" and seen[message_id] <= int(more[0]) else 204)
            self.end_headers()

    with listening(Handler) as receiver.url:
        yield receiver


def settings(folder: Path, endpoint: str, **more: str) -> dict[str, str]:
    return environment(
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
        PYTHONPATH=str(_ROOT),
        WEBHOOKD_TASKS="tests.wiring.traced_tasks:tasks",
        WEBHOOKD_ADMIN_KEY=ADMIN_KEY,
        WEBHOOKD_DATA_DIR=str(folder / "data"),
        WEBHOOKD_EGRESS_ALLOW="127.0.0.0/8",
        WEBHOOKD_LEASE_SECONDS="2",
        WEBHOOKD_RETRY_BASE_SECONDS="0.1",
        WEBHOOKD_RETRY_MAX_ATTEMPTS="2",
        **more,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A partner who brings a trace of its own to each call."""

    http: httpx.Client
    receiver: Receiver

    def submit(self, kind: str, trace_id: str, *, flags: str = "01", **body: Any) -> dict[str, Any]:
        """The task, accepted."""
        callback = f"{self.receiver.url}{body.pop('path', '/')}"
        answer = self.http.post(
            "/v1/tasks",
            json={"type": kind, "callback_url": callback, **body},
            headers={"traceparent": f"00-{trace_id}-{CALLER}-{flags}"},
        )
        assert answer.status_code == 202, answer.text
        task: dict[str, Any] = answer.json()
        return task

    def ended(self, task: dict[str, Any], wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The task, as soon as it is as wanted."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while True:
            now: dict[str, Any] = self.http.get(f"/v1/tasks/{task['id']}", params={"wait": 1}).json()
            if wanted(now):
                return now
            assert time.monotonic() < give_up_at, now
            time.sleep(0.05)

    def delivered(self, task: dict[str, Any]) -> dict[str, Any]:
        """The task, when its webhook has arrived."""
        return self.ended(task, lambda now: bool(now["deliveries"]["delivered"]))


@contextmanager
def calling(command: Command, receiver: Receiver) -> Iterator[Caller]:
    url = command.wait_for("webhookd is up at").split()[-1]
    with http_client(url, ADMIN_KEY) as admin:
        key = admin.post("/v1/partners", json={"name": "traced"}).json()["key"]
    with http_client(url, key) as http:
        yield Caller(http=http, receiver=receiver)


def number(name: str) -> str:
    """A trace id for each story."""
    return name.encode().hex().rjust(32, "0")[-32:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the collector and the receiver got, and what the API said."""

    collector: Collector
    receiver: Receiver
    tasks: dict[str, dict[str, Any]]
    replay_trace: str
    test_trace: str

    def spans(self, name: str, kind: str | None = None) -> list[Seen]:
        """The spans of a story, as they began."""
        found = [span for span in self.collector.of_trace(number(name)) if kind in (None, span.kind)]
        return sorted(found, key=lambda span: span.start_ns)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("traced")
    tasks: dict[str, dict[str, Any]] = {}
    with collecting() as collector, receiving() as receiver:
        env = settings(folder, collector.url, OTEL_BSP_SCHEDULE_DELAY="60000")
        with started("up", "--port", "0", cwd=folder, env=env) as up, calling(up, receiver) as caller:
            # First of all: the worker takes along what it has not sent.
            marker = {"marker": str(folder / "crashed")}
            tasks["crash"] = caller.delivered(caller.submit("traced.crash", number("crash"), input=marker))
            begun = {
                name: caller.submit(f"traced.{name}", number(name))
                for name in ("sync", "async", "process", "retry", "child_crash")
            }
            begun["resent"] = caller.submit("traced.sync", number("resent"), path="/fails/1")
            begun["unsampled"] = caller.submit("traced.process", number("unsampled"), flags="00")
            begun["secret"] = caller.submit(
                "traced.sync",
                number("secret"),
                path=f"/?token={SECRETS['query']}",
                input={"a": SECRETS["input"]},
                metadata={"b": SECRETS["metadata"]},
            )
            caller.http.get(f"/v1/tasks/{SECRETS['path']}", params={"wait": SECRETS["query"]})
            dead = caller.submit("traced.sync", number("replayed"), path="/fails/2")
            caller.ended(dead, lambda now: bool(now["deliveries"]["dead"]))
            [letter] = caller.http.get("/v1/dead-letters").json()["data"]
            replayed = caller.http.post(f"/v1/dead-letters/{letter['id']}/replay")
            batch = {"tasks": [{"type": "traced.sync", "input": {"n": n}} for n in range(3)]}
            answer = caller.http.post(
                "/v1/tasks/batch", json=batch, headers={"traceparent": f"00-{number('batch')}-{CALLER}-01"}
            )
            for one in answer.json()["results"]:
                caller.ended(one["task"], lambda now: bool(now["done"]))
            endpoint = caller.http.post(
                "/v1/endpoints",
                json={"url": f"{receiver.url}/", "headers": {"x-own": SECRETS["header"]}},
            ).json()
            test = caller.http.post(f"/v1/endpoints/{endpoint['id']}/test")
            test_trace = test.headers["traceparent"].split("-")[1]
            tasks |= {name: caller.delivered(task) for name, task in begun.items()}
            tasks["replayed"] = caller.delivered(dead)
            give_up_at = time.monotonic() + PATIENCE_SECONDS
            while not receiver.of(test_trace):
                assert time.monotonic() < give_up_at, "the test message"
                time.sleep(0.05)
            up.send(15)
            assert up.wait() == 0, up.everything()
        SECRETS.update(key=caller.http.headers["authorization"][7:], signing=endpoint["secret"])
        yield Told(
            collector=collector,
            receiver=receiver,
            tasks=tasks,
            replay_trace=replayed.headers["traceparent"].split("-")[1],
            test_trace=test_trace,
        )


@pytest.mark.parametrize("name", ["sync", "async", "process"])
def test_one_trace_from_the_caller_to_the_receiver(told: Told, name: str) -> None:
    spans = {span.kind: span for span in told.spans(name)}

    server, producer, consumer, client = (
        spans[kind] for kind in ("SERVER", "PRODUCER", "CONSUMER", "CLIENT")
    )
    own = spans["INTERNAL"]
    assert len(told.spans(name)) == 5
    assert [span.process for span in (server, producer, consumer, own, client)] == [
        "api",
        "api",
        "tasks",
        "tasks",
        "deliver",
    ]
    assert server.parent_id == CALLER
    assert producer.parent_id == server.span_id
    assert consumer.parent_id == producer.span_id
    assert own.parent_id == consumer.span_id
    assert client.parent_id == consumer.span_id
    assert told.receiver.of(number(name)) == [client.span_id]
    assert (own.name, own.scope) == ("own", "operators.own")
    assert consumer.attributes["messaging.message.id"] == told.tasks[name]["id"]
    assert consumer.start_ns <= own.start_ns <= own.end_ns <= consumer.end_ns <= client.start_ns + 2_000_000
    assert {span.status for span in spans.values()} == {UNSET}
    assert told.tasks[name]["result"]["trace_id"] == number(name)


def test_function_may_write_on_the_span_of_its_run(told: Told) -> None:
    for name in ("sync", "async"):
        assert told.spans(name, "CONSUMER")[0].attributes["operators.attempt"] == 1


def test_every_try_of_a_function_is_below_the_submission(told: Told) -> None:
    [producer] = told.spans("retry", "PRODUCER")
    runs = told.spans("retry", "CONSUMER")
    assert {run.parent_id for run in runs} == {producer.span_id}
    assert [run.attributes["webhookd.task.attempt"] for run in runs] == [1, 2, 3]
    assert [(run.status, run.description) for run in runs] == [
        (ERROR, "retry"),
        (ERROR, "error"),
        (UNSET, ""),
    ]
    assert [client.parent_id for client in told.spans("retry", "CLIENT")] == [runs[2].span_id]


def test_run_after_a_crash_of_its_worker_is_below_the_submission(told: Told) -> None:
    [producer] = told.spans("crash", "PRODUCER")
    [run] = told.spans("crash", "CONSUMER")  # the other one died with its process
    assert run.attributes["webhookd.task.attempt"] == 2
    assert run.parent_id == producer.span_id
    assert run.links == [(number("crash"), producer.span_id)]
    assert [client.parent_id for client in told.spans("crash", "CLIENT")] == [run.span_id]


def test_crash_of_a_child_process_is_the_error_of_its_run_and_loses_no_spans(told: Told) -> None:
    first, second = told.spans("child_crash", "CONSUMER")
    assert (first.status, first.description) == (ERROR, "worker_crashed")
    assert second.status == UNSET
    parents = {span.name: span.parent_id for span in told.spans("child_crash", "INTERNAL")}
    assert parents == {"before the crash": first.span_id, "own": second.span_id}


def test_every_attempt_is_below_the_run_and_names_itself_to_the_receiver(told: Told) -> None:
    [run] = told.spans("resent", "CONSUMER")
    first, second = told.spans("resent", "CLIENT")
    assert (first.parent_id, second.parent_id) == (run.span_id, run.span_id)
    assert told.receiver.of(number("resent")) == [first.span_id, second.span_id]
    assert (first.status, first.description) == (ERROR, "http_503")
    assert "http.request.resend_count" not in first.attributes
    assert (second.status, second.attributes["http.request.resend_count"]) == (UNSET, 1)


def test_replay_goes_on_in_the_trace_and_its_request_is_linked_to_it(told: Told) -> None:
    [run] = told.spans("replayed", "CONSUMER")
    attempts = told.spans("replayed", "CLIENT")
    assert [one.attributes.get("http.request.resend_count", 0) for one in attempts] == [0, 1, 2]
    assert {one.parent_id for one in attempts} == {run.span_id}
    assert told.receiver.of(number("replayed")) == [one.span_id for one in attempts]
    [request] = told.collector.of_trace(told.replay_trace)
    assert (request.kind, request.links) == ("SERVER", [(number("replayed"), run.span_id)])


def test_tasks_of_a_batch_are_below_their_one_submission(told: Told) -> None:
    [producer] = told.spans("batch", "PRODUCER")
    assert producer.attributes["messaging.batch.message_count"] == 3
    runs = told.spans("batch", "CONSUMER")
    assert [run.parent_id for run in runs] == [producer.span_id] * 3
    assert len({run.span_id for run in runs}) == 3


def test_test_message_is_in_the_trace_of_its_request(told: Told) -> None:
    spans = {span.kind: span for span in told.collector.of_trace(told.test_trace)}
    assert spans["CLIENT"].parent_id == spans["SERVER"].span_id
    assert spans["CLIENT"].attributes["webhookd.event"] == "webhookd.test"


def test_what_the_caller_does_not_sample_is_carried_on_and_not_recorded(told: Told) -> None:
    assert told.spans("unsampled") == []
    [traceparent] = told.receiver.traceparents[number("unsampled")]
    assert traceparent.endswith("-00")


def test_nothing_secret_is_in_any_span(told: Told) -> None:
    everything = b"".join(told.collector.raw)
    assert b"/v1/tasks/{id}" in everything, "the call with the secret path is there"
    found = [
        name for name, secret in {**SECRETS, "exception": PLANTED}.items() if secret.encode() in everything
    ]
    assert found == []
    [client] = told.spans("secret", "CLIENT")
    assert client.attributes["url.full"] == f"{told.receiver.url}/"


def test_collector_that_is_away_stops_nothing(tmp_path: Path) -> None:
    env = settings(tmp_path, f"http://127.0.0.1:{free_port()}", OTEL_BSP_SCHEDULE_DELAY="50")
    with (
        receiving() as receiver,
        started("up", "--port", "0", cwd=tmp_path, env=env) as up,
        calling(up, receiver) as caller,
    ):
        task = caller.delivered(caller.submit("traced.process", number("away")))
        assert task["state"] == "succeeded"
        up.send(15)
        assert up.wait() == 0
        assert "Transient error" not in up.everything()


def test_missing_extra_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "opentelemetry.py").write_text("raise ModuleNotFoundError('no', name='opentelemetry')")
    env = settings(tmp_path, "http://127.0.0.1:4318") | {"PYTHONPATH": f"{tmp_path}:{_ROOT}"}
    ended = run("up", "--port", "0", cwd=tmp_path, env=env | {"WEBHOOKD_TASKS": "webhookd.samples:tasks"})
    assert ended.exit_code == 1
    [line] = ended.stderr.splitlines()
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in line
    assert "webhookd[otel]" in line
