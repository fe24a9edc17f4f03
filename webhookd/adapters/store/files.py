"""The rows of files: adding, finishing, reading, deleting. Their bytes are under `key` in the file store.

Bytes come before the row that names them and go after it, so no row is ever without bytes. What a partner
stores is a maintained sum (`file_usage`), moved in the transaction that moves the rows.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson
from sqlalchemy import Row, Select, or_, select

from webhookd.adapters.store.database import Database
from webhookd.adapters.store.paging import read_page
from webhookd.adapters.store.rowset import among, upsert
from webhookd.adapters.store.schema import file_usage, file_uses, files, task_bodies, tasks
from webhookd.adapters.store.tx import Tx
from webhookd.core.errors import Conflict, QuotaExceeded
from webhookd.core.files import File, FileFilter, FileKind, FileState, FileUsage
from webhookd.core.model import TASK_DONE
from webhookd.core.records import Page

QUOTA_RETRY_SECONDS: Final = 60.0
_DONE: Final = sorted(state.value for state in TASK_DONE)


def add_file(tx: Tx, file: File, max_stored_bytes: int) -> None:
    """Write a file down. Raises QuotaExceeded where its partner would store more than this."""
    _count(tx, {file.partner_id: (1, file.size)}, max_stored_bytes)
    tx.execute(files.insert(), _row(file))


def finish_upload(tx: Tx, ready: File) -> File | None:
    """Make an awaited file ready, as `ready` has it; None where it is no longer awaited.

    Its size was counted when it was announced, and is the same.
    """
    changed = tx.execute(
        files.update()
        .where(files.c.id == ready.id, files.c.state == FileState.AWAITING.value)
        .values(
            state=FileState.READY.value,
            sha256=ready.sha256,
            key=ready.key,
            content_type=ready.content_type,
            upload_until_ms=None,
        )
    ).rowcount
    return ready if changed else None


def get_file(tx: Tx, file_id: str, partner_id: str | None) -> File | None:
    """Return a file; None where it does not exist or is another partner's."""
    row = tx.execute(_owned(select(files).where(files.c.id == file_id), partner_id)).one_or_none()
    return None if row is None else file_from(row)


def get_files(tx: Tx, file_ids: Iterable[str], partner_id: str | None) -> dict[str, File]:
    """Return those of these files that exist and are this partner's, by id."""
    statement = _owned(select(files).where(among(tx, files.c.id, file_ids)), partner_id)
    return {row.id: file_from(row) for row in tx.execute(statement)}


def list_files(
    tx: Tx, partner_id: str | None, wanted: FileFilter, page: Page
) -> tuple[list[File], str | None]:
    """Return a page, newest first, and the cursor of the next page or None."""
    statement = _owned(select(files), partner_id).order_by(files.c.id.desc())
    if page.cursor is not None:
        statement = statement.where(files.c.id < page.cursor)
    if wanted.kind is not None:
        statement = statement.where(files.c.kind == wanted.kind.value)
    if wanted.task_id is not None:
        taken = select(file_uses.c.file_id).where(file_uses.c.task_id == wanted.task_id)
        statement = statement.where(or_(files.c.task_id == wanted.task_id, files.c.id.in_(taken)))
    rows, more = read_page(tx, statement, page.limit)
    found = [file_from(row) for row in rows]
    return found, found[-1].id if more else None


def read_usage(tx: Tx, partner_id: str) -> FileUsage:
    """Return what a partner stores."""
    row = tx.execute(select(file_usage).where(file_usage.c.partner_id == partner_id)).one_or_none()
    return (
        FileUsage(files=0, stored_bytes=0)
        if row is None
        else FileUsage(files=row.stored_files, stored_bytes=row.stored_bytes)
    )


def delete_file(tx: Tx, file_id: str, partner_id: str | None) -> File | None:
    """Delete a file's row; its bytes are to go after it. None: unknown, or another partner's.

    Raises Conflict while a task that has not ended needs it.
    """
    statement = _owned(select(files).where(files.c.id == file_id), partner_id).with_for_update()
    row = tx.execute(statement).one_or_none()
    if row is None:
        return None
    if file_id in needed(tx, [file_id]):
        raise Conflict("A task that has not ended needs this file; delete it when the task is done.")
    drop_files(tx, [row])
    return file_from(row)


def use_files(tx: Tx, uses: Iterable[tuple[str, str]]) -> None:
    """Note which tasks need which files: pairs of file and task."""
    rows = [{"file_id": file_id, "task_id": task_id} for file_id, task_id in uses]
    if rows:
        tx.execute(upsert(tx.dialect)(file_uses).on_conflict_do_nothing(), rows)


def needed(tx: Tx, file_ids: Iterable[str]) -> set[str]:
    """Return those of these files that a task which has not ended needs."""
    statement = (
        select(file_uses.c.file_id)
        .join(tasks, tasks.c.id == file_uses.c.task_id)
        .where(among(tx, file_uses.c.file_id, file_ids), tasks.c.state.not_in(_DONE))
        .distinct()
    )
    return set(tx.execute(statement).scalars())


def attach_results(tx: Tx, attached: Mapping[str, tuple[File, ...]]) -> None:
    """Write what tasks attached in the try that has just ended, in the place of what an earlier one did.

    For the transaction of the end. A task that attached nothing is named with an empty tuple.
    """
    earlier = tx.execute(select(files).where(among(tx, files.c.task_id, attached))).all()
    drop_files(tx, earlier)
    added = [file for of_task in attached.values() for file in of_task]
    if added:
        gained: dict[str, tuple[int, int]] = {}
        for file in added:
            count, size = gained.get(file.partner_id, (0, 0))
            gained[file.partner_id] = count + 1, size + file.size
        _count(tx, gained, None)
        tx.execute(files.insert(), [_row(file) for file in added])
    for task_id, of_task in attached.items():
        shown = orjson.dumps(of_task).decode() if of_task else None
        tx.execute(task_bodies.update().where(task_bodies.c.task_id == task_id).values(files=shown))


def drop_files(tx: Tx, rows: Iterable[Row[Any]]) -> None:
    """Delete these rows of files, with what hangs on them. Their bytes are the caller's, or the sweep's."""
    gone = list(rows)
    if not gone:
        return
    tx.execute(file_uses.delete().where(among(tx, file_uses.c.file_id, [row.id for row in gone])))
    tx.execute(files.delete().where(among(tx, files.c.id, [row.id for row in gone])))
    lost: dict[str, tuple[int, int]] = {}
    for row in gone:
        count, size = lost.get(row.partner_id, (0, 0))
        lost[row.partner_id] = count - 1, size - row.size
    _count(tx, lost, None)
    for task_id in {row.task_id for row in gone if row.task_id is not None}:
        _show_without(tx, task_id, {row.id for row in gone})


def _show_without(tx: Tx, task_id: str, gone: set[str]) -> None:
    body = select(task_bodies.c.files).where(task_bodies.c.task_id == task_id).with_for_update()
    shown = tx.execute(body).scalar_one_or_none()
    if shown is None:
        return
    left = [file for file in orjson.loads(shown) if file["id"] not in gone]
    tx.execute(
        task_bodies.update()
        .where(task_bodies.c.task_id == task_id)
        .values(files=orjson.dumps(left).decode() if left else None)
    )


def _count(tx: Tx, changes: Mapping[str, tuple[int, int]], most: int | None) -> None:
    """Move the sums of partners, in one order for all, so that two transactions cannot lock each other."""
    insert = upsert(tx.dialect)(file_usage)
    for partner_id in sorted(changes):
        count, size = changes[partner_id]
        moved = insert.values(
            partner_id=partner_id, stored_files=count, stored_bytes=size
        ).on_conflict_do_update(
            index_elements=[file_usage.c.partner_id],
            set_={
                "stored_files": file_usage.c.stored_files + count,
                "stored_bytes": file_usage.c.stored_bytes + size,
            },
        )
        stored = tx.execute(moved.returning(file_usage.c.stored_bytes)).scalar_one()
        if most is not None and stored > most:
            raise over_quota(most)


def over_quota(most: int) -> QuotaExceeded:
    """Return the error of a partner that stores too much."""
    return QuotaExceeded(
        f"The files of this partner may be {most:,} bytes in all; delete some first.",
        retry_after_seconds=QUOTA_RETRY_SECONDS,
    )


def file_from(row: Any) -> File:
    """Return the file of a row."""
    return File(
        id=row.id,
        partner_id=row.partner_id,
        name=row.name,
        content_type=row.content_type,
        size=row.size,
        sha256=row.sha256,
        state=FileState(row.state),
        kind=FileKind(row.kind),
        key=row.key,
        created_ms=row.created_ms,
        task_id=row.task_id,
        expires_ms=row.expires_ms,
        upload_until_ms=row.upload_until_ms,
    )


def _row(file: File) -> dict[str, Any]:
    return {
        "id": file.id,
        "partner_id": file.partner_id,
        "name": file.name,
        "content_type": file.content_type,
        "size": file.size,
        "sha256": file.sha256,
        "state": file.state.value,
        "kind": file.kind.value,
        "key": file.key,
        "task_id": file.task_id,
        "created_ms": file.created_ms,
        "expires_ms": file.expires_ms,
        "upload_until_ms": file.upload_until_ms,
    }


def _owned(statement: Select[Any], partner_id: str | None) -> Select[Any]:
    return statement if partner_id is None else statement.where(files.c.partner_id == partner_id)


class Files:
    """Reading and moving files; what belongs to a request is written by the functions above."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def get(self, file_id: str, partner_id: str | None) -> File | None:
        """Return a file; None where it is unknown or another partner's."""
        return await self._db.read(get_file, file_id, partner_id)

    async def get_many(self, file_ids: Iterable[str], partner_id: str | None) -> dict[str, File]:
        """Return those that exist and are this partner's, by id."""
        return await self._db.read(get_files, file_ids, partner_id)

    async def page(
        self, partner_id: str | None, wanted: FileFilter, page: Page
    ) -> tuple[list[File], str | None]:
        """Return a page, newest first, and the next cursor."""
        return await self._db.read(list_files, partner_id, wanted, page)

    async def usage(self, partner_id: str) -> FileUsage:
        """Return what a partner stores."""
        return await self._db.read(read_usage, partner_id)

    async def add(self, file: File, max_stored_bytes: int) -> None:
        """Write a file down. Raises QuotaExceeded."""
        await self._db.write(add_file, file, max_stored_bytes)

    async def finish(self, ready: File) -> File | None:
        """Make an awaited file ready; None where it is no longer awaited."""
        return await self._db.write(finish_upload, ready)

    async def delete(self, file_id: str, partner_id: str | None) -> File | None:
        """Delete a file's row. None: unknown. Raises Conflict while a task needs it."""
        return await self._db.write(delete_file, file_id, partner_id)
