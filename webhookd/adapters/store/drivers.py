"""Where store operations run: SQLite in threads of our own, PostgreSQL on asyncpg.

Both take a function over a synchronous `Connection`; what else differs between the two databases
(opening, locking, what an error means) is here and nowhere else.
"""

import asyncio
import contextlib
import fcntl
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool, QueuePool

from webhookd.core.errors import ServiceError, SettingsError, Unavailable, WebhookdError

R = TypeVar("R")

READERS = 3
_RETRY_SQLSTATES = frozenset({"40001", "40P01"})
_MINIMUM_SQLITE = (3, 35, 0)
_BUSY_SECONDS = 10


class Driver(Protocol):
    """What differs between the two databases: where a function over a Connection runs."""

    dialect: str

    async def read(self, work: Callable[[Connection], R]) -> R:
        """Run `work` in a read-only snapshot."""
        ...

    async def write(self, work: Callable[[Connection], R]) -> R:
        """Run `work` in one transaction and commit it."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


def make_driver(url: URL) -> Driver:
    """Return the driver for a URL from `parse_url`."""
    return SqliteDriver(url) if url.get_backend_name() == "sqlite" else PostgresDriver(url)


def parse_url(url: str) -> URL:
    """Return the URL with the driver we use. Raises SettingsError naming WEBHOOKD_DATABASE_URL."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise SettingsError(
            "WEBHOOKD_DATABASE_URL is not a database URL; "
            "use sqlite:////absolute/path.db or postgresql://user:password@host:5432/name."
        ) from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise SettingsError(
                "WEBHOOKD_DATABASE_URL needs a file, because several processes share it; "
                "use sqlite:////absolute/path.db."
            )
        return parsed.set(drivername="sqlite")
    if backend in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+asyncpg")
    raise SettingsError(
        f"WEBHOOKD_DATABASE_URL: '{backend}' is not supported; use sqlite:///… or postgresql://…."
    )


@contextlib.contextmanager
def as_unavailable() -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, OSError, sqlite3.Error, TimeoutError) as error:
        public = public_error(error)
        if public is error:
            raise
        raise public from error


def public_error(error: BaseException) -> Exception:
    if isinstance(error, WebhookdError):
        return error
    if is_environmental(error):
        return Unavailable(_environment_sentence(error), retry_after_seconds=2)
    return error if isinstance(error, Exception) else ServiceError(str(error))


def is_environmental(error: BaseException) -> bool:
    """Tell whether the machine failed rather than the statement: the same would fail again just now."""
    if isinstance(error, DBAPIError):
        return connection_lost(error) or _sqlite_environment(error.orig)
    return isinstance(error, OSError | TimeoutError | Unavailable) or _sqlite_environment(error)


def _sqlite_environment(error: object) -> bool:
    # SQLITE_ERROR (1) is what a wrong statement gives; busy, full, I/O and the rest are the machine's. So are
    # damage (CORRUPT) and another kind of file (NOTADB), which the driver raises as the parent class.
    if isinstance(error, sqlite3.OperationalError):
        return error.sqlite_errorcode & 0xFF != 1
    code = getattr(error, "sqlite_errorcode", 1)
    return isinstance(error, sqlite3.DatabaseError) and code & 0xFF in (11, 26)


def _environment_sentence(error: BaseException) -> str:
    """Say what is wrong without saying where: the text reaches partners. SQLite's own words name no place."""
    origin = getattr(error, "orig", None) or error
    reason = str(origin) if isinstance(origin, sqlite3.Error) else "it does not answer"
    return f"The database cannot be used just now ({reason[:200]})."


def reason_of(error: BaseException) -> str:
    """Return the driver's own words in one line: for operators and logs only, they may name hosts."""
    origin = getattr(error.__cause__ or error, "orig", None) or error.__cause__ or error
    return (str(origin).splitlines() or [type(origin).__name__])[0][:300]


def connection_lost(error: BaseException) -> bool:
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None)
        return error.connection_invalidated or (
            isinstance(state, str) and state[:2] in {"08", "57", "53", "58"}
        )
    return isinstance(error, OSError | TimeoutError)


def lost_a_deadlock(error: BaseException) -> bool:
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _RETRY_SQLSTATES


class SqliteDriver:
    """One writer thread and a few readers on one WAL file.

    Writers of all processes queue on an `flock` beside the file, because SQLite's own busy handler
    polls and starves. `synchronous=FULL` makes every commit an fsync of the log.
    """

    dialect = "sqlite"

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
        self._lock_path = path.with_name(path.name + ".lock")
        self._writer = _sqlite_engine(url, NullPool, read_only=False)
        self._readers = _sqlite_engine(url, QueuePool, read_only=True)
        self._write_thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._read_threads = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-reader")
        self._connection: Connection | None = None

    async def read(self, work: Callable[[Connection], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._read_threads, self._read, work)

    async def write(self, work: Callable[[Connection], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._write_thread, self._write, work)

    async def close(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._write_thread, self._close_writer)
        await loop.run_in_executor(None, self._read_threads.shutdown)
        self._write_thread.shutdown(wait=False)
        self._readers.dispose()
        self._writer.dispose()

    def _read(self, work: Callable[[Connection], R]) -> R:
        with self._readers.connect() as conn:
            return work(conn)

    def _write(self, work: Callable[[Connection], R]) -> R:
        if self._connection is None:
            self._connection = self._writer.connect()
        with self._lock_path.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                with self._connection.begin():
                    return work(self._connection)
            except BaseException:
                # A connection in doubt is not worth keeping; opening one costs a millisecond.
                self._close_writer()
                raise

    def _close_writer(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(SQLAlchemyError):
                self._connection.close()
            self._connection = None


def _sqlite_engine(url: URL, pool: type[NullPool] | type[QueuePool], *, read_only: bool) -> Engine:
    options: dict[str, Any] = {"connect_args": {"timeout": _BUSY_SECONDS, "check_same_thread": False}}
    if pool is QueuePool:
        options["pool_size"] = READERS
    engine = create_engine(url, poolclass=pool, **options)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "cache_size=-16384",
            "mmap_size=268435456",
            f"query_only={'ON' if read_only else 'OFF'}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(conn: Connection) -> None:
        # A deferred BEGIN that upgrades to a write fails at once whatever the time-out.
        conn.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


class PostgresDriver:
    """asyncpg through SQLAlchemy; the functions run in its greenlet bridge."""

    dialect = "postgresql"

    def __init__(self, url: URL) -> None:
        self._engine: AsyncEngine = create_async_engine(
            url,
            pool_size=8,
            max_overflow=8,
            pool_timeout=5,
            pool_pre_ping=False,
            connect_args={"timeout": 5, "command_timeout": 30},
        )

    async def read(self, work: Callable[[Connection], R]) -> R:
        async with self._connect() as conn:
            return await conn.run_sync(work)

    async def write(self, work: Callable[[Connection], R]) -> R:
        async with self._connect() as conn, conn.begin():
            return await conn.run_sync(work)

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[AsyncConnection]:
        async with contextlib.AsyncExitStack() as stack:
            try:
                conn = await stack.enter_async_context(self._engine.connect())
            except DBAPIError as error:
                # Starting up, too many clients, a changed password: no statement of ours is to blame.
                raise Unavailable(_environment_sentence(error), retry_after_seconds=2) from error
            yield conn

    async def close(self) -> None:
        await self._engine.dispose()
