"""What the sweep of files asks the rows: which are past their time, and which keys a row still names."""

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import or_, select

from webhookd.adapters.store.database import Database
from webhookd.adapters.store.files import drop_files, needed
from webhookd.adapters.store.rowset import among
from webhookd.adapters.store.schema import file_uses, files
from webhookd.adapters.store.tx import Tx

ROWS_A_STEP: Final = 200


def drop_late_files(tx: Tx, now_ms: int, grace_ms: int) -> list[str]:
    """Delete rows of files past their time, and of uploads nobody finished; return the keys they named.

    A file that a task which has not ended needs stays until it has. `grace_ms` is how long after its
    deadline an upload that had begun in time may still end.
    """
    over = files.c.expires_ms <= now_ms
    abandoned = files.c.upload_until_ms <= now_ms - grace_ms
    keys: list[str] = []
    for condition in (over, abandoned):
        rows = tx.execute(
            select(files).where(condition).limit(ROWS_A_STEP).with_for_update(skip_locked=True)
        ).all()
        spared = needed(tx, [row.id for row in rows])
        late = [row for row in rows if row.id not in spared]
        drop_files(tx, late)
        keys += [row.key for row in late]
        if spared:
            _come_again(tx, spared, now_ms + grace_ms)
    return keys


def _come_again(tx: Tx, file_ids: Iterable[str], at_ms: int) -> None:
    """Look at these later, or they would stand in the way of those after them."""
    tx.execute(files.update().where(among(tx, files.c.id, file_ids)).values(expires_ms=at_ms))


def drop_with_tasks(tx: Tx, task_ids: Sequence[str]) -> None:
    """Delete what goes with these tasks: what they attached, and what they alone took.

    The sweep removes the bytes, which nothing names any more.
    """
    of_tasks = among(tx, file_uses.c.task_id, task_ids)
    taken = set(tx.execute(select(file_uses.c.file_id).where(of_tasks)).scalars())
    tx.execute(file_uses.delete().where(of_tasks))
    if taken:
        others = select(file_uses.c.file_id).where(among(tx, file_uses.c.file_id, taken))
        taken -= set(tx.execute(others).scalars())
    going = or_(among(tx, files.c.task_id, task_ids), among(tx, files.c.id, taken))
    drop_files(tx, tx.execute(select(files).where(going)).all())


def named_keys(tx: Tx, file_ids: Iterable[str]) -> set[str]:
    """Return the keys that the rows of these ids name."""
    return set(tx.execute(select(files.c.key).where(among(tx, files.c.id, file_ids))).scalars())


class FileSweeps:
    """Repairs of files."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def drop_late(self, now_ms: int, grace_ms: int) -> list[str]:
        """Delete rows past their time, some hundred at most; return the keys they named."""
        return await self._db.write(drop_late_files, now_ms, grace_ms)

    async def named(self, file_ids: Iterable[str]) -> set[str]:
        """Return the keys that the rows of these ids name."""
        return await self._db.read(named_keys, file_ids)
