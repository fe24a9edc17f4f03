"""Steps of the retention along the ids of tasks, batches, messages and deliveries, with what belongs to them.

A step begins at a place and returns the next one: old rows which must stay are not looked at again and again.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Column, ColumnElement, Integer, Select, and_, bindparam, or_, select

from webhookd.adapters.store.files.file_sweeps import drop_with_tasks
from webhookd.adapters.store.paging import first_id
from webhookd.adapters.store.rowset import Id, named
from webhookd.adapters.store.schema import (
    attempts,
    batch_counts,
    batches,
    deliveries,
    messages,
    runs,
    task_bodies,
    tasks,
)
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tasks.task_tags import drop_tags
from webhookd.adapters.store.tx import Tx
from webhookd.core import ids
from webhookd.core.model import TASK_DONE, DeliveryState


class _DeliveriesOf:
    """The deliveries of tasks, or of messages: `owner` is the column that says whose they are."""

    def __init__(self, owner: Column[Any]) -> None:
        keeps = or_(
            deliveries.c.state == DeliveryState.PENDING.value,
            deliveries.c.state == DeliveryState.PARKED.value,
            deliveries.c.session_id.is_not(None),
            deliveries.c.ended_ms >= bindparam("before_ms"),
            and_(deliveries.c.state == DeliveryState.DEAD.value, deliveries.c.discarded_ms.is_(None)),
        )
        self._needed = Query(
            Id,
            lambda dialect: (
                select(owner.label("id")).where(named(dialect, owner, "owners"), keeps).distinct()
            ),
        )
        self._delete_attempts = Change(
            lambda dialect: attempts.delete().where(
                attempts.c.delivery_id.in_(select(deliveries.c.id).where(named(dialect, owner, "owners")))
            )
        )
        self._delete = Change(lambda dialect: deliveries.delete().where(named(dialect, owner, "owners")))

    def needed(self, tx: Tx, owners: set[str], before_ms: int) -> set[str]:
        """Return the owners that have a delivery still to make, a recent one, or a dead letter."""
        if not owners:
            return set()
        return {row.id for row in tx.run(self._needed, owners=owners, before_ms=before_ms)}

    def drop(self, tx: Tx, owners: Sequence[str]) -> None:
        """Delete them with their attempts."""
        tx.run(self._delete_attempts, owners=owners)
        tx.run(self._delete, owners=owners)


_OF_TASKS: Final = _DeliveriesOf(deliveries.c.task_id)
_OF_MESSAGES: Final = _DeliveriesOf(deliveries.c.message_id)


def _walked(table: Any, *columns: ColumnElement[Any]) -> Select[Any]:
    """Select the rows of a step of a walk along the ids."""
    between = and_(table.c.id > bindparam("place"), table.c.id < bindparam("before_id"))
    return (
        select(table.c.id, *columns)
        .where(between)
        .order_by(table.c.id)
        .limit(bindparam("most", type_=Integer))
    )


class _EndedDelivery(NamedTuple):
    id: str
    ended_ms: int | None


_WALK_DELIVERIES: Final = Query(_EndedDelivery, lambda _: _walked(deliveries, deliveries.c.ended_ms))
_DELETE_ATTEMPTS: Final = Change(
    lambda dialect: attempts.delete().where(named(dialect, attempts.c.delivery_id, "ids"))
)


def drop_attempts(tx: Tx, most: int, place: str, before_ms: int) -> str | None:
    """Delete the attempts of deliveries that ended before `before_ms`."""
    looked_at = tx.run(_WALK_DELIVERIES, most=most, place=place, before_id=first_id(ids.DELIVERY, before_ms))
    old = [row.id for row in looked_at if row.ended_ms is not None and row.ended_ms < before_ms]
    if old:
        tx.run(_DELETE_ATTEMPTS, ids=old)
    return _reached(most, looked_at)


class _TaskSeen(NamedTuple):
    id: str
    state: str
    finished_ms: int | None
    dead_ms: int | None


_WALK_TASKS: Final = Query(
    _TaskSeen,
    lambda _: _walked(tasks, tasks.c.state, tasks.c.finished_ms, tasks.c.dead_ms).with_for_update(
        skip_locked=True
    ),
)


def _delete_by(column: Column[Any]) -> Change:
    return Change(lambda dialect: column.table.delete().where(named(dialect, column, "ids")))


_DELETE_TASKS: Final = tuple(map(_delete_by, (runs.c.task_id, task_bodies.c.task_id, tasks.c.id)))
_DELETE_MESSAGES_OF_TASKS: Final = _delete_by(messages.c.task_id)


def drop_tasks(tx: Tx, most: int, place: str, before_ms: int) -> str | None:
    """Delete ended tasks with all that belongs to them."""
    looked_at = tx.run(_WALK_TASKS, most=most, place=place, before_id=first_id(ids.TASK, before_ms))
    ended = {
        row.id
        for row in looked_at
        if row.state in TASK_DONE
        and row.finished_ms is not None
        and row.finished_ms < before_ms
        and row.dead_ms is None
    }
    ended -= _OF_TASKS.needed(tx, ended, before_ms)
    if ended:
        ordered = sorted(ended)
        _OF_TASKS.drop(tx, ordered)
        tx.run(_DELETE_MESSAGES_OF_TASKS, ids=ordered)
        drop_with_tasks(tx, ordered)
        drop_tags(tx, ordered)
        for statement in _DELETE_TASKS:
            tx.run(statement, ids=ordered)
    return _reached(most, looked_at)


_WALK_BATCHES: Final = Query(
    _EndedDelivery, lambda _: _walked(batches, batches.c.completed_ms.label("ended_ms"))
)
_NOT_EMPTY: Final = Query(
    Id,
    lambda dialect: (
        select(tasks.c.batch_id.label("id")).where(named(dialect, tasks.c.batch_id, "ids")).distinct()
    ),
)
_DELETE_BATCHES: Final = tuple(map(_delete_by, (batch_counts.c.batch_id, batches.c.id)))


def drop_batches(tx: Tx, most: int, place: str, before_ms: int) -> str | None:
    """Delete batches that ended before `before_ms`, once none of their tasks is left."""
    looked_at = tx.run(_WALK_BATCHES, most=most, place=place, before_id=first_id(ids.BATCH, before_ms))
    old = {row.id for row in looked_at if row.ended_ms is not None and row.ended_ms < before_ms}
    if old:
        old -= {row.id for row in tx.run(_NOT_EMPTY, ids=old)}
    if old:
        for statement in _DELETE_BATCHES:
            tx.run(statement, ids=old)
    return _reached(most, looked_at)


class _MessageSeen(NamedTuple):
    id: str
    task_id: str | None


_WALK_MESSAGES: Final = Query(_MessageSeen, lambda _: _walked(messages, messages.c.task_id))
_DELETE_MESSAGES: Final = _delete_by(messages.c.id)


def drop_lone_messages(tx: Tx, most: int, place: str, before_ms: int) -> str | None:
    """Delete old messages that belong to no task (tests, operational events), with their deliveries."""
    looked_at = tx.run(_WALK_MESSAGES, most=most, place=place, before_id=first_id(ids.MESSAGE, before_ms))
    alone = {row.id for row in looked_at if row.task_id is None}
    alone -= _OF_MESSAGES.needed(tx, alone, before_ms)
    if alone:
        ordered = sorted(alone)
        _OF_MESSAGES.drop(tx, ordered)
        tx.run(_DELETE_MESSAGES, ids=ordered)
    return _reached(most, looked_at)


def _reached(most: int, looked_at: Sequence[_EndedDelivery | _TaskSeen | _MessageSeen]) -> str | None:
    """Return where to go on; None where the walk came to its end."""
    return looked_at[-1].id if len(looked_at) == most else None
