"""Figures for metrics that no counter keeps, each counted through an index and only up to MOST."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Select, func, select, text

from webhookd.adapters.store.schema import deliveries, lanes, tasks
from webhookd.adapters.store.statement import Count, Query
from webhookd.adapters.store.tx import Tx

MOST: Final = 10_000
BREAKER_OPEN: Final = text("lanes.open_until_ms IS NOT NULL")
DEAD_DELIVERY: Final = text("state = 'dead' AND discarded_ms IS NULL")
DEAD_TASK: Final = text("dead_ms IS NOT NULL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """Each at most MOST."""

    dead_deliveries: int
    dead_tasks: int
    open_breakers: int


def up_to_most(rows: Callable[[], Select[Any]]) -> Query[Count]:
    """Return the query that counts the rows of a select, and stops at MOST."""
    return Query(Count, lambda _: select(func.count().label("n")).select_from(rows().limit(MOST).subquery()))


DEAD_DELIVERIES: Final = up_to_most(lambda: select(deliveries.c.id).where(DEAD_DELIVERY))
DEAD_TASKS: Final = up_to_most(lambda: select(tasks.c.id).where(DEAD_TASK))
_OPEN_BREAKERS: Final = up_to_most(lambda: select(lanes.c.id).where(BREAKER_OPEN))


def read_gauges(tx: Tx) -> Gauges:
    """Return the figures."""
    return Gauges(
        dead_deliveries=tx.one(DEAD_DELIVERIES).n,
        dead_tasks=tx.one(DEAD_TASKS).n,
        open_breakers=tx.one(_OPEN_BREAKERS).n,
    )
