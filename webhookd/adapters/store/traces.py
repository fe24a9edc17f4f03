"""Everything that happened under one id: a task's, a message's, a delivery's, or a trace's.

Bodies, headers and excerpts are left where they are: a timeline shows none of them.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Row, Select, null, select

from webhookd.adapters.store.database import Database
from webhookd.adapters.store.paging import read_newest
from webhookd.adapters.store.rows import TaskRow, delivery_from, select_deliveries, select_tasks, task_from
from webhookd.adapters.store.rowset import among
from webhookd.adapters.store.runs import RUN_COLUMNS
from webhookd.adapters.store.schema import attempts, deliveries, messages, runs, task_bodies, tasks
from webhookd.adapters.store.tx import Tx
from webhookd.core import ids
from webhookd.core.records import Run, Task
from webhookd.core.timeline import AttemptMade, History, MessageMade, Sendings
from webhookd.core.trace import TraceContext

MOST_TASKS: Final = 100
"""Tasks of one trace that are shown; the newest are left out."""
_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A trace as one partner may see it.

    `apart` has the message asked for and its deliveries where it belongs to no task (a test message);
    `complete` is False where there are more than MOST_TASKS tasks, or more than can be shown of them.
    """

    trace_id: str
    histories: tuple[History, ...]
    apart: Sendings = field(default_factory=Sendings)
    complete: bool = True


class Traces:
    """Reads only."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def of_task(self, task_id: str, partner_id: str | None) -> History | None:
        """Return a task's history; None where it is unknown or another partner's."""
        return await self._db.read(read_history, task_id, partner_id)

    async def find(self, any_id: str, partner_id: str | None) -> Trace | None:
        """Return the trace that an id belongs to: `task_…`, `msg_…`, `dlv_…`, or its own 32 hex digits."""
        return await self._db.read(read_trace, any_id, partner_id)


def place_of_message(tx: Tx, message_id: str) -> TraceContext:
    """Return the place in its trace that the attempts at a message are below."""
    of_message = select(
        messages.c.trace_id, messages.c.trace_parent_id, messages.c.trace_flags, messages.c.trace_state
    )
    row = tx.execute(of_message.where(messages.c.id == message_id)).one()
    return TraceContext(
        trace_id=row.trace_id,
        parent_id=row.trace_parent_id,
        flags=row.trace_flags,
        state=row.trace_state,
    )


def read_history(tx: Tx, task_id: str, partner_id: str | None) -> History | None:
    """Return a task's history; None where it does not exist or is another partner's."""
    found = tx.execute(_owned(select(tasks.c.id).where(tasks.c.id == task_id), tasks, partner_id)).first()
    return None if found is None else _histories(tx, [task_id])[0]


def read_trace(tx: Tx, any_id: str, partner_id: str | None) -> Trace | None:
    """Return the trace of any id; None where it is not known, or none of it is the partner's."""
    trace_id: str | None = any_id
    message_id: str | None = None
    kind = any_id.partition("_")[0]
    if kind == ids.TASK:
        by_id = select(tasks.c.trace_id).where(tasks.c.id == any_id)
        trace_id = tx.execute(_owned(by_id, tasks, partner_id)).scalar()
    elif kind in (ids.MESSAGE, ids.DELIVERY):
        of_message = select(messages.c.id, messages.c.trace_id, messages.c.task_id)
        if kind == ids.MESSAGE:
            of_message = of_message.where(messages.c.id == any_id)
        else:
            joined = deliveries.c.message_id == messages.c.id
            of_message = of_message.join(deliveries, joined).where(deliveries.c.id == any_id)
        row = tx.execute(_owned(of_message, messages, partner_id)).first()
        trace_id = None if row is None else row.trace_id
        message_id = None if row is None or row.task_id is not None else row.id
    elif not _TRACE_ID.fullmatch(any_id):
        return None
    if trace_id is None:
        return None
    of_trace = select(tasks.c.id).where(tasks.c.trace_id == trace_id).order_by(tasks.c.id)
    task_ids = list(tx.execute(_owned(of_trace, tasks, partner_id).limit(MOST_TASKS + 1)).scalars())
    if not task_ids and message_id is None:
        return None
    histories = _histories(tx, task_ids[:MOST_TASKS])
    apart, complete = Sendings(), True
    if message_id is not None:
        apart, complete = _sendings(
            tx, lambda table: (table.c.id if table is messages else table.c.message_id) == message_id
        )
    return Trace(
        trace_id=trace_id,
        histories=tuple(histories),
        apart=apart,
        complete=complete and len(task_ids) <= MOST_TASKS and all(history.complete for history in histories),
    )


def _histories(tx: Tx, task_ids: Sequence[str]) -> list[History]:
    if not task_ids:
        return []
    run_rows, all_runs = read_newest(
        tx, select(*RUN_COLUMNS).where(among(tx, runs.c.task_id, task_ids)).order_by(runs.c.token.desc())
    )
    sendings, complete = _sendings(tx, lambda table: among(tx, table.c.task_id, task_ids))
    made = _by(sendings.attempts, lambda attempt: attempt.delivery_id)
    task_runs = _by([_run_from(row) for row in run_rows], lambda run: run.task_id)
    task_messages = _by(sendings.messages, lambda message: message.task_id)
    task_deliveries = _by(sendings.deliveries, lambda delivery: delivery.task_id)
    return [
        History(
            task=task,
            runs=task_runs[task.id],
            sendings=Sendings(
                messages=task_messages[task.id],
                deliveries=task_deliveries[task.id],
                attempts=[one for delivery in task_deliveries[task.id] for one in made[delivery.id]],
            ),
            complete=all_runs and complete,
        )
        for task in _tasks(tx, task_ids)
    ]


def _tasks(tx: Tx, task_ids: Sequence[str]) -> list[Task]:
    """Read tasks without their results, which a timeline does not show."""
    whole = select_tasks().where(among(tx, tasks.c.id, task_ids)).order_by(tasks.c.id)
    columns = [null().label(c.name) if c is task_bodies.c.result else c for c in whole.selected_columns]
    return [task_from(TaskRow._make(row)) for row in tx.execute(whole.with_only_columns(*columns))]


def _sendings(tx: Tx, of: Callable[[Any], ColumnElement[bool]]) -> tuple[Sendings, bool]:
    """Read what was sent; `of` chooses by the columns that messages and deliveries have in common."""
    columns = (messages.c.id, messages.c.task_id, messages.c.event, messages.c.created_ms)
    message_rows, all_messages = read_newest(
        tx, select(*columns).where(of(messages)).order_by(messages.c.id.desc())
    )
    delivery_rows, all_deliveries = read_newest(
        tx, select_deliveries().where(of(deliveries)).order_by(deliveries.c.id.desc())
    )
    made, all_attempts = _attempts(tx, [row.id for row in delivery_rows])
    sendings = Sendings(
        messages=[_message_from(row) for row in message_rows],
        deliveries=[delivery_from(row) for row in delivery_rows],
        attempts=made,
    )
    return sendings, all_messages and all_deliveries and all_attempts


def _attempts(tx: Tx, delivery_ids: Sequence[str]) -> tuple[list[AttemptMade], bool]:
    columns = [column for column in attempts.c if column.name not in ("headers", "excerpt")]
    statement = select(*columns).where(among(tx, attempts.c.delivery_id, delivery_ids))
    newest_first = (attempts.c.at_ms.desc(), attempts.c.delivery_id.desc(), attempts.c.number.desc())
    rows, complete = read_newest(tx, statement.order_by(*newest_first))
    return [AttemptMade(**{**row._mapping, "resent": bool(row.resent)}) for row in rows], complete


def _message_from(row: Row[Any]) -> MessageMade:
    return MessageMade(id=row.id, task_id=row.task_id, event=row.event, created_ms=row.created_ms)


def _run_from(row: Row[Any]) -> Run:
    return Run(**row._mapping)


def _by(things: Sequence[T], key: Callable[[T], str | None]) -> dict[str | None, list[T]]:
    grouped: dict[str | None, list[T]] = defaultdict(list)
    for thing in things:
        grouped[key(thing)].append(thing)
    return grouped


def _owned(statement: Select[Any], table: Any, partner_id: str | None) -> Select[Any]:
    return statement if partner_id is None else statement.where(table.c.partner_id == partner_id)
