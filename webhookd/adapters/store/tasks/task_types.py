"""The types that workers have published, for an API that has none of the operator's code."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import bindparam, select

from webhookd.adapters.store.rowset import upsert
from webhookd.adapters.store.schema import task_types
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tx import Tx
from webhookd.taskset.known import PublishedType


class _Type(NamedTuple):
    type: str
    source: str
    document: str


_FIELDS: Final = frozenset(field.name for field in fields(PublishedType)) - {"type"}
_ALL: Final = Query(_Type, lambda _: select(task_types).order_by(task_types.c.type))
_DELETE: Final = Change(lambda _: task_types.delete().where(task_types.c.type == bindparam("type")))
_INSERT: Final = Change(lambda dialect: upsert(dialect)(task_types).on_conflict_do_nothing())
_UPDATE: Final = Change(
    lambda _: (
        task_types.update()
        .where(task_types.c.type == bindparam("name"))
        .values(source=bindparam("source"), document=bindparam("document"))
    )
)


def publish_types(tx: Tx, source: str, types: Sequence[PublishedType]) -> None:
    """Make these the types of `source`, a WEBHOOKD_TASKS; those it had besides are gone."""
    before = {row.type: row for row in tx.run(_ALL)}
    wanted = {one.type: _Type(one.type, source, orjson.dumps(_document(one)).decode()) for one in types}
    for name, row in before.items():
        if row.source == source and name not in wanted:
            tx.run(_DELETE, type=name)
    for name, row in sorted(wanted.items()):
        known = before.get(name)
        if known is None:
            tx.run(_INSERT, **row._asdict())  # unless another worker has just done so
        elif known != row:
            tx.run(_UPDATE, name=name, source=source, document=row.document)


def read_types(tx: Tx) -> list[PublishedType]:
    """Return all types that are published, by name."""
    return [_published(row) for row in tx.run(_ALL)]


def _published(row: _Type) -> PublishedType:
    """Return the type of a row; what a newer release has written besides is left out."""
    document = orjson.loads(row.document)
    return PublishedType(type=row.type, **{name: document[name] for name in document.keys() & _FIELDS})


def _document(one: PublishedType) -> dict[str, Any]:
    document = asdict(one)
    del document["type"]
    return document
