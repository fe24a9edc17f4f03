"""Queue depths that are kept up to date by every move, never counted.

One row per queue, partner and writing process (`shard`), so that processes on PostgreSQL do not wait
for each other's commits; readers add the shards up. The sweep folds the shards of ended processes
into the empty one. SQLite has one writer at a time anyway and uses the empty shard only.
"""

from collections import defaultdict
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, func, select, text, tuple_

from webhookd.adapters.store.rowset import insert_rows, named, rowset
from webhookd.adapters.store.schema import depths, queues, tasks
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.records import QueueDepth


class _DepthChange(NamedTuple):
    queue: str
    partner_id: str
    shard: str
    scheduled: int
    queued: int
    running: int
    finished: int


def _add(dialect: str) -> Any:
    insert = insert_rows(dialect, depths, "changes", _DepthChange)
    return insert.on_conflict_do_update(
        index_elements=[depths.c.queue, depths.c.partner_id, depths.c.shard],
        set_={name: depths.c[name] + insert.excluded[name] for name in _DepthChange._fields[3:]},
    )


_ADD: Final = Change(_add)


def write_depths(tx: Tx) -> None:
    """Add what a transaction has moved so far to the counters."""
    moved = tx.depths.take_changes()
    if moved:
        tx.later(
            _ADD, changes=[_DepthChange(queue, partner_id, tx.shard, *n) for queue, partner_id, n in moved]
        )


class _DepthRow(NamedTuple):
    name: str
    paused_ms: int | None
    oldest: int | None
    queue: str | None
    scheduled: int | None
    queued: int | None
    running: int | None
    finished: int | None


def _all_depths(_dialect: str) -> Any:
    oldest = (
        select(func.min(tasks.c.due_ms))
        .where(text("tasks.state = 'queued'"), tasks.c.queue == queues.c.name)
        .scalar_subquery()
    )
    sums = (
        select(
            depths.c.queue,
            *(
                func.sum(depths.c[name]).label(name)
                for name in ("scheduled", "queued", "running", "finished")
            ),
        )
        .group_by(depths.c.queue)
        .subquery()
    )
    return (
        select(queues.c.name, queues.c.paused_ms, oldest.label("oldest"), sums)
        .outerjoin_from(queues, sums, sums.c.queue == queues.c.name)
        .order_by(queues.c.name)
    )


_DEPTHS: Final = Query(_DepthRow, _all_depths)


def read_depths(tx: Tx) -> list[QueueDepth]:
    """Return every queue's figures. Costs a probe per queue, however long the queues are."""
    return [
        QueueDepth(
            queue=row.name,
            queued=int(row.queued or 0),
            scheduled=int(row.scheduled or 0),
            running=int(row.running or 0),
            finished=int(row.finished or 0),
            oldest_queued_ms=row.oldest,
            paused=row.paused_ms is not None,
        )
        for row in tx.run(_DEPTHS)
    ]


class _PartnerWaiting(NamedTuple):
    partner_id: str
    waiting: int


_PARTNERS_WAITING: Final = Query(
    _PartnerWaiting,
    lambda _: select(
        depths.c.partner_id, func.sum(depths.c.queued + depths.c.scheduled).label("waiting")
    ).group_by(depths.c.partner_id),
)


def read_partner_queued(tx: Tx) -> dict[str, int]:
    """Return how many tasks of each partner wait (queued or scheduled)."""
    return {row.partner_id: int(row.waiting) for row in tx.run(_PARTNERS_WAITING)}


_SET_PAUSED: Final = Change(
    lambda _: (
        queues.update().where(queues.c.name == bindparam("queue")).values(paused_ms=bindparam("paused_ms"))
    )
)


def set_paused(tx: Tx, name: str, paused_ms: int | None) -> bool:
    """Pause (a time) or resume (None) a queue. False: there is no such queue."""
    if paused_ms is None:
        tx.wakes.ring(name)
    return tx.run(_SET_PAUSED, queue=name, paused_ms=paused_ms) == 1


class _Shard(NamedTuple):
    queue: str
    partner_id: str
    shard: str


def _ended_shards(dialect: str) -> Any:
    live = named(dialect, depths.c.shard, "live")
    return select(*(depths.c[name] for name in _DepthChange._fields)).where(depths.c.shard != "", ~live)


_ENDED_SHARDS: Final = Query(_DepthChange, lambda dialect: _ended_shards(dialect).with_for_update())


def _forgetting(dialect: str) -> Any:
    keys = rowset(dialect, "keys", _Shard)
    mine = tuple_(depths.c.queue, depths.c.partner_id, depths.c.shard)
    return depths.delete().where(mine.in_(select(keys)))


_FORGET: Final = Change(_forgetting)


def fold_shards(tx: Tx, live_shards: list[str]) -> None:
    """Add the counters of ended processes to the empty shard."""
    rows = tx.run(_ENDED_SHARDS, live=live_shards)
    if not rows:
        return
    totals: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for queue, partner_id, _, *values in rows:
        totals[queue, partner_id] = [
            a + int(b) for a, b in zip(totals[queue, partner_id], values, strict=True)
        ]
    tx.run(
        _ADD,
        changes=[
            _DepthChange(queue, partner_id, "", *values)
            for (queue, partner_id), values in sorted(totals.items())
        ],
    )
    # Only the rows just read: a process that lost its lease may still add to its shard meanwhile.
    tx.run(_FORGET, keys=[_Shard(row.queue, row.partner_id, row.shard) for row in rows])
