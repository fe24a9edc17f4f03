"""The functions that `test_runner_tells` has run: children import them from here, where no pytest is."""

import logging
from typing import Any, Final

import httpx

from webhookd import Fail, TaskContext, TaskSet

TASK_SPEC: Final = "tests.adapters.runner.telling_tasks:tasks"

tasks = TaskSet()
NOTHING: Final[dict[str, str]] = {}
log = logging.getLogger("billing")


def leak(_ctx: TaskContext, data: dict[str, Any]) -> None:
    try:
        NOTHING["values ('Bob', 90000)"]
    except KeyError as error:
        if data.get("says"):
            raise Fail("no_salary", "There is none.") from error
        raise


def say(ctx: TaskContext, data: dict[str, Any]) -> dict[str, Any]:
    ctx.log.info("asked", lines=data["lines"])
    for number in range(data["lines"]):
        log.info("line %d", number)
    try:
        NOTHING["kept quiet"]
    except KeyError:
        log.exception("it went wrong")
    return {}


def tell_context(ctx: TaskContext, _data: dict[str, Any]) -> dict[str, Any]:
    return {
        "partner": [ctx.partner.id, ctx.partner.name],
        "type": ctx.type,
        "metadata": ctx.metadata,
        "priority": ctx.priority,
        "attempts": [ctx.attempt, ctx.max_attempts, ctx.last_attempt],
        "state": ctx.state,
    }


async def leak_async(ctx: TaskContext, data: dict[str, Any]) -> None:
    leak(ctx, data)


def ask(_ctx: TaskContext, _data: dict[str, Any]) -> None:
    transport = httpx.MockTransport(lambda _request: httpx.Response(200))
    with httpx.Client(transport=transport) as client:
        client.get("https://partner.example/hooks?token=secret")


async def say_async(ctx: TaskContext, data: dict[str, Any]) -> dict[str, Any]:
    return say(ctx, data)


async def tell_context_async(ctx: TaskContext, data: dict[str, Any]) -> dict[str, Any]:
    return tell_context(ctx, data)


for name, function, twin in (
    ("leak", leak, leak_async),
    ("say", say, say_async),
    ("context", tell_context, tell_context_async),
):
    tasks.task(f"thread.{name}")(function)
    tasks.task(f"loop.{name}")(twin)
    tasks.task(f"process.{name}", isolation="process")(function)
    tasks.task(f"process_loop.{name}", isolation="process")(twin)
tasks.task("thread.ask")(ask)
tasks.task("open.leak", expose_errors=True)(leak)
