"""Operators' functions that fork, hold the GIL or never return: nobody else suffers for it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.command_line import (
    Command,
    environment,
    kept,
    serving,
    started,
    url_of,
)
from tests.support.installation import injected
from tests.support.plain_http import http_client
from tests.support.services import eventually, is_alive

pytestmark = pytest.mark.faults

SETTINGS = {
    "WEBHOOKD_TASKS": "webhookd.samples:tasks,tests.faults.unruly:tasks",
    "WEBHOOKD_LEASE_SECONDS": "6",
    "WEBHOOKD_SHUTDOWN_SECONDS": "5",
}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """One `up` for all: whatever a test does to it must not hurt the next."""
    folder = tmp_path_factory.mktemp("up")
    env = environment(**SETTINGS, **injected(folder))
    with serving("--dev", "--data-dir", "data", cwd=folder, env=env) as command:
        command.wait_for("dead-letters")
        yield command


@pytest.fixture(scope="module")
def partner(up: Command) -> Iterator[httpx.Client]:
    with http_client(url_of(up), kept(up)["key"]) as found:
        yield found


def submit(partner: httpx.Client, type_: str, **data: Any) -> str:
    answer = partner.post("/v1/tasks", json={"type": type_, "input": data})
    assert answer.status_code == 202, answer.text
    task_id: str = answer.json()["id"]
    return task_id


def ended(partner: httpx.Client, task_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        task: dict[str, Any] = partner.get(f"/v1/tasks/{task_id}", params={"wait": "5"}).json()
        return task if task["done"] else None

    found: dict[str, Any] = eventually(look, f"the end of {task_id}")
    return found


def deaths(up: Command) -> list[str]:
    return [line for line in up.err if "process_died" in line or "worker_stopping" in line]


def test_forked_child_is_ended_by_terminate_and_the_worker_is_not(up: Command, partner: httpx.Client) -> None:
    before = deaths(up)
    for _ in range(3):
        assert ended(partner, submit(partner, "unruly.terminate"))["result"]["exit_code"] == -signal.SIGTERM
    assert deaths(up) == before


def test_pool_of_forked_children_can_be_used_again_and_again(up: Command, partner: httpx.Client) -> None:
    before = deaths(up)
    tasks = [submit(partner, "unruly.pool") for _ in range(20)]
    done = [ended(partner, task_id) for task_id in tasks]
    assert [task["result"] and task["result"]["sum"] for task in done] == [100] * 20
    assert [task["attempts"] for task in done] == [1] * 20
    assert deaths(up) == before


def test_children_that_live_on_hold_no_lock_of_the_database(partner: httpx.Client) -> None:
    beside = [submit(partner, "demo.sleep", seconds=1) for _ in range(5)]
    task_id = submit(partner, "unruly.children", seconds=60)
    pids = ended(partner, task_id)["result"]["pids"]
    assert sum(is_alive(pid) for pid in pids) == 60
    answers = [partner.post("/v1/tasks", json={"type": "demo.echo", "input": {}}) for _ in range(20)]
    assert [answer.status_code for answer in answers] == [202] * 20
    assert {ended(partner, one)["state"] for one in beside} == {"succeeded"}
    assert {ended(partner, answer.json()["id"])["state"] for answer in answers} == {"succeeded"}
    assert sum(is_alive(pid) for pid in pids) == 60, "the children were to live while that happened"


@pytest.mark.parametrize("where", ["comes_back", "comes_back_async", "comes_back_process"])
def test_child_that_comes_back_out_of_its_function_ends(
    where: str, up: Command, partner: httpx.Client
) -> None:
    before = deaths(up)
    task = ended(partner, submit(partner, f"unruly.{where}"))
    assert (task["state"], task["attempts"]) == ("succeeded", 1)
    pid = task["result"]["pid"]
    assert pid > 0, "it is the parent's end that counts"
    eventually(lambda: not is_alive(pid), "the end of the child")
    assert deaths(up) == before


@pytest.mark.parametrize("how", ["block", "block_async", "swallow"])
def test_function_that_does_not_stop_costs_its_worker_and_nobody_elses_attempt(
    how: str, up: Command, partner: httpx.Client, tmp_path: Path
) -> None:
    beside = submit(partner, "unruly.rest", seconds=5, started=str(tmp_path / "started"))
    eventually((tmp_path / "started").exists, "the start of the other task")
    guilty = ended(partner, submit(partner, f"unruly.{how}"))
    assert (guilty["state"], guilty["error"]["code"], guilty["attempts"]) == ("failed", "timeout", 1)
    later = ended(partner, submit(partner, "demo.echo"))
    assert later["state"] == "succeeded"
    done = ended(partner, beside)
    assert (done["state"], done["attempts"]) == ("succeeded", 1)
    assert any("function_lost" in line and guilty["id"] in line for line in up.err)
    assert any("process_died" in line and "exit_code=75" in line for line in up.err)


def test_function_that_holds_the_gil_ends_as_timed_out_and_everybody_else_goes_on(
    up: Command, partner: httpx.Client, tmp_path: Path
) -> None:
    resting, holding = tmp_path / "resting", tmp_path / "holding"
    beside = submit(partner, "unruly.rest", seconds=3, started=str(resting))
    eventually(resting.exists, "the start of the other task")
    guilty = submit(partner, "unruly.hold", started=str(holding))
    eventually(holding.exists, "the start of the one that holds the GIL")
    answer = partner.post("/v1/tasks", json={"type": "demo.echo", "input": {}})
    assert answer.status_code == 202, "it must not hold the database's lock either"
    later = ended(partner, answer.json()["id"])
    assert (later["state"], later["attempts"]) == ("succeeded", 1)
    done = ended(partner, beside)
    assert (done["state"], done["attempts"]) == ("succeeded", 1)
    task = ended(partner, guilty)
    assert (task["state"], task["error"]["code"], task["attempts"]) == ("failed", "timeout", 2)
    assert any("process_frozen" in line for line in up.err)


def test_stop_waits_neither_for_a_frozen_worker_nor_for_a_child_that_hangs(tmp_path: Path) -> None:
    env = environment(**SETTINGS, **injected(tmp_path))
    with started("up", "--dev", "--port", "0", "--data-dir", "data", cwd=tmp_path, env=env) as own:
        own.wait_for("dead-letters")
        with http_client(url_of(own), kept(own)["key"]) as partner:
            child = ended(partner, submit(partner, "unruly.leak", seconds=600))["result"]["pid"]
            holding = tmp_path / "holding"
            submit(partner, "unruly.hold", started=str(holding))
            eventually(holding.exists, "the start of the one that holds the GIL")
        own.send(signal.SIGTERM)
        assert own.wait() == 0, own.everything()
        assert any("process_frozen" in line for line in own.err)
        assert not is_alive(child)


def test_worker_whose_child_hangs_at_its_end_is_replaced(up: Command, partner: httpx.Client) -> None:
    child = ended(partner, submit(partner, "unruly.leak", seconds=600))["result"]["pid"]
    worker = ended(partner, submit(partner, "unruly.pool"))["result"]["worker"]
    os.kill(worker, signal.SIGTERM)
    eventually(lambda: not is_alive(worker), "the end of the worker")
    eventually(lambda: not is_alive(child), "the end of its child")
    assert ended(partner, submit(partner, "unruly.pool"))["result"]["worker"] != worker
