"""The numbers of a partner's feed, given out in the order of the commits.

A partner's feed row stays locked from a number's taking to the commit, so it is taken last.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from webhookd.adapters.store.rowset import insert_rows
from webhookd.adapters.store.schema import feeds
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tx import Tx


class _Feed(NamedTuple):
    partner_id: str
    last_seq: int


def _take_feed(dialect: str) -> Any:
    """Take the next numbers of partners' feeds and return the last of each."""
    insert = insert_rows(dialect, feeds, "takers", _Feed)
    return insert.on_conflict_do_update(
        index_elements=[feeds.c.partner_id], set_={"last_seq": feeds.c.last_seq + insert.excluded.last_seq}
    ).returning(feeds.c.partner_id, feeds.c.last_seq)


_TAKE_FEED: Final = Query(_Feed, _take_feed)
_LOCK_FEED: Final = Change(
    lambda dialect: insert_rows(dialect, feeds, "takers", _Feed).on_conflict_do_update(
        index_elements=[feeds.c.partner_id], set_={"last_seq": feeds.c.last_seq}
    )
)


def take_feed(tx: Tx, partner_id: str) -> None:
    """Hold the feed's row to the commit without taking a number: no task of the partner ends meanwhile."""
    tx.run(_LOCK_FEED, takers=[_Feed(partner_id, 0)])


def take_feed_numbers(tx: Tx, partner_ids: Iterable[str]) -> dict[str, Iterator[int]]:
    counts: defaultdict[str, int] = defaultdict(int)
    for partner_id in partner_ids:
        counts[partner_id] += 1
    taken = tx.run(_TAKE_FEED, takers=[_Feed(*taker) for taker in sorted(counts.items())])
    return {
        row.partner_id: iter(range(row.last_seq - counts[row.partner_id] + 1, row.last_seq + 1))
        for row in taken
    }
