"""PostgreSQL: asyncpg through SQLAlchemy's bridge, one greenlet a transaction."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from webhookd.adapters.store.drivers.faults import environment_sentence, reason_of
from webhookd.adapters.store.drivers.server import ServerFacts, idle_bound_ms, pool_of
from webhookd.core.errors import Unavailable
from webhookd.runtime.loop_policy import loop_factory

R = TypeVar("R")


class PostgresDriver:
    """The functions run in SQLAlchemy's greenlet bridge, on the caller's loop.

    `writes_apart` gives the writes a loop in a thread. A transaction is a dozen round trips; on a busy loop
    each answer waits until the loop has gone through whatever else is ready (a few hundred attempts to
    begin), and everybody who waits for the commit waits with it: a deliver process records a fifth more
    with its writes apart. The API, whose transactions are small, accepts a fifth less.

    A transaction that asks nothing for `lease_seconds` is undone by the server: its process is frozen or out
    of reach, and others wait for what it has locked.
    """

    dialect = "postgresql"

    def __init__(
        self, url: URL, server: ServerFacts, *, lease_seconds: float, writes_apart: bool = False
    ) -> None:
        self.pooled = server.pooled
        self._thread = _LoopThread("postgresql-writer") if writes_apart else None
        idle_ms = idle_bound_ms(lease_seconds)
        self._readers = pool_of(url, server, most=10 if writes_apart else 16, idle_ms=idle_ms)
        self._writers = pool_of(url, server, most=6, idle_ms=idle_ms) if writes_apart else self._readers

    async def read(self, work: Callable[[Connection], R]) -> R:
        try:
            return await greenlet_spawn(_read, self._readers.sync_engine, work, self.pooled)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        # A session of the time before a restart or a failover; with it went all that are as old.
        return await greenlet_spawn(_read, self._readers.sync_engine, work, self.pooled)

    async def write(
        self,
        work: Callable[[Connection], R],
        *,
        lasting: bool = True,  # noqa: ARG002 - its own processes outlive it
        seen: Callable[[R], None] | None = None,  # noqa: ARG002 - nobody sees what does not last
    ) -> R:
        writing = greenlet_spawn(_write, self._writers.sync_engine, work)
        return await (writing if self._thread is None else self._thread.run(writing))

    async def make_last(self) -> None:
        """Do nothing: every commit lasts."""

    async def close(self) -> None:
        if self._thread is not None:
            await self._thread.run(_end(self._writers))
            await self._thread.close()
        await self._readers.dispose()


class _LoopThread:
    """An event loop in a daemon thread; `run` is called from another loop."""

    def __init__(self, name: str) -> None:
        self._loop = (loop_factory() or asyncio.new_event_loop)()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    async def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine there. Cancelling the caller cancels it."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()


async def _end(engine: AsyncEngine) -> None:
    """Cancel what still runs on this loop and close the connections."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await engine.dispose()
    await asyncio.sleep(0)  # they let go of their sockets in the loop's next round


def _read(engine: Engine, work: Callable[[Connection], R], in_transaction: bool) -> R:
    """Read. A transaction shows no more than its statements do (READ COMMITTED), for two more round trips.

    Behind a pooler it keeps them in one session.
    """
    with _connected(engine) as conn:
        session: Any = conn.connection.dbapi_connection
        session.autocommit = not in_transaction
        try:
            conn.begin()
            return work(conn)
        finally:
            session.autocommit = False


def _write(engine: Engine, work: Callable[[Connection], R]) -> R:
    with _connected(engine) as conn, conn.begin():
        return work(conn)


@contextlib.contextmanager
def _connected(engine: Engine) -> Iterator[Connection]:
    with contextlib.ExitStack() as stack:
        try:
            conn = stack.enter_context(engine.connect())
        except DBAPIError as error:
            # Starting up, too many clients, a changed password: no statement of ours is to blame.
            raise Unavailable(
                environment_sentence(error), retry_after_seconds=2, reason=reason_of(error)
            ) from None
        yield conn
