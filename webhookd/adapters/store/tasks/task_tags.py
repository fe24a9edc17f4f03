"""What tasks are found by besides ids: a digest of each pair of their metadata."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import select, tuple_

from webhookd.adapters.store.rowset import insert_rows, named, rowset
from webhookd.adapters.store.schema import task_bodies, task_tags, tasks
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.metadata import metadata_tags
from webhookd.core.records import NewTask


class _Tag(NamedTuple):
    tag: str
    partner_id: str
    task_id: str


class _Pairs(NamedTuple):
    id: str
    partner_id: str
    metadata: str


def _delete(dialect: str) -> Any:
    gone = rowset(dialect, "gone", _Tag)
    whole = tuple_(task_tags.c.tag, task_tags.c.partner_id, task_tags.c.task_id)
    # By the index: a row of three is not found in a list by it on PostgreSQL.
    return task_tags.delete().where(named(dialect, task_tags.c.tag, "tags"), whole.in_(select(gone)))


def _pairs(dialect: str) -> Any:
    return (
        select(tasks.c.id, tasks.c.partner_id, task_bodies.c.metadata)
        .join(task_bodies, task_bodies.c.task_id == tasks.c.id)
        .where(named(dialect, tasks.c.id, "ids"))
    )


_ADD: Final = Change(lambda dialect: insert_rows(dialect, task_tags, "tags", _Tag))
_PAIRS: Final = Query(_Pairs, _pairs)
_DELETE: Final = Change(_delete)


def add_tags(tx: Tx, fresh: Iterable[NewTask]) -> None:
    """Let new tasks be found by their metadata; those without any cost nothing."""
    tags = [
        _Tag(tag, task.partner_id, task.id) for task in fresh for tag in metadata_tags(task.metadata_json)
    ]
    if tags:
        tx.later(_ADD, tags=tags)


def drop_tags(tx: Tx, task_ids: Sequence[str]) -> None:
    """Let tasks that are deleted be found no more: before their bodies go."""
    gone = [
        _Tag(tag, row.partner_id, row.id)
        for row in tx.run(_PAIRS, ids=task_ids)
        for tag in metadata_tags(row.metadata)
    ]
    if gone:
        tx.run(_DELETE, gone=gone, tags=[one.tag for one in gone])
