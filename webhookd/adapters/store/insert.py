"""Writing new rows down: what each column holds, said once."""

from collections.abc import Callable, Container, Iterable
from operator import attrgetter
from types import NoneType
from typing import Any, Generic, TypeVar, get_type_hints

from sqlalchemy import Table

from webhookd.adapters.store.rows import choices
from webhookd.adapters.store.rowset import insert_rows
from webhookd.adapters.store.statement import Change

T = TypeVar("T")


class Insert(Change, Generic[T]):
    """The INSERT of any number of new rows, which `rows` makes of things.

    A column holds what the thing, or one of its named parts, has under the column's name. What is called or
    meant otherwise is said. A column that neither names is NULL. `or_nothing`: a row that is there stays.
    Raises TypeError for a column that is of another type than the thing's field and that nobody says.
    """

    __slots__ = ("_values",)

    def __init__(
        self,
        table: Table,
        kind: type[T],
        *parts: str,
        or_nothing: bool = False,
        **said: Callable[[T], object],
    ) -> None:
        values = {**_fields(table, kind, parts, said), **said}
        columns = tuple(sorted(values, key=table.c.keys().index))

        def build(dialect: str) -> Any:
            insert = insert_rows(dialect, table, "rows", columns)
            return insert.on_conflict_do_nothing() if or_nothing else insert

        super().__init__(build)
        self._values = tuple(values[name] for name in columns)

    def rows(self, things: Iterable[T]) -> list[list[Any]]:
        """Return the rows of things, for the statement's parameter `rows`."""
        return [[value(thing) for value in self._values] for thing in things]


def _fields(
    table: Table, kind: type[Any], parts: Iterable[str], said: Container[str]
) -> dict[str, Callable[[Any], object]]:
    """Return what reads the fields of a kind, or of its parts, that are called as columns and not said."""
    hints = get_type_hints(kind)
    places = {name: (name, hint) for name, hint in hints.items()}
    for part in parts:
        for name, hint in get_type_hints(hints[part]).items():
            places.setdefault(name, (f"{part}.{name}", hint))
    unsaid = {column.name: column.type.python_type for column in table.c if column.name not in said}
    read = {name: places[name] for name in unsaid if name in places}
    differing = [name for name, (_, hint) in read.items() if not _held(hint, unsaid[name])]
    if differing:
        raise TypeError(f"{table.name}: say {', '.join(differing)}")
    return {name: attrgetter(place) for name, (place, _) in read.items()}


def _held(hint: Any, column: type[Any]) -> bool:
    """Whether a column of this type holds every value of the hint; NULL is another matter."""
    return all(isinstance(one, type) and issubclass(one, column) for one in choices(hint) - {NoneType})
