"""Many rows in one bound parameter, so that a batch is one statement and one round trip.

The rows travel as one JSON array of arrays and are unpacked by the database itself
(`json_each` on SQLite, `json_array_elements` on PostgreSQL). Against `executemany` this keeps the
interpreter lock free for other threads while the database works, and against a long `VALUES` list
it needs one compiled statement whatever the number of rows.

A row that comes alone is no array, which a database would take apart anew for each of its columns. Each of
its values is a parameter then (`rows_alone`), and the rest of the statement is as it was.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from enum import IntEnum
from types import NoneType
from typing import Annotated, Any, Final, NamedTuple, TypeAlias, get_args, get_origin, get_type_hints

import orjson
from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    ColumnElement,
    Dialect,
    Float,
    Integer,
    Subquery,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    select,
    text,
    true,
    type_coerce,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.types import TypeDecorator, TypeEngine

POSTGRESQL = "postgresql"
SQLITE = "sqlite"

Int4: TypeAlias = Annotated[int, Integer]
"""A number of a rowset that is no time: PostgreSQL is to take it for its `integer`."""


class Id(NamedTuple):
    """A rowset, or a row, of ids."""

    id: str


class Name(NamedTuple):
    """A row of names."""

    name: str


Columns: TypeAlias = dict[str, type[TypeEngine[Any]]] | type[tuple[Any, ...]]
"""Names and types, or the NamedTuple whose fields they are."""


_alone: ContextVar[bool] = ContextVar("alone", default=False)


@contextmanager
def rows_alone() -> Iterator[None]:
    """Have `rowset`, within the block, make one row of each parameter: a `ValueOf` for each column."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


class ValueOf(BindParameter[Any]):
    """A parameter that is the value at `place` of the only row of `rows`."""

    inherit_cache = True

    def __init__(self, rows: str, place: int, kind: type[TypeEngine[Any]]) -> None:
        super().__init__(f"{rows}__{place}", type_=kind)
        self.rows = rows
        self.place = place


class Packed(TypeDecorator[Any]):
    """Rows in one parameter: an iterable of them."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, _dialect: Dialect) -> str:
        return pack(value)


class _NamesJson(TypeDecorator[Any]):
    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, _dialect: Dialect) -> str:
        return orjson.dumps(sorted(set(value))).decode()


class _NamesArray(TypeDecorator[Any]):
    impl = postgresql.ARRAY(Text)
    cache_ok = True

    def process_bind_param(self, value: Any, _dialect: Dialect) -> list[str]:
        return sorted(set(value))


def rowset(dialect: str, name: str, columns: Columns) -> Subquery:
    """Return a subquery `name` with one typed column per entry, fed by the parameter `name`.

    The parameter takes any number of rows, each in the order of `columns`. PostgreSQL takes that each is an
    array for a rare thing, hence the rows for one or two, and so lets them lead: an index is looked into
    for each. It took them for a hundred, and where it knew of fewer in the table it went through all rows for
    each of those, which is quadratic.
    """
    columns = _typed(columns)
    if _alone.get():
        row = [ValueOf(name, index, kind).label(label) for index, (label, kind) in enumerate(columns.items())]
        return select(*row).subquery(name)
    parameter = bindparam(name, type_=Packed)
    if dialect == POSTGRESQL:
        element = func.json_array_elements(cast(parameter, JSON)).table_valued(
            column("value", JSON), name=f"{name}_rows"
        )
        source = [
            cast(element.c.value.op("->>")(literal_column(str(index))), kind).label(label)
            for index, (label, kind) in enumerate(columns.items())
        ]
        is_row = func.json_typeof(element.c.value) == literal_column("'array'")
        return select(*source).select_from(element).where(is_row).subquery(name)
    element = func.json_each(parameter).table_valued("value", name=f"{name}_rows")
    source = [
        # json_extract already answers with SQLite's own integers, reals and text.
        type_coerce(func.json_extract(element.c.value, literal_column(f"'$[{index}]'")), kind).label(label)
        for index, (label, kind) in enumerate(columns.items())
    ]
    return select(*source).select_from(element).subquery(name)


def pack(rows: Iterable[Sequence[object]]) -> str:
    """Return `rows` as the text a rowset parameter takes."""
    return orjson.dumps(list(map(tuple, rows))).decode()


def between(dialect: str, column: ColumnElement[str], name: str) -> ColumnElement[bool]:
    """Return the condition that `column` is not before or behind the first columns of all rows of `name`.

    A join says so already, but while the table is empty PostgreSQL may find it as good to read its index
    through and look into the rows for each, and that plan may be kept. This bounds what it would read.
    """
    if dialect != POSTGRESQL or _alone.get():
        return true()
    ids = rowset(dialect, name, {"id": Text}).c.id
    first, last = (select(of(ids)).correlate(None).scalar_subquery() for of in (func.min, func.max))
    return column.between(first, last)


def named(dialect: str, column: ColumnElement[str], name: str) -> ColumnElement[bool]:
    """Return `column IN` the names of the parameter `name`, any number of them: they travel as one parameter.

    Both databases number their parameters with 15 bits, and a request may name more ids than that.
    """
    if dialect == POSTGRESQL:
        return column == any_(bindparam(name, type_=_NamesArray))
    given = func.json_each(bindparam(name, type_=_NamesJson)).table_valued("value")
    return column.in_(select(given.c.value))


def upsert(dialect: str) -> Any:
    """Return the dialect's `insert`, which knows ON CONFLICT."""
    return postgresql.insert if dialect == POSTGRESQL else sqlite.insert


def insert_rows(dialect: str, table: Table, name: str, columns: Sequence[str] | type[tuple[Any, ...]]) -> Any:
    """Return the INSERT (it knows ON CONFLICT) of the rows in the parameter `name` into these columns.

    `columns` are names, or the NamedTuple whose fields are.
    """
    if isinstance(columns, type):
        columns = tuple(_typed(columns))
    rows = rowset(dialect, name, {column: type(table.c[column].type) for column in columns})
    # Without a WHERE, SQLite takes ON CONFLICT for the ON of a join.
    return upsert(dialect)(table).from_select(columns, select(rows).where(text("true")))


_KINDS: Final[tuple[tuple[type, type[TypeEngine[Any]]], ...]] = (
    (bool, Boolean),
    (IntEnum, Integer),
    (int, BigInteger),
    (float, Float),
    (str, Text),
)


def _typed(columns: Columns) -> dict[str, type[TypeEngine[Any]]]:
    if isinstance(columns, dict):
        return columns
    return {name: _kind(hint) for name, hint in get_type_hints(columns, include_extras=True).items()}


def _kind(hint: Any) -> type[TypeEngine[Any]]:
    """Return the database's type of a field; a field that may be None has that of its other kind."""
    if get_origin(hint) is Annotated:
        kind: type[TypeEngine[Any]] = get_args(hint)[1]
        return kind
    if not isinstance(hint, type):
        (hint,) = (one for one in get_args(hint) if one is not NoneType)
        return _kind(hint)
    return next(kind for python, kind in _KINDS if issubclass(hint, python))


def first_of_each(
    dialect: str, wanted: Subquery, inner: Any, line: Any, *, give: Sequence[str], order: Sequence[str]
) -> Any:
    """Return the columns `give` of what `line` picks for each row of `wanted`, in the order of `order`.

    `line` selects the ids of `inner` (an alias of a table), correlated to `wanted`, ordered and limited.
    """
    if dialect == POSTGRESQL:
        others = sorted({*give, *order} - {"id"})
        found: Any = line.add_columns(*(inner.c[name] for name in others)).lateral("line")
        joined = wanted.join(found, literal_column("true"))
    else:
        found = inner.element
        joined = wanted.join(found, found.c.id.in_(line))
    return (
        select(*(found.c[name] for name in give))
        .select_from(joined)
        .order_by(*(found.c[name] for name in order))
    )
