"""The functions that `test_runner` has run: children import them from here, where no pytest is."""

import asyncio
import contextlib
import ctypes
import faulthandler
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from webhookd import Fail, Retry, TaskContext, TaskSet

TASK_SPEC = "tests.adapters.runner.runner_tasks:tasks"

tasks = TaskSet()


class Person(BaseModel):
    name: str


class Reply(BaseModel):
    greeting: str
    score: float = 1.5


def greet(ctx: TaskContext, person: Person) -> Reply:
    return Reply(greeting=f"{person.name}, attempt {ctx.attempt} of {ctx.task_id} in {ctx.trace_id}")


async def greet_async(ctx: TaskContext, person: Person) -> Reply:
    await asyncio.sleep(0)
    return greet(ctx, person)


def end_as_told(ctx: TaskContext, told: dict[str, Any]) -> Any:
    """End in the way `told` names; the one place where all ways are."""
    print("printing disturbs nobody")
    match told:
        case {"return": value}:
            return value
        case {"fail": [code, message]}:
            raise Fail(code, message)
        case {"retry": after}:
            raise Retry(after=after, message="not yet")
        case {"raise": text}:
            raise ValueError(text)
        case {"exit": code}:
            raise SystemExit(code)
        case {"die": number}:
            faulthandler.disable()
            os.kill(os.getpid(), number)
        case {"quit": code}:
            os._exit(code)
        case {"allocate_mb": size}:
            return len(bytearray(size * 2**20))
    return None


async def end_as_told_async(ctx: TaskContext, told: dict[str, Any]) -> Any:
    await asyncio.sleep(0)
    return end_as_told(ctx, told)


def poll_until_cancelled(ctx: TaskContext, _data: dict[str, Any]) -> None:
    ctx.progress(1, "polling")
    while True:
        ctx.raise_if_cancelled()
        time.sleep(0.01)


async def sleep_until_cancelled(ctx: TaskContext, _data: dict[str, Any]) -> None:
    ctx.progress(1, "sleeping")
    await asyncio.sleep(3600)


def ignore_cancellation(ctx: TaskContext, _data: dict[str, Any]) -> str:
    ctx.progress(1, "ignoring")
    while not ctx.cancelled:
        time.sleep(0.01)
    return "my real outcome"


async def ignore_cancellation_async(ctx: TaskContext, _data: dict[str, Any]) -> str:
    ctx.progress(1, "ignoring")
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        return "my real outcome"
    return "never cancelled"


def have_grandchild_and_hang(_ctx: TaskContext, data: dict[str, Any]) -> None:
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    Path(data["pids"]).write_text(f"{os.getpid()} {grandchild.pid}.")
    # PyDLL keeps the GIL: no other thread of the child runs any more, as in a bad C extension.
    c_library = ctypes.PyDLL(None) if data["holds_gil"] else ctypes.CDLL(None)
    c_library.sleep(3600)


def report_a_lot(ctx: TaskContext, data: dict[str, int]) -> None:
    for number in range(data["times"]):
        ctx.progress(100 * number / data["times"], f"step {number}")
    ctx.progress(100, "all")


def tick(ctx: TaskContext, _data: dict[str, Any]) -> None:
    for number in range(100_000):
        if ctx.cancelled:
            return
        ctx.progress(number / 1000)
        time.sleep(0.005)


async def tick_async(ctx: TaskContext, _data: dict[str, Any]) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        for number in range(100_000):
            ctx.progress(number / 1000)
            await asyncio.sleep(0.005)


def attach_as_told(ctx: TaskContext, data: dict[str, int]) -> None:
    for number in range(data["files"]):
        ctx.attach(f"{number}.txt", b"some bytes")


async def attach_as_told_async(ctx: TaskContext, data: dict[str, int]) -> None:
    attach_as_told(ctx, data)


async def report_a_lot_async(ctx: TaskContext, data: dict[str, int]) -> None:
    report_a_lot(ctx, data)


FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "greet": (greet, greet_async),
    "end": (end_as_told, end_as_told_async),
    "stop": (poll_until_cancelled, sleep_until_cancelled),
    "ignore": (ignore_cancellation, ignore_cancellation_async),
    "hang": (have_grandchild_and_hang, sleep_until_cancelled),
    "report": (report_a_lot, report_a_lot_async),
    "tick": (tick, tick_async),
    "attach": (attach_as_told, attach_as_told_async),
}
for name, (sync_function, async_function) in FUNCTIONS.items():
    tasks.task(f"thread.{name}")(sync_function)
    tasks.task(f"loop.{name}")(async_function)
    tasks.task(f"process.{name}", isolation="process")(sync_function)
    tasks.task(f"process_loop.{name}", isolation="process")(async_function)
tasks.task("process.limited", isolation="process", memory_mb=1024)(end_as_told)
