"""Messages: one by its id, and the pull feed, which is all of a partner in the order of its feed numbers.

A partner's feed row stays locked from the number's taking to the commit (`publish`), so feed order is
commit order: a reader that has seen number N will never find a new one before it.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Integer, bindparam, select

from webhookd.adapters.store.paging import take_page
from webhookd.adapters.store.rows import filled
from webhookd.adapters.store.rowset import Id
from webhookd.adapters.store.schema import feeds, messages
from webhookd.adapters.store.statement import Listing, Query, narrowed
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


class _Last(NamedTuple):
    last_seq: int


class _MessageRow(NamedTuple):
    """A row of `messages`."""

    id: str
    partner_id: str
    task_id: str | None
    event: str
    body: str
    seq: int
    trace_id: str
    trace_parent_id: str
    trace_flags: int
    trace_state: str
    created_ms: int


_LAST: Final = Query(
    _Last, lambda _: select(feeds.c.last_seq).where(feeds.c.partner_id == bindparam("partner_id"))
)
_NEXT: Final = Query(
    _MessageRow,
    lambda _: (
        select(messages)
        .where(messages.c.partner_id == bindparam("partner_id"), messages.c.seq > bindparam("after_seq"))
        .order_by(messages.c.seq)
        .limit(bindparam("most", type_=Integer))
    ),
)
_AT: Final = Query(
    Id,
    lambda _: select(messages.c.id).where(
        messages.c.partner_id == bindparam("partner_id"), messages.c.seq == bindparam("seq")
    ),
)


def read_feed(tx: Tx, partner_id: str, *, after_seq: int, limit: int) -> FeedPage:
    """Return the partner's next messages, oldest first. A partner without any has `last_seq` 0."""
    last = tx.first(_LAST, partner_id=partner_id)
    rows, _ = take_page(tx.stream(_NEXT, partner_id=partner_id, after_seq=after_seq, most=limit + 1), limit)
    after = tx.first(_AT, partner_id=partner_id, seq=after_seq) if after_seq else None
    return FeedPage(
        messages=tuple(filled(Message, row) for row in rows),
        last_seq=0 if last is None else last.last_seq,
        after_id=None if after is None else after.id,
    )


_ONE: Final = Listing(
    _MessageRow,
    lambda _, given: narrowed(
        select(messages).where(messages.c.id == bindparam("message_id")),
        given,
        partner_id=messages.c.partner_id == bindparam("partner_id"),
    ),
)


def get_message(tx: Tx, message_id: str, partner_id: str | None) -> Message | None:
    """Return a message; None where it does not exist or is another partner's."""
    row = tx.first(_ONE, message_id=message_id, partner_id=partner_id)
    return None if row is None else filled(Message, row)
