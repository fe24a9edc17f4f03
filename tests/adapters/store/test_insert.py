"""New rows made of things."""

from typing import NamedTuple

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text
from sqlalchemy.dialects import sqlite

from webhookd.adapters.store.insert import Insert
from webhookd.core.model import TaskState

_TABLE = Table(
    "things",
    MetaData(),
    Column("id", Text),
    Column("state", Text),
    Column("tags", Text),
    Column("size", Integer),
    Column("note", Text),
)


class _Part(NamedTuple):
    id: str
    size: int | None


class _Thing(NamedTuple):
    id: str
    state: TaskState
    tags: tuple[str, ...]
    part: _Part
    unstored: float


_THING = _Thing("a", TaskState.QUEUED, ("x", "y"), _Part("b", 3), 0.5)


def test_a_column_holds_what_the_thing_has_under_its_name() -> None:
    insert = Insert(_TABLE, _Thing, tags=lambda thing: ",".join(thing.tags))
    assert insert.rows([_THING]) == [["a", "queued", "x,y"]]


def test_a_named_part_fills_what_the_thing_has_not() -> None:
    insert = Insert(_TABLE, _Thing, "part", tags=lambda _: None)
    assert insert.rows([_THING]) == [["a", "queued", None, 3]]


def test_what_is_said_goes_before_what_the_thing_has() -> None:
    insert = Insert(_TABLE, _Thing, id=lambda _: "c", tags=lambda _: None, note=lambda _: "n")
    assert insert.rows([_THING]) == [["c", "queued", None, "n"]]


def test_a_column_of_another_type_must_be_said() -> None:
    with pytest.raises(TypeError, match="things: say tags"):
        Insert(_TABLE, _Thing)


def test_a_column_that_the_table_has_not_cannot_be_said() -> None:
    with pytest.raises(ValueError, match="elsewhere"):
        Insert(_TABLE, _Thing, tags=lambda _: None, elsewhere=lambda _: 1)


def test_a_row_that_is_there_stays_where_that_is_asked_for() -> None:
    for or_nothing in (False, True):
        compiled = Insert(_TABLE, _Part, or_nothing=or_nothing).compiled(sqlite.dialect(), {})
        assert ("ON CONFLICT DO NOTHING" in compiled.text) is or_nothing
