"""How many tasks of each type may start now: what runs already, and the rates of starts.

Both are exact because a claim holds its queue (`claims`).
"""

from typing import Any, Final, NamedTuple

from sqlalchemy import func, select

from webhookd.adapters.store.rowset import insert_rows, named
from webhookd.adapters.store.schema import tasks, type_rates
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.execution import ClaimTasks, TypeLimit
from webhookd.core.rate import Starts, line
from webhookd.core.records import ClaimedTask


class _Busy(NamedTuple):
    type: str
    n: int


class _Rate(NamedTuple):
    type: str
    next_ms: float


_BUSY: Final = Query(
    _Busy,
    lambda dialect: (
        select(tasks.c.type, func.count().label("n"))
        .where(tasks.c.session_id.is_not(None), named(dialect, tasks.c.type, "types"))
        .group_by(tasks.c.type)
    ),
)
_RATES: Final = Query(
    _Rate,
    lambda dialect: select(type_rates.c.type, type_rates.c.next_ms).where(
        named(dialect, type_rates.c.type, "types")
    ),
)


def types_with_room(tx: Tx, request: ClaimTasks) -> tuple[dict[str, int], int | None]:
    """Return how many of each type may start now (closed ones left out), and when one may open."""
    open_types = {limit.type: request.free for limit in request.limits}
    capped = [limit for limit in request.limits if limit.concurrency is not None]
    if capped:
        busy = {row.type: row.n for row in tx.run(_BUSY, types=[limit.type for limit in capped])}
        for limit in capped:
            room = (limit.concurrency or 0) - busy.get(limit.type, 0)
            open_types[limit.type] = min(open_types[limit.type], max(room, 0))
    again_ms: int | None = None
    rated = {limit.type: limit for limit in request.limits if limit.rate_per_second}
    if rated:
        next_ms = {row.type: row.next_ms for row in tx.run(_RATES, types=rated)}
        for name, limit in rated.items():
            due = _line(limit, next_ms.get(name, 0.0), request.now_ms)
            open_types[name] = min(open_types[name], due.count)
            if not due.count:
                due_ms = int(due.first_ms) + 1
                again_ms = due_ms if again_ms is None else min(again_ms, due_ms)
    return {name: room for name, room in open_types.items() if room > 0}, again_ms


def _spend(dialect: str) -> Any:
    insert = insert_rows(dialect, type_rates, "rates", _Rate)
    return insert.on_conflict_do_update(
        index_elements=[type_rates.c.type], set_={"next_ms": insert.excluded.next_ms}
    )


_SPEND: Final = Change(_spend)


def spend_rates(tx: Tx, request: ClaimTasks, claimed: list[ClaimedTask]) -> None:
    rated = {limit.type: limit for limit in request.limits if limit.rate_per_second}
    spent = sorted({task.type for task in claimed} & set(rated))
    if not spent:
        return
    current = {row.type: row.next_ms for row in tx.run(_RATES, types=spent)}
    rates = []
    for name in spent:
        count = sum(task.type == name for task in claimed)
        due = _line(rated[name], current.get(name, 0.0), request.now_ms)
        rates.append(_Rate(name, due.after(count - 1)))
    tx.run(_SPEND, rates=rates)


def _line(limit: TypeLimit, spent_ms: float, now_ms: int) -> Starts:
    """Return the starts that are due. Turns are spent up to `spent_ms`; unused ones count for a second."""
    per_second = limit.rate_per_second or 1.0
    spacing_ms = 1000 / per_second
    slack_ms = max(0.0, 1000 - spacing_ms)
    return line(spent_ms + spacing_ms, per_second=per_second, slack_ms=slack_ms, now_ms=now_ms)
