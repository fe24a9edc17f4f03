"""Pages of listings: bounded in rows and in bytes, and read as they are taken, a few rows at a time."""

from collections.abc import Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Row, Select

from webhookd.core import ids

MAX_PAGE_BYTES: Final = 4_194_304
ROW_BYTES: Final = 2_048
"""Added for the names, links and punctuation around what is stored."""
READ_AHEAD: Final = 16
_NO_ENTROPY: Final = bytes(ids.ENTROPY_BYTES)


def read_page(conn: Connection, statement: Select[Any], limit: int) -> tuple[list[Row[Any]], bool]:
    """Return the first rows of an ordered statement, and whether there are more.

    A page has one row at least, `limit` at most, and ends before its documents could be over MAX_PAGE_BYTES.
    """
    rows: list[Row[Any]] = []
    left = MAX_PAGE_BYTES
    with conn.execute(statement.limit(limit + 1), execution_options={"yield_per": READ_AHEAD}) as result:
        for row in result:
            left -= row_bytes(row)
            if len(rows) == limit or (rows and left < 0):
                return rows, True
            rows.append(row)
    return rows, False


def row_bytes(row: Sequence[Any]) -> int:
    """Return how large the document made of a row is at most."""
    return len(orjson.dumps(tuple(row), default=str)) + ROW_BYTES


def first_id(prefix: str, ms: int) -> str:
    """Return what no id of this millisecond or a later one is below.

    Ids begin with the time they were made at, so the index that orders a listing bounds it in time too.
    """
    return ids.make_id(prefix, now_ms=max(ms, 0), entropy=_NO_ENTROPY)
