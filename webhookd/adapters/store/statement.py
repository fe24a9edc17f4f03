"""Statements: constants that SQLAlchemy turns into text once per database, and that `Tx.run` sends.

A statement stands above the function that sends it, beside the NamedTuple that its rows are:

    class _Version(NamedTuple):
        id: str
        version: int

    _VERSIONS = Query(_Version, lambda dialect: select(tasks.c.id, tasks.c.version).join(...))

A row may have rows for fields (`task_rows.TaskRow`): the statement answers the columns of each, one after
the other. Parameters are `bindparam`s, by name; `rowset` has those that take many rows or names at once.
What a column's type means (a boolean is a number on SQLite) is taken from the schema.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

from sqlalchemy import ColumnElement, Dialect, Executable, Float, Select
from sqlalchemy.sql.compiler import SQLCompiler

from webhookd.adapters.store.rowset import Packed, ValueOf, rows_alone

RowT = TypeVar("RowT", bound=tuple[Any, ...])
Build: TypeAlias = Callable[[str], Executable]
"""Makes a statement for a dialect: `sqlite` or `postgresql`."""
BuildListing: TypeAlias = Callable[[str, frozenset[str]], Executable]
"""Makes a statement for a dialect and the parameters that are given."""
Value: TypeAlias = Callable[[Any], Any] | None

_ALL: Final = frozenset[str]()
_DOUBLE_PRECISION: Final = 701
"""PostgreSQL's number of the type; every Float of the schema is one."""


class Parameter(NamedTuple):
    """Where a value comes from: what is given under a name, or is at `place` of the only row given there.

    Without a name it is the constant. `process` makes the driver's value of what is given.
    """

    name: str
    place: int | None
    constant: Any
    process: Value


@dataclass(frozen=True, slots=True)
class Compiled:
    """The text of a statement in one dialect, and how values get into it and out of it."""

    element: Executable
    text: str
    parameters: tuple[Parameter, ...]
    """In the order of the text."""
    columns: tuple[str, ...]
    values: tuple[tuple[int, Callable[[Any], Any]], ...]
    """For columns that the driver does not answer as they are meant: the index, and what makes the value."""
    rowsets: tuple[str, ...]
    """The parameters that take rows."""

    def bound(self, given: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return the driver's parameters. Raises KeyError for one that is not given."""
        values = []
        for name, place, constant, process in self.parameters:
            if not name:
                values.append(constant)
                continue
            value = given[name] if place is None else given[name][0][place]
            values.append(value if process is None else process(value))
        return tuple(values)

    def read(self, row: Any) -> Any:
        """Return the values of a row of the driver."""
        if not self.values:
            return row
        values = list(row)
        for index, process in self.values:
            values[index] = process(values[index])
        return values


class SqlStatement:
    """What is common to all of them. `only`: the dialect that it is for, "" for both."""

    __slots__ = ("_alone", "_compiled", "build", "only")

    def __init__(self, build: BuildListing, *, only: str = "") -> None:
        self.build = build
        self.only = only
        self._compiled: dict[tuple[str, frozenset[str]], Compiled] = {}
        self._alone: dict[tuple[str, frozenset[str]], Compiled] = {}

    def compiled(self, dialect: Dialect, given: Mapping[str, Any]) -> Compiled:
        """Return it for a dialect and these parameters, made once."""
        key = (dialect.name, self._condition(given))
        found = self._compiled.get(key)
        if found is None:
            found = self._compiled[key] = self._compile(dialect, self.build(*key))
        return found

    def fitting(self, dialect: Dialect, given: dict[str, Any]) -> Compiled:
        """Return it as `compiled` does, or made for one row where each of its rowsets is given one.

        Rows in `given` that are only iterable become lists.
        """
        many = self.compiled(dialect, given)
        alone = bool(many.rowsets)
        for name in many.rowsets:
            rows = given[name]
            if not isinstance(rows, list):
                rows = given[name] = list(rows)
            alone = alone and len(rows) == 1
        if not alone:
            return many
        key = (dialect.name, self._condition(given))
        found = self._alone.get(key)
        if found is None:
            with rows_alone():
                found = self._alone[key] = self._compile(dialect, self.build(*key))
        return found

    def _condition(self, given: Mapping[str, Any]) -> frozenset[str]:  # noqa: ARG002 - others' need it
        return _ALL

    def _compile(self, dialect: Dialect, element: Executable) -> Compiled:
        return compile_element(element, dialect)


class Change(SqlStatement):
    """A statement that answers how many rows it changed."""

    __slots__ = ()

    def __init__(self, build: Build) -> None:
        super().__init__(lambda dialect, _: build(dialect))


class Amendment(Change):
    """A change of those columns whose values are given; what is made of each combination is kept.

    `build` is told the names that are given, with those of the condition.
    """

    __slots__ = ()

    def __init__(self, build: BuildListing) -> None:
        SqlStatement.__init__(self, build)

    def _condition(self, given: Mapping[str, Any]) -> frozenset[str]:
        return frozenset(given)


class Query(SqlStatement, Generic[RowT]):
    """A statement that answers with rows: a SELECT, or an INSERT, UPDATE or DELETE with RETURNING."""

    __slots__ = ("_columns", "_row", "make")

    def __init__(self, row: type[RowT], build: Build, *, only: str = "") -> None:
        super().__init__(lambda dialect, _: build(dialect), only=only)
        self._row: Any = row  # a NamedTuple; there is no type for any of them
        self._columns, self.make = _shape(self._row)

    def _compile(self, dialect: Dialect, element: Executable) -> Compiled:
        compiled = super()._compile(dialect, element)
        if compiled.columns != self._columns:
            raise TypeError(f"{self._row} has {self._columns}, its statement {compiled.columns}")
        return compiled


def _shape(row: Any) -> tuple[tuple[str, ...], Callable[[Any], Any]]:
    """Return the columns of a row, and what makes one of their values. A field that is a row has its own."""
    fields = row.__annotations__.items()
    parts = [(name, _shape(kind) if hasattr(kind, "_fields") else None) for name, kind in fields]
    if not any(part for _, part in parts):
        return row._fields, row._make
    columns: list[str] = []
    cuts: list[tuple[int, int, Callable[[Any], Any] | None]] = []
    for name, part in parts:
        first = len(columns)
        columns += (name,) if part is None else part[0]
        cuts.append((first, len(columns), None if part is None else part[1]))

    def make(values: Any) -> Any:
        return row(*(values[first] if of is None else of(values[first:after]) for first, after, of in cuts))

    return tuple(columns), make


class Count(NamedTuple):
    """A row that says how many there are."""

    n: int


class UnnamedCount(NamedTuple):
    """The same, where the column has the name that SQLAlchemy gives a `count(*)`."""

    count_1: int


class Listing(Query[RowT]):
    """A query with conditions that may be left out: a parameter that is None counts as not given.

    `build` is told the names that are given; what is made of each combination is kept.
    """

    __slots__ = ()

    def __init__(self, row: type[RowT], build: BuildListing) -> None:
        super().__init__(row, lambda dialect: build(dialect, _ALL))
        self.build = build

    def _condition(self, given: Mapping[str, Any]) -> frozenset[str]:
        return frozenset(name for name, value in given.items() if value is not None)


def narrowed(statement: Select[Any], given: frozenset[str], **conditions: ColumnElement[bool]) -> Select[Any]:
    """Return a listing's statement with the conditions of those parameters that are given."""
    return statement.where(*(condition for name, condition in conditions.items() if name in given))


def compile_element(element: Executable, dialect: Dialect) -> Compiled:
    """Return the text of a SQLAlchemy statement."""
    compiled: Any = element.compile(dialect=dialect)  # type: ignore[attr-defined]  # all but text in quotes has it
    if not isinstance(compiled, SQLCompiler):
        raise TypeError(f"{element!r} is no statement")
    order = compiled.positiontup or []
    processors: Mapping[str, Any] = compiled._bind_processors
    required = {bind.key for bind in compiled.bind_names if bind.required}
    constants = compiled.construct_params(_check=False)
    of_rows = {
        name: (bind.rows, bind.place)
        for bind, name in compiled.bind_names.items()
        if isinstance(bind, ValueOf)
    }
    parameters = []
    for name in order:
        process = processors.get(name)
        if name in of_rows:
            parameters.append(Parameter(*of_rows[name], None, process))
        elif name in required:
            parameters.append(Parameter(name, None, None, process))
        else:
            value = constants[name]
            parameters.append(Parameter("", None, value if process is None else process(value), None))
    found = compiled._result_columns
    values = []
    for index, column in enumerate(found):
        oid = _DOUBLE_PRECISION if isinstance(column.type, Float) else None
        made = column.type._cached_result_processor(dialect, oid)
        if made is not None:
            values.append((index, made))
    return Compiled(
        element=element,
        text=compiled.string,
        parameters=tuple(parameters),
        columns=tuple(column.keyname for column in found),
        values=tuple(values),
        rowsets=tuple({bind.key: None for bind in compiled.bind_names if isinstance(bind.type, Packed)}),
    )
