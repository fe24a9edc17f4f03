"""Rows of files as they come and go, with the sum of what their partner stores.

The sum is maintained (`file_usage`), moved in the transaction that moves the rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import bindparam, select

from webhookd.adapters.store.rows import filled
from webhookd.adapters.store.rowset import insert_rows, named, upsert
from webhookd.adapters.store.schema import file_usage, files, task_bodies
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.errors import QuotaExceeded
from webhookd.core.files import File, FileKind, FileState, FileUsage

QUOTA_RETRY_SECONDS: Final = 60.0


class FileRow(NamedTuple):
    """A row of `files`."""

    id: str
    partner_id: str
    name: str
    content_type: str
    size: int
    sha256: str | None
    state: str
    kind: str
    key: str
    task_id: str | None
    created_ms: int
    expires_ms: int | None
    upload_until_ms: int | None


def file_from(row: FileRow) -> File:
    """Return the file of a row."""
    return filled(File, row, state=FileState(row.state), kind=FileKind(row.kind))


def _row(file: File) -> FileRow:
    return filled(FileRow, file, state=file.state.value, kind=file.kind.value)


_ADD: Final = Change(lambda dialect: insert_rows(dialect, files, "added", FileRow))


def add_files(tx: Tx, added: Sequence[File], max_stored_bytes: int | None = None) -> None:
    """Write files down. Raises QuotaExceeded where a partner would store more than this."""
    gained: dict[str, tuple[int, int]] = {}
    for file in added:
        count, size = gained.get(file.partner_id, (0, 0))
        gained[file.partner_id] = count + 1, size + file.size
    _count(tx, gained, max_stored_bytes)
    tx.run(_ADD, added=map(_row, added))


_DROP: Final = Change(lambda dialect: files.delete().where(named(dialect, files.c.id, "ids")))


def drop_files(tx: Tx, gone: Sequence[FileRow]) -> None:
    """Delete these rows of files. Their bytes are the caller's, or the sweep's.

    Which tasks took them stays written down as long as those tasks: none of them can be run again as it was.
    """
    if not gone:
        return
    gone_ids = {row.id for row in gone}
    tx.run(_DROP, ids=gone_ids)
    lost: dict[str, tuple[int, int]] = {}
    for row in gone:
        count, size = lost.get(row.partner_id, (0, 0))
        lost[row.partner_id] = count - 1, size - row.size
    _count(tx, lost, None)
    for task_id in {row.task_id for row in gone if row.task_id is not None}:
        _show_without(tx, task_id, gone_ids)


class _Shown(NamedTuple):
    files: str | None


_SHOWN: Final = Query(
    _Shown,
    lambda _: (
        select(task_bodies.c.files).where(task_bodies.c.task_id == bindparam("task_id")).with_for_update()
    ),
)
_SHOW: Final = Change(
    lambda _: (
        task_bodies.update()
        .where(task_bodies.c.task_id == bindparam("of_task"))
        .values(files=bindparam("files"))
    )
)


def show_files(tx: Tx, task_id: str, shown: Sequence[Any]) -> None:
    """Write which files a task shows."""
    tx.run(_SHOW, of_task=task_id, files=orjson.dumps(shown).decode() if shown else None)


def _show_without(tx: Tx, task_id: str, gone: set[str]) -> None:
    shown = tx.first(_SHOWN, task_id=task_id)
    if shown is None or shown.files is None:
        return
    show_files(tx, task_id, [file for file in orjson.loads(shown.files) if file["id"] not in gone])


class _Stored(NamedTuple):
    stored_bytes: int


def _moved_usage(dialect: str) -> Any:
    insert = upsert(dialect)(file_usage).values(
        partner_id=bindparam("partner_id"), stored_files=bindparam("count"), stored_bytes=bindparam("size")
    )
    return insert.on_conflict_do_update(
        index_elements=[file_usage.c.partner_id],
        set_={
            "stored_files": file_usage.c.stored_files + insert.excluded.stored_files,
            "stored_bytes": file_usage.c.stored_bytes + insert.excluded.stored_bytes,
        },
    ).returning(file_usage.c.stored_bytes)


_MOVE_USAGE: Final = Query(_Stored, _moved_usage)


def _count(tx: Tx, changes: Mapping[str, tuple[int, int]], most: int | None) -> None:
    """Move the sums of partners, in one order for all, so that two transactions cannot lock each other."""
    for partner_id in sorted(changes):
        count, size = changes[partner_id]
        stored = tx.one(_MOVE_USAGE, partner_id=partner_id, count=count, size=size).stored_bytes
        if most is not None and stored > most:
            raise over_quota(most)


class _Usage(NamedTuple):
    stored_files: int
    stored_bytes: int


_USAGE: Final = Query(
    _Usage,
    lambda _: select(file_usage.c.stored_files, file_usage.c.stored_bytes).where(
        file_usage.c.partner_id == bindparam("partner_id")
    ),
)


def read_usage(tx: Tx, partner_id: str) -> FileUsage:
    """Return what a partner stores."""
    row = tx.first(_USAGE, partner_id=partner_id) or _Usage(0, 0)
    return FileUsage(files=row.stored_files, stored_bytes=row.stored_bytes)


def over_quota(most: int) -> QuotaExceeded:
    """Return the error of a partner that stores too much."""
    return QuotaExceeded(
        f"The files of this partner may be {most:,} bytes in all; delete some first.",
        retry_after_seconds=QUOTA_RETRY_SECONDS,
    )
