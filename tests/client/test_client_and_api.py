"""What the client asks for is what the API describes: paths, methods, query parameters and fields."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.description import description
from webhookd.client.calls import anything, batches, dead_letters, endpoints, files, tasks
from webhookd.client.faces import (
    AsyncClient,
    AsyncDeadLetters,
    AsyncEndpoints,
    Client,
    DeadLetters,
    Endpoints,
)
from webhookd.client.steps import Request

SAID: dict[str, Callable[[], Any]] = {
    "submit": lambda: tasks.submit(
        "demo.echo",
        {},
        callback_url="https://partner.example",
        endpoints=[],
        events=["task.failed"],
        metadata={"order": "42"},
        priority="low",
        run_at="2026-11-24T06:00:00Z",
        expires_at="2026-11-25T06:00:00Z",
        partner="prt_1",
    ),
    "get": lambda: tasks.get("task_1"),
    "wait": lambda: tasks.wait("task_1"),
    "watch": lambda: tasks.watch("task_1"),
    "cancel": lambda: tasks.cancel("task_1"),
    "rerun": lambda: tasks.rerun("task_1"),
    "batch": lambda: batches.submit(
        [{"type": "demo.echo"}] * 1_001,
        defaults={"metadata": {"order": "42"}},
        callback_url="https://partner.example",
        endpoints=[],
        metadata={"order": "42"},
        partial=True,
        partner="prt_1",
    ),
    "get_batch": lambda: batches.get("batch_1"),
    "wait_batch": lambda: batches.wait("batch_1"),
    "cancel_batch": lambda: batches.cancel("batch_1"),
    "batch_results": lambda: batches.results("batch_1"),
    "upload": lambda: files.upload(b"", name="a", partner="prt_1"),
    "download": lambda: files.download("file_1", "a"),
    "get_file": lambda: files.get("file_1"),
    "read_file": lambda: files.read("file_1"),
    "list": lambda: anything.list_all("tasks", state="failed", rerun_of="task_1", since="", until=""),
    "replay": lambda: dead_letters.replay(
        endpoint="ep_1", state="pending", all=True, dry_run=True, rate_per_second=1.0, why="mended"
    ),
    "get_replay": lambda: dead_letters.get_replay("rpl_1"),
    "discard": lambda: dead_letters.discard_all(
        endpoint="ep_1", status="5xx", all=True, dry_run=True, rate_per_second=1.0, why="obsolete"
    ),
    "get_discard": lambda: dead_letters.get_discard("dsc_1"),
    "request": lambda: anything.request("GET", "/v1/partner"),
    "endpoints.create": lambda: endpoints.create("https://partner.example", description="ours"),
    "endpoints.get": lambda: endpoints.get("ep_1"),
    "endpoints.list": endpoints.list_all,
    "endpoints.update": lambda: endpoints.update("ep_1", description="ours"),
    "endpoints.delete": lambda: endpoints.delete("ep_1"),
    "endpoints.enable": lambda: endpoints.enable("ep_1"),
    "endpoints.disable": lambda: endpoints.disable("ep_1"),
    "endpoints.test": lambda: endpoints.send_test("ep_1", wait_seconds=5),
    "endpoints.rotate_secret": lambda: endpoints.rotate_secret("ep_1", overlap_seconds=60, secret="whsec_"),
    "endpoints.stats": lambda: endpoints.stats("ep_1", window="7d"),
    "endpoints.retry": lambda: endpoints.retry("ep_1"),
    "dead_letters.list": lambda: dead_letters.list_all(kind="task", reason="exhausted"),
    "dead_letters.summary": lambda: dead_letters.summary("endpoint", "error", status="5xx"),
    "dead_letters.replay": lambda: dead_letters.replay_one("dlv_1"),
    "dead_letters.discard": lambda: dead_letters.discard("dlv_1"),
}
NO_CALL = {"verify", "close", "aclose"}


def _methods(of: type, prefix: str = "") -> set[str]:
    return {prefix + name for name in vars(of) if not name.startswith("_")} - NO_CALL


def test_every_method_is_said_here_and_both_clients_have_it() -> None:
    blocking = _methods(Client) | _methods(Endpoints, "endpoints.") | _methods(DeadLetters, "dead_letters.")
    awaited = (
        _methods(AsyncClient)
        | _methods(AsyncEndpoints, "endpoints.")
        | _methods(AsyncDeadLetters, "dead_letters.")
    )
    assert blocking == awaited == set(SAID)


def _operation(request: Request) -> dict[str, Any]:
    # What is there by name goes before what any id could be.
    for path, item in sorted(description()["paths"].items(), key=lambda one: "{" in one[0]):
        pattern = re.sub(r"\{\w+\}", "[^/]+", path)
        if re.fullmatch(pattern, f"/{request.path}") and request.method.lower() in item:
            found: dict[str, Any] = item[request.method.lower()]
            return found
    raise AssertionError(f"the API has no {request.method} /{request.path}")


def _resolved(part: dict[str, Any]) -> dict[str, Any]:
    """Return what a reference in the description stands for."""
    found: Any = description()
    for step in part.get("$ref", "#").split("/")[1:]:
        found = found[step]
    return part if found is description() else found


@pytest.mark.parametrize("name", SAID)
def test_the_api_has_what_the_client_asks_for(name: str) -> None:
    request = next(SAID[name]())
    operation = _operation(request)
    parameters = [_resolved(one) for one in operation.get("parameters", ())]
    assert set(request.query) <= {one["name"] for one in parameters if one["in"] == "query"}
    if request.json is not None:
        body = _resolved(operation["requestBody"]["content"]["application/json"]["schema"])["properties"]
        assert set(request.json) <= set(body)
        if "filter" in request.json:
            assert set(request.json["filter"]) <= set(_resolved(body["filter"])["properties"])
