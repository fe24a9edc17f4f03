"""One statement on asyncpg, in the greenlet that a store function runs in.

SQLAlchemy's own cursor does the same and describes every column of every answer, under a lock; that was half
of what a small statement costs this process. Which transaction, which prepared statement and what an error
means is still its session's to say. Nothing here imports asyncpg: processes on SQLite have none.
"""

from typing import Any

from sqlalchemy.util import await_only


def send(session: Any, text: str, values: tuple[Any, ...]) -> tuple[list[Any], int]:
    """Return the rows of a statement, and how many it changed. `session`: SQLAlchemy's, of a connection."""
    rows, told = await_only(_send(session, text, values))
    return rows, _count(told)


async def _send(session: Any, text: str, values: tuple[Any, ...]) -> tuple[list[Any], str]:
    if session._transaction is None:
        await session._start_transaction()
    try:
        statement, _ = await session._prepare(text, 0)
        return await statement.fetch(*values), statement.get_statusmsg()
    except Exception as error:
        session._handle_exception(error)
        raise


def _count(told: str) -> int:
    """Return the number at the end of `INSERT 0 3`; -1 where there is none."""
    number = told.rpartition(" ")[2]
    return int(number) if number.isdecimal() else -1
