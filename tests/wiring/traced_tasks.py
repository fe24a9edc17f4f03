"""Task functions of an operator who makes spans too; for `test_tracing`."""

import os
from pathlib import Path
from typing import Any

from opentelemetry import trace

from webhookd import Retry, TaskContext, TaskSet

tasks = TaskSet()
tracer = trace.get_tracer("operators.own")

PLANTED = "planted-secret-of-an-exception"


def _work(ctx: TaskContext) -> dict[str, Any]:
    with tracer.start_as_current_span("own"):
        pass
    trace.get_current_span().set_attribute("operators.attempt", ctx.attempt)
    return {"trace_id": ctx.trace_id, "attempt": ctx.attempt}


@tasks.task("traced.sync")
def sync(ctx: TaskContext, input: dict[str, Any]) -> dict[str, Any]:  # noqa: A002 - the contract's word
    return _work(ctx)


@tasks.task("traced.async")
async def not_sync(ctx: TaskContext, input: dict[str, Any]) -> dict[str, Any]:  # noqa: A002
    return _work(ctx)


@tasks.task("traced.process", isolation="process")
def process(ctx: TaskContext, input: dict[str, Any]) -> dict[str, Any]:  # noqa: A002
    return _work(ctx)


@tasks.task("traced.retry")
def retry(ctx: TaskContext, input: dict[str, Any]) -> dict[str, Any]:  # noqa: A002
    if ctx.attempt == 1:
        raise Retry(after=0)
    if ctx.attempt == 2:
        raise ValueError(PLANTED)
    return _work(ctx)


@tasks.task("traced.crash")
def crash(ctx: TaskContext, input: dict[str, Any]) -> dict[str, Any]:  # noqa: A002 - the contract's word
    """Take the whole worker along, once."""
    if not Path(input["marker"]).exists():
        Path(input["marker"]).touch()
        os._exit(3)
    return _work(ctx)


@tasks.task("traced.child_crash", isolation="process", retry_base_seconds=0.1)
def child_crash(ctx: TaskContext, input: dict[str, Any]) -> dict[str, Any]:  # noqa: A002
    if ctx.attempt == 1:
        with tracer.start_as_current_span("before the crash"):
            pass
        os._exit(3)
    return _work(ctx)
