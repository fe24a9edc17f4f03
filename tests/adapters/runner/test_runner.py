"""The runner with real threads, a real second event loop and real child processes."""

import asyncio
import contextlib
import contextvars
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import BaseModel

from tests.adapters.runner.calls import FACTS, PATIENCE_SECONDS, PLACES, PRIVATELY, Call, running
from tests.adapters.runner.runner_tasks import TASK_SPEC, Person, Reply, tasks
from tests.support.services import is_alive, until
from webhookd import TaskContext, TaskSet
from webhookd.adapters.runner import Runner
from webhookd.adapters.runner.job import Job, context_of
from webhookd.adapters.runner.protocol import ChildSettings, hello_line, run_line
from webhookd.core.outcome import (
    CancelledByRequest,
    Crashed,
    Failed,
    Interrupted,
    Outcome,
    RetryLater,
    RunTimedOut,
    Succeeded,
)
from webhookd.taskset import TaskDefinition, load_task_sets
from webhookd.taskset.attaching import attached_in

stage = contextvars.ContextVar("stage", default="unset")


class Unreadable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text either")


everywhere = pytest.mark.parametrize("place", PLACES)
interrupts_a_blocked_thread = pytest.mark.skipif(
    sys.version_info < (3, 12) and sys.gettrace() is not None,
    reason="CPython 3.11 under a tracer (coverage) stands still while another thread's exception is pending",
)


@pytest.fixture
async def runner() -> AsyncIterator[Runner]:
    async with running() as one:
        yield one


def declared(function: Callable[..., Any], *, timeout_seconds: float = 300) -> TaskDefinition:
    one = TaskSet()
    one.task("here")(function)
    return dataclasses.replace(one["here"], timeout_seconds=timeout_seconds)


async def written(pids: Path) -> tuple[int, int]:
    """The pids of the child and of what it started, once `have_grandchild_and_hang` has come so far."""
    await until(lambda: pids.exists() and pids.read_text().endswith("."), what="both pids")
    child, grandchild = pids.read_text().strip(".").split()  # noqa: ASYNC240 -- a few bytes
    return int(child), int(grandchild)


@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
@everywhere
async def test_a_function_gets_its_model_and_its_result_is_json(runner: Runner, place: str) -> None:
    outcome = await Call(runner, tasks[f"{place}.greet"], {"name": "Zoë"}).end()
    assert isinstance(outcome, Succeeded)
    expected = {"greeting": "Zoë, attempt 2 of task_1 in abc", "score": 1.5}
    assert json.loads(outcome.result_json) == expected
    assert runner.free_slots == 4


@everywhere
async def test_whether_files_may_lie_in_the_folder_is_told(
    runner: Runner, tmp_path: Path, place: str
) -> None:
    for files in (0, 1, 3):
        folder = tmp_path / str(files)
        folder.mkdir()
        facts = dataclasses.replace(FACTS, folder=str(folder))
        call = Call(runner, tasks[f"{place}.attach"], {"files": files}, facts=facts)
        assert isinstance(await call.end(), Succeeded)
        assert len(attached_in(folder)) == files
        in_a_child = place.startswith("process")
        assert call.attached == (1 if in_a_child or files else 0), files


WAYS_TO_END: list[tuple[dict[str, Any], Outcome]] = [
    ({"fail": ["closed", "The account is closed."]}, Failed(code="closed", message="The account is closed.")),
    ({"retry": 2.5}, RetryLater(after_seconds=2.5, code="retry", message="not yet")),
    ({"retry": None}, RetryLater(code="retry", message="not yet")),
    ({"raise": "boom"}, PRIVATELY),
    ({"raise": ""}, PRIVATELY),
    ({"exit": 3}, PRIVATELY),
]


@everywhere
async def test_every_way_to_end_is_the_same_everywhere(runner: Runner, place: str) -> None:
    for told, expected in WAYS_TO_END:
        assert await Call(runner, tasks[f"{place}.end"], told).end() == expected, told


@everywhere
async def test_an_input_that_no_longer_fits_fails_for_good(runner: Runner, place: str) -> None:
    outcome = await Call(runner, tasks[f"{place}.greet"], {"name": 5}).end()
    assert outcome == Failed(code="invalid_input", message="$.input.name: must be a valid string")


@pytest.mark.parametrize(
    ("value", "result_json"),
    [
        (None, b"null"),
        ([1, "two", None], b'[1,"two",null]'),
        ("text", b'"text"'),
        (3, b"3"),
        ({"people": [Person(name="A")]}, b'{"people":[{"name":"A"}]}'),
    ],
)
async def test_results_of_every_json_kind_are_kept(runner: Runner, value: Any, result_json: bytes) -> None:
    outcome = await Call(runner, declared(lambda _ctx, _data: value), {}).end()
    assert outcome == Succeeded(result_json=result_json)


async def a_coroutine() -> None: ...


@dataclasses.dataclass
class Point:
    x: float


@pytest.mark.parametrize(
    "make",
    [
        object,
        a_coroutine,
        lambda: {1: "one"},
        lambda: {"deep": [{"a": None, "b": float("nan")}]},
        lambda: Reply(greeting="hi", score=float("inf")),
        lambda: [Point(x=float("-inf"))],
        lambda: (None, 2**64),
        lambda: "\ud800",
    ],
)
async def test_a_result_that_is_not_json_fails_for_good(runner: Runner, make: Callable[[], Any]) -> None:
    outcome = await Call(runner, declared(lambda _ctx, _data: make()), {}).end()
    assert isinstance(outcome, Failed)
    assert outcome.code == "result_not_json"


class Deep(BaseModel):
    deep: Any


def nested(levels: int, *, by: Callable[[Any], Any] = lambda value: [value]) -> Any:
    value: Any = "[{"
    for _ in range(levels):
        value = by(value)
    return value


BY = {
    "list": lambda value: [value],
    "dict": lambda value: {"a": value},
    "model": lambda value: Deep(deep=value),
    "wide": lambda value: [1, "x", value],
}


@pytest.mark.parametrize("by", BY.values(), ids=BY.keys())
async def test_a_result_may_be_nested_as_deep_as_an_input_and_no_deeper(
    runner: Runner, by: Callable[[Any], Any]
) -> None:
    fits = await Call(runner, declared(lambda _ctx, _data: nested(64, by=by)), {}).end()
    assert isinstance(fits, Succeeded)
    too_deep = await Call(runner, declared(lambda _ctx, _data: nested(65, by=by)), {}).end()
    assert isinstance(too_deep, Failed)
    assert too_deep.code == "result_not_json"
    assert "64 levels" in too_deep.message


@everywhere
async def test_a_result_that_is_too_deep_fails_wherever_it_was_made(place: str) -> None:
    async with running() as runner:
        outcome = await Call(runner, tasks[f"{place}.end"], {"return": nested(98)}).end()
    assert isinstance(outcome, Failed)
    assert outcome.code == "result_not_json"


@everywhere
async def test_a_result_may_be_as_large_as_the_limit_and_no_larger(place: str) -> None:
    async with running(max_result_bytes=1000) as runner:
        fits = await Call(runner, tasks[f"{place}.end"], {"return": '"' * 499}).end()
        assert isinstance(fits, Succeeded)
        assert len(fits.result_json) == 1000
        too_large = await Call(runner, tasks[f"{place}.end"], {"return": "x" * 999}).end()
        assert isinstance(too_large, Failed)
        assert too_large.code == "result_too_large"
        assert "1001 bytes" in too_large.message


async def test_an_error_message_can_always_be_stored(runner: Runner) -> None:
    outcome = await Call(runner, tasks["thread.end"], {"raise": "a\0b\ud800" + "x" * 2000}).end()
    assert isinstance(outcome, RetryLater)
    assert outcome.raised is not None
    assert outcome.raised.message.startswith("a\ufffdb?xxx")
    f"{outcome.raised.message}{outcome.raised.traceback}".encode()
    outcome = await Call(runner, tasks["thread.end"], {"fail": ["a", "a\0b\ud800" + "x" * 2000]}).end()
    assert isinstance(outcome, Failed)
    assert outcome.message.startswith("a\ufffdb?xxx")
    assert len(outcome.message) == 1000


async def test_an_exception_without_a_text_is_named_at_least(runner: Runner) -> None:
    def function(_ctx: TaskContext, _data: dict[str, Any]) -> None:
        raise Unreadable

    outcome = await Call(runner, declared(function), {}).end()
    assert outcome == PRIVATELY


async def test_the_traceback_is_logged_and_not_told(runner: Runner) -> None:
    with structlog.testing.capture_logs() as logs:
        outcome = await Call(runner, tasks["thread.end"], {"raise": "boom"}).end()
    assert outcome == PRIVATELY
    (entry,) = [log for log in logs if log["event"] == "task_raised"]
    assert isinstance(entry["exc_info"], ValueError)
    assert (entry["task_id"], entry["trace_id"]) == ("task_1", "abc")


async def test_a_child_logs_as_its_worker_does_and_prints_to_stderr(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async with running(log_format="json") as runner:
        await Call(runner, tasks["process.end"], {"raise": "boom"}).end()
    lines = capfd.readouterr().err.splitlines()
    assert "printing disturbs nobody" in lines
    (entry,) = [json.loads(line) for line in lines if '"task_raised"' in line]
    assert (entry["task_id"], entry["trace_id"], entry["process"]) == ("task_1", "abc", "task")
    assert "ValueError: boom" in entry["exception"]


async def test_a_function_runs_in_the_context_of_its_caller(runner: Runner) -> None:
    async def get_async(_ctx: TaskContext, _data: dict[str, Any]) -> str:
        return stage.get()

    stage.set("claimed")
    for function in (lambda _ctx, _data: stage.get(), get_async):
        assert await Call(runner, declared(function), {}).end() == Succeeded(result_json=b'"claimed"')


@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
@everywhere
async def test_a_function_that_honours_cancellation_ends_cancelled(runner: Runner, place: str) -> None:
    call = Call(runner, tasks[f"{place}.stop"], {})
    await call.has_begun()
    call.cancel.set()
    assert await call.end() == CancelledByRequest()
    assert runner.free_slots == 4


@everywhere
async def test_a_function_that_ignores_cancellation_keeps_its_outcome(runner: Runner, place: str) -> None:
    call = Call(runner, tasks[f"{place}.ignore"], {})
    await call.has_begun()
    call.cancel.set()
    assert await call.end() == Succeeded(result_json=b'"my real outcome"')


@everywhere
async def test_a_cancellation_before_the_start_is_not_lost(runner: Runner, place: str) -> None:
    call = Call(runner, tasks[f"{place}.stop"], {})
    call.cancel.set()
    assert await call.end() == CancelledByRequest()


async def test_a_cancelled_error_nobody_asked_for_is_an_exception(runner: Runner) -> None:
    async def function(_ctx: TaskContext, _data: dict[str, Any]) -> None:
        raise asyncio.CancelledError("a library's own")

    outcome = await Call(runner, declared(function), {}).end()
    assert outcome == PRIVATELY


def spin(_ctx: TaskContext, _data: dict[str, Any]) -> None:
    while True:
        pass


async def sleep_long(_ctx: TaskContext, _data: dict[str, Any]) -> None:
    await asyncio.sleep(3600)


@pytest.mark.parametrize("function", [spin, sleep_long])
async def test_a_function_is_stopped_at_its_time_limit(runner: Runner, function: Callable[..., Any]) -> None:
    assert await Call(runner, declared(function, timeout_seconds=0.1), {}).end() == RunTimedOut()
    assert (runner.free_slots, runner.lost_slots) == (4, 0)


async def test_what_a_function_returns_at_its_time_limit_counts(runner: Runner) -> None:
    def function(ctx: TaskContext, _data: dict[str, Any]) -> str:
        try:
            while True:
                time.sleep(0.01)
        except BaseException:  # noqa: BLE001 -- an operator's code may
            return f"partial, cancelled={ctx.cancelled}"

    outcome = await Call(runner, declared(function, timeout_seconds=0.1), {}).end()
    assert outcome == Succeeded(result_json=b'"partial, cancelled=True"')


async def test_an_exception_caused_by_the_time_limit_is_the_time_limits(runner: Runner) -> None:
    def function(_ctx: TaskContext, _data: dict[str, Any]) -> None:
        try:
            while True:
                time.sleep(0.01)
        finally:
            raise OSError("closing what was half open")

    assert await Call(runner, declared(function, timeout_seconds=0.1), {}).end() == RunTimedOut()


async def test_an_exception_handler_does_not_catch_the_time_limit(runner: Runner) -> None:
    def function(_ctx: TaskContext, _data: dict[str, Any]) -> None:
        while True:
            with contextlib.suppress(Exception):
                time.sleep(0.01)

    assert await Call(runner, declared(function, timeout_seconds=0.1), {}).end() == RunTimedOut()


@interrupts_a_blocked_thread
async def test_a_function_stuck_in_a_c_call_costs_its_slot_until_it_ends() -> None:
    release = threading.Event()
    async with running(slots=2, stop_grace_seconds=0.05) as runner:
        stuck = declared(lambda _ctx, _data: release.wait(), timeout_seconds=0.05)
        assert await Call(runner, stuck, {}).end() == RunTimedOut()
        assert (runner.free_slots, runner.lost_slots) == (1, 1)
        assert isinstance(await Call(runner, tasks["thread.end"], {"return": 1}).end(), Succeeded)
        release.set()
        await until(lambda: runner.free_slots == 2, what="two free slots")
        assert runner.lost_slots == 0
        assert isinstance(await Call(runner, tasks["thread.end"], {"return": 1}).end(), Succeeded)


async def test_a_blocking_async_function_does_not_block_the_worker() -> None:
    release = threading.Event()

    async def block(_ctx: TaskContext, _data: dict[str, Any]) -> None:
        release.wait()

    async with running(slots=2, stop_grace_seconds=0.05) as runner:
        assert await Call(runner, declared(block, timeout_seconds=0.05), {}).end() == RunTimedOut()
        assert isinstance(await Call(runner, tasks["thread.end"], {"return": 1}).end(), Succeeded)
        release.set()
        await until(lambda: runner.free_slots == 2, what="two free slots")
        assert isinstance(await Call(runner, tasks["loop.end"], {"return": 1}).end(), Succeeded)


@interrupts_a_blocked_thread
@pytest.mark.filterwarnings(
    # An interruption may strike while the interpreter runs a finaliser, which drops what is raised there.
    r"ignore:(?s)Exception ignored.*taskset\.context\.Cancelled:pytest.PytestUnraisableExceptionWarning"
)
async def test_an_interruption_never_strikes_the_next_call(runner: Runner) -> None:
    """Time limits fall just when functions end, over and over, on threads that go on to other calls."""

    def brief(_ctx: TaskContext, data: dict[str, float]) -> str:
        ends = time.monotonic() + data["seconds"]
        while time.monotonic() < ends:
            pass
        return "done"

    seen: set[type[Outcome]] = set()
    for number in range(300):
        limit = 0.001 + (number % 10) * 0.0001
        raced = [Call(runner, declared(brief, timeout_seconds=limit), {"seconds": limit}) for _ in range(2)]
        for call in raced:
            outcome = await call.end()
            assert outcome in (RunTimedOut(), Succeeded(result_json=b'"done"'))
            seen.add(type(outcome))
        follower = await Call(runner, declared(brief), {"seconds": 0.0}).end()
        assert follower == Succeeded(result_json=b'"done"')
    assert RunTimedOut in seen


async def test_a_child_process_is_killed_at_its_time_limit_with_all_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    async with running(stop_grace_seconds=0.05) as runner:
        definition = dataclasses.replace(tasks["process.hang"], timeout_seconds=10)
        call = Call(runner, definition, {"pids": str(pids), "holds_gil": True})
        child, grandchild = await written(pids)
        assert await call.end() == RunTimedOut()
        await until(lambda: not is_alive(child) and not is_alive(grandchild), what="the end of both")
        await until(lambda: runner.free_slots == 4, what="four free slots")


@pytest.mark.parametrize(
    ("told", "detail"),
    [
        ({"die": int(signal.SIGSEGV)}, "its process was killed by SIGSEGV"),
        ({"die": int(signal.SIGKILL)}, "its process was killed by SIGKILL"),
        ({"quit": 3}, "its process exited with code 3 before the function had ended"),
        ({"quit": 0}, "its process exited with code 0 before the function had ended"),
    ],
    ids=str,
)
async def test_a_crash_of_a_child_process_is_contained(
    runner: Runner, told: dict[str, int], detail: str
) -> None:
    assert await Call(runner, tasks["process.end"], told).end() == Crashed(detail=detail)
    assert runner.free_slots == 4


async def test_memory_is_limited_where_asked(runner: Runner) -> None:
    small = await Call(runner, tasks["process.limited"], {"allocate_mb": 1}).end()
    assert small == Succeeded(result_json=b"1048576")
    large = await Call(runner, tasks["process.limited"], {"allocate_mb": 2048}).end()
    assert large == PRIVATELY


async def test_a_child_that_cannot_load_its_tasks_says_why() -> None:
    runner = Runner(slots=1, task_spec="no_such_module:tasks")
    outcome = await Call(runner, tasks["process.end"], {}).end()
    assert outcome == PRIVATELY
    assert isinstance(outcome, RetryLater)
    assert outcome.raised is not None
    assert "WEBHOOKD_TASKS: module 'no_such_module' cannot be imported" in outcome.raised.message
    await runner.stop(0)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel makes no such promise")
async def test_a_child_process_dies_with_a_killed_worker_whatever_it_does(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"""
import asyncio
from tests.adapters.runner.calls import Call, Runner
from tests.adapters.runner.runner_tasks import TASK_SPEC, tasks
async def main():
    runner = Runner(slots=1, task_spec=TASK_SPEC)
    data = {{"pids": {str(pids)!r}, "holds_gil": True}}
    await Call(runner, tasks["process.hang"], data).outcome
asyncio.run(main())
"""
    worker = subprocess.Popen([sys.executable, "-c", script])  # noqa: ASYNC220 -- to be killed, not awaited
    try:
        child, grandchild = await written(pids)
    finally:
        worker.kill()
        worker.wait()
    await until(lambda: not is_alive(child), what="the end of the child")
    os.kill(grandchild, signal.SIGKILL)  # the promise is for the child alone


async def test_a_child_process_whose_input_ends_goes_with_all_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    job = Job(
        definition=tasks["process.hang"],
        raw_input={"pids": str(pids), "holds_gil": False},
        facts=FACTS,
        context=context_of(
            tasks["process.hang"], FACTS, timeout_seconds=300, on_progress=lambda _percent, _message: None
        ),
        max_result_bytes=1000,
        keep_line=lambda _line: None,
    )
    settings = ChildSettings(task_spec=TASK_SPEC, log_format="text", log_level="info")
    with subprocess.Popen(  # noqa: ASYNC220 -- as above
        [sys.executable, "-m", "webhookd.adapters.runner.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as child:
        assert child.stdin is not None
        child.stdin.write(hello_line(settings) + run_line(1, job, {}))
        child.stdin.flush()
        try:
            child_pid, grandchild = await written(pids)
            assert child_pid == child.pid
            child.stdin.close()
            await until(lambda: not is_alive(child_pid) and not is_alive(grandchild), what="the end of both")
        finally:
            with contextlib.suppress(ProcessLookupError):  # it is gone, as it should be
                os.killpg(child.pid, signal.SIGKILL)


@everywhere
async def test_progress_arrives_on_the_main_loop_once_an_interval_and_the_last_always(place: str) -> None:
    async with running(progress_interval_seconds=3600) as runner:
        call = Call(runner, tasks[f"{place}.report"], {"times": 20_000})
        assert await call.end() == Succeeded(result_json=b"null")
    assert call.heard[-1] == (100.0, "all")
    assert len(call.heard) <= 2
    assert call.threads == {threading.current_thread()}


@everywhere
async def test_progress_is_shown_while_the_function_runs(place: str) -> None:
    async with running(progress_interval_seconds=0.01) as runner:
        call = Call(runner, tasks[f"{place}.tick"], {})
        await until(lambda: len(call.heard) >= 3, what="three reports")
        call.cancel.set()
        assert await call.end() == Succeeded(result_json=b"null")
    percents = [percent for percent, _ in call.heard]
    assert percents == sorted(set(percents), key=lambda percent: percent or 0)


@interrupts_a_blocked_thread
async def test_nothing_is_heard_after_the_outcome() -> None:
    release, late = threading.Event(), threading.Event()

    def function(ctx: TaskContext, _data: dict[str, Any]) -> None:
        try:
            release.wait()
        finally:
            ctx.progress(99, "too late")
            late.set()

    async with running(stop_grace_seconds=0.05) as runner:
        call = Call(runner, declared(function, timeout_seconds=0.05), {})
        assert await call.end() == RunTimedOut()
        release.set()
        await until(late.is_set, what="the late end")
        await until(lambda: runner.lost_slots == 0, what="the lost slot")
        assert call.heard == []


@everywhere
async def test_stopping_hands_back_what_does_not_end_in_time(place: str) -> None:
    runner = Runner(slots=4, task_spec=TASK_SPEC, stop_grace_seconds=20)
    call = Call(runner, tasks[f"{place}.stop"], {})
    await call.has_begun()
    await runner.stop(0.05)
    assert await call.end() == Interrupted()
    assert runner.free_slots == 0
    assert await Call(runner, tasks["thread.end"], {"return": 1}).end() == Interrupted()


async def test_stopping_lets_work_end_within_the_grace() -> None:
    runner = Runner(slots=4, task_spec=TASK_SPEC)
    release = threading.Event()
    call = Call(runner, declared(lambda _ctx, _data: release.wait()), {})
    await until(lambda: runner.free_slots == 3, what="three free slots")
    stopping = asyncio.ensure_future(runner.stop(PATIENCE_SECONDS))
    await until(lambda: runner.free_slots == 0, what="no free slot")
    release.set()
    assert await call.end() == Succeeded(result_json=b"true")
    await stopping


@interrupts_a_blocked_thread
async def test_stopping_does_not_wait_for_what_cannot_be_stopped() -> None:
    runner = Runner(slots=4, task_spec=TASK_SPEC, stop_grace_seconds=0.05)
    release = threading.Event()
    call = Call(runner, declared(lambda _ctx, _data: release.wait()), {})
    await until(lambda: runner.free_slots == 3, what="three free slots")
    async with asyncio.timeout(PATIENCE_SECONDS):
        await runner.stop(0.05)
    assert await call.end() == Interrupted()
    release.set()


@everywhere
async def test_a_caller_that_goes_away_takes_its_function_along(place: str) -> None:
    async with running(stop_grace_seconds=1) as runner:
        call = Call(runner, tasks[f"{place}.stop"], {})
        await call.has_begun()
        call.outcome.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call.end()
        await until(lambda: runner.free_slots == 4, what="four free slots")


async def test_system_exit_in_a_functions_own_task_does_not_end_the_loop(runner: Runner) -> None:
    async def function(_ctx: TaskContext, _data: dict[str, Any]) -> None:
        async def stray() -> None:
            raise SystemExit(3)

        await asyncio.gather(asyncio.ensure_future(stray()), return_exceptions=True)

    await Call(runner, declared(function), {}).end()
    assert isinstance(await Call(runner, tasks["loop.end"], {"return": 1}).end(), Succeeded)


async def test_what_an_async_function_leaves_running_is_cancelled_at_the_end() -> None:
    cancelled = threading.Event()
    kept: list[asyncio.Task[None]] = []

    async def left_behind() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.set()

    async def function(_ctx: TaskContext, _data: dict[str, Any]) -> None:
        kept.append(asyncio.create_task(left_behind()))

    async with running() as runner:
        assert await Call(runner, declared(function), {}).end() == Succeeded(result_json=b"null")
        assert not cancelled.is_set()
    assert cancelled.is_set()


PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "write-a-task.md"


def snippets() -> Iterator[str]:
    inside: list[str] | None = None
    for line in PAGE.read_text().splitlines():
        if line == "```python":
            inside = []
        elif line == "```" and inside is not None:
            yield "\n".join(inside)
            inside = None
        elif inside is not None:
            inside.append(line)


PAGE_CALLS: dict[str, tuple[dict[str, Any], Outcome]] = {
    "invoice.total": (
        {"number": "R-1", "items": [{"name": "Pen", "cents": 120, "quantity": 3}]},
        Succeeded(result_json=b'{"number":"R-1","cents":360}'),
    ),
    "amount.convert": (
        {"cents": 100, "currency": "XXX"},
        Failed(code="unknown_currency", message="There is no currency XXX."),
    ),
    "invoice.remind": ({}, Succeeded(result_json=b'{"sent":false,"after":2}')),
    "pages.check": ({"urls": ["a", "b"]}, Succeeded(result_json=b'{"checked":2}')),
    "numbers.sum": ({"numbers": [1, 2, 3]}, Succeeded(result_json=b'{"sum":6}')),
    "words.count": ({"text": "one two"}, Succeeded(result_json=b'{"words":2}')),
}


async def test_the_page_on_writing_tasks_works_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page's snippets, one after the other, are an operator's module and its tests."""
    (tmp_path / "billing.py").write_text("\n\n".join(snippets()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    page = load_task_sets("billing:tasks")
    assert {definition.type for definition in page} == set(PAGE_CALLS)
    runner = Runner(slots=4, task_spec="billing:tasks")
    for type_name, (raw_input, expected) in PAGE_CALLS.items():
        assert await Call(runner, page[type_name], raw_input).end() == expected
    later = await Call(runner, page["amount.convert"], {"cents": 1, "currency": "GBP"}).end()
    assert later == RetryLater(after_seconds=60, code="retry", message="The rate is not known yet.")
    await runner.stop(0)
    own_tests = [value for key, value in vars(sys.modules["billing"]).items() if key.startswith("test_")]
    assert len(own_tests) == 2
    for own_test in own_tests:
        own_test()
