"""The end of a batch: one message, made in the transaction in which its last task ends.

Theory of operation. Ends of one batch come from several processes at once, and none sees what another has
not committed yet. So "was that the last one?" can only be answered where the ends stand in line. They do so
already, though not for the batch: every end makes a message, every message takes a number of its partner's
feed, and the feed's row stays locked from then to the commit (`publish`). All tasks of a batch are one
partner's. So whoever holds the feed's row sees, in a new statement, the counts of all ends that came before
(they are committed), and whoever comes after will see these. The question is therefore asked after the
messages of the ends were made, and the last one finds nothing left. Exactly one does, whatever happens to
the others: one that is rolled back had not ended anything.

- Counting costs no waiting of its own: each process adds to a row of its own (`batch_counts`), and the only
  lock is the one that an end takes anyway, batch or no batch.
- Closing takes the feed's row too, before it looks: else the last end could not see that the batch is
  closed, nor closing that the task has ended.
- A task that is replayed has not ended; what is replayed after its batch was completed changes counts only.

Locks are taken in one order: lanes, then the feed, then the batch. (Closing has the batch's row first, but an
open batch's row no end wants.) The batch's message goes to lanes as well,
so where its end may be near their rows are locked before the feed's (`wake_receivers_in_time`). "Near" is a
guess from what is committed: a wrong one costs at worst a deadlock that the database finds, and one more try.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, Select, Text, bindparam, case, func, literal, select

from webhookd.adapters.store.deliveries.feeds import take_feed
from webhookd.adapters.store.deliveries.publish import Announcement, announce, wake_lanes
from webhookd.adapters.store.deliveries.subscribers import read_subscribers
from webhookd.adapters.store.rows import filled, opt_names
from webhookd.adapters.store.rowset import named
from webhookd.adapters.store.schema import batches
from webhookd.adapters.store.statement import Query
from webhookd.adapters.store.tasks.batch_counts import COUNTED, summed, write_batch_counts
from webhookd.adapters.store.trace_columns import trace_of
from webhookd.adapters.store.tx import Tx
from webhookd.core.batches import Batch, BatchCounts
from webhookd.core.model import BATCH_COMPLETED, BATCHES, BatchMove, BatchState, TaskState
from webhookd.core.render import batch_document, event_body
from webhookd.core.routing import batch_recipients

NEAR_TASKS: Final = 1_000
"""So few tasks before its end a batch's receivers are locked first."""


class BatchRow(NamedTuple):
    """A row of `select_batches`."""

    id: str
    partner_id: str
    state: str
    total: int
    version: int
    metadata: str
    defaults: str
    callback_url: str | None
    callback_origin: str | None
    endpoint_ids: str | None
    trace_id: str
    trace_parent_id: str
    trace_flags: int
    trace_state: str
    created_ms: int
    closed_ms: int | None
    cancel_requested_ms: int | None
    completed_ms: int | None
    moves: int
    scheduled: int
    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    expired: int


def select_batches(dialect: str, name: str) -> Select[Any]:
    """Select whole batches with the sums of their counts; those whose ids are in the parameter `name`."""
    sums = summed(dialect, name)
    columns = (batches.c[one] for one in BatchRow._fields if one in batches.c)
    counts = (func.coalesce(sums.c[one], 0).label(one) for one in COUNTED)
    return (
        select(*columns, *counts)
        .outerjoin_from(batches, sums, sums.c.batch_id == batches.c.id)
        .where(named(dialect, batches.c.id, name))
    )


def batch_from(row: BatchRow) -> Batch:
    """Return the batch of a row."""
    return filled(
        Batch,
        row,
        state=BatchState(row.state),
        counts=BatchCounts(**{state.value: int(getattr(row, state.value)) for state in TaskState}),
        version=row.version + int(row.moves),
        metadata_json=row.metadata,
        defaults_json=row.defaults,
        endpoint_ids=opt_names(row.endpoint_ids),
        trace=trace_of(row),
    )


_RUNNING: Final = Query(
    BatchRow,
    lambda dialect: select_batches(dialect, "ids").where(batches.c.state == BatchState.RUNNING.value),
)


def wake_receivers_in_time(tx: Tx, ending: Mapping[str, int], *, now_ms: int) -> None:
    """Lock and wake the lanes of batches that may be at their end with so many tasks that end now."""
    near = [
        batch
        for batch in map(batch_from, tx.run(_RUNNING, ids=ending))
        if batch.counts.left - ending[batch.id] <= NEAR_TASKS
    ]
    if near:
        wake_lanes(tx, [_announcement(tx, batch, now_ms=now_ms) for batch in near], now_ms)


def _completing(dialect: str) -> Any:
    cancelled = BATCHES.next(BatchState.RUNNING, BatchMove.CANCEL).value
    completed = BATCHES.next(BatchState.RUNNING, BatchMove.COMPLETE).value
    return (
        batches.update()
        .where(named(dialect, batches.c.id, "ids"), batches.c.state == BatchState.RUNNING.value)
        .values(
            state=case(
                (batches.c.cancel_requested_ms.is_not(None), literal(cancelled, Text)),
                else_=literal(completed, Text),
            ),
            version=batches.c.version + 1,
            completed_ms=bindparam("now_ms", type_=BigInteger),
        )
        .returning(batches.c.id)
    )


class _BatchId(NamedTuple):
    id: str


_COMPLETE: Final = Query(_BatchId, _completing)
BATCHES_BY_ID: Final = Query(BatchRow, lambda dialect: select_batches(dialect, "ids"))


def complete_batches(tx: Tx, batch_ids: Collection[str], *, now_ms: int) -> None:
    """Complete and announce those of these batches that have nothing left; the feed's row must be held."""
    write_batch_counts(tx)
    over = [batch.id for batch in map(batch_from, tx.run(_RUNNING, ids=batch_ids)) if not batch.counts.left]
    if not over:
        return
    ended = {row.id for row in tx.run(_COMPLETE, ids=over, now_ms=now_ms)}
    done = [batch_from(row) for row in tx.run(BATCHES_BY_ID, ids=ended)]
    announce(tx, [_announcement(tx, batch, now_ms=now_ms) for batch in done], now_ms=now_ms)
    for batch in done:
        tx.wakes.changed(batch.id, batch.partner_id, batch.version)


def complete_closed(tx: Tx, batch: Batch, *, now_ms: int) -> None:
    """Do the same for a batch that is being closed: what has ended before may have been all of it."""
    if batch.counts.left <= NEAR_TASKS:
        wake_lanes(tx, [_announcement(tx, batch, now_ms=now_ms)], now_ms)
    take_feed(tx, batch.partner_id)
    complete_batches(tx, [batch.id], now_ms=now_ms)


def _announcement(tx: Tx, batch: Batch, *, now_ms: int) -> Announcement:
    named_ids = batch.endpoint_ids or ()
    subscribers = read_subscribers(tx, () if batch.addressed else [batch.partner_id], named_ids)
    return Announcement(
        partner_id=batch.partner_id,
        event=BATCH_COMPLETED,
        body=event_body(
            BATCH_COMPLETED,
            timestamp_ms=now_ms,
            data=batch_document(batch, base_url=tx.policy.base_url),
        ),
        recipients=tuple(
            batch_recipients(
                batch,
                subscribers.get(batch.partner_id, ()),
                default_max_attempts=tx.policy.default_max_attempts,
            )
        ),
        trace=batch.trace,
    )
