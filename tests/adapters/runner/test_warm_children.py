"""Warm children: reused, replaced where they are not good any more, killed; and lifespans, in every place."""

import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.adapters.runner.calls import Call, running
from tests.adapters.runner.warm_tasks import TASK_SPEC, lifespan, tasks, tell
from tests.support.services import is_alive, until
from webhookd import TaskContext, TaskSet
from webhookd.adapters.runner import Runner
from webhookd.adapters.runner.protocol import ChildSettings
from webhookd.adapters.runner.warm_child import WarmChild
from webhookd.core.errors import SettingsError
from webhookd.core.outcome import (
    CancelledByRequest,
    Crashed,
    Failed,
    Interrupted,
    Outcome,
    RunTimedOut,
    Succeeded,
)
from webhookd.taskset import TaskDefinition


async def told(runner: Runner, name: str, **data: Any) -> dict[str, Any]:
    outcome = await Call(runner, tasks[name], data).end()
    assert isinstance(outcome, Succeeded), outcome
    result: dict[str, Any] = json.loads(outcome.result_json)
    return result


def left_by(folder: Path) -> int:
    return int((folder / "left").read_text())


async def begun(call: Call) -> int:
    await call.has_begun()
    return int(call.heard[0][1] or "0")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner() -> AsyncIterator[Runner]:
    async with running(task_spec=TASK_SPEC, stop_grace_seconds=0.5) as one:
        yield one


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_child_is_used_again_by_every_type_with_its_state(runner: Runner) -> None:
    first = await told(runner, "child.tell", add=5)
    assert first["pid"] != os.getpid()
    assert (first["types"], first["entered"], first["main"]) == (len(tasks), 6, True)
    second = await told(runner, "child.tell_async")
    assert (second["pid"], second["entered"], second["same_loop"]) == (first["pid"], 6, True)


async def test_a_child_is_replaced_after_a_crash(runner: Runner) -> None:
    before = await told(runner, "child.tell")
    crashed = await Call(runner, tasks["child.tell"], {"die": True}).end()
    assert crashed == Crashed(detail="its process was killed by SIGKILL")
    after = await told(runner, "child.tell")
    assert (after["pid"] != before["pid"], after["entered"]) == (True, 1)


async def test_a_child_that_dies_idle_costs_no_run(runner: Runner) -> None:
    before = await told(runner, "child.tell")
    os.kill(before["pid"], signal.SIGKILL)
    await until(lambda: not is_alive(before["pid"]), what="the end of the child")
    assert (await told(runner, "child.tell"))["pid"] != before["pid"]


async def test_what_a_dead_child_did_not_hear_does_not_stop_its_end() -> None:
    child = WarmChild(ChildSettings(task_spec=TASK_SPEC, log_format="text", log_level="info"))
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - it was killed
    child.say(b"[]\n")
    assert child.end() == "its process was killed by SIGKILL"


async def test_a_child_is_replaced_after_its_time_limit(runner: Runner) -> None:
    call = Call(runner, tasks["child.short"], {})
    assert await call.end() == RunTimedOut()
    if call.heard:
        pid = int(call.heard[0][1] or "0")
        await until(lambda: not is_alive(pid), what="the end of the child")
        assert (await told(runner, "child.tell"))["pid"] != pid


async def test_a_child_is_replaced_after_max_runs(runner: Runner) -> None:
    pids = [(await told(runner, "child.twice"))["pid"] for _ in range(4)]
    assert len(set(pids[-3:])) > 1
    await until(lambda: not is_alive(pids[0]), what="the end of the child")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody tells who a process's children are")
async def test_a_child_that_left_a_process_behind_goes_with_it(runner: Runner) -> None:
    left = await told(runner, "child.tell", start=True)
    assert (await told(runner, "child.tell"))["pid"] != left["pid"]
    assert not is_alive(left["pid"])


async def test_a_cancelled_run_that_does_not_stop_is_killed_and_ends_cancelled(runner: Runner) -> None:
    call = Call(runner, tasks["child.ignore"], {})
    pid = await begun(call)
    call.cancel.set()
    assert await call.end() == CancelledByRequest()
    await until(lambda: not is_alive(pid), what="the end of the child")


async def test_a_cancelled_run_that_ends_in_time_keeps_its_outcome_and_its_child(runner: Runner) -> None:
    call = Call(runner, tasks["child.linger"], {"says": "done"})
    pid = await begun(call)
    call.cancel.set()
    assert await call.end() == Succeeded(result_json=b'"done"')
    # Nothing of that cancellation reaches the next run.
    assert (await told(runner, "child.tell_async"))["pid"] == pid


async def test_a_memory_limit_is_the_runs_and_not_the_childs(runner: Runner) -> None:
    small = await Call(runner, tasks["child.small"], {"mb": 2048}).end()
    assert not isinstance(small, Succeeded)
    large: Outcome = await Call(runner, tasks["child.large"], {"mb": 1500}).end()
    assert isinstance(large, Succeeded)


async def test_an_unknown_input_is_refused_over_there_too(runner: Runner) -> None:
    outcome = await Call(runner, tasks["child.tell"], ["no object"]).end()
    assert isinstance(outcome, Failed)
    assert outcome.code == "invalid_input"


async def test_lifespans_are_entered_once_here_and_left_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESTS_LEFT", str(tmp_path / "left"))
    async with running(task_spec=TASK_SPEC) as one:
        await one.start([tasks["here.tell"], tasks["here.tell_async"]])
        assert (await told(one, "here.tell", add=2))["entered"] == 3
        second = await told(one, "here.tell_async", add=1)
        assert (second["pid"], second["entered"], second["same_loop"]) == (os.getpid(), 4, True)
    assert left_by(tmp_path) == os.getpid()


async def test_a_child_started_ahead_is_warm_and_leaves_its_lifespan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESTS_LEFT", str(tmp_path / "left"))
    async with running(task_spec=TASK_SPEC) as one:
        await one.start([tasks["child.twice"]])
        pids = {(await told(one, "child.twice"))["pid"] for _ in range(2)}
    assert left_by(tmp_path)  # whichever left last wrote last: one of those, or the spare
    await until(lambda: not any(is_alive(pid) for pid in pids), what="the end of all children")


async def test_a_lifespan_that_fails_stops_the_start() -> None:
    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        raise ConnectionError("no pool")
        yield

    failing = TaskSet(lifespan=broken)
    failing.task("a")(tell)
    async with running(task_spec=TASK_SPEC) as one:
        with pytest.raises(SettingsError, match=r"a lifespan could not be entered \(ConnectionError\)"):
            await one.start(failing)


async def test_each_set_of_a_merged_one_has_its_own_state() -> None:
    @asynccontextmanager
    async def other() -> AsyncIterator[str]:
        yield "another's"

    def show(ctx: TaskContext, _data: dict[str, Any]) -> str:
        return str(ctx.state if isinstance(ctx.state, str) else type(ctx.state).__name__)

    one_set, another, bare = TaskSet(lifespan=lifespan), TaskSet(lifespan=other), TaskSet()
    for number, task_set in enumerate((one_set, another, bare)):
        task_set.task(f"show_{number}")(show)
    merged = TaskSet.merge(one_set, another, bare)
    async with running(task_spec=TASK_SPEC) as one:
        await one.start(merged)
        assert await shown(one, merged["show_0"]) == b'"dict"'
        assert await shown(one, merged["show_1"]) == b'"another\'s"'
        assert await shown(one, merged["show_2"]) == b'"NoneType"'


async def shown(runner: Runner, definition: TaskDefinition) -> bytes:
    outcome = await Call(runner, definition, {}).end()
    assert isinstance(outcome, Succeeded), outcome
    return outcome.result_json


async def test_what_runs_in_children_is_interrupted_when_the_worker_stops() -> None:
    async with running(task_spec=TASK_SPEC, stop_grace_seconds=0.5) as one:
        call = Call(one, tasks["child.ignore"], {})
        pid = await begun(call)
        await one.stop(0)
        assert await call.end() == Interrupted()
    await until(lambda: not is_alive(pid), what="the end of the child")
