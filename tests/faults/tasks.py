"""Task types that do harm, and types whose every step a test decides."""

import ctypes
import functools
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from webhookd import File, TaskContext, TaskSet

tasks = TaskSet()

_harmful = functools.partial(tasks.task, max_attempts=2, retry_base_seconds=0.1)


@tasks.task("fault.hold", max_attempts=2)
def hold(ctx: TaskContext, data: dict[str, Any]) -> dict[str, int]:
    """Wait until the file `until` is there; tell which process this was. Notes each start in `started`."""
    with Path(data["started"]).open("a") as started:
        started.write(f"{os.getpid()}\n")
    while not Path(data["until"]).exists():
        time.sleep(0.02)
    return {"pid": os.getpid()}


@tasks.task("fault.attach", max_attempts=100, retry_base_seconds=1, retry_factor=1)
def attach(ctx: TaskContext, data: dict[str, Any]) -> None:
    """Attach a file, as often as it takes."""
    ctx.attach("a.txt", b"attached", content_type="text/plain")


class Taken(BaseModel):
    """One file."""

    file: File


@tasks.task("fault.copy", timeout=600)
def copy(ctx: TaskContext, data: Taken) -> None:
    """Attach the file that was given."""
    ctx.attach(data.file.name, data.file.path(), content_type=data.file.content_type)


@_harmful("poison.segfault")
def segfault(ctx: TaskContext, data: dict[str, Any]) -> None:
    """Read from where nothing is, as broken native code does."""
    ctypes.string_at(0)


@_harmful("poison.exit")
def leave(ctx: TaskContext, data: dict[str, Any]) -> None:
    """End the process without a word."""
    os._exit(3)


@_harmful("poison.memory")
def eat(ctx: TaskContext, data: dict[str, Any]) -> None:
    """Take memory until the kernel's killer comes; it is played here, so that the machine stays well."""
    eaten = bytearray(64 * 2**20)
    eaten[::4096] = b"x" * len(eaten[::4096])
    os.kill(os.getpid(), signal.SIGKILL)


@_harmful("poison.gil", timeout=1)
def hold_the_gil(ctx: TaskContext, data: dict[str, Any]) -> None:
    """Stop every thread of the process for hours, the event loop's too."""
    re.match(r"(a+)+$", "a" * 40 + "b")


@_harmful("fault.fork")
def fork(ctx: TaskContext, data: dict[str, Any]) -> None:
    """Fork children while others write: some live on, some end by a signal, some come back from here."""
    for number in range(9):
        ctx.progress(number)
        pid = os.fork()
        if pid == 0:
            time.sleep((0, 5, 60)[number % 3])
            return
        if number % 3 == 2:
            os.kill(pid, signal.SIGTERM)


@_harmful("fenced.memory", isolation="process", memory_mb=512)
def eat_fenced(ctx: TaskContext, data: dict[str, Any]) -> int:
    """Ask for 2 GiB where 512 MiB are allowed."""
    return len(bytearray(2 * 2**30))


@_harmful("fenced.segfault", isolation="process")
def segfault_fenced(ctx: TaskContext, data: dict[str, Any]) -> None:
    """As `poison.segfault`, in a process of its own."""
    ctypes.string_at(0)
