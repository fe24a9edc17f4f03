"""What the sweep of files asks the rows: which are past their time, and which keys a row still names."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, bindparam, or_, select

from webhookd.adapters.store.files.file_rows import FileRow, drop_files
from webhookd.adapters.store.rowset import Id, named
from webhookd.adapters.store.schema import file_uses, files
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tasks.task_files import needed
from webhookd.adapters.store.tx import Tx

ROWS_A_STEP: Final = 200


def _some(late: ColumnElement[bool]) -> Query[FileRow]:
    return Query(
        FileRow,
        lambda _: select(files).where(late).limit(ROWS_A_STEP).with_for_update(skip_locked=True),
    )


_OVER: Final = _some(files.c.expires_ms <= bindparam("before_ms"))
_ABANDONED: Final = _some(files.c.upload_until_ms <= bindparam("before_ms"))
_COME_AGAIN: Final = Change(
    lambda dialect: (
        files.update().where(named(dialect, files.c.id, "ids")).values(expires_ms=bindparam("expires_ms"))
    )
)


def drop_late_files(tx: Tx, now_ms: int, grace_ms: int) -> list[str]:
    """Delete rows of files past their time, and of uploads nobody finished; return the keys they named.

    A file that a task which has not ended needs stays until it has. `grace_ms` is how long after its
    deadline an upload that had begun in time may still end.
    """
    keys: list[str] = []
    for statement, before_ms in ((_OVER, now_ms), (_ABANDONED, now_ms - grace_ms)):
        rows = tx.run(statement, before_ms=before_ms)
        spared = needed(tx, [row.id for row in rows])
        late = [row for row in rows if row.id not in spared]
        drop_files(tx, late)
        keys += [row.key for row in late]
        if spared:
            # Look at these later, or they would stand in the way of those after them.
            tx.run(_COME_AGAIN, ids=spared, expires_ms=now_ms + grace_ms)
    return keys


_TAKEN: Final = Query(
    Id,
    lambda dialect: select(file_uses.c.file_id.label("id")).where(
        named(dialect, file_uses.c.task_id, "tasks")
    ),
)
_STILL_USED: Final = Query(
    Id,
    lambda dialect: select(file_uses.c.file_id.label("id")).where(named(dialect, file_uses.c.file_id, "ids")),
)
_DROP_USES: Final = Change(
    lambda dialect: file_uses.delete().where(named(dialect, file_uses.c.task_id, "tasks"))
)
_GOING: Final = Query(
    FileRow,
    lambda dialect: select(files).where(
        or_(named(dialect, files.c.task_id, "tasks"), named(dialect, files.c.id, "ids"))
    ),
)


def drop_with_tasks(tx: Tx, task_ids: Sequence[str]) -> None:
    """Delete what goes with these tasks: what they attached, and what they alone took.

    The sweep removes the bytes, which nothing names any more.
    """
    taken = {row.id for row in tx.run(_TAKEN, tasks=task_ids)}
    tx.run(_DROP_USES, tasks=task_ids)
    if taken:
        taken -= {row.id for row in tx.run(_STILL_USED, ids=taken)}
    drop_files(tx, tx.run(_GOING, tasks=task_ids, ids=taken))


class _FileKey(NamedTuple):
    key: str


_KEYS: Final = Query(_FileKey, lambda dialect: select(files.c.key).where(named(dialect, files.c.id, "ids")))


def named_keys(tx: Tx, file_ids: Iterable[str]) -> set[str]:
    """Return the keys that the rows of these ids name."""
    return {row.key for row in tx.run(_KEYS, ids=file_ids)}
