"""Files as the API sees them: adding, finishing, reading, deleting. Their bytes are in the file store.

Bytes come before the row that names them and go after it, so no row is ever without bytes.
"""

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import Integer, Select, bindparam, or_, select

from webhookd.adapters.store.files.file_rows import FileRow, add_files, drop_files, file_from
from webhookd.adapters.store.paging import take_page
from webhookd.adapters.store.rowset import named
from webhookd.adapters.store.schema import file_uses, files
from webhookd.adapters.store.statement import Change, Listing, narrowed
from webhookd.adapters.store.tasks.task_files import needed
from webhookd.adapters.store.tx import Tx
from webhookd.core.errors import Conflict
from webhookd.core.files import File, FileFilter, FileState
from webhookd.core.records import Bounds


def add_file(tx: Tx, file: File, max_stored_bytes: int) -> None:
    """Write a file down. Raises QuotaExceeded where its partner would store more than this."""
    add_files(tx, [file], max_stored_bytes)


_FINISH: Final = Change(
    lambda _: (
        files.update()
        .where(files.c.id == bindparam("file_id"), files.c.state == FileState.AWAITING.value)
        .values(
            state=FileState.READY.value,
            sha256=bindparam("sha256"),
            key=bindparam("key"),
            content_type=bindparam("content_type"),
            upload_until_ms=None,
        )
    )
)


def finish_upload(tx: Tx, ready: File) -> File | None:
    """Make an awaited file ready, as `ready` has it; None where it is no longer awaited.

    Its size was counted when it was announced, and is the same.
    """
    changed = tx.run(
        _FINISH, file_id=ready.id, sha256=ready.sha256, key=ready.key, content_type=ready.content_type
    )
    return ready if changed else None


def _owned(statement: Select[Any], given: frozenset[str]) -> Select[Any]:
    return narrowed(statement, given, partner_id=files.c.partner_id == bindparam("partner_id"))


_ONE: Final = Listing(
    FileRow, lambda _, given: _owned(select(files).where(files.c.id == bindparam("file_id")), given)
)
_SOME: Final = Listing(
    FileRow, lambda dialect, given: _owned(select(files).where(named(dialect, files.c.id, "ids")), given)
)


def get_file(tx: Tx, file_id: str, partner_id: str | None) -> File | None:
    """Return a file; None where it does not exist or is another partner's."""
    row = tx.first(_ONE, file_id=file_id, partner_id=partner_id)
    return None if row is None else file_from(row)


def get_files(tx: Tx, file_ids: Iterable[str], partner_id: str | None) -> dict[str, File]:
    """Return those of these files that exist and are this partner's, by id."""
    return {row.id: file_from(row) for row in tx.run(_SOME, ids=file_ids, partner_id=partner_id)}


def _page(_dialect: str, given: frozenset[str]) -> Select[Any]:
    taken = select(file_uses.c.file_id).where(file_uses.c.task_id == bindparam("task_id"))
    newest_first = select(files).order_by(files.c.id.desc()).limit(bindparam("most", type_=Integer))
    return narrowed(
        _owned(newest_first, given),
        given,
        cursor=files.c.id < bindparam("cursor"),
        kind=files.c.kind == bindparam("kind"),
        task_id=or_(files.c.task_id == bindparam("task_id"), files.c.id.in_(taken)),
    )


_PAGE: Final = Listing(FileRow, _page)


def list_files(
    tx: Tx, partner_id: str | None, wanted: FileFilter, page: Bounds
) -> tuple[list[File], str | None]:
    """Return a page, newest first, and the cursor of the next page or None."""
    rows = tx.stream(
        _PAGE,
        partner_id=partner_id,
        cursor=page.cursor,
        kind=None if wanted.kind is None else wanted.kind.value,
        task_id=wanted.task_id,
        most=page.limit + 1,
    )
    shown, more = take_page(rows, page.limit)
    found = [file_from(row) for row in shown]
    return found, found[-1].id if more else None


_LOCK: Final = Listing(
    FileRow,
    lambda _, given: _owned(select(files).where(files.c.id == bindparam("file_id")).with_for_update(), given),
)


def delete_file(tx: Tx, file_id: str, partner_id: str | None) -> File | None:
    """Delete a file's row; its bytes are to go after it. None: unknown, or another partner's.

    Raises Conflict while a task that has not ended needs it.
    """
    row = tx.first(_LOCK, file_id=file_id, partner_id=partner_id)
    if row is None:
        return None
    if file_id in needed(tx, [file_id]):
        raise Conflict("A task that has not ended needs this file; delete it when the task is done.")
    drop_files(tx, [row])
    return file_from(row)
