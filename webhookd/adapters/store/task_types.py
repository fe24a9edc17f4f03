"""The types that workers have published, for an API that has none of the operator's code."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson
from sqlalchemy import select

from webhookd.adapters.store.rowset import POSTGRESQL
from webhookd.adapters.store.schema import task_types
from webhookd.adapters.store.tx import Tx
from webhookd.taskset.known import PublishedType


def publish_types(tx: Tx, source: str, types: Sequence[PublishedType]) -> None:
    """Make these the types of `source`, a WEBHOOKD_TASKS; those it had besides are gone."""
    before = {row.type: row for row in tx.execute(select(task_types).order_by(task_types.c.type))}
    wanted = {one.type: orjson.dumps(_document(one)).decode() for one in types}
    for name, row in before.items():
        if row.source == source and name not in wanted:
            tx.execute(task_types.delete().where(task_types.c.type == name))
    for name, document in sorted(wanted.items()):
        known = before.get(name)
        if known is None:
            _insert(tx, {"type": name, "source": source, "document": document})
        elif (known.source, known.document) != (source, document):
            values = {"source": source, "document": document}
            tx.execute(task_types.update().where(task_types.c.type == name).values(**values))


def read_types(tx: Tx) -> list[PublishedType]:
    """Return all types that are published, by name."""
    rows = tx.execute(select(task_types.c.type, task_types.c.document).order_by(task_types.c.type))
    return [PublishedType(type=row.type, **orjson.loads(row.document)) for row in rows]


def _document(one: PublishedType) -> dict[str, Any]:
    fields = asdict(one)
    del fields["type"]
    return fields


def _insert(tx: Tx, values: dict[str, Any]) -> None:
    """Add a row, unless another worker has just done so."""
    from sqlalchemy.dialects import postgresql, sqlite

    insert = postgresql.insert if tx.conn.dialect.name == POSTGRESQL else sqlite.insert
    tx.execute(insert(task_types).values(**values).on_conflict_do_nothing())
