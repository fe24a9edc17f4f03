"""Dead letters counted by what they have in common: for "500 dead: where and why"."""

from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, Select, Text, bindparam, cast, func, literal, null, select

from webhookd.adapters.store.deliveries.dead_letters import (
    counted_deliveries,
    dead_tasks,
    filter_given,
    wants,
)
from webhookd.adapters.store.deliveries.letter_filters import endpoint_parameters
from webhookd.adapters.store.schema import deliveries, endpoints, task_bodies, tasks
from webhookd.adapters.store.statement import Listing, Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.listing import GROUP_KEYS, LetterGroup
from webhookd.core.replay import DeadLetterFilter

MAX_GROUPS: Final = 10_000
HOUR_MS: Final = 3_600_000


class _OwnerOfEndpoint(NamedTuple):
    partner_id: str


def _grouped(statement: Select[Any], given: frozenset[str], at: Any, columns: dict[str, Any]) -> Select[Any]:
    """Return the counts by those columns whose `by_NAME` is given; the others are NULL."""
    by = {name: column for name, column in columns.items() if f"by_{name}" in given}
    nothing = {name: cast(null(), BigInteger if name == "hour" else Text) for name in GROUP_KEYS}
    shown = {**nothing, **by}
    return (
        statement.with_only_columns(
            *(column.label(name) for name, column in shown.items()),
            func.count().label("letters"),
            func.min(at).label("first_ms"),
            func.max(at).label("last_ms"),
        )
        .group_by(*by.values())
        .order_by(func.count().desc())
        .limit(MAX_GROUPS)
    )


def _deliveries(dialect: str, given: frozenset[str]) -> Select[Any]:
    at = deliveries.c.ended_ms
    columns = {
        "partner": deliveries.c.partner_id,
        "endpoint": deliveries.c.endpoint_id,
        "error": deliveries.c.last_error,
        "type": deliveries.c.task_type,
        "reason": deliveries.c.dead_reason,
        "hour": at // HOUR_MS,
        "kind": cast(literal("delivery"), Text),
    }
    return _grouped(counted_deliveries(dialect, given), given, at, columns)


def _tasks(dialect: str, given: frozenset[str]) -> Select[Any]:
    at = tasks.c.dead_ms
    columns = {
        "partner": tasks.c.partner_id,
        "error": task_bodies.c.error_code,
        "type": tasks.c.type,
        "reason": tasks.c.dead_reason,
        "hour": at // HOUR_MS,
        "kind": cast(literal("task"), Text),
    }
    return _grouped(dead_tasks(dialect, given), given, at, columns)


_OWNER: Final = Query(
    _OwnerOfEndpoint,
    lambda _: select(endpoints.c.partner_id).where(endpoints.c.id == bindparam("endpoint_id")),
)
_DELIVERIES: Final = Listing(LetterGroup, _deliveries)
_TASKS: Final = Listing(LetterGroup, _tasks)


def group_dead_letters(
    tx: Tx, partner_id: str | None, wanted: DeadLetterFilter, group_by: tuple[str, ...]
) -> list[LetterGroup]:
    """Return the counts, the largest first, of no more than MAX_GROUPS groups."""
    if partner_id is None and wanted.named_endpoint is not None:  # so that the index of what is alike serves
        owner = tx.first(_OWNER, endpoint_id=wanted.named_endpoint)
        partner_id = None if owner is None else owner.partner_id
    given = filter_given(partner_id, wanted) | {f"by_{name}": True for name in group_by}
    found: list[LetterGroup] = []
    if wants("delivery", wanted):
        found += tx.run(_DELIVERIES, **endpoint_parameters(wanted), **given)
    if wants("task", wanted):
        found += tx.run(_TASKS, **given)
    groups: dict[tuple[Any, ...], LetterGroup] = {}
    for row in found:
        if not row.letters:  # counted by nothing but what this kind has not, and there are none
            continue
        key, group = row.key(group_by), row
        same = groups.get(key)
        if same is not None:
            group = row._replace(
                letters=same.letters + row.letters,
                first_ms=min(same.first_ms, row.first_ms),
                last_ms=max(same.last_ms, row.last_ms),
            )
        groups[key] = group
    return sorted(groups.values(), key=lambda one: (-one.letters, -one.last_ms))[:MAX_GROUPS]
