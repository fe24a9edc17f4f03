"""`demo.echo`, `demo.sleep`, `demo.fail`: to see the service itself at work."""

import asyncio
import time
from typing import Any

from pydantic import BaseModel, Field

from webhookd.taskset import TaskContext, TaskSet

tasks = TaskSet()

MAX_SLEEP_SECONDS = 3600.0


class SleepInput(BaseModel):
    """`seconds` may be a fraction."""

    seconds: float = Field(ge=0, le=MAX_SLEEP_SECONDS)


class FailInput(BaseModel):
    """`times` attempts fail before one succeeds."""

    times: int = Field(default=1, ge=0, le=1_000_000)


@tasks.task("demo.echo")
def echo(ctx: TaskContext, data: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001 -- every task has a context
    """Return the input as it is."""
    return data


@tasks.task("demo.sleep", timeout=MAX_SLEEP_SECONDS + 60)
async def sleep(ctx: TaskContext, data: SleepInput) -> dict[str, float]:
    """Sleep for a while, reporting progress. Ends at once when it is cancelled."""
    started = time.monotonic()
    step_seconds = min(1.0, max(0.05, data.seconds / 100))
    while (slept := time.monotonic() - started) < data.seconds:
        ctx.progress(100 * slept / data.seconds, f"{slept:.1f} of {data.seconds:g} s")
        await asyncio.sleep(min(step_seconds, data.seconds - slept))
    ctx.progress(100, f"{data.seconds:g} of {data.seconds:g} s")
    return {"slept_seconds": data.seconds}


@tasks.task("demo.fail")
def fail(ctx: TaskContext, data: FailInput) -> dict[str, int]:
    """Fail as often as asked, then succeed."""
    if ctx.attempt <= data.times:
        raise RuntimeError(f"attempt {ctx.attempt} fails, as {data.times} are asked to")
    return {"attempt": ctx.attempt}
