"""The processes with a running lease, and what each holds: who runs what, since when."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Integer, bindparam, func, select

from webhookd.adapters.store.rowset import named
from webhookd.adapters.store.schema import deliveries, partners, sessions, tasks
from webhookd.adapters.store.statement import Listing, Query, narrowed
from webhookd.adapters.store.tx import Tx
from webhookd.adapters.store.upkeep.sessions import SessionRow
from webhookd.core.records import Bounds

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


_LIVE: Final = Listing(
    SessionRow,
    lambda _, given: narrowed(
        select(sessions)
        .where(sessions.c.lease_until_ms > bindparam("now_ms"))
        .order_by(sessions.c.id)
        .limit(bindparam("most", type_=Integer)),
        given,
        cursor=sessions.c.id > bindparam("cursor"),
    ),
)


class _LoadOfSession(NamedTuple):
    session_id: str
    n: int


_IN_FLIGHT: Final = Query(
    _LoadOfSession,
    lambda dialect: (
        select(deliveries.c.session_id, func.count().label("n"))
        .where(named(dialect, deliveries.c.session_id, "sessions"))
        .group_by(deliveries.c.session_id)
    ),
)


def read_workers(tx: Tx, now_ms: int, page: Bounds) -> tuple[list[Worker], str | None]:
    """Return a page of the live processes, the longest-lived first, and the next cursor."""
    found = tx.run(_LIVE, now_ms=now_ms, cursor=page.cursor, most=page.limit + 1)
    shown = found[: page.limit]
    ids = [row.id for row in shown]
    held = _held(tx, ids)
    in_flight = {row.session_id: row.n for row in tx.run(_IN_FLIGHT, sessions=ids)}
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


class _TaskOfSession(NamedTuple):
    session_id: str
    id: str
    type: str
    partner_id: str
    name: str | None
    attempts: int
    started_ms: int
    deadline_ms: int
    cancel_requested_ms: int | None


_HELD: Final = Query(
    _TaskOfSession,
    lambda dialect: (
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
        .where(named(dialect, tasks.c.session_id, "sessions"))
        .order_by(tasks.c.started_ms, tasks.c.id)
    ),
)


def _held(tx: Tx, session_ids: list[str]) -> dict[str, list[HeldTask]]:
    held: dict[str, list[HeldTask]] = defaultdict(list)
    for row in tx.run(_HELD, sessions=session_ids):
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
