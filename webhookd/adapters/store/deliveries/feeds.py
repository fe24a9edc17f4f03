"""The numbers of a partner's feed, given out in the order of the commits.

A partner's feed row stays locked from a number's taking to the commit, so it is taken last.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, cast, column, func, select, table, text

from webhookd.adapters.store.rowset import POSTGRESQL, insert_rows, rowset, upsert
from webhookd.adapters.store.schema import feeds
from webhookd.adapters.store.statement import Change
from webhookd.adapters.store.tx import Tx

WOKEN: Final = "woken"
"""The name of what locks the lanes, which go before the feeds."""
_TAKEN: Final = "taken"


class _Feed(NamedTuple):
    partner_id: str
    last_seq: int


def _take_feed(dialect: str) -> Any:
    """Take the next numbers of partners' feeds; PostgreSQL locks the lanes before it begins."""
    first: Any = text("true")
    if dialect == POSTGRESQL:
        woken = select(func.count()).select_from(table(WOKEN)).scalar_subquery()
        first = woken >= 0
    rows = rowset(dialect, "takers", _Feed)
    insert = upsert(dialect)(feeds).from_select(_Feed._fields, select(rows).where(first))
    taking = insert.on_conflict_do_update(
        index_elements=[feeds.c.partner_id], set_={"last_seq": feeds.c.last_seq + insert.excluded.last_seq}
    )
    return taking.returning(feeds.c.partner_id, feeds.c.last_seq) if dialect == POSTGRESQL else taking


_TAKE_FEED: Final = Change(_take_feed)
_LOCK_FEED: Final = Change(
    lambda dialect: insert_rows(dialect, feeds, "takers", _Feed).on_conflict_do_update(
        index_elements=[feeds.c.partner_id], set_={"last_seq": feeds.c.last_seq}
    )
)


def take_feed(tx: Tx, partner_id: str) -> None:
    """Hold the feed's row to the commit without taking a number: no task of the partner ends meanwhile."""
    tx.run(_LOCK_FEED, takers=[_Feed(partner_id, 0)])


def take_feed_numbers(tx: Tx, partner_ids: Sequence[str]) -> list[int]:
    """Take a number of each one's feed, in order; return how far each is behind the last of its partner.

    They are taken later, after the lanes of `WOKEN`: `last_number` is for the statement that goes with it.
    """
    left = Counter(partner_ids)
    tx.later(_TAKE_FEED, name=_TAKEN, takers=[_Feed(*taker) for taker in sorted(left.items())])
    behind = []
    for partner_id in partner_ids:
        left[partner_id] -= 1
        behind.append(left[partner_id])
    return behind


def last_number(dialect: str, partner_id: ColumnElement[str]) -> ColumnElement[int]:
    """Return the last number taken for a partner, in the statement that leads (`Tx.later`)."""
    if dialect != POSTGRESQL:
        found = select(feeds.c.last_seq).where(feeds.c.partner_id == partner_id)
        return found.correlate_except(feeds).scalar_subquery()
    # Many partners are found in it by a binary search.
    taken = table(_TAKEN, column("partner_id"), column("last_seq"))
    all_taken = select(func.jsonb_object_agg(taken.c.partner_id, taken.c.last_seq)).scalar_subquery()
    return cast(all_taken.op("->>")(partner_id), BigInteger)
