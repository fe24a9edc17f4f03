"""Listing tasks: which index a page goes along, by what it is narrowed to."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Integer, Select, bindparam, select

from webhookd.adapters.store.paging import first_id, take_page
from webhookd.adapters.store.rowset import Id, first_of_each, named
from webhookd.adapters.store.schema import partners, task_bodies, task_tags, tasks
from webhookd.adapters.store.statement import Listing, Query, narrowed
from webhookd.adapters.store.tasks.task_rows import TaskRow, select_tasks, task_from
from webhookd.adapters.store.tasks.tasks import with_counts
from webhookd.adapters.store.tx import Tx
from webhookd.core import ids
from webhookd.core.listing import TaskFilter
from webhookd.core.metadata import MAX_SEARCHED
from webhookd.core.model import TaskState
from webhookd.core.records import Bounds, Task

_OWNED: Final = tasks.c.partner_id == bindparam("partner_id")
LOOKED_THROUGH: Final = 5_000
"""Tasks that an admin's filter looks through before it goes by partner."""
_FEW_IN: Final = frozenset({TaskState.SCHEDULED, TaskState.QUEUED, TaskState.RUNNING})
"""In these are fewer tasks than of a type, whatever the database thinks."""


def _tagged(statement: Select[Any], given: frozenset[str], of: Any, partner: Any) -> tuple[Select[Any], Any]:
    """Join the pairs of metadata that are asked for; return too what the index of the first has in order."""
    by = of.c.id
    for number in range(MAX_SEARCHED):
        if f"tag_{number}" in given:
            tagged = task_tags.alias(f"tagged_{number}")
            has_it = (tagged.c.task_id == of.c.id) & (tagged.c.tag == bindparam(f"tag_{number}"))
            if partner is not None:
                has_it &= tagged.c.partner_id == partner
            statement = statement.join_from(of, tagged, has_it)
            by = tagged.c.task_id if number == 0 else by
    return statement, by


def _page(dialect: str, given: frozenset[str]) -> Select[Any]:
    """Select a page, along the tasks or along those that have a pair of metadata."""
    partner: Any = bindparam("partner_id") if "partner_id" in given else None
    statement, by = _tagged(select_tasks(), given, tasks, partner)
    if "among" in given:
        by = tasks.c.id
    return narrowed(
        statement.order_by(by.desc()).limit(bindparam("most", type_=Integer)),
        given,
        partner_id=_OWNED,
        among=named(dialect, tasks.c.id, "among"),
        cursor=by < bindparam("cursor"),
        state=tasks.c.state == bindparam("state"),
        type=tasks.c.type == bindparam("type"),
        batch_id=tasks.c.batch_id == bindparam("batch_id"),
        idempotency_key=task_bodies.c.idempotency_key == bindparam("idempotency_key"),
        rerun_of=task_bodies.c.rerun_of == bindparam("rerun_of"),
        since=by >= bindparam("since"),
        until=by < bindparam("until"),
    )


_PAGE: Final = Listing(TaskRow, _page)


def _of_each_partner(dialect: str, given: frozenset[str]) -> Select[Any]:
    """Select a page among the newest of each partner: by index, however few there are that match."""
    whose, inner = select(partners.c.id).subquery("whose"), tasks.alias("inner_tasks")
    statement, by = _tagged(select(inner.c.id), given, inner, whose.c.id)
    line = narrowed(
        statement.where(inner.c.partner_id == whose.c.id)
        .order_by(by.desc())
        .limit(bindparam("most", type_=Integer)),
        given,
        cursor=by < bindparam("cursor"),
        state=inner.c.state == bindparam("state"),
        type=inner.c.type == bindparam("type"),
        type_of_few=inner.c.type + "" == bindparam("type_of_few"),  # so that the index by state is taken
        since=by >= bindparam("since"),
        until=by < bindparam("until"),
    ).correlate(whose)
    newest = first_of_each(dialect, whose, inner, line, give=("id",), order=("id",))
    return (
        select_tasks()
        .where(tasks.c.id.in_(newest))
        .order_by(tasks.c.id.desc())
        .limit(bindparam("most", type_=Integer))
    )


_OF_EACH_PARTNER: Final = Listing(TaskRow, _of_each_partner)


_IN_STATE: Final = Query(
    Id,
    lambda _: (
        select(tasks.c.id)
        .where(_OWNED, tasks.c.state == bindparam("state"))
        .limit(bindparam("most", type_=Integer))
    ),
)


FEW: Final = 200
"""So few tasks of a state are looked through for a pair of metadata, not the other way round."""


_PLACE: Final = Listing(
    Id,
    lambda _, given: narrowed(
        select(tasks.c.id).order_by(tasks.c.id.desc()).offset(bindparam("past", type_=Integer)).limit(1),
        given,
        cursor=tasks.c.id < bindparam("cursor"),
    ),
)


def list_tasks(
    tx: Tx, partner_id: str | None, wanted: TaskFilter, page: Bounds
) -> tuple[list[Task], str | None]:
    """Return a page of tasks, newest first, and the cursor of the next page or None.

    Of all partners there is no index by state, type or metadata, which each partner has. Where the newest
    tasks do not fill a page, those of every partner are sought.
    """
    since = None if wanted.since_ms is None else first_id(ids.TASK, wanted.since_ms)
    given: dict[str, Any] = {
        "cursor": page.cursor,
        "state": wanted.state,
        "type": wanted.type,
        "until": None if wanted.until_ms is None else first_id(ids.TASK, wanted.until_ms),
        "most": page.limit + 1,
    }
    by_index = {
        "partner_id": partner_id,
        "batch_id": wanted.batch_id,
        "idempotency_key": wanted.idempotency_key,
        "rerun_of": wanted.rerun_of,
        **{f"tag_{number}": tag for number, tag in enumerate(wanted.tags)},
    }
    place = among = None
    if wanted.tags and wanted.state:
        among = _few_in_state(tx, partner_id, wanted.state)
    if (
        among is None
        and wanted.tags
        and not any((partner_id, wanted.batch_id, wanted.idempotency_key, wanted.rerun_of))
    ):
        tags = {name: tag for name, tag in by_index.items() if name.startswith("tag_")}
        found, more = take_page(tx.stream(_OF_EACH_PARTNER, **given, **tags, since=since), page.limit)
        return _shown(tx, found, more=more)
    if (wanted.state or wanted.type) and not any(by_index.values()):
        place = tx.first(_PLACE, cursor=page.cursor, past=LOOKED_THROUGH)
    begin = since if place is None else max(place.id, since or "")
    rows = tx.stream(_PAGE, **given, **by_index, among=among, since=begin)
    found, more = take_page(rows, page.limit)
    if begin != since and not more:
        if wanted.state in _FEW_IN:
            given |= {"type": None, "type_of_few": wanted.type}
        found, more = take_page(tx.stream(_OF_EACH_PARTNER, **given, since=since), page.limit)
    return _shown(tx, found, more=more)


def _few_in_state(tx: Tx, partner_id: str | None, state: TaskState) -> list[str] | None:
    """Return the ids of the tasks in this state; None where they are many."""
    asked: dict[str, Any] = {"state": state, "most": FEW + 1}
    if partner_id is None:
        found = [row.queued.id for row in tx.run(_OF_EACH_PARTNER, **asked)]
    else:
        found = [row.id for row in tx.run(_IN_STATE, partner_id=partner_id, **asked)]
    return found if len(found) <= FEW else None


def _shown(tx: Tx, found: Sequence[TaskRow], *, more: bool) -> tuple[list[Task], str | None]:
    shown = with_counts(tx, [task_from(row) for row in found])
    return shown, shown[-1].id if more else None
