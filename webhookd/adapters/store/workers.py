"""The processes with a running lease, and what each holds: who runs what, since when."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import func, select

from webhookd.adapters.store.rowset import among
from webhookd.adapters.store.schema import deliveries, partners, sessions, tasks
from webhookd.adapters.store.tx import Tx
from webhookd.core.records import Page

MOST_SHOWN: Final = 500
"""Tasks of one worker that are shown, those it has held longest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldTask:
    """A task that a worker runs, or has claimed and will run in a moment."""

    id: str
    type: str
    partner_id: str
    partner_name: str
    attempt: int
    started_ms: int
    deadline_ms: int
    cancel_requested: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A process. `role` is `api`, `tasks` or `deliver`; `in_flight` counts the deliveries it is making."""

    id: str
    role: str
    host: str
    pid: int
    queues: tuple[str, ...]
    slots: int
    started_ms: int
    lease_until_ms: int
    running: tuple[HeldTask, ...]
    in_flight: int


def read_workers(tx: Tx, now_ms: int, page: Page) -> tuple[list[Worker], str | None]:
    """Return a page of the live processes, the longest-lived first, and the next cursor."""
    live = select(sessions).where(sessions.c.lease_until_ms > now_ms).order_by(sessions.c.id)
    if page.cursor is not None:
        live = live.where(sessions.c.id > page.cursor)
    found = tx.execute(live.limit(page.limit + 1)).all()
    shown = found[: page.limit]
    ids = [row.id for row in shown]
    held = _held(tx, ids)
    sending = tx.execute(
        select(deliveries.c.session_id, func.count().label("n"))
        .where(among(tx, deliveries.c.session_id, ids))
        .group_by(deliveries.c.session_id)
    ).all()
    in_flight = {row.session_id: row.n for row in sending}
    workers = []
    for row in shown:
        detail: dict[str, Any] = orjson.loads(row.detail)
        workers.append(
            Worker(
                id=row.id,
                role=row.kind,
                host=row.host,
                pid=row.pid,
                queues=tuple(detail.get("queues", ())),
                slots=detail.get("slots", 0),
                started_ms=row.started_ms,
                lease_until_ms=row.lease_until_ms,
                running=tuple(held[row.id]),
                in_flight=in_flight.get(row.id, 0),
            )
        )
    return workers, shown[-1].id if len(found) > page.limit else None


def _held(tx: Tx, session_ids: list[str]) -> dict[str, list[HeldTask]]:
    rows = tx.execute(
        select(
            tasks.c.session_id,
            tasks.c.id,
            tasks.c.type,
            tasks.c.partner_id,
            partners.c.name,
            tasks.c.attempts,
            tasks.c.started_ms,
            tasks.c.deadline_ms,
            tasks.c.cancel_requested_ms,
        )
        .outerjoin(partners, partners.c.id == tasks.c.partner_id)
        .where(among(tx, tasks.c.session_id, session_ids))
        .order_by(tasks.c.started_ms, tasks.c.id)
    )
    held: dict[str, list[HeldTask]] = defaultdict(list)
    for row in rows:
        if len(held[row.session_id]) < MOST_SHOWN:
            held[row.session_id].append(
                HeldTask(
                    id=row.id,
                    type=row.type,
                    partner_id=row.partner_id,
                    partner_name=row.name or "",
                    attempt=row.attempts,
                    started_ms=row.started_ms,
                    deadline_ms=row.deadline_ms,
                    cancel_requested=row.cancel_requested_ms is not None,
                )
            )
    return held
