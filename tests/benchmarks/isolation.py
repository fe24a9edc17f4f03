"""What a child process costs a run over a thread, and how work scales with the children that share it.

The runner alone, in this process: no store and no broker.
"""

import asyncio
import os
import time
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from webhookd.adapters.runner import Runner
from webhookd.core.execution import RunFacts
from webhookd.core.outcome import Succeeded
from webhookd.core.run_log import RunLog
from webhookd.runtime.cancel_request import CancelRequest
from webhookd.runtime.loop_policy import loop_factory
from webhookd.samples.thumbnail import thumbnail
from webhookd.taskset import TaskContext, TaskDefinition, TaskSet

TASK_SPEC: Final = "tests.benchmarks.isolation:tasks"
PICTURE: Final = {"width": 1_000, "height": 1_000}
FACTS: Final = RunFacts(
    task_id="task_bench",
    attempt=1,
    trace_id="0" * 31 + "1",
    partner_id="prt_bench",
    partner_name="bench",
    metadata_json="{}",
    priority="normal",
    max_attempts=1,
    last_attempt=True,
)

tasks = TaskSet()


def echo(_ctx: TaskContext, data: dict[str, Any]) -> dict[str, Any]:
    """Return the input."""
    return data


tasks.task("thread.echo")(echo)
tasks.task("child.echo", isolation="process")(echo)
tasks.task("child.thumbnail", isolation="process")(thumbnail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Milliseconds of one run: in a thread, in a warm child, and the first of all, which starts a child.

    `thumbnails` a second, by how many children make them at a time.
    """

    thread_ms: float
    child_ms: float
    cold_ms: float
    thumbnails: dict[int, float]


def measure(*, runs: int, pictures: int) -> Seen:
    """Measure on this machine, with as many children as it has cores."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_measure(runs, pictures))


async def _measure(runs: int, pictures: int) -> Seen:
    cores = os.cpu_count() or 1
    runner = Runner(slots=cores, task_spec=TASK_SPEC)
    try:
        cold_ms = await _run_ms(runner, tasks["child.echo"], {})
        thread_ms = median([await _run_ms(runner, tasks["thread.echo"], {"n": n}) for n in range(runs)])
        child_ms = median([await _run_ms(runner, tasks["child.echo"], {"n": n}) for n in range(runs)])
        thumbnails = {}
        for children in sorted({1, 2, cores} & set(range(1, cores + 1))):
            await _thumbnails(runner, children, children)  # as many children as will be used are warm
            thumbnails[children] = await _thumbnails(runner, children, pictures)
    finally:
        await runner.stop(0)
    return Seen(thread_ms=thread_ms, child_ms=child_ms, cold_ms=cold_ms, thumbnails=thumbnails)


async def _thumbnails(runner: Runner, at_once: int, count: int) -> float:
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            await _run_ms(runner, tasks["child.thumbnail"], PICTURE)

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(at_once)))
    return count / (time.perf_counter() - began)


async def _run_ms(runner: Runner, definition: TaskDefinition, given: dict[str, Any]) -> float:
    began = time.perf_counter()
    outcome = await runner.run(
        definition,
        given,
        facts=FACTS,
        log=RunLog(),
        cancel=CancelRequest(),
        on_progress=lambda _percent, _message: None,
        on_attach=lambda: None,
    )
    assert isinstance(outcome, Succeeded), outcome
    return (time.perf_counter() - began) * 1_000
