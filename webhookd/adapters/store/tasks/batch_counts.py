"""How many tasks of a batch are in each state: kept up to date by every move, never counted.

One row a batch and writing process (`shard`), as the queues' depths have it (`counters`): a process adds to
its own row, so claims and ends of several processes do not wait for each other here. Readers add up; the
sweep folds the rows of ended processes into the empty shard. `moves` only grows, and is what a batch's
version is made of.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from sqlalchemy import Subquery, func, select, tuple_

from webhookd.adapters.store.rowset import insert_rows, named, rowset
from webhookd.adapters.store.schema import batch_counts
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.model import TaskState

COUNTED: Final = ("moves", *(state.value for state in TaskState))


class _CountsRow(NamedTuple):
    batch_id: str
    shard: str
    moves: int
    scheduled: int
    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    expired: int


def _add(dialect: str) -> Any:
    insert = insert_rows(dialect, batch_counts, "changes", _CountsRow)
    return insert.on_conflict_do_update(
        index_elements=[batch_counts.c.batch_id, batch_counts.c.shard],
        set_={name: batch_counts.c[name] + insert.excluded[name] for name in COUNTED},
    )


_ADD: Final = Change(_add)


def write_batch_counts(tx: Tx) -> bool:
    """Add what a transaction has moved in batches so far. False: nothing was."""
    moved = tx.depths.take_batches()
    if moved:
        tx.later(
            _ADD,
            changes=[
                _CountsRow(batch_id, tx.shard, moves, *(states.get(state, 0) for state in TaskState))
                for batch_id, moves, states in moved
            ],
        )
    return bool(moved)


def summed(dialect: str, name: str) -> Subquery:
    """Return the sums of the batches in the parameter `name`, a row a batch that has any."""
    return (
        select(batch_counts.c.batch_id, *(func.sum(batch_counts.c[one]).label(one) for one in COUNTED))
        .where(named(dialect, batch_counts.c.batch_id, name))
        .group_by(batch_counts.c.batch_id)
        .subquery("sums")
    )


class _CountsKey(NamedTuple):
    batch_id: str
    shard: str


_ENDED_SHARDS: Final = Query(
    _CountsRow,
    lambda dialect: (
        select(*(batch_counts.c[name] for name in _CountsRow._fields))
        .where(batch_counts.c.shard != "", ~named(dialect, batch_counts.c.shard, "live"))
        .order_by(batch_counts.c.batch_id, batch_counts.c.shard)
        .limit(500)
        .with_for_update()
    ),
)


def _forgetting(dialect: str) -> Any:
    mine = tuple_(batch_counts.c.batch_id, batch_counts.c.shard)
    return batch_counts.delete().where(mine.in_(select(rowset(dialect, "keys", _CountsKey))))


_FORGET: Final = Change(_forgetting)


def fold_batch_counts(tx: Tx, live_shards: Iterable[str]) -> None:
    """Add the counts of ended processes to the empty shard, some at a time."""
    rows = tx.run(_ENDED_SHARDS, live=live_shards)
    if not rows:
        return
    totals: defaultdict[str, list[int]] = defaultdict(lambda: [0] * len(COUNTED))
    for batch_id, _, *values in rows:
        totals[batch_id] = [a + int(b) for a, b in zip(totals[batch_id], values, strict=True)]
    tx.run(_ADD, changes=[_CountsRow(batch_id, "", *values) for batch_id, values in sorted(totals.items())])
    # Only the rows just read: a process that lost its lease may still add to its shard meanwhile.
    tx.run(_FORGET, keys=[_CountsKey(row.batch_id, row.shard) for row in rows])
