"""The one door to the databases' drivers: a statement's text, made once, and the values of its parameters.

SQLAlchemy's connection keeps the transaction and judges the driver's errors; the text goes to the driver's
own cursor. What SQLAlchemy does for each `execute` (a key for its cache, a context, a result) took half of
the time of a small statement.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection

from webhookd.adapters.store.statement import Compiled

READ_AHEAD = 16


def rows(conn: Connection, compiled: Compiled, given: Mapping[str, Any]) -> list[Any]:
    """Send a statement and return its rows, each in the order of its columns."""
    found, _ = _send(conn, compiled, given)
    return list(map(compiled.read, found)) if compiled.values else found


def change(conn: Connection, compiled: Compiled, given: Mapping[str, Any]) -> int:
    """Send a statement and return how many rows it changed."""
    return _send(conn, compiled, given)[1]


def stream(conn: Connection, compiled: Compiled, given: Mapping[str, Any]) -> Iterator[Any]:
    """Send a query and yield its rows, read READ_AHEAD at a time."""
    with conn.execute(compiled.element, given, execution_options={"yield_per": READ_AHEAD}) as result:
        yield from result


def _send(conn: Connection, compiled: Compiled, given: Mapping[str, Any]) -> tuple[list[Any], int]:
    text, values = compiled.text, compiled.bound(given)
    cursor: Any = conn.connection.cursor()
    try:
        if conn.engine._has_events:
            for hear in conn.dispatch.before_cursor_execute:
                hear(conn, cursor, text, values, None, False)
        cursor.execute(text, values)
        return (cursor.fetchall() if compiled.columns else []), cursor.rowcount
    except BaseException as error:  # noqa: BLE001 - it raises what this means, and lets go of a dead session
        # Not the driver's own (a wait that took too long, or was given up): raised as it is, not as the
        # statement's fault. The session goes with a wait given up, whose answer is still to come.
        of_driver = isinstance(error, conn.dialect.loaded_dbapi.Error)
        conn._handle_dbapi_exception(error, text if of_driver else None, values, cursor, None)
    finally:
        cursor.close()
