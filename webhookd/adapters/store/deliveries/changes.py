"""Where each partner's feed stands, and which tasks it announced since: for those who watch a whole partner.

The messages themselves are read in `messages`.
"""

from collections.abc import Collection
from typing import Final, NamedTuple

from sqlalchemy import Integer, bindparam, select

from webhookd.adapters.store.rowset import named
from webhookd.adapters.store.schema import feeds, messages
from webhookd.adapters.store.statement import Listing, Query, narrowed
from webhookd.adapters.store.tx import Tx


class _Position(NamedTuple):
    partner_id: str
    last_seq: int


_POSITIONS: Final = Listing(
    _Position,
    lambda dialect, given: narrowed(
        select(feeds.c.partner_id, feeds.c.last_seq),
        given,
        partner_ids=named(dialect, feeds.c.partner_id, "partner_ids"),
    ),
)


def read_positions(tx: Tx, partner_ids: Collection[str] | None) -> dict[str, int]:
    """Return partner ids to last feed numbers."""
    return {row.partner_id: row.last_seq for row in tx.run(_POSITIONS, partner_ids=partner_ids)}


class _Announced(NamedTuple):
    task_id: str | None
    seq: int


_ANNOUNCED: Final = Query(
    _Announced,
    lambda _: (
        select(messages.c.task_id, messages.c.seq)
        .where(messages.c.partner_id == bindparam("partner_id"), messages.c.seq > bindparam("after"))
        .order_by(messages.c.seq)
        .limit(bindparam("most", type_=Integer))
    ),
)


def read_announced(tx: Tx, partner_id: str, *, after: int, limit: int) -> tuple[list[str], int]:
    """Return the distinct tasks of up to `limit` messages after a number, and the last number read."""
    rows = tx.run(_ANNOUNCED, partner_id=partner_id, after=after, most=limit)
    task_ids = dict.fromkeys(row.task_id for row in rows if row.task_id is not None)
    return list(task_ids), rows[-1].seq if rows else after
