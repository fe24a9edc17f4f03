"""The one door to the databases' drivers: a statement's text, made once, and the values of its parameters.

SQLAlchemy's connection keeps the transaction and judges the driver's errors; the text goes to the driver's
own cursor. What SQLAlchemy does for each `execute` (a key for its cache, a context, a result) took half of
the time of a small statement.

Several statements that need nothing of each other go as one (`together`): to PostgreSQL each is a round trip.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from webhookd.adapters.store.drivers import asyncpg_cursor
from webhookd.adapters.store.statement import Compiled

READ_AHEAD = 16
_PARAMETER: Final = re.compile(r"\$(\d+)")


class Bound(NamedTuple):
    """A statement's text with the values of its parameters. By its `name` others that go with it read it."""

    text: str
    values: tuple[Any, ...]
    name: str = ""


def bound(conn: Connection, compiled: Compiled, given: Mapping[str, Any]) -> Bound:
    """Return what will be sent, after those have been told who listen."""
    made = Bound(compiled.text, compiled.bound(given))
    if conn._has_events or conn.engine._has_events:
        for hear in conn.dispatch.before_cursor_execute:
            hear(conn, None, made.text, made.values, None, False)
    return made


def rows(conn: Connection, compiled: Compiled, sent: Bound) -> list[Any]:
    """Send a statement and return its rows, each in the order of its columns."""
    found, _ = _send(conn, sent, answers=bool(compiled.columns))
    return list(map(compiled.read, found)) if compiled.values else found


def change(conn: Connection, sent: Bound) -> int:
    """Send a statement and return how many rows it changed."""
    return _send(conn, sent, answers=False)[1]


def change_and_commit(conn: Connection, sent: Bound) -> None:
    """Send the last change of a transaction of PostgreSQL. Where it is the only one, it commits itself."""
    session: Any = conn.connection.dbapi_connection
    if session._transaction is not None:
        change(conn, sent)
        return
    session.autocommit = True
    try:
        change(conn, sent)
    finally:
        session.autocommit = False


def stream(conn: Connection, compiled: Compiled, given: Mapping[str, Any]) -> Iterator[Any]:
    """Send a query and yield its rows, read READ_AHEAD at a time."""
    if conn.dialect.name == "postgresql":
        conn.connection.dbapi_connection.autocommit = False  # type: ignore[union-attr]  # a cursor needs a transaction
    with conn.execute(compiled.element, given, execution_options={"yield_per": READ_AHEAD}) as result:
        yield from result


def together(statements: Sequence[Bound]) -> Bound:
    """Return changes, and at last any statement, as one of PostgreSQL: none sees what the others change.

    What those with a name return can be read under it by those that follow.
    """
    if len(statements) == 1:
        return statements[0]
    text = _text_of_all(tuple((one.text, len(one.values), one.name) for one in statements))
    return Bound(text, tuple(value for one in statements for value in one.values))


@lru_cache(maxsize=256)
def _text_of_all(statements: tuple[tuple[str, int, str], ...]) -> str:
    numbered: list[tuple[str, str]] = []
    counted = 0
    for text, parameters, name in statements:
        moved = _PARAMETER.sub(lambda found, by=counted: f"${int(found[1]) + by}", text)  # type: ignore[misc]  # a default binds it now
        numbered.append((name or f"along_{len(numbered)}", moved))
        counted += parameters
    before = ", ".join(f"{name} AS ({text})" for name, text in numbered[:-1])
    return f"WITH {before} {numbered[-1][1]}"


def _send(conn: Connection, sent: Bound, *, answers: bool) -> tuple[list[Any], int]:
    session: Any = conn.connection.dbapi_connection
    try:
        if conn.dialect.name == "postgresql":
            return asyncpg_cursor.send(session, sent.text, sent.values)
        cursor = session.execute(sent.text, sent.values)
        return (cursor.fetchall() if answers else []), cursor.rowcount
    except BaseException as error:  # noqa: BLE001 - it raises what this means, and lets go of a dead session
        # Not the driver's own (a wait that took too long, or was given up): raised as it is, not as the
        # statement's fault. The session goes with a wait given up, whose answer is still to come.
        of_driver = isinstance(error, conn.dialect.loaded_dbapi.Error)
        conn._handle_dbapi_exception(error, sent.text if of_driver else None, sent.values, None, None)
