"""Figures for metrics that no counter keeps, each counted through an index and only up to MOST."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, func, select, text

from webhookd.adapters.store.schema import deliveries, lanes, tasks

MOST: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """Each at most MOST."""

    dead_deliveries: int
    dead_tasks: int
    open_breakers: int


def read_gauges(conn: Connection) -> Gauges:
    """Return the figures."""
    return Gauges(
        dead_deliveries=_count(
            conn, select(deliveries.c.id).where(text("state = 'dead' AND discarded_ms IS NULL"))
        ),
        dead_tasks=_count(conn, select(tasks.c.id).where(text("dead_ms IS NOT NULL"))),
        # A lane whose breaker is closed has no hold, or has `null` in its pace (`lane_rows`).
        open_breakers=_count(
            conn,
            select(lanes.c.id).where(lanes.c.hold_ms > 0, lanes.c.pace.not_like('%"open_until_ms":null%')),
        ),
    )


def _count(conn: Connection, rows: Any) -> int:
    return int(conn.execute(select(func.count()).select_from(rows.limit(MOST).subquery())).scalar_one())
