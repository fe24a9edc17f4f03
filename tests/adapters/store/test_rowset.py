"""Rows in a parameter: one alone, and several, which travel otherwise, are the same to a statement."""

from enum import IntEnum, StrEnum
from typing import Any, Final, NamedTuple

import pytest
from sqlalchemy import Connection, event, select

from webhookd.adapters.store.database import Database
from webhookd.adapters.store.rowset import Int4, rowset
from webhookd.adapters.store.statement import Query


class _Colour(StrEnum):
    RED = "red"


class _Rank(IntEnum):
    FIRST = 1


class _Given(NamedTuple):
    name: str
    note: str | None
    size: Int4
    at_ms: int
    share: float | None
    is_last: bool
    rank: _Rank


class _Other(NamedTuple):
    name: str


_ECHO: Final = Query(_Given, lambda dialect: select(rowset(dialect, "rows", _Given)).order_by("name", "note"))
_OF_BOTH: Final = Query(
    _Given,
    lambda dialect: (
        select(given := rowset(dialect, "rows", _Given))
        .join(other := rowset(dialect, "others", _Other), other.c.name == given.c.name)
        .order_by(given.c.name)
    ),
)
ODD: Final = _Given('[["a"]] $1 ? \' \\ é 💥', None, -1, 2**53, 0.1, False, _Rank.FIRST)
PLAIN: Final = _Given("b", "", 2**31 - 1, 0, None, True, _Rank.FIRST)
OF_ENUMS: Final = _Given(_Colour.RED, _Colour.RED, 0, -1, 2.0, True, _Rank.FIRST)


async def _sent(database: Database, **given: Any) -> tuple[list[_Given], str]:
    """The rows that come back, and the text that was sent."""
    texts: list[str] = []

    def note(_conn: Connection, _cursor: object, statement: str, *_: object) -> None:
        texts.append(statement)

    def work(tx: Any) -> list[_Given]:
        event.listen(tx.conn, "before_cursor_execute", note)
        try:
            return list(tx.run(_OF_BOTH if "others" in given else _ECHO, **given))
        finally:
            event.remove(tx.conn, "before_cursor_execute", note)

    rows = await database.read(work)
    return rows, texts[-1]


@pytest.mark.parametrize("row", [ODD, PLAIN, OF_ENUMS])
async def test_row_alone_is_what_it_is_among_others(database: Database, row: _Given) -> None:
    [alone], text_of_one = await _sent(database, rows=[row])
    among, text_of_many = await _sent(database, rows=[row, row])
    assert among == [alone, alone] == [row, row]
    assert [type(value) for value in alone] == [type(value) for value in among[0]]
    assert "json" not in text_of_one.lower()
    assert "json" in text_of_many.lower()


async def test_rows_may_be_any_iterable_and_none(database: Database) -> None:
    assert (await _sent(database, rows=iter([PLAIN])))[0] == [PLAIN]
    assert (await _sent(database, rows=(one for one in (PLAIN, ODD))))[0] == [ODD, PLAIN]
    assert (await _sent(database, rows=()))[0] == []


async def test_two_rowsets_are_short_only_where_both_have_one_row(database: Database) -> None:
    names = [_Other(PLAIN.name), _Other(ODD.name)]
    both, text_of_both = await _sent(database, rows=[PLAIN], others=names[:1])
    assert both == [PLAIN]
    assert "json" not in text_of_both.lower()
    for rows, others, found in (([PLAIN], names, [PLAIN]), ([ODD, PLAIN], names[:1], [PLAIN])):
        answered, text = await _sent(database, rows=rows, others=others)
        assert answered == found
        assert "json" in text.lower()
