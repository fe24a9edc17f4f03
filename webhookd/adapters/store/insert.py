"""Writing new rows down: what each column holds, said once."""

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from sqlalchemy import Table

from webhookd.adapters.store.rowset import insert_rows
from webhookd.adapters.store.statement import Change

T = TypeVar("T")


class Insert(Change, Generic[T]):
    """The INSERT of any number of new rows, which `rows` makes; a column that is not named is NULL."""

    __slots__ = ("_values",)

    def __init__(self, table: Table, **columns: Callable[[T], object]) -> None:
        super().__init__(lambda dialect: insert_rows(dialect, table, "rows", tuple(columns)))
        self._values = tuple(columns.values())

    def rows(self, things: Iterable[T]) -> list[list[Any]]:
        """Return the rows of things, for the statement's parameter `rows`."""
        return [[value(thing) for value in self._values] for thing in things]
