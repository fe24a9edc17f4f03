"""Dead letters: what ran out of attempts, deliveries and tasks together, in the order they died.

They are no table of their own: a dead letter is a dead delivery nobody discarded, or a failed task with
a time of death. So nothing can be in one place and not in the other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple

from sqlalchemy import Integer, Select, bindparam, func, or_, select, text

from webhookd.adapters.store.deliveries.letter_filters import (
    OF_DELIVERIES_IN_FULL,
    OF_TASKS,
    endpoint_parameters,
    filter_parameters,
)
from webhookd.adapters.store.paging import MAX_PAGE_BYTES, row_bytes
from webhookd.adapters.store.rows import filled
from webhookd.adapters.store.rowset import named
from webhookd.adapters.store.schema import deliveries, endpoints, task_bodies, tasks
from webhookd.adapters.store.statement import Listing, RowT, UnnamedCount, narrowed
from webhookd.adapters.store.tx import Tx
from webhookd.core import ids
from webhookd.core.records import Bounds, DeadLetter
from webhookd.core.replay import DeadLetterFilter

DEAD_DELIVERY: Final = text("deliveries.state = 'dead' AND deliveries.discarded_ms IS NULL")
DEAD_TASK: Final = text("tasks.dead_ms IS NOT NULL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A slice of the order of death: after `after` and before `before`, both `(at_ms, id)`, both exclusive.

    `replayable` leaves out deliveries that can go nowhere because their endpoint is deleted.
    """

    after: tuple[int, str] | None = None
    before: tuple[int, str] | None = None
    oldest_first: bool = False
    replayable: bool = False


class _Delivery(NamedTuple):
    id: str
    partner_id: str
    at_ms: int
    dead_reason: str | None
    task_id: str | None
    type: str | None
    endpoint_id: str | None
    url: str | None
    event: str
    last_error: str | None


class _Task(NamedTuple):
    id: str
    partner_id: str
    at_ms: int
    dead_reason: str | None
    task_id: str
    type: str
    error_code: str | None
    error_message: str | None


_Build = Callable[[str, frozenset[str]], Select[Any]]


class _Half(Generic[RowT]):
    """The statements over the deliveries, or over the tasks; `at` is the time of death, `key` the id."""

    def __init__(self, row: type[RowT], dead: _Build, *, at: Any, key: Any) -> None:
        def listed(*order: Any) -> Listing[RowT]:
            return Listing(row, lambda dialect, given: _limited(dead(dialect, given), *order))

        def counted(dialect: str, given: frozenset[str]) -> Select[Any]:
            return dead(dialect, given).with_only_columns(func.count())

        self.newest, self.oldest = listed(at.desc(), key.desc()), listed(at, key)
        self.one = Listing(row, lambda by, given: dead(by, given).where(key == bindparam("letter_id")))
        self.count = Listing(UnnamedCount, counted)


def _limited(statement: Select[Any], *order: Any) -> Select[Any]:
    return statement.order_by(*order).limit(bindparam("most", type_=Integer))


def dead_deliveries(dialect: str, given: frozenset[str]) -> Select[Any]:
    """Select the dead letters that are deliveries, by the parameters that are given."""
    statement = (
        select(
            deliveries.c.id,
            deliveries.c.partner_id,
            deliveries.c.ended_ms.label("at_ms"),
            deliveries.c.dead_reason,
            deliveries.c.task_id,
            deliveries.c.task_type.label("type"),
            deliveries.c.endpoint_id,
            func.coalesce(deliveries.c.url, endpoints.c.url).label("url"),
            deliveries.c.event,
            deliveries.c.last_error,
        )
        .outerjoin(endpoints, endpoints.c.id == deliveries.c.endpoint_id)
        .where(DEAD_DELIVERY)
    )
    return _narrowed(statement, dialect, given)


def counted_deliveries(dialect: str, given: frozenset[str]) -> Select[Any]:
    """The same to be counted, without endpoints where none is needed: an index has the rest."""
    statement = select(deliveries.c.id).where(DEAD_DELIVERY)
    if given & {"text", "replayable"}:
        statement = statement.outerjoin(endpoints, endpoints.c.id == deliveries.c.endpoint_id)
    return _narrowed(statement, dialect, given)


def _narrowed(statement: Select[Any], dialect: str, given: frozenset[str]) -> Select[Any]:
    at, key = deliveries.c.ended_ms, deliveries.c.id
    return narrowed(
        statement,
        given,
        replayable=endpoints.c.deleted_ms.is_(None),
        endpoint_id=deliveries.c.endpoint_id == bindparam("endpoint_id"),
        no_endpoint=deliveries.c.endpoint_id.is_(None),
        ids=named(dialect, key, "ids"),
        partner_id=deliveries.c.partner_id == bindparam("partner_id"),
        reason=deliveries.c.dead_reason == bindparam("reason"),
        **OF_DELIVERIES_IN_FULL,
        **_between(at, key),
    )


def dead_tasks(dialect: str, given: frozenset[str]) -> Select[Any]:
    """Select the dead letters that are tasks, by the parameters that are given."""
    at, key = tasks.c.dead_ms, tasks.c.id
    statement = (
        select(
            tasks.c.id,
            tasks.c.partner_id,
            tasks.c.dead_ms.label("at_ms"),
            tasks.c.dead_reason,
            tasks.c.id.label("task_id"),
            tasks.c.type,
            task_bodies.c.error_code,
            task_bodies.c.error_message,
        )
        .outerjoin(task_bodies, task_bodies.c.task_id == tasks.c.id)
        .where(DEAD_TASK)
    )
    return narrowed(
        statement,
        given,
        ids=named(dialect, key, "ids"),
        partner_id=tasks.c.partner_id == bindparam("partner_id"),
        reason=tasks.c.dead_reason == bindparam("reason"),
        **OF_TASKS,
        **_between(at, key),
    )


def _between(at: Any, key: Any) -> dict[str, Any]:
    return {
        "since_ms": at >= bindparam("since_ms"),
        "until_ms": at < bindparam("until_ms"),
        "after_ms": (at >= bindparam("after_ms"))
        & or_(at > bindparam("after_ms"), key > bindparam("after_id")),
        "before_ms": (at <= bindparam("before_ms"))
        & or_(at < bindparam("before_ms"), key < bindparam("before_id")),
    }


_DELIVERIES: Final = _Half(_Delivery, dead_deliveries, at=deliveries.c.ended_ms, key=deliveries.c.id)
_TASKS: Final = _Half(_Task, dead_tasks, at=tasks.c.dead_ms, key=tasks.c.id)


def list_dead_letters(
    tx: Tx, partner_id: str | None, wanted: DeadLetterFilter, page: Bounds
) -> tuple[list[DeadLetter], str | None]:
    """Return a page of dead letters, newest first, and the cursor of the next page or None."""
    before = None if page.cursor is None else _read_cursor(page.cursor)
    found = read_dead_letters(tx, partner_id, wanted, Slice(before=before), limit=page.limit + 1)
    shown = _fitting(found[: page.limit])
    return shown, f"{shown[-1].at_ms}.{shown[-1].id}" if len(found) > len(shown) else None


def _fitting(letters: list[DeadLetter]) -> list[DeadLetter]:
    """Return as many as a page has room for, one at least."""
    left = MAX_PAGE_BYTES
    for count, letter in enumerate(letters):
        left -= row_bytes((letter.url, letter.last_error))
        if left < 0 and count:
            return letters[:count]
    return letters


def read_dead_letters(
    tx: Tx, partner_id: str | None, wanted: DeadLetterFilter, part: Slice, *, limit: int
) -> list[DeadLetter]:
    """Return up to `limit` dead letters of a slice, deliveries and tasks merged by time of death."""
    after_ms, after_id = part.after or (None, None)
    before_ms, before_id = part.before or (None, None)
    given = {
        "after_ms": after_ms,
        "after_id": after_id,
        "before_ms": before_ms,
        "before_id": before_id,
        "most": limit,
        **filter_given(partner_id, wanted),
    }
    found: list[DeadLetter] = []
    if wants("delivery", wanted):
        line = _DELIVERIES.oldest if part.oldest_first else _DELIVERIES.newest
        rows = tx.run(line, replayable=part.replayable or None, **endpoint_parameters(wanted), **given)
        found += map(_letter_from_delivery, rows)
    if wants("task", wanted):
        line_of_tasks = _TASKS.oldest if part.oldest_first else _TASKS.newest
        found += map(_letter_from_task, tx.run(line_of_tasks, **given))
    found.sort(key=lambda letter: (letter.at_ms, letter.id), reverse=not part.oldest_first)
    return found[:limit]


def count_letters(tx: Tx, partner_id: str | None, wanted: DeadLetterFilter, *, replayable: bool) -> int:
    """Return how many dead letters match; `replayable` leaves out those that can go nowhere."""
    given, found = filter_given(partner_id, wanted), 0
    if wants("delivery", wanted):
        (counted,) = tx.run(
            _DELIVERIES.count, replayable=replayable or None, **endpoint_parameters(wanted), **given
        )
        found += counted.count_1
    if wants("task", wanted):
        (counted,) = tx.run(_TASKS.count, **given)
        found += counted.count_1
    return found


def filter_given(partner_id: str | None, wanted: DeadLetterFilter) -> dict[str, Any]:
    """Return the parameters of a filter, but for its endpoint, which only deliveries have."""
    return {
        **filter_parameters(wanted),
        "partner_id": partner_id,
        "since_ms": wanted.since_ms,
        "until_ms": wanted.until_ms,
        "ids": wanted.ids,
    }


def wants(kind: str, wanted: DeadLetterFilter) -> bool:
    """Tell whether a filter may match dead letters of a kind: tasks have no endpoint, event or status."""
    if kind == "delivery":
        return wanted.kind in (None, "delivery")
    of_deliveries = (wanted.endpoint_id, wanted.event, wanted.status)
    return wanted.kind in (None, "task") and of_deliveries == (None, None, None)


def get_dead_letter(tx: Tx, letter_id: str, partner_id: str | None) -> DeadLetter | None:
    """Return a dead letter by the delivery's or task's id; None: unknown, foreign, or not dead (any more)."""
    delivery = tx.first(_DELIVERIES.one, letter_id=letter_id, partner_id=partner_id)
    if delivery is not None:
        return _letter_from_delivery(delivery)
    task = tx.first(_TASKS.one, letter_id=letter_id, partner_id=partner_id)
    return None if task is None else _letter_from_task(task)


def is_task(letter_id: str) -> bool:
    return letter_id.startswith(ids.TASK + "_")


def _letter_from_delivery(row: _Delivery) -> DeadLetter:
    return filled(DeadLetter, row, kind="delivery", reason=row.dead_reason or "unknown")


def _letter_from_task(row: _Task) -> DeadLetter:
    error = row.error_code
    return filled(
        DeadLetter,
        row,
        kind="task",
        reason=row.dead_reason or "unknown",
        endpoint_id=None,
        url=None,
        event=None,
        last_error=f"{error}: {row.error_message}" if error is not None and row.error_message else error,
    )


def _read_cursor(cursor: str) -> tuple[int, str]:
    at_text, _, letter_id = cursor.partition(".")
    return int(at_text), letter_id
