"""Everything that happened under one id: a task's, a message's, a delivery's, or a trace's.

Bodies, headers and excerpts are left where they are: a timeline shows none of them.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import Select, bindparam, null, select

from webhookd.adapters.store.deliveries.sendings import OF_MESSAGES, OF_TASKS
from webhookd.adapters.store.paging import MAX_ROWS, take_newest
from webhookd.adapters.store.rowset import Id, named
from webhookd.adapters.store.schema import deliveries, messages, runs, task_bodies, tasks
from webhookd.adapters.store.statement import Listing, Query, narrowed
from webhookd.adapters.store.tasks.run_rows import ShortRunRow, run_from
from webhookd.adapters.store.tasks.task_rows import TaskRow, select_tasks, task_from
from webhookd.adapters.store.trace_columns import trace_of
from webhookd.adapters.store.tx import Tx
from webhookd.core import ids
from webhookd.core.records import Task
from webhookd.core.timeline import History, Sendings
from webhookd.core.trace import TraceContext

MOST_TASKS: Final = 100
"""Tasks of one trace that are shown: the one asked for, and the oldest."""
_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A trace as one partner may see it; first the task that was asked for by an id of its own.

    `apart` has the message asked for and its deliveries where it belongs to no task (a test message);
    `complete` is False where there are more than MOST_TASKS tasks, or more than can be shown of them.
    """

    trace_id: str
    histories: tuple[History, ...]
    apart: Sendings = field(default_factory=Sendings)
    complete: bool = True


class _TracePlace(NamedTuple):
    trace_id: str
    trace_parent_id: str
    trace_flags: int
    trace_state: str


_PLACE: Final = Query(
    _TracePlace,
    lambda _: select(*(messages.c[name] for name in _TracePlace._fields)).where(
        messages.c.id == bindparam("message_id")
    ),
)


def place_of_message(tx: Tx, message_id: str) -> TraceContext:
    """Return the place in its trace that the attempts at a message are below."""
    return trace_of(tx.one(_PLACE, message_id=message_id))


class _TracedTask(NamedTuple):
    id: str
    trace_id: str


class _Message(NamedTuple):
    id: str
    trace_id: str
    task_id: str | None


def _owned(statement: Select[Any], table: Any, given: frozenset[str]) -> Select[Any]:
    return narrowed(statement, given, partner_id=table.c.partner_id == bindparam("partner_id"))


_TASK: Final = Listing(
    _TracedTask,
    lambda _, given: _owned(
        select(tasks.c.id, tasks.c.trace_id).where(tasks.c.id == bindparam("task_id")), tasks, given
    ),
)
_MESSAGE: Final = Listing(
    _Message,
    lambda _, given: _owned(
        select(messages.c.id, messages.c.trace_id, messages.c.task_id).where(
            messages.c.id == bindparam("message_id")
        ),
        messages,
        given,
    ),
)
_MESSAGE_OF_DELIVERY: Final = Listing(
    _Message,
    lambda _, given: _owned(
        select(messages.c.id, messages.c.trace_id, messages.c.task_id)
        .join(deliveries, deliveries.c.message_id == messages.c.id)
        .where(deliveries.c.id == bindparam("delivery_id")),
        messages,
        given,
    ),
)
_TASKS_OF_TRACE: Final = Listing(
    Id,
    lambda _, given: _owned(
        select(tasks.c.id)
        .where(tasks.c.trace_id == bindparam("trace_id"))
        .order_by(tasks.c.id)
        .limit(MOST_TASKS + 1),
        tasks,
        given,
    ),
)


def read_history(tx: Tx, task_id: str, partner_id: str | None) -> History | None:
    """Return a task's history; None where it does not exist or is another partner's."""
    found = tx.first(_TASK, task_id=task_id, partner_id=partner_id)
    return None if found is None else _histories(tx, [task_id])[0]


def read_trace(tx: Tx, any_id: str, partner_id: str | None) -> Trace | None:
    """Return the trace of any id; None where it is not known, or none of it is the partner's."""
    trace_id: str | None = any_id
    message_id: str | None = None
    named: str | None = None
    kind = any_id.partition("_")[0]
    if kind == ids.TASK:
        task = tx.first(_TASK, task_id=any_id, partner_id=partner_id)
        trace_id = None if task is None else task.trace_id
        named = any_id
    elif kind in (ids.MESSAGE, ids.DELIVERY):
        row = (
            tx.first(_MESSAGE, message_id=any_id, partner_id=partner_id)
            if kind == ids.MESSAGE
            else tx.first(_MESSAGE_OF_DELIVERY, delivery_id=any_id, partner_id=partner_id)
        )
        trace_id = None if row is None else row.trace_id
        named = None if row is None else row.task_id
        message_id = None if row is None or row.task_id is not None else row.id
    elif not _TRACE_ID.fullmatch(any_id):
        return None
    if trace_id is None:
        return None
    task_ids = [row.id for row in tx.run(_TASKS_OF_TRACE, trace_id=trace_id, partner_id=partner_id)]
    if not task_ids and message_id is None:
        return None
    if named is not None:
        task_ids = [named, *(one for one in task_ids if one != named)]
    histories = _histories(tx, task_ids[:MOST_TASKS])
    apart, complete = Sendings(), True
    if message_id is not None:
        apart, complete = OF_MESSAGES.read(tx, [message_id])
    return Trace(
        trace_id=trace_id,
        histories=tuple(histories),
        apart=apart,
        complete=complete and len(task_ids) <= MOST_TASKS and all(history.complete for history in histories),
    )


_RUNS: Final = Query(
    ShortRunRow,
    lambda dialect: (
        select(*(runs.c[name] for name in ShortRunRow._fields))
        .where(named(dialect, runs.c.task_id, "ids"))
        .order_by(runs.c.token.desc())
        .limit(MAX_ROWS + 1)
    ),
)


def _histories(tx: Tx, task_ids: Sequence[str]) -> list[History]:
    if not task_ids:
        return []
    run_rows, all_runs = take_newest(tx.stream(_RUNS, ids=task_ids))
    sendings, complete = OF_TASKS.read(tx, task_ids)
    made = _by(sendings.attempts, lambda attempt: attempt.delivery_id)
    task_runs = _by([run_from(row) for row in run_rows], lambda run: run.task_id)
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
        for task in sorted(_tasks(tx, task_ids), key=lambda task: task_ids.index(task.id))
    ]


def _without_results(dialect: str) -> Select[Any]:
    """Select tasks without their results, which a timeline does not show."""
    whole = select_tasks().where(named(dialect, tasks.c.id, "ids")).order_by(tasks.c.id)
    columns = [null().label(c.name) if c is task_bodies.c.result else c for c in whole.selected_columns]
    return whole.with_only_columns(*columns)


_TASKS: Final = Query(TaskRow, _without_results)


def _tasks(tx: Tx, task_ids: Sequence[str]) -> list[Task]:
    return [task_from(row) for row in tx.run(_TASKS, ids=task_ids)]


def _by(things: Sequence[T], key: Callable[[T], str | None]) -> dict[str | None, list[T]]:
    grouped: dict[str | None, list[T]] = defaultdict(list)
    for thing in things:
        grouped[key(thing)].append(thing)
    return grouped
