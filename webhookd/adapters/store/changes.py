"""Where each partner's feed stands, and which tasks it announced since: for those who watch a whole partner.

The messages themselves are read in `messages`.
"""

from collections.abc import Collection

from sqlalchemy import select

from webhookd.adapters.store.database import Database
from webhookd.adapters.store.rowset import among
from webhookd.adapters.store.schema import feeds, messages
from webhookd.adapters.store.tx import Tx


class Changes:
    """Reads without bodies, cheap enough for once a second."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def positions(self, partner_ids: Collection[str] | None) -> dict[str, int]:
        """Return the last feed number of each of these partners (None: of all) that has one."""
        return await self._db.read(read_positions, partner_ids)

    async def announced(self, partner_id: str, *, after: int, limit: int) -> tuple[list[str], int]:
        """Return the tasks of the partner's next messages, oldest first, and the last number among those."""
        return await self._db.read(read_announced, partner_id, after=after, limit=limit)


def read_positions(tx: Tx, partner_ids: Collection[str] | None) -> dict[str, int]:
    """Return partner ids to last feed numbers."""
    statement = select(feeds.c.partner_id, feeds.c.last_seq)
    if partner_ids is not None:
        statement = statement.where(among(tx, feeds.c.partner_id, partner_ids))
    return {row.partner_id: row.last_seq for row in tx.execute(statement)}


def read_announced(tx: Tx, partner_id: str, *, after: int, limit: int) -> tuple[list[str], int]:
    """Return the distinct tasks of up to `limit` messages after a number, and the last number read."""
    rows = tx.execute(
        select(messages.c.task_id, messages.c.seq)
        .where(messages.c.partner_id == partner_id, messages.c.seq > after)
        .order_by(messages.c.seq)
        .limit(limit)
    ).all()
    task_ids = dict.fromkeys(row.task_id for row in rows if row.task_id is not None)
    return list(task_ids), rows[-1].seq if rows else after
