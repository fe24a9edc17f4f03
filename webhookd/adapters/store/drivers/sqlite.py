"""SQLite: one writer thread and a few readers on one WAL file."""

import asyncio
import contextlib
import fcntl
import os
import sqlite3
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool, QueuePool

from webhookd.adapters.store.drivers.reading import note
from webhookd.adapters.store.drivers.wal import LOG_BYTES, LogBound
from webhookd.adapters.store.drivers.wal_sync import LogSync, sync_log
from webhookd.core.errors import SettingsError
from webhookd.runtime.own_thread import OwnThread

R = TypeVar("R")

READERS = 5
_MINIMUM_SQLITE = (3, 35, 0)
_BUSY_SECONDS = 10


class SqliteDriver:
    """One writer thread and a few readers on one WAL file.

    Writers of all processes queue on an `flock` beside the file, because SQLite's own busy handler
    polls and starves. A commit is followed by an fsync of the log, which others do not wait for (`wal_sync`);
    those that need not last (`write`) have none. A process that an operator's function forks shares the
    lock's file, so the lock is given up by name, and the child closes the file.

    For SQLAlchemy the writer's connection is in one transaction as long as it lives: the real ones are begun
    and committed on the driver. What SQLAlchemy does for each took a tenth of a small one.
    """

    dialect = "sqlite"
    pooled = False

    def __init__(self, url: URL) -> None:
        if sqlite3.sqlite_version_info < _MINIMUM_SQLITE:
            raise SettingsError(
                f"This Python carries SQLite {sqlite3.sqlite_version}; webhookd needs 3.35 or newer. "
                "Use a newer Python build, or PostgreSQL through WEBHOOKD_DATABASE_URL."
            )
        path = Path(cast("str", url.database))
        if not path.parent.is_dir():
            raise SettingsError(
                f"WEBHOOKD_DATABASE_URL: the folder {path.parent} does not exist; make it, or choose another."
            )
        self._path = path
        self._lock_path = path.with_name(path.name + ".lock")
        self._writer = _sqlite_engine(url, NullPool, read_only=False)
        self._readers = _sqlite_engine(url, QueuePool, read_only=True)
        self._write_thread = OwnThread("sqlite-writer")
        self._read_threads = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-reader")
        self._connection: Connection | None = None
        self._lock: int | None = None
        ours = weakref.WeakMethod(self._close_lock)
        os.register_at_fork(after_in_child=lambda: (close := ours()) and close())
        self._log = LogBound(path, most_bytes=LOG_BYTES)
        self._log_sync = LogSync(path)

    async def read(self, work: Callable[[Connection], R]) -> R:
        reading = self._read_threads.submit(self._read, work)
        note(reading)
        return await asyncio.wrap_future(reading)

    async def write(
        self,
        work: Callable[[Connection], R],
        *,
        lasting: bool = True,
        seen: Callable[[R], None] | None = None,
    ) -> R:
        return await self._write_thread.run(self._write, work, lasting, seen)

    async def make_last(self) -> None:
        # Not in the writer's thread, which may wait for its turn.
        await asyncio.get_running_loop().run_in_executor(self._read_threads, sync_log, self._path)

    async def close(self) -> None:
        await self._write_thread.run(self._close_writer)
        self._write_thread.close()
        self._close_lock()
        await asyncio.get_running_loop().run_in_executor(None, self._read_threads.shutdown)
        self._readers.dispose()
        self._writer.dispose()

    def _read(self, work: Callable[[Connection], R]) -> R:
        with self._readers.connect() as conn:
            conn.begin()
            return work(conn)

    def _write(self, work: Callable[[Connection], R], lasting: bool, seen: Callable[[R], None] | None) -> R:
        if self._connection is None:
            self._connection = self._writer.connect()
            self._connection.begin()
        connection = self._connection
        driver: Any = connection.connection.driver_connection
        with self._locked():
            try:
                self._log_sync.begin(driver)
                # A deferred BEGIN that upgrades to a write fails at once whatever the time-out.
                driver.execute("BEGIN IMMEDIATE")
                result = work(connection)
                driver.execute("COMMIT")
                self._log.committed(driver)
            except BaseException:
                # A connection in doubt is not worth keeping; opening one costs a millisecond.
                self._close_writer()
                raise
        if lasting:
            if seen is not None:
                seen(result)
            self._log_sync.sync()
        return result

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        if self._lock is None:
            self._lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _close_lock(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def _close_writer(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(SQLAlchemyError):
                self._connection.close()
            self._connection = None
        self._log_sync.close()


def _sqlite_engine(url: URL, pool: type[NullPool] | type[QueuePool], *, read_only: bool) -> Engine:
    options: dict[str, Any] = {"connect_args": {"timeout": _BUSY_SECONDS, "check_same_thread": False}}
    if pool is QueuePool:
        options["pool_size"] = READERS
    engine = create_engine(url, poolclass=pool, hide_parameters=True, **options)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",  # and what is to last is synced after the commit
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "cache_size=-16384",
            f"journal_size_limit={LOG_BYTES}",
            "mmap_size=268435456",
            f"query_only={'ON' if read_only else 'OFF'}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    if read_only:

        @event.listens_for(engine, "begin")
        def begin(conn: Connection) -> None:
            driver: Any = conn.connection.dbapi_connection
            driver.execute("BEGIN")

    return engine
