"""Task functions that fork, hold the GIL or never return: what operators' code does by accident."""

import asyncio
import os
import re
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from webhookd import TaskContext, TaskSet

tasks = TaskSet()


@tasks.task("unruly.terminate")
def terminate(_ctx: TaskContext, _data: dict[str, Any]) -> dict[str, Any]:
    """Fork a child and terminate it; `exit_code` is negative for a signal."""
    child = get_context("fork").Process(target=time.sleep, args=(60,))
    child.start()
    time.sleep(0.1)
    child.terminate()
    child.join(20)
    return {"exit_code": child.exitcode, "worker": os.getpid()}


@tasks.task("unruly.pool")
def pool(_ctx: TaskContext, _data: dict[str, Any]) -> dict[str, Any]:
    """Use a pool of two forked children and end it."""
    with get_context("fork").Pool(2) as workers:
        return {"sum": sum(workers.map(abs, range(-10, 10))), "worker": os.getpid()}


@tasks.task("unruly.children")
def children(ctx: TaskContext, data: dict[str, Any]) -> dict[str, Any]:
    """Fork many children while progress is written; they live on for a while."""
    pids = []
    for number in range(60):
        ctx.progress(number)
        if (pid := os.fork()) == 0:
            time.sleep(data["seconds"])
            os._exit(0)
        pids.append(pid)
        time.sleep(0.01)
    return {"pids": pids}


@tasks.task("unruly.comes_back")
def comes_back(_ctx: TaskContext, _data: dict[str, Any]) -> dict[str, Any]:
    """Fork a child that returns from here as well."""
    return {"pid": os.fork()}


@tasks.task("unruly.comes_back_async")
async def comes_back_async(_ctx: TaskContext, _data: dict[str, Any]) -> dict[str, Any]:
    """The same on the loop of the async functions."""
    return {"pid": os.fork()}


@tasks.task("unruly.comes_back_process", isolation="process")
def comes_back_process(_ctx: TaskContext, _data: dict[str, Any]) -> dict[str, Any]:
    """The same in a child process."""
    return {"pid": os.fork()}


@tasks.task("unruly.hold", timeout=2, max_attempts=2, retry_base_seconds=0.1)
def hold(_ctx: TaskContext, data: dict[str, Any]) -> dict[str, Any]:
    """Hold the interpreter's lock far longer than allowed."""
    Path(data["started"]).touch()
    re.match(r"(a+)+$", "a" * 36 + "b")
    return {}


@tasks.task("unruly.block", timeout=0.5, max_attempts=1)
def block(_ctx: TaskContext, _data: dict[str, Any]) -> dict[str, Any]:
    """Wait in one call without end."""
    time.sleep(1_000_000)
    return {}


@tasks.task("unruly.block_async", timeout=0.5, max_attempts=1)
async def block_async(_ctx: TaskContext, _data: dict[str, Any]) -> dict[str, Any]:
    """Block the loop of the async functions without end."""
    time.sleep(1_000_000)  # noqa: ASYNC251 - that is what it is for
    return {}


@tasks.task("unruly.swallow", timeout=0.5, max_attempts=1)
async def swallow(_ctx: TaskContext, _data: dict[str, Any]) -> dict[str, Any]:
    """Take no cancellation."""
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue


@tasks.task("unruly.rest", timeout=60)
def rest(ctx: TaskContext, data: dict[str, Any]) -> dict[str, Any]:
    """Be well-behaved for a while."""
    Path(data["started"]).touch()
    ends = time.monotonic() + data["seconds"]
    while time.monotonic() < ends and not ctx.cancelled:
        time.sleep(0.02)
    return {"worker": os.getpid()}


@tasks.task("unruly.leak")
def leak(_ctx: TaskContext, data: dict[str, Any]) -> dict[str, Any]:
    """Leave a child behind that the interpreter waits for at its end, and that no SIGTERM ends."""
    import signal

    child = get_context("fork").Process(target=_deaf, args=(signal.SIGTERM, data["seconds"]))
    child.start()
    return {"pid": child.pid}


def _deaf(number: int, seconds: float) -> None:
    import signal

    signal.signal(number, signal.SIG_IGN)
    time.sleep(seconds)
