"""The statements of a claim of tasks; `claims` runs them in this order. Each is made once per dialect."""

from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Integer,
    Text,
    and_,
    bindparam,
    func,
    or_,
    select,
    text,
)

from webhookd.adapters.store.rowset import first_of_each, insert_rows, rowset
from webhookd.adapters.store.schema import partners, queues, shares, task_bodies, tasks
from webhookd.core.model import TASKS, TaskMove, TaskState

_QUEUED = text("tasks.state = 'queued'")


def in_time(table: Any, now_ms: Any) -> Any:
    """Return the condition that a task may still start; the sweep ends those that may not."""
    return or_(table.c.expires_ms.is_(None), table.c.expires_ms > now_ms)


@cache
def lock_queue() -> Any:
    """Lock a queue: its claims come one after the other, in one fair order. Parameters: queue."""
    wanted = queues.c.name == bindparam("queue", type_=Text)
    return select(queues.c.paused_ms, queues.c.vtime).where(wanted).with_for_update()


@cache
def first_suspect() -> Any:
    """The oldest queued suspect of some types. Parameters: queue, types, now."""
    return (
        select(tasks.c.id)
        .where(
            text("tasks.suspect AND tasks.state = 'queued'"),
            tasks.c.queue == bindparam("queue", type_=Text),
            tasks.c.type.in_(bindparam("types", expanding=True)),
            in_time(tasks, bindparam("now", type_=BigInteger)),
        )
        .order_by(tasks.c.id)
        .limit(1)
    )


@cache
def contenders() -> Any:
    """Partners with queued tasks of `queue`, least virtual time first: one index probe per partner."""
    first = (
        select(func.min(tasks.c.partner_id).label("partner_id"))
        .where(_QUEUED, tasks.c.queue == bindparam("queue", type_=Text))
        .cte("waiting", recursive=True)
    )
    following = (
        select(func.min(tasks.c.partner_id))
        .where(
            _QUEUED,
            tasks.c.queue == bindparam("queue", type_=Text),
            tasks.c.partner_id > first.c.partner_id,
        )
        .correlate(first)
        .scalar_subquery()
    )
    waiting = first.union_all(select(following).where(first.c.partner_id.is_not(None)))
    return (
        select(waiting.c.partner_id, shares.c.vtime, partners.c.weight)
        .select_from(waiting)
        .outerjoin(
            shares,
            and_(
                shares.c.queue == bindparam("queue", type_=Text),
                shares.c.partner_id == waiting.c.partner_id,
            ),
        )
        .outerjoin(partners, partners.c.id == waiting.c.partner_id)
        .where(waiting.c.partner_id.is_not(None))
        .order_by(func.coalesce(shares.c.vtime, 0.0), waiting.c.partner_id)
        .limit(bindparam("most", type_=Integer))
    )


@cache
def candidates(dialect: str) -> Any:
    """The first `depth` queued tasks of each chosen partner, in its own order."""
    chosen = rowset(dialect, "chosen", {"partner_id": Text})
    inner = tasks.alias("inner_tasks")
    line = (
        select(inner.c.id)
        .where(
            text("inner_tasks.state = 'queued'"),
            inner.c.queue == bindparam("queue", type_=Text),
            inner.c.partner_id == chosen.c.partner_id,
            inner.c.suspect.is_(False),
            inner.c.type.in_(bindparam("types", expanding=True)),
            in_time(inner, bindparam("now", type_=BigInteger)),
        )
        .order_by(inner.c.priority, inner.c.id)
        .limit(bindparam("depth", type_=Integer))
        .correlate(chosen)
    )
    return first_of_each(
        dialect,
        chosen,
        inner,
        line,
        give=("id", "partner_id", "type"),
        order=("partner_id", "priority", "id"),
    )


@cache
def take(dialect: str) -> Any:
    """Take tasks for a session: attempt and fencing token + 1. Parameters: ids, timeouts, now, session."""
    ids = rowset(dialect, "ids", {"id": Text})
    timeouts = rowset(dialect, "timeouts", {"type": Text, "timeout_ms": BigInteger})
    now = bindparam("now", type_=BigInteger)
    return (
        tasks.update()
        .where(
            tasks.c.id == ids.c.id,
            timeouts.c.type == tasks.c.type,
            tasks.c.state.in_([state.value for state in TASKS.sources(TaskMove.CLAIM)]),
        )
        .values(
            state=TaskState.RUNNING.value,
            version=tasks.c.version + 1,
            attempts=tasks.c.attempts + 1,
            token=tasks.c.token + 1,
            session_id=bindparam("session", type_=Text),
            started_ms=now,
            deadline_ms=now + timeouts.c.timeout_ms,
            progress_percent=None,
            progress_message=None,
        )
        .returning(
            tasks.c.id,
            tasks.c.partner_id,
            tasks.c.type,
            tasks.c.queue,
            tasks.c.priority,
            tasks.c.version,
            tasks.c.attempts,
            tasks.c.attempts_before,
            tasks.c.max_attempts,
            tasks.c.token,
            tasks.c.suspect,
            tasks.c.trace_id,
            tasks.c.created_ms,
            tasks.c.due_ms,
        )
    )


@cache
def bodies(dialect: str) -> Any:
    """Return what a run needs of the bodies, and its partner's name. Parameters: ids, with the partners'."""
    ids = rowset(dialect, "ids", {"id": Text, "partner_id": Text})
    chosen = select(
        task_bodies.c.task_id,
        task_bodies.c.input,
        task_bodies.c.metadata,
        partners.c.name.label("partner_name"),
        task_bodies.c.callback_url,
        task_bodies.c.endpoint_ids,
        task_bodies.c.events,
        task_bodies.c.trace_parent_id,
        task_bodies.c.trace_flags,
        task_bodies.c.trace_state,
    )
    return chosen.join(ids, ids.c.id == task_bodies.c.task_id).outerjoin(
        partners, partners.c.id == ids.c.partner_id
    )


@cache
def advance(dialect: str) -> Any:
    """Write the virtual times of the partners that were served. Parameters: served."""
    insert = insert_rows(dialect, shares, "served", ("queue", "partner_id", "vtime"))
    return insert.on_conflict_do_update(
        index_elements=[shares.c.queue, shares.c.partner_id], set_={"vtime": insert.excluded.vtime}
    )
