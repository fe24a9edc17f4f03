"""The functions that `test_warm_children` has run: children import them from here, where no pytest is."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from webhookd import TaskContext, TaskSet

TASK_SPEC: Final = "tests.adapters.runner.warm_tasks:tasks"


@asynccontextmanager
async def lifespan(of: TaskSet) -> AsyncIterator[dict[str, Any]]:
    state: dict[str, Any] = {"types": len(of), "entered": 1, "loop": asyncio.get_running_loop()}
    try:
        yield state
    finally:
        if (path := os.environ.get("TESTS_LEFT")) is not None:
            Path(path).write_text(f"{os.getpid()}")  # noqa: ASYNC240 - a few bytes


tasks = TaskSet(lifespan=lifespan)


def tell(ctx: TaskContext, data: dict[str, Any]) -> dict[str, Any]:
    """Tell which process this is, and what is in its state."""
    if data.get("start"):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    if data.get("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    ctx.state["entered"] += data.get("add", 0)
    return {
        "pid": os.getpid(),
        "types": ctx.state["types"],
        "entered": ctx.state["entered"],
        "main": threading.current_thread() is threading.main_thread(),
    }


async def tell_async(ctx: TaskContext, data: dict[str, Any]) -> dict[str, Any]:
    return {**tell(ctx, data), "same_loop": asyncio.get_running_loop() is ctx.state["loop"]}


def ignore(ctx: TaskContext, _data: dict[str, Any]) -> None:
    ctx.progress(1, f"{os.getpid()}")
    while True:
        time.sleep(1)


def linger(ctx: TaskContext, data: dict[str, Any]) -> str:
    """End by itself some time after it was told to stop."""
    ctx.progress(1, f"{os.getpid()}")
    while not ctx.cancelled:
        time.sleep(0.01)
    return str(data["says"])


def allocate(_ctx: TaskContext, data: dict[str, Any]) -> int:
    return len(bytearray(data["mb"] * 2**20))


tasks.task("here.tell")(tell)
tasks.task("here.tell_async")(tell_async)
tasks.task("child.tell", isolation="process")(tell)
tasks.task("child.tell_async", isolation="process")(tell_async)
tasks.task("child.twice", isolation="process", max_runs=2)(tell)
tasks.task("child.ignore", isolation="process")(ignore)
tasks.task("child.short", isolation="process", timeout=0.3)(ignore)
tasks.task("child.linger", isolation="process")(linger)
tasks.task("child.small", isolation="process", memory_mb=1024)(allocate)
tasks.task("child.large", isolation="process")(allocate)
