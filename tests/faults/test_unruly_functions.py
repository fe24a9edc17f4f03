"""Operators' functions that fork: nobody else's task, no worker and no lock suffers for it."""

import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.command_line import Command, client, environment, eventually, kept, started, url_of
from tests.faults.installation import injected
from tests.services import is_alive

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
    with started("up", "--dev", "--port", "0", "--data-dir", "data", cwd=folder, env=env) as command:
        command.wait_for("dead-letters")
        yield command
        command.send(signal.SIGTERM)
        assert command.wait() == 0, command.everything()


@pytest.fixture(scope="module")
def partner(up: Command) -> Iterator[httpx.Client]:
    with client(url_of(up), kept(up)["key"]) as found:
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
