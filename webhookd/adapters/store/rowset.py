"""Many rows in one bound parameter, so that a batch is one statement and one round trip.

The rows travel as one JSON array of arrays and are unpacked by the database itself
(`json_each` on SQLite, `json_array_elements` on PostgreSQL). Against `executemany` this keeps the
interpreter lock free for other threads while the database works, and against a long `VALUES` list
it needs one compiled statement whatever the number of rows.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from sqlalchemy import (
    Subquery,
    Text,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.types import TypeEngine

POSTGRESQL = "postgresql"


def rowset(dialect: str, name: str, columns: dict[str, type[TypeEngine[Any]]]) -> Subquery:
    """Return a subquery `name` with one typed column per entry, fed by the parameter `name`.

    Bind the parameter with `pack(rows)`; each row is a sequence in the order of `columns`.
    """
    parameter = bindparam(name, type_=Text)
    if dialect == POSTGRESQL:
        element = func.json_array_elements(cast(parameter, JSON)).table_valued(
            column("value", JSON), name=f"{name}_rows"
        )
        source = [
            cast(element.c.value.op("->>")(literal_column(str(index))), kind).label(label)
            for index, (label, kind) in enumerate(columns.items())
        ]
        return select(*source).select_from(element).subquery(name)
    element = func.json_each(parameter).table_valued("value", name=f"{name}_rows")
    source = [
        # json_extract already answers with SQLite's own integers, reals and text.
        type_coerce(func.json_extract(element.c.value, literal_column(f"'$[{index}]'")), kind).label(label)
        for index, (label, kind) in enumerate(columns.items())
    ]
    return select(*source).select_from(element).subquery(name)


def pack(rows: Iterable[Sequence[object]]) -> str:
    """Return `rows` as the text a rowset parameter takes."""
    return orjson.dumps(list(rows)).decode()
