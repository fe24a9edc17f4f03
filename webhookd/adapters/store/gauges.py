"""Figures for metrics that no counter keeps, each counted through an index and only up to MOST."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import and_, func, select, text

from webhookd.adapters.store.schema import deliveries, lanes, tasks
from webhookd.adapters.store.tx import Tx

MOST: Final = 10_000
# A lane whose breaker is closed has no hold, or has `null` in its pace (`lane_rows`).
BREAKER_OPEN: Final = and_(lanes.c.hold_ms > 0, lanes.c.pace.not_like('%"open_until_ms":null%'))
DEAD_DELIVERY: Final = text("state = 'dead' AND discarded_ms IS NULL")
DEAD_TASK: Final = text("dead_ms IS NOT NULL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """Each at most MOST."""

    dead_deliveries: int
    dead_tasks: int
    open_breakers: int


def read_gauges(tx: Tx) -> Gauges:
    """Return the figures."""
    return Gauges(
        dead_deliveries=up_to_most(tx, select(deliveries.c.id).where(DEAD_DELIVERY)),
        dead_tasks=up_to_most(tx, select(tasks.c.id).where(DEAD_TASK)),
        open_breakers=up_to_most(tx, select(lanes.c.id).where(BREAKER_OPEN)),
    )


def up_to_most(tx: Tx, rows: Any) -> int:
    """Count the rows of a select, and stop at MOST."""
    return int(tx.execute(select(func.count()).select_from(rows.limit(MOST).subquery())).scalar_one())
