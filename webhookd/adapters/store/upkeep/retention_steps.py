"""Steps of the retention that find what is old by one index, and are done where they found less than a step.

What belongs to tasks and messages is walked along instead (`retention_walks`).
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Column, Delete, Integer, Select, and_, bindparam, select, text, tuple_

from webhookd.adapters.store.paging import first_id
from webhookd.adapters.store.schema import audit, deliveries, idempotency, replays, secrets, tasks
from webhookd.adapters.store.statement import Change
from webhookd.adapters.store.tx import Tx
from webhookd.core import ids

_MOST: Final = bindparam("most", type_=Integer)


def _oldest(*columns: Column[Any], order: Sequence[Column[Any]], old: Any) -> Select[Any]:
    """Select the rows of a step, the oldest first, but for those that somebody else is busy with."""
    return select(*columns).where(old).order_by(*order).limit(_MOST).with_for_update(skip_locked=True)


def _forget_keys(_dialect: str) -> Delete:
    partner_id, key, made = idempotency.c.partner_id, idempotency.c.key, idempotency.c.created_ms
    old = _oldest(partner_id, key, order=[made], old=made < bindparam("before_ms"))
    return idempotency.delete().where(tuple_(partner_id, key).in_(old))


def _delete_old_secrets(_dialect: str) -> Delete:
    old = select(secrets.c.id).where(secrets.c.expires_ms <= bindparam("now_ms")).limit(_MOST)
    return secrets.delete().where(secrets.c.id.in_(old))


def _delete_old_audit(_dialect: str) -> Delete:
    old = _oldest(audit.c.id, order=[audit.c.id], old=audit.c.id < bindparam("before_id"))
    return audit.delete().where(audit.c.id.in_(old))


def _delete_old_replays(_dialect: str) -> Delete:
    over = and_(replays.c.created_ms < bindparam("before_ms"), replays.c.finished_ms.is_not(None))
    return replays.delete().where(replays.c.id.in_(_oldest(replays.c.id, order=[replays.c.id], old=over)))


_FORGET_KEYS: Final = Change(_forget_keys)
_DELETE_OLD_SECRETS: Final = Change(_delete_old_secrets)
_DELETE_OLD_AUDIT: Final = Change(_delete_old_audit)
_DELETE_OLD_REPLAYS: Final = Change(_delete_old_replays)


def drop_idempotency_keys(tx: Tx, most: int, before_ms: int) -> bool:
    """Forget `Idempotency-Key`s older than this. True, as below: there may be more."""
    return tx.run(_FORGET_KEYS, most=most, before_ms=before_ms) == most


def drop_secrets(tx: Tx, most: int, now_ms: int) -> bool:
    """Delete signing secrets whose overlap is over: they sign nothing any more."""
    return tx.run(_DELETE_OLD_SECRETS, most=most, now_ms=now_ms) == most


def drop_audit(tx: Tx, most: int, before_ms: int) -> bool:
    """Delete older entries of the audit log."""
    return tx.run(_DELETE_OLD_AUDIT, most=most, before_id=first_id(ids.AUDIT, before_ms)) == most


def drop_replays(tx: Tx, most: int, before_ms: int) -> bool:
    """Delete replays and discards that began before this and are finished."""
    return tx.run(_DELETE_OLD_REPLAYS, most=most, before_ms=before_ms) == most


def _discard_deliveries(_dialect: str) -> Any:
    ended = deliveries.c.ended_ms
    dead = and_(
        text("deliveries.state = 'dead' AND deliveries.discarded_ms IS NULL"), ended < bindparam("before_ms")
    )
    old = _oldest(deliveries.c.id, order=[ended, deliveries.c.id], old=dead)
    return deliveries.update().where(deliveries.c.id.in_(old)).values(discarded_ms=bindparam("now_ms"))


def _discard_tasks(_dialect: str) -> Any:
    failed = and_(text("tasks.dead_ms IS NOT NULL"), tasks.c.dead_ms < bindparam("before_ms"))
    old = _oldest(tasks.c.id, order=[tasks.c.dead_ms, tasks.c.id], old=failed)
    return tasks.update().where(tasks.c.id.in_(old)).values(dead_ms=None)


_DISCARD_DELIVERIES: Final = Change(_discard_deliveries)
_DISCARD_TASKS: Final = Change(_discard_tasks)


def drop_dead_letters(tx: Tx, most: int, before_ms: int, now_ms: int) -> bool:
    """Discard dead letters as a person would; deliveries and tasks then go with the tasks' retention."""
    gone = tx.run(_DISCARD_DELIVERIES, most=most, before_ms=before_ms, now_ms=now_ms)
    gone_tasks = tx.run(_DISCARD_TASKS, most=most, before_ms=before_ms)
    return max(gone, gone_tasks) == most
