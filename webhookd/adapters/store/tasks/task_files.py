"""What tasks have to do with files: which they need, and which they attached."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from sqlalchemy import and_, bindparam, select, union

from webhookd.adapters.store.files.file_rows import FileRow, add_files, drop_files, show_files
from webhookd.adapters.store.rowset import Id, insert_rows, named
from webhookd.adapters.store.schema import file_uses, files, tasks
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.files import File
from webhookd.core.model import TASK_DONE


class FileUse(NamedTuple):
    """A task needs a file."""

    file_id: str
    task_id: str


_USE: Final = Change(
    lambda dialect: insert_rows(dialect, file_uses, "uses", FileUse).on_conflict_do_nothing()
)


def use_files(tx: Tx, uses: Iterable[tuple[str, str]]) -> None:
    """Note which tasks need which files: pairs of file and task."""
    rows = list(uses)
    if rows:
        tx.run(_USE, uses=rows)


_NEEDED: Final = Query(
    Id,
    lambda dialect: (
        select(file_uses.c.file_id.label("id"))
        .join(tasks, tasks.c.id == file_uses.c.task_id)
        .where(
            named(dialect, file_uses.c.file_id, "ids"),
            and_(*(tasks.c.state != state.value for state in sorted(TASK_DONE))),
        )
        .distinct()
    ),
)


def needed(tx: Tx, file_ids: Iterable[str]) -> set[str]:
    """Return those of these files that a task which has not ended needs."""
    return {row.id for row in tx.run(_NEEDED, ids=file_ids)}


class _OfBatch(NamedTuple):
    id: str
    batch_id: str | None


_OWNERS: Final = Query(
    _OfBatch,
    lambda _: select(tasks.c.id, tasks.c.batch_id).where(
        tasks.c.id.in_(
            union(
                select(files.c.task_id).where(files.c.id == bindparam("file_id")),
                select(file_uses.c.task_id).where(file_uses.c.file_id == bindparam("file_id")),
            )
        )
    ),
)


def tasks_of_file(tx: Tx, file_id: str) -> list[tuple[str, str | None]]:
    """Return the tasks that made a file or need it, each with its batch."""
    return [(row.id, row.batch_id) for row in tx.run(_OWNERS, file_id=file_id)]


_ATTACHED: Final = Query(FileRow, lambda dialect: select(files).where(named(dialect, files.c.task_id, "ids")))


def attach_results(tx: Tx, attached: Mapping[str, tuple[File, ...]]) -> None:
    """Write what tasks attached in the try that has just ended, in the place of what an earlier one did.

    For the transaction of the end. A task that attached nothing is named with an empty tuple.
    """
    drop_files(tx, tx.run(_ATTACHED, ids=attached))
    added = [file for of_task in attached.values() for file in of_task]
    if added:
        add_files(tx, added)
    for task_id, of_task in attached.items():
        show_files(tx, task_id, of_task)
