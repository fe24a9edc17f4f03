"""Task types that take files and attach some."""

import asyncio
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from webhookd import Fail, File, Retry, TaskContext, TaskSet

tasks = TaskSet()


class Given(BaseModel):
    """Files in every place a model may have them."""

    one: File
    maybe: File | None = None
    many: list[File] = []


def _looked_at(file: File) -> dict[str, Any]:
    with file.open() as opened:
        content = opened.read()
    assert content == file.read() == file.path().read_bytes()
    assert hashlib.sha256(content).hexdigest() == file.sha256
    assert len(content) == file.size
    return {"name": file.name, "type": file.content_type, "text": content.decode()}


@tasks.task("files.look", max_attempts=1)
def look(ctx: TaskContext, given: Given) -> list[dict[str, Any]]:
    """Tell what is in each file."""
    maybe = [] if given.maybe is None else [given.maybe]
    return [_looked_at(file) for file in (given.one, *maybe, *given.many)]


@tasks.task("files.look.again", max_attempts=2, retry_base_seconds=0.001)
def look_again(ctx: TaskContext, given: Given) -> dict[str, Any]:
    """Tell what is in the one, if need be at the second try."""
    return _looked_at(given.one)


@tasks.task("files.look.async", max_attempts=1)
async def look_async(ctx: TaskContext, given: Given) -> dict[str, Any]:
    """The same, on the loop."""
    return await asyncio.to_thread(_looked_at, given.one)


@tasks.task("files.look.child", isolation="process", max_attempts=1)
def look_in_a_child(ctx: TaskContext, given: Given) -> dict[str, Any]:
    """The same, in a process; gives back a copy."""
    ctx.attach("copy.txt", given.one.path())
    return _looked_at(given.one)


def _parts() -> Iterator[bytes]:
    yield b"part 1, "
    yield b"part 2"


@tasks.task("files.attach", max_attempts=2, retry_base_seconds=0.001)
def attach(ctx: TaskContext, data: dict[str, Any]) -> str:
    """Attach in every way there is, then do what `then` says."""
    ctx.attach("bytes.bin", b"123", content_type="image/png")
    ctx.attach("parts.txt", _parts())
    path = Path(data["folder"]) / "of mine.json"
    path.write_text("{}")
    ctx.attach("path.json", path)
    with path.open("rb") as opened:
        ctx.attach("open.json", opened)
    ctx.attach("bytes.bin", b"the second of this name")
    match data.get("then"):
        case "fail":
            raise Fail("no_luck", "It did not work.")
        case "retry" if ctx.attempt == 1:
            raise Retry(after=0)
        case "too large":
            ctx.attach("large", (b"x" * 1_000_000 for _ in range(10)))
        case "too many":
            for number in range(200):
                ctx.attach(f"{number}", b"")
        case "path":
            ctx.attach("../../etc/passwd", b"")
        case "wait":
            while not ctx.cancelled:
                time.sleep(0.01)
            ctx.raise_if_cancelled()
    return "done"
