"""What may be wrong in the database, for `webhookd doctor`: read by index, and counted only up to MOST."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Select, bindparam, func, select, text

from webhookd.adapters.store.counters import read_partner_queued
from webhookd.adapters.store.endpoints.endpoint_rows import EndpointRow
from webhookd.adapters.store.rowset import Id, Name
from webhookd.adapters.store.schema import api_keys, deliveries, endpoints, lanes, queues, sessions, tasks
from webhookd.adapters.store.statement import Query
from webhookd.adapters.store.tx import Tx
from webhookd.adapters.store.upkeep.gauges import (
    BREAKER_OPEN,
    DEAD_DELIVERIES,
    DEAD_DELIVERY,
    DEAD_TASK,
    DEAD_TASKS,
    MOST,
    up_to_most,
)
from webhookd.adapters.store.upkeep.sessions import SessionRow
from webhookd.core.model import EndpointState

DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedSession:
    """A process whose lease has run out, and what it still holds."""

    id: str
    kind: str
    host: str
    pid: int
    tasks: int
    deliveries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AilingEndpoint:
    """An endpoint that is disabled, or fails. `parked` deliveries wait for it; at most MOST are counted."""

    id: str
    url: str
    disabled: bool
    disabled_reason: str | None
    failing_since_ms: int | None
    parked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterCounts:
    """How many wait for somebody, each part at most MOST."""

    total: int
    last_day: int


_ENDED: Final = Query(
    SessionRow,
    lambda _: (
        select(sessions)
        .where(sessions.c.lease_until_ms <= bindparam("now_ms"))
        .order_by(sessions.c.lease_until_ms)
    ),
)
_TASKS_HELD: Final = up_to_most(
    lambda: select(tasks.c.id).where(tasks.c.session_id == bindparam("session_id"))
)
_DELIVERIES_HELD: Final = up_to_most(
    lambda: select(deliveries.c.id).where(deliveries.c.session_id == bindparam("session_id"))
)


def sessions_not_taken_back(tx: Tx, now_ms: int) -> list[EndedSession]:
    """Return the ended processes that hold something; a sweep takes it back within seconds."""
    found = (
        EndedSession(
            id=row.id,
            kind=row.kind,
            host=row.host,
            pid=row.pid,
            tasks=tx.one(_TASKS_HELD, session_id=row.id).n,
            deliveries=tx.one(_DELIVERIES_HELD, session_id=row.id).n,
        )
        for row in tx.run(_ENDED, now_ms=now_ms)
    )
    return [one for one in found if one.tasks or one.deliveries]


_A_PENDING: Final = Query(
    Id, lambda _: select(deliveries.c.id).where(text("deliveries.state = 'pending'")).limit(1)
)


def something_waits(tx: Tx) -> bool:
    """Tell whether there is a task to run or a delivery to make, now or later."""
    return any(read_partner_queued(tx).values()) or bool(tx.run(_A_PENDING))


class _TypeCount(NamedTuple):
    type: str
    n: int


def _by_type(waiting: Select[Any]) -> Select[Any]:
    some = waiting.order_by(tasks.c.due_ms).limit(MOST).subquery()
    return select(some.c.type, func.count().label("n")).group_by(some.c.type)


_QUEUES: Final = Query(Name, lambda _: select(queues.c.name))
_QUEUED_TYPES: Final = Query(
    _TypeCount,
    lambda _: _by_type(
        select(tasks.c.type).where(text("tasks.state = 'queued'"), tasks.c.queue == bindparam("queue"))
    ),
)
_SCHEDULED_TYPES: Final = Query(
    _TypeCount, lambda _: _by_type(select(tasks.c.type).where(text("tasks.state = 'scheduled'")))
)


def waiting_types(tx: Tx) -> Counter[str]:
    """Return the types of the tasks that have waited longest in each queue, and of the next scheduled ones.

    A type nobody runs stays in front while others are worked off, so it is among these.
    """
    found: Counter[str] = Counter()
    for queue in tx.run(_QUEUES):
        found.update({row.type: row.n for row in tx.run(_QUEUED_TYPES, queue=queue.name)})
    found.update({row.type: row.n for row in tx.run(_SCHEDULED_TYPES)})
    return found


_AILING: Final = Query(
    EndpointRow,
    lambda _: (
        select(endpoints)
        .where(
            endpoints.c.deleted_ms.is_(None),
            (endpoints.c.state == EndpointState.DISABLED.value) | endpoints.c.failing_since_ms.is_not(None),
        )
        .order_by(endpoints.c.failing_since_ms, endpoints.c.id)
        .limit(MOST)
    ),
)
_PARKED: Final = up_to_most(
    lambda: select(deliveries.c.id).where(
        text("deliveries.state = 'parked'"), deliveries.c.endpoint_id == bindparam("endpoint_id")
    )
)


def ailing_endpoints(tx: Tx) -> list[AilingEndpoint]:
    """Return endpoints that are disabled, or have failed without a success since, the longest first."""
    return [
        AilingEndpoint(
            id=row.id,
            url=row.url,
            disabled=row.state == EndpointState.DISABLED,
            disabled_reason=row.disabled_reason,
            failing_since_ms=row.failing_since_ms,
            parked=tx.one(_PARKED, endpoint_id=row.id).n if row.state == EndpointState.DISABLED else 0,
        )
        for row in tx.run(_AILING)
    ]


_OPEN: Final = Query(Id, lambda _: select(lanes.c.id).where(BREAKER_OPEN).order_by(lanes.c.id).limit(MOST))


def open_breakers(tx: Tx) -> list[str]:
    """Return the lanes whose breaker holds deliveries back: endpoints' ids, or partner and origin."""
    return [row.id for row in tx.run(_OPEN)]


_DEAD_DELIVERIES_SINCE: Final = up_to_most(
    lambda: select(deliveries.c.id).where(DEAD_DELIVERY, deliveries.c.ended_ms >= bindparam("since_ms"))
)
_DEAD_TASKS_SINCE: Final = up_to_most(
    lambda: select(tasks.c.id).where(DEAD_TASK, tasks.c.dead_ms >= bindparam("since_ms"))
)


def dead_letters(tx: Tx, now_ms: int) -> DeadLetterCounts:
    """Count dead letters of both kinds."""
    since_ms = now_ms - DAY_MS
    return DeadLetterCounts(
        total=tx.one(DEAD_DELIVERIES).n + tx.one(DEAD_TASKS).n,
        last_day=tx.one(_DEAD_DELIVERIES_SINCE, since_ms=since_ms).n
        + tx.one(_DEAD_TASKS_SINCE, since_ms=since_ms).n,
    )


_GOOD_ADMIN_KEYS: Final = up_to_most(
    lambda: (
        select(api_keys.c.id)
        .where(api_keys.c.partner_id.is_(None), api_keys.c.revoked_ms.is_(None))
        .where(api_keys.c.expires_ms.is_(None) | (api_keys.c.expires_ms > bindparam("now_ms")))
    )
)


def good_admin_keys(tx: Tx, now_ms: int) -> int:
    """Count the admin keys that are good now."""
    return tx.one(_GOOD_ADMIN_KEYS, now_ms=now_ms).n
