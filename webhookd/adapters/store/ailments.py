"""What may be wrong in the database, for `webhookd doctor`: read by index, and counted only up to MOST."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, select, text

from webhookd.adapters.store.counters import read_partner_queued
from webhookd.adapters.store.gauges import BREAKER_OPEN, DEAD_DELIVERY, DEAD_TASK, MOST, up_to_most
from webhookd.adapters.store.schema import api_keys, deliveries, endpoints, lanes, queues, sessions, tasks
from webhookd.adapters.store.tx import Tx

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
class DeadLetters:
    """How many wait for somebody, each part at most MOST."""

    total: int
    last_day: int


def sessions_not_taken_back(tx: Tx, now_ms: int) -> list[EndedSession]:
    """Return the ended processes that hold something; a sweep takes it back within seconds."""
    ended = tx.execute(
        select(sessions).where(sessions.c.lease_until_ms <= now_ms).order_by(sessions.c.lease_until_ms)
    ).all()
    found = (
        EndedSession(
            id=row.id,
            kind=row.kind,
            host=row.host,
            pid=row.pid,
            tasks=up_to_most(tx, select(tasks.c.id).where(tasks.c.session_id == row.id)),
            deliveries=up_to_most(tx, select(deliveries.c.id).where(deliveries.c.session_id == row.id)),
        )
        for row in ended
    )
    return [one for one in found if one.tasks or one.deliveries]


def something_waits(tx: Tx) -> bool:
    """Tell whether there is a task to run or a delivery to make, now or later."""
    pending = select(deliveries.c.id).where(text("deliveries.state = 'pending'")).limit(1)
    return any(read_partner_queued(tx).values()) or tx.execute(pending).first() is not None


def waiting_types(tx: Tx) -> Counter[str]:
    """Return the types of the tasks that have waited longest in each queue, and of the next scheduled ones.

    A type nobody runs stays in front while others are worked off, so it is among these.
    """
    found: Counter[str] = Counter()
    for name in tx.execute(select(queues.c.name)).scalars().all():
        oldest = (
            select(tasks.c.type)
            .where(text("tasks.state = 'queued'"), tasks.c.queue == name)
            .order_by(tasks.c.due_ms)
        )
        found.update(_types(tx, oldest))
    soonest = select(tasks.c.type).where(text("tasks.state = 'scheduled'")).order_by(tasks.c.due_ms)
    found.update(_types(tx, soonest))
    return found


def ailing_endpoints(tx: Tx) -> list[AilingEndpoint]:
    """Return endpoints that are disabled, or have failed without a success since, the longest first."""
    rows = tx.execute(
        select(endpoints)
        .where(
            endpoints.c.deleted_ms.is_(None),
            (endpoints.c.state == "disabled") | endpoints.c.failing_since_ms.is_not(None),
        )
        .order_by(endpoints.c.failing_since_ms, endpoints.c.id)
        .limit(MOST)
    )
    return [
        AilingEndpoint(
            id=row.id,
            url=row.url,
            disabled=row.state == "disabled",
            disabled_reason=row.disabled_reason,
            failing_since_ms=row.failing_since_ms,
            parked=0
            if row.state != "disabled"
            else up_to_most(
                tx,
                select(deliveries.c.id).where(
                    text("deliveries.state = 'parked'"), deliveries.c.endpoint_id == row.id
                ),
            ),
        )
        for row in rows.all()
    ]


def open_breakers(tx: Tx) -> list[str]:
    """Return the lanes whose breaker holds deliveries back: endpoints' ids, or partner and origin."""
    held = select(lanes.c.id).where(BREAKER_OPEN).order_by(lanes.c.id).limit(MOST)
    return list(tx.execute(held).scalars())


def dead_letters(tx: Tx, now_ms: int) -> DeadLetters:
    """Count dead letters of both kinds."""
    since_ms = now_ms - DAY_MS
    return DeadLetters(
        total=up_to_most(tx, select(deliveries.c.id).where(DEAD_DELIVERY))
        + up_to_most(tx, select(tasks.c.id).where(DEAD_TASK)),
        last_day=up_to_most(
            tx, select(deliveries.c.id).where(DEAD_DELIVERY, deliveries.c.ended_ms >= since_ms)
        )
        + up_to_most(tx, select(tasks.c.id).where(DEAD_TASK, tasks.c.dead_ms >= since_ms)),
    )


def good_admin_keys(tx: Tx, now_ms: int) -> int:
    """Count the admin keys that are good now."""
    good = (
        select(api_keys.c.id)
        .where(api_keys.c.partner_id.is_(None), api_keys.c.revoked_ms.is_(None))
        .where(api_keys.c.expires_ms.is_(None) | (api_keys.c.expires_ms > now_ms))
    )
    return up_to_most(tx, good)


def _types(tx: Tx, rows: Any) -> dict[str, int]:
    some = rows.limit(MOST).subquery()
    counted = tx.execute(select(some.c.type, func.count().label("n")).group_by(some.c.type))
    return {row.type: row.n for row in counted}
