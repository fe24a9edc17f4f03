"""Pages of listings: bounded in rows and in bytes, and read as they are taken, a few rows at a time."""

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any, Final, TypeVar

import orjson

from webhookd.core import ids

MAX_PAGE_BYTES: Final = 4_194_304
ROW_BYTES: Final = 2_048
"""Added for the names, links and punctuation around what is stored."""
MAX_ROWS: Final = 20_000
_ENTRY_BYTES: Final = 128
"""What an entry of a log or a timeline adds to what is stored."""
RowT = TypeVar("RowT", bound=tuple[Any, ...])
_NO_ENTROPY: Final = bytes(ids.ENTROPY_BYTES)


def take_page(
    rows: Generator[RowT, None, None], limit: int, *, more_bytes: int = ROW_BYTES
) -> tuple[list[RowT], bool]:
    """Return the first of the rows of `Tx.stream`, and whether there are more.

    A page has one row at least, `limit` at most, and ends before its documents could be over MAX_PAGE_BYTES,
    each being `more_bytes` larger than what is stored.
    """
    page: list[RowT] = []
    left = MAX_PAGE_BYTES
    with closing(rows):
        for row in rows:
            left -= row_bytes(row, more_bytes=more_bytes)
            if len(page) == limit or (page and left < 0):
                return page, True
            page.append(row)
    return page, False


def take_newest(rows: Generator[RowT, None, None]) -> tuple[list[RowT], bool]:
    """Return what belongs to one thing, oldest first, and whether that is all of it.

    `rows` are those of `Tx.stream`, newest first, up to one more than MAX_ROWS. What cannot be paged is cut
    off: the oldest rows, before it is MAX_PAGE_BYTES.
    """
    page, more = take_page(rows, MAX_ROWS, more_bytes=_ENTRY_BYTES)
    return page[::-1], not more


def row_bytes(row: Sequence[Any], *, more_bytes: int = ROW_BYTES) -> int:
    """Return how large the document made of a row is at most."""
    return len(orjson.dumps(tuple(row), default=_plain)) + more_bytes


def _plain(value: object) -> object:
    return tuple(value) if isinstance(value, tuple) else str(value)  # a row within a row


def first_id(prefix: str, ms: int) -> str:
    """Return what no id of this millisecond or a later one is below.

    Ids begin with the time they were made at, so the index that orders a listing bounds it in time too.
    """
    return ids.make_id(prefix, now_ms=max(ms, 0), entropy=_NO_ENTROPY)
