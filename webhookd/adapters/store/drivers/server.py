"""Which PostgreSQL answers at a URL, and the connections it is to be given.

A connection pooler such as PgBouncer in transaction mode hands each transaction to whichever session is free.
Named statements and settings of a session are then somebody else's, so there are none: every statement is
prepared unnamed inside its transaction, and the settings are made after each BEGIN. That costs two round
trips a statement instead of one, so it is done only where there is a pooler. One is known by the process id
it gives out at the start, which is its own invention and not that of the session.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
from sqlalchemy import Connection, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from webhookd.adapters.store.drivers.faults import (
    as_ours,
    has_found_a_standby,
    is_of_the_session,
    public_error,
)
from webhookd.adapters.store.drivers.libpq import connect_seconds, shown
from webhookd.core.errors import SettingsError

PLANNER: Final = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off"}
"""Every table is read by an index, whatever statistics say: plans are made once and outlive the size that
their tables had then. Where there is no index, PostgreSQL still reads the table through."""
IDLE_TRANSACTION: Final = "idle_in_transaction_session_timeout"
_SHORTEST_MS: Final = 1_000
_LONGEST_MS: Final = 2**31 - 1
_POOL_SECONDS: Final = 5
_COMMAND_SECONDS: Final = 30
_PREPARED: Final = 500
"""Statements that a connection keeps prepared: the store's, each for one row and for many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """`pooled`: a pooler stands between. `planned`: the role's own settings say what PLANNER says."""

    pooled: bool
    planned: bool
    encoding: str


def _message(kind: bytes, content: bytes) -> bytes:
    """Return a message of PostgreSQL's protocol (its chapter 54.7)."""
    return kind + struct.pack("!I", len(content) + 4) + content


_BEGIN: Final = "BEGIN;"
_BEGIN_MESSAGES: Final = b"".join(
    (
        _message(b"P", b"\0BEGIN\0" + struct.pack("!H", 0)),  # Parse: unnamed, no types of parameters
        _message(b"B", b"\0\0" + struct.pack("!HHH", 0, 0, 0)),  # Bind: no parameters, no columns
        _message(b"E", b"\0" + struct.pack("!I", 0)),  # Execute
    )
)
"""Without a Sync: the server answers when that of the next statement comes."""


class _BeginsAlong(asyncpg.Connection):  # type: ignore[misc]  # asyncpg is not typed
    """Sends BEGIN with the first statement of its transaction: one round trip less.

    asyncpg reads past the answers that are not of the statement it waits for, and one that fails fails
    with the transaction.
    """

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109 - asyncpg's own
        """Run a query; BEGIN is sent, and what it answers is not waited for."""
        if query != _BEGIN:
            told: str = await super().execute(query, *args, timeout=timeout)
            return told
        self._check_open()
        self._transport.write(_BEGIN_MESSAGES)
        return "BEGIN"

    def is_in_transaction(self) -> bool:
        """Tell whether a transaction has begun, answered or not: a cursor may be the first in it."""
        return self._top_xact is not None or bool(super().is_in_transaction())


class _WithoutCodecs(asyncpg.Connection):  # type: ignore[misc]  # asyncpg is not typed
    """Asks nothing outside a transaction: SQLAlchemy's codecs for JSON do, and no JSON is bound or read."""

    async def set_type_codec(self, *_: Any, **__: Any) -> None:
        """Leave JSON the text it is."""


async def look_at(url: URL) -> ServerFacts:
    """Connect once and look. Raises Unavailable, and SettingsError for a database that is not in UTF-8."""
    engine = careful_engine(url)
    try:
        with as_ours():
            try:
                async with engine.connect() as conn:
                    server = await conn.run_sync(_look)
            except DBAPIError as error:
                raise public_error(error) from None
    finally:
        await engine.dispose()
    require_utf8(server.encoding, url)
    return server


def require_utf8(encoding: str, url: URL) -> None:
    """Raise SettingsError for an encoding in which not every text can be kept."""
    if encoding != "UTF8":
        raise SettingsError(
            f"WEBHOOKD_DATABASE_URL: {shown(url)} is encoded in {encoding}, which cannot hold "
            "every text; make the database with ENCODING 'UTF8' TEMPLATE template0."
        )


def careful_engine(url: URL) -> AsyncEngine:
    """Return an engine for a few rare statements, which works whatever stands between."""
    return create_async_engine(
        url,
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={**_unnamed(), "timeout": connect_seconds(url)},
    )


def idle_bound_ms(lease_seconds: float) -> int:
    """Return how long a transaction may ask nothing: a lease, if a busy loop can keep to it."""
    return int(max(_SHORTEST_MS, min(lease_seconds * 1000, _LONGEST_MS)))


def pool_of(url: URL, server: ServerFacts, *, most: int, idle_ms: int) -> AsyncEngine:
    """Return an engine of at most so many connections, half of which are kept when idle.

    The server undoes a transaction that asks nothing for `idle_ms`, and closes its connection.
    """
    told = {**PLANNER, IDLE_TRANSACTION: str(idle_ms)}
    straight = {
        "connection_class": _BeginsAlong,
        "server_settings": told,
        "prepared_statement_cache_size": _PREPARED,
    }
    how = _unnamed() if server.pooled else straight
    engine = create_async_engine(
        url,
        pool_size=most // 2,
        max_overflow=most - most // 2,
        pool_timeout=_POOL_SECONDS,
        pool_pre_ping=False,
        hide_parameters=True,
        connect_args={"timeout": connect_seconds(url), "command_timeout": _COMMAND_SECONDS, **how},
    )
    event.listen(engine.sync_engine, "handle_error", _throw_away)
    if server.pooled and not server.planned:
        event.listen(engine.sync_engine, "begin", _teller(told))
    return engine


def _unnamed() -> dict[str, Any]:
    return {
        "connection_class": _WithoutCodecs,
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: "",
    }


def _teller(told: Mapping[str, str]) -> Callable[[Connection], None]:
    """Return what tells the server these settings for the transaction that has begun."""
    tell = "SELECT " + ", ".join(f"set_config('{name}', '{value}', true)" for name, value in told.items())

    def tell_it(conn: Connection) -> None:
        conn.exec_driver_sql(tell)

    return tell_it


def _throw_away(context: Any) -> None:
    """A session that refuses writes, or fails at what it was begun with, is not kept: a new one may do."""
    error = context.original_exception
    if has_found_a_standby(error):
        context.is_disconnect = True
    elif is_of_the_session(error):
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = False


def _look(conn: Connection) -> ServerFacts:
    driver: Any = conn.connection.driver_connection
    names = ("server_encoding", *PLANNER)
    asked = ", ".join(f"current_setting('{name}')" for name in names)
    pid, encoding, *settings = conn.execute(text(f"SELECT pg_backend_pid(), {asked}")).one()
    return ServerFacts(
        pooled=pid != driver.get_server_pid(), planned=settings == list(PLANNER.values()), encoding=encoding
    )
