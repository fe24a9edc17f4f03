"""The pull feed: every message of a partner, in the order of its feed numbers.

A partner's feed row stays locked from the number's taking to the commit (`publish`), so feed order is
commit order: a reader that has seen number N will never find a new one before it.
"""

from dataclasses import dataclass

from sqlalchemy import select

from webhookd.adapters.store.database import Database
from webhookd.adapters.store.paging import read_page
from webhookd.adapters.store.rows import message_from
from webhookd.adapters.store.schema import feeds, messages
from webhookd.adapters.store.tx import Tx
from webhookd.core.records import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPage:
    """Up to `limit` messages after the number asked for, and the last number the feed has given out.

    `after_id` is the message that has the number asked for; None where there is none (any more).
    """

    messages: tuple[Message, ...]
    last_seq: int
    after_id: str | None


class Messages:
    """The pull feed."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def feed(self, partner_id: str, *, after_seq: int, limit: int) -> FeedPage:
        """Return the partner's next messages, oldest first."""
        return await self._db.read(read_feed, partner_id, after_seq=after_seq, limit=limit)


def read_feed(tx: Tx, partner_id: str, *, after_seq: int, limit: int) -> FeedPage:
    """Return the partner's next messages, oldest first. A partner without any has `last_seq` 0."""
    last_seq = tx.execute(select(feeds.c.last_seq).where(feeds.c.partner_id == partner_id)).scalar() or 0
    statement = (
        select(messages)
        .where(messages.c.partner_id == partner_id, messages.c.seq > after_seq)
        .order_by(messages.c.seq)
    )
    rows, _ = read_page(tx, statement, limit)
    after = select(messages.c.id).where(messages.c.partner_id == partner_id, messages.c.seq == after_seq)
    return FeedPage(
        messages=tuple(message_from(row) for row in rows),
        last_seq=last_seq,
        after_id=tx.execute(after).scalar() if after_seq else None,
    )
