"""Faults that only strike from within: installed in the processes under test, which know nothing of them.

A test puts `sitecustomize` (in `injected`) on the PYTHONPATH of a real process. `install` then patches the
program before it starts. What strikes, and when, the test says by files in the folder `FAULT_DIR`, so that a
process that runs already can be struck:

| file | strikes |
|---|---|
| `kill-after-submit` | the API dies after a submission's commit, before the ring and the answer |
| `kill-before-record` | a deliver worker dies after an answer came, before it is written |
| `kill-in-upload` | who stores a file dies when it has taken as many bytes as the number in it |
| `kill-before-row` | who stores a file dies when its bytes are there, before the row that names them |
| `kill-after-row` | the API dies after the commit of a request with one effect, before the answer |
| `no-renewals-PID` | that process renews no lease any more, and does not learn that it lost it |
| `disk-free` | the number of bytes in it is what is free on the disk |
| `max-pages` | the number in it is how many pages the SQLite file may have |

Those that kill strike once: who takes the file away dies. Variables change a process from its start on:
`FAULT_CLOCK_SECONDS` puts its wall clock ahead, `FAULT_CONSTANTS` (JSON) changes constants of modules by
their full names, `FAULT_MIGRATIONS` is another folder of migrations.
"""

import functools
import importlib
import json
import os
import shutil
import signal
import sys
import time
from collections import namedtuple
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

_PROGRAMS = {"webhookd.asgi", "webhookd.worker", "webhookd.cli"}
_NO_LIMIT = 4_294_967_294


def install() -> None:
    """Patch this process, if it is one of the program's."""
    if _PROGRAMS.isdisjoint(sys.orig_argv):
        return
    folder = Path(os.environ["FAULT_DIR"])
    _move_clock()
    _change_constants()
    if other := os.environ.get("FAULT_MIGRATIONS"):
        from webhookd.adapters.store import migrate

        migrate.migrations_folder = lambda: Path(other)
    _hurt_store(folder)
    _hurt_files(folder)
    _fill_disk(folder)


def _struck(file: Path) -> bool:
    """Whether this process is the one that is struck."""
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    return True


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _move_clock() -> None:
    ahead = float(os.environ.get("FAULT_CLOCK_SECONDS", "0"))
    if ahead:
        real = time.time
        time.time = lambda: real() + ahead


def _change_constants() -> None:
    for name, value in json.loads(os.environ.get("FAULT_CONSTANTS", "{}")).items():
        module, _, constant = name.rpartition(".")
        if not hasattr(importlib.import_module(module), constant):
            raise AttributeError(f"FAULT_CONSTANTS: there is no {name}")
        setattr(sys.modules[module], constant, value)


def _hurt_store(folder: Path) -> None:
    from webhookd.adapters.broker.ringer import Ringer
    from webhookd.adapters.store.store import LaneStore, SessionStore, TaskStore
    from webhookd.core.errors import Unavailable

    submit, record, renew = TaskStore.submit, LaneStore.record, SessionStore.renew
    ring, submitting = Ringer.ring, 0

    @functools.wraps(submit)
    async def note_and_submit(self: Any, submission: Any) -> Any:
        nonlocal submitting
        submitting += 1
        try:
            return await submit(self, submission)
        finally:
            submitting -= 1

    @functools.wraps(ring)
    def ring_or_die(self: Any, queue: str) -> None:
        """The store rings for a submission as soon as it is committed."""
        if submitting and _struck(folder / "kill-after-submit"):
            _die()
        ring(self, queue)

    @functools.wraps(record)
    async def die_unrecorded(self: Any, done: Any) -> Any:
        if _struck(folder / "kill-before-record"):
            _die()
        return await record(self, done)

    @functools.wraps(renew)
    async def renew_unless_cut_off(self: Any, session_id: str, lease_until_ms: int) -> bool:
        if (folder / f"no-renewals-{os.getpid()}").exists():
            raise Unavailable("The test lets no renewal through.")
        return await renew(self, session_id, lease_until_ms)

    _patch(TaskStore, "submit", note_and_submit)
    _patch(Ringer, "ring", ring_or_die)
    _patch(LaneStore, "record", die_unrecorded)
    _patch(SessionStore, "renew", renew_unless_cut_off)


def _hurt_files(folder: Path) -> None:
    from webhookd.adapters.files.bucket import Bucket
    from webhookd.adapters.store.access.idempotency import Idempotency

    put, once = Bucket.put, Idempotency.once

    async def counted(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        taken = 0
        async for chunk in chunks:
            limit = _number(folder / "kill-in-upload")
            if limit is not None and taken > limit and _struck(folder / "kill-in-upload"):
                _die()
            taken += len(chunk)
            yield chunk

    @functools.wraps(put)
    async def put_or_die(self: Any, key: str, chunks: AsyncIterator[bytes], **told: Any) -> Any:
        stored = await put(self, key, counted(chunks), **told)
        if _struck(folder / "kill-before-row"):
            _die()
        return stored

    @functools.wraps(once)
    async def die_unanswered(self: Any, request: Any, effect: Any) -> Any:
        kept = await once(self, request, effect)
        if _struck(folder / "kill-after-row"):
            _die()
        return kept

    _patch(Bucket, "put", put_or_die)
    _patch(Idempotency, "once", die_unanswered)


def _fill_disk(folder: Path) -> None:
    from sqlalchemy import Connection, Engine, event

    usage = shutil.disk_usage
    told = namedtuple("told", "total used free")  # noqa: PYI024 - as shutil's own

    def disk_usage(path: Any) -> Any:
        real = usage(path)
        free = _number(folder / "disk-free")
        return real if free is None else told(real.total, real.total - free, free)

    _patch(shutil, "disk_usage", disk_usage)

    @event.listens_for(Engine, "before_cursor_execute")
    def limit_pages(conn: Connection, *_statement: Any) -> None:
        pages = _number(folder / "max-pages")
        if conn.dialect.name == "sqlite" and pages != conn.info.get("max-pages"):
            conn.info["max-pages"] = pages
            conn.exec_driver_sql(f"PRAGMA max_page_count={pages or _NO_LIMIT}")


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except FileNotFoundError:
        return None


def _patch(owner: Any, name: str, replacement: Callable[..., Any]) -> None:
    setattr(owner, name, replacement)
