"""Queue depths that are kept up to date by every move, never counted.

One row per queue, partner and writing process (`shard`), so that processes on PostgreSQL do not wait
for each other's commits; readers add the shards up. The sweep folds the shards of ended processes
into the empty one. SQLite has one writer at a time anyway and uses the empty shard only.
"""

from collections import defaultdict
from functools import cache
from typing import Any

from sqlalchemy import Connection, Text, func, select, text, tuple_

from webhookd.adapters.store.rowset import insert_rows, pack, rowset
from webhookd.adapters.store.schema import depths, queues, tasks
from webhookd.core.model import TaskState
from webhookd.core.records import QueueDepth

_COLUMN_OF = {TaskState.SCHEDULED: 0, TaskState.QUEUED: 1, TaskState.RUNNING: 2}
_FINISHED = 3


class DepthChange:
    """Collects moves of one transaction; `write` adds them to the counters in one statement."""

    def __init__(self, shard: str) -> None:
        self._shard = shard
        self._changes: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])

    def move(
        self, queue: str, partner_id: str, before: TaskState | None, after: TaskState, count: int = 1
    ) -> None:
        """Note `count` tasks going from `before` (None: new) to `after`."""
        change = self._changes[queue, partner_id]
        if before is not None:
            change[_COLUMN_OF.get(before, _FINISHED)] -= count
        change[_COLUMN_OF.get(after, _FINISHED)] += count

    def write(self, conn: Connection) -> None:
        """Add the collected moves to the counters."""
        rows = [
            (queue, partner_id, self._shard, *change)
            for (queue, partner_id), change in sorted(self._changes.items())
            if any(change)
        ]
        if rows:
            conn.execute(_add(conn.dialect.name), {"changes": pack(rows)})


@cache
def _add(dialect: str) -> Any:
    names = ("scheduled", "queued", "running", "finished")
    insert = insert_rows(dialect, depths, "changes", ("queue", "partner_id", "shard", *names))
    return insert.on_conflict_do_update(
        index_elements=[depths.c.queue, depths.c.partner_id, depths.c.shard],
        set_={name: depths.c[name] + insert.excluded[name] for name in names},
    )


def read_depths(conn: Connection) -> list[QueueDepth]:
    """Return every queue's figures. Costs a probe per queue, however long the queues are."""
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
    statement = (
        select(queues.c.name, queues.c.paused_ms, oldest.label("oldest"), sums)
        .outerjoin_from(queues, sums, sums.c.queue == queues.c.name)
        .order_by(queues.c.name)
    )
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
        for row in conn.execute(statement)
    ]


def read_partner_queued(conn: Connection) -> dict[str, int]:
    """Return how many tasks of each partner wait (queued or scheduled)."""
    statement = select(
        depths.c.partner_id, func.sum(depths.c.queued + depths.c.scheduled).label("waiting")
    ).group_by(depths.c.partner_id)
    return {row.partner_id: int(row.waiting) for row in conn.execute(statement)}


def set_paused(conn: Connection, name: str, paused_ms: int | None) -> bool:
    """Pause (a time) or resume (None) a queue. False: there is no such queue."""
    changed = conn.execute(queues.update().where(queues.c.name == name).values(paused_ms=paused_ms))
    return changed.rowcount == 1


def fold_shards(conn: Connection, live_shards: list[str]) -> None:
    """Add the counters of ended processes to the empty shard."""
    ended = select(depths).where(depths.c.shard != "", depths.c.shard.not_in(live_shards))
    rows = conn.execute(ended.with_for_update()).all()
    if not rows:
        return
    folded = [
        (r.queue, r.partner_id, "", r.scheduled, r.queued, r.running, r.finished)
        for r in sorted(rows, key=lambda r: (r.queue, r.partner_id))
    ]
    totals: defaultdict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for queue, partner_id, shard, *values in folded:
        totals[queue, partner_id, shard] = [
            a + int(b) for a, b in zip(totals[queue, partner_id, shard], values, strict=True)
        ]
    conn.execute(
        _add(conn.dialect.name), {"changes": pack((*key, *values) for key, values in totals.items())}
    )
    # Only the rows just read: a process that lost its lease may still add to its shard meanwhile.
    folded_keys = pack((row.queue, row.partner_id, row.shard) for row in rows)
    conn.execute(_forget(conn.dialect.name), {"keys": folded_keys})


@cache
def _forget(dialect: str) -> Any:
    keys = rowset(dialect, "keys", {"queue": Text, "partner_id": Text, "shard": Text})
    mine = tuple_(depths.c.queue, depths.c.partner_id, depths.c.shard)
    return depths.delete().where(mine.in_(select(keys)))
