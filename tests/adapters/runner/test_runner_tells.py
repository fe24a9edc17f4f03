"""What a run tells beyond its result: to the partner, to admins, and in the log; the same in every place."""

import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from tests.adapters.runner.calls import FACTS, PLACES, PRIVATELY, Call, running
from tests.adapters.runner.telling_tasks import TASK_SPEC, log, tasks
from webhookd.adapters.runner import Runner
from webhookd.adapters.telemetry import configure_logging
from webhookd.core.outcome import ERROR, Failed, RetryLater, Succeeded

ROOT: Final = Path(__file__).parents[3]


@dataclass(frozen=True, kw_only=True)
class Logged:
    """What a process with our logging kept with each run, by place, and what it wrote."""

    kept: dict[str, list[str]]
    written: list[dict[str, Any]]


async def _say_everywhere() -> None:
    configure_logging(log_format="json", level="info", process="tasks")
    kept = {}
    async with running(task_spec=TASK_SPEC, log_format="json") as runner:
        for place in PLACES:
            facts = replace(FACTS, task_id=f"task_{place}")
            call = Call(runner, tasks[f"{place}.say"], {"lines": 2}, facts=facts)
            await call.end()
            kept[place] = call.log.lines
        await Call(runner, tasks["thread.ask"], {}).end()
    log.info("nobody's")
    print(orjson.dumps(kept).decode())


@pytest.fixture(scope="module")
def logged() -> Logged:
    script = f"import asyncio, {__name__} as here; asyncio.run(here._say_everywhere())"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True, timeout=120
    )
    written = [orjson.loads(line) for line in done.stderr.splitlines()]
    return Logged(kept=orjson.loads(done.stdout), written=written)


everywhere = pytest.mark.parametrize("place", PLACES)


@pytest.fixture
async def runner() -> AsyncIterator[Runner]:
    async with running(task_spec=TASK_SPEC) as one:
        yield one


@everywhere
async def test_what_an_exception_says_is_for_admins_alone(runner: Runner, place: str) -> None:
    outcome = await Call(runner, tasks[f"{place}.leak"], {}).end()
    assert outcome == PRIVATELY
    assert isinstance(outcome, RetryLater)
    assert outcome.raised is not None
    assert (outcome.raised.type, outcome.raised.message) == ("KeyError", "\"values ('Bob', 90000)\"")
    assert "in leak" in outcome.raised.traceback
    assert outcome.raised.traceback.startswith("Traceback (most recent call last):\n")


async def test_a_type_may_show_its_exceptions(runner: Runner) -> None:
    outcome = await Call(runner, tasks["open.leak"], {}).end()
    assert outcome == RetryLater(code=ERROR, message="KeyError: \"values ('Bob', 90000)\"")


@everywhere
async def test_fail_reaches_the_partner_and_its_reason_the_admin(runner: Runner, place: str) -> None:
    outcome = await Call(runner, tasks[f"{place}.leak"], {"says": True}).end()
    assert outcome == Failed(code="no_salary", message="There is none.")
    assert isinstance(outcome, Failed)
    assert outcome.raised is not None
    assert "Bob" in outcome.raised.traceback


@everywhere
def test_lines_of_any_logger_are_kept_with_the_run(logged: Logged, place: str) -> None:
    assert [line.split("\n")[0].partition(" ")[2] for line in logged.kept[place]] == [
        "[info] asked lines=2",
        "[info] line 0",
        "[info] line 1",
        "[error] it went wrong",
    ]
    assert "KeyError: 'kept quiet'" in logged.kept[place][-1]


@everywhere
def test_lines_of_any_logger_carry_task_and_trace(logged: Logged, place: str) -> None:
    said = [line for line in logged.written if line.get("task_id") == f"task_{place}"]
    assert [line["event"] for line in said] == ["asked", "line 0", "line 1", "it went wrong"]
    assert {(line["attempt"], line["trace_id"]) for line in said} == {(2, "abc")}


def test_a_line_outside_of_a_run_carries_none(logged: Logged) -> None:
    [line] = [line for line in logged.written if line["event"] == "nobody's"]
    assert not {"task_id", "attempt", "trace_id"} & set(line)


def test_httpx_writes_no_urls(logged: Logged) -> None:
    assert "secret" not in str(logged.written)


@everywhere
async def test_a_function_knows_for_whom_it_works(runner: Runner, place: str) -> None:
    outcome = await Call(runner, tasks[f"{place}.context"], {}).end()
    assert isinstance(outcome, Succeeded)
    assert orjson.loads(outcome.result_json) == {
        "partner": ["prt_1", "acme"],
        "type": f"{place}.context",
        "metadata": {"order": "42"},
        "priority": "high",
        "attempts": [2, 2, True],
        "state": None,
    }
