"""Announcing what happened: one message, and one delivery per recipient, in the transaction of the cause.

Whoever changes a task's state calls `announce_tasks` on the same connection, so there is no result
without its deliveries. A partner's feed number is taken last and its row stays locked until the
commit: feed order is commit order, and no message can appear before one already handed out.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import or_, select

from webhookd.adapters.entropy import new_id, new_trace
from webhookd.adapters.store import publish_statements as statements
from webhookd.adapters.store.rows import names
from webhookd.adapters.store.rowset import among, pack
from webhookd.adapters.store.schema import endpoints
from webhookd.adapters.store.tx import Tx
from webhookd.core import ids
from webhookd.core.model import DELIVER_QUEUE, TRANSIENT_EVENTS, DeliveryState, subscribes
from webhookd.core.records import Task
from webhookd.core.render import announced_task_document, event_body
from webhookd.core.routing import Recipient, Subscriber, recipients, to_endpoint

_ENDED = (DeliveryState.DEAD, DeliveryState.CANCELLED)
NO_SPANS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """One event and who gets it. `body` is the exact text that will be signed; no trace: it begins one.

    `trace_parent_id` is the span its attempts are below; empty for none.
    """

    partner_id: str
    event: str
    body: str
    recipients: tuple[Recipient, ...]
    task_id: str | None = None
    task_type: str | None = None
    trace_id: str | None = None
    trace_parent_id: str = ""
    trace_flags: int = 1
    trace_state: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What was written: ids of the deliveries, in order, and whether any of them may be sent now."""

    message_id: str
    delivery_ids: tuple[str, ...]
    sendable: bool


def announce_tasks(
    tx: Tx,
    happenings: Sequence[tuple[Task, str]],
    *,
    now_ms: int,
    span_ids: Mapping[str, str] = NO_SPANS,
) -> list[Announced | None]:
    """Announce `(task, event)` pairs. None where a transient event has nobody to hear it.

    `span_ids` has, by task, the span of the run that is the cause; without one a message is below what
    its task is below.
    """
    subscribers = _subscribers(tx, happenings)
    announcements: list[Announcement | None] = []
    for task, event in happenings:
        found = recipients(
            task,
            event,
            subscribers.get(task.partner_id, ()),
            default_max_attempts=tx.policy.default_max_attempts,
        )
        if event in TRANSIENT_EVENTS and not found:
            announcements.append(None)
            continue
        document = announced_task_document(task, base_url=tx.policy.base_url)
        announcements.append(
            Announcement(
                partner_id=task.partner_id,
                event=event,
                body=event_body(event, timestamp_ms=now_ms, data=document),
                recipients=tuple(found),
                task_id=task.id,
                task_type=task.type,
                trace_id=task.trace_id,
                trace_parent_id=span_ids.get(task.id) or task.trace_parent_id,
                trace_flags=task.trace_flags,
                trace_state=task.trace_state,
            )
        )
    written = iter(announce(tx, [a for a in announcements if a is not None], now_ms=now_ms))
    return [None if a is None else next(written) for a in announcements]


def announce_to_others(
    tx: Tx,
    *,
    partner_id: str,
    event: str,
    data: object,
    but_endpoint_id: str | None,
    now_ms: int,
) -> Announced | None:
    """Tell the partner's other endpoints that name an operational event. None where nobody does."""
    rows = tx.execute(
        select(endpoints).where(endpoints.c.partner_id == partner_id, endpoints.c.deleted_ms.is_(None))
    )
    told = tuple(
        to_endpoint(subscriber)
        for subscriber in (subscriber_from(tx, row) for row in rows)
        if subscriber.endpoint_id != but_endpoint_id and subscribes(subscriber.events, event)
    )
    if not told:
        return None
    body = event_body(event, timestamp_ms=now_ms, data=data)
    announcement = Announcement(partner_id=partner_id, event=event, body=body, recipients=told)
    return announce(tx, [announcement], now_ms=now_ms)[0]


def announce(tx: Tx, announcements: Sequence[Announcement], *, now_ms: int) -> list[Announced]:
    """Write messages, deliveries and wake their lanes."""
    if not announcements:
        return []
    _wake_lanes(tx, announcements, now_ms)
    feed = _take_feed_numbers(tx, [a.partner_id for a in announcements])
    # Ids of one millisecond fall as chance has it; fifo lanes go by them, so they are put in order.
    wanted = sum(len(a.recipients) for a in announcements)
    fresh_ids = iter(sorted(new_id(ids.DELIVERY, now_ms) for _ in range(wanted)))
    message_rows: list[tuple[object, ...]] = []
    delivery_rows: list[tuple[object, ...]] = []
    announced: list[Announced] = []
    for announcement in announcements:
        message_id = new_id(ids.MESSAGE, now_ms)
        message_rows.append(
            (
                message_id,
                announcement.partner_id,
                announcement.task_id,
                announcement.event,
                announcement.body,
                next(feed[announcement.partner_id]),
                announcement.trace_id or new_trace().trace_id,
                announcement.trace_parent_id,
                announcement.trace_flags,
                announcement.trace_state,
                now_ms,
            )
        )
        delivery_ids = []
        for recipient in announcement.recipients:
            delivery_id = next(fresh_ids)
            delivery_ids.append(delivery_id)
            delivery_rows.append(_delivery_row(delivery_id, message_id, announcement, recipient, now_ms))
        announced.append(
            Announced(
                message_id=message_id,
                delivery_ids=tuple(delivery_ids),
                sendable=any(r.state is DeliveryState.PENDING for r in announcement.recipients),
            )
        )
    dialect = tx.dialect
    if any(one.sendable for one in announced):
        tx.wakes.ring(DELIVER_QUEUE)
    tx.execute(statements.insert_messages(dialect), {"rows": pack(message_rows)})
    if delivery_rows:
        tx.execute(statements.insert_deliveries(dialect), {"rows": pack(delivery_rows)})
    return announced


def subscriber_from(tx: Tx, row: Any) -> Subscriber:
    """Return the part of an endpoint row that routing needs."""
    return Subscriber(
        endpoint_id=row.id,
        partner_id=row.partner_id,
        events=names(row.events),
        task_types=names(row.task_types),
        enabled=row.state == "enabled",
        deleted=row.deleted_ms is not None,
        fifo=row.ordering == "fifo",
        max_attempts=row.retry_max_attempts or tx.policy.default_max_attempts,
    )


def _subscribers(tx: Tx, happenings: Sequence[tuple[Task, str]]) -> dict[str, list[Subscriber]]:
    """Read the endpoints the tasks may go to; a task with only a callback needs none."""
    open_partners = {t.partner_id for t, _ in happenings if t.callback_url is None and t.endpoint_ids is None}
    named = {endpoint_id for t, _ in happenings for endpoint_id in t.endpoint_ids or ()}
    if not open_partners and not named:
        return {}
    rows = tx.execute(
        select(endpoints).where(
            or_(
                (among(tx, endpoints.c.partner_id, open_partners)) & endpoints.c.deleted_ms.is_(None),
                among(tx, endpoints.c.id, named),
            )
        )
    )
    found: defaultdict[str, list[Subscriber]] = defaultdict(list)
    for row in rows:
        found[row.partner_id].append(subscriber_from(tx, row))
    return found


def partners_listening(tx: Tx, partner_ids: set[str], event: str) -> set[str]:
    """Return which of the partners have an endpoint that names `event`."""
    rows = tx.execute(
        select(endpoints.c.partner_id)
        .where(
            among(tx, endpoints.c.partner_id, partner_ids),
            endpoints.c.deleted_ms.is_(None),
            endpoints.c.events.contains(f'"{event}"'),
        )
        .distinct()
    )
    return {row.partner_id for row in rows}


def _delivery_row(
    delivery_id: str, message_id: str, announcement: Announcement, recipient: Recipient, now_ms: int
) -> tuple[object, ...]:
    once = announcement.event in TRANSIENT_EVENTS
    return (
        delivery_id,
        message_id,
        announcement.partner_id,
        announcement.task_id,
        announcement.task_type,
        recipient.endpoint_id,
        recipient.lane_id,
        recipient.url,
        announcement.event,
        recipient.state.value,
        once,
        0,
        0,
        1 if once else recipient.max_attempts,
        now_ms if recipient.state is DeliveryState.PENDING else None,
        0,
        recipient.dead_reason,
        now_ms,
        now_ms if recipient.state in _ENDED else None,
    )


def _wake_lanes(tx: Tx, announcements: Sequence[Announcement], now_ms: int) -> None:
    rows: dict[str, tuple[object, ...]] = {}
    for announcement in announcements:
        for recipient in announcement.recipients:
            if recipient.state is DeliveryState.PENDING:
                rows[recipient.lane_id] = (
                    recipient.lane_id,
                    announcement.partner_id,
                    recipient.endpoint_id,
                    recipient.fifo,
                    now_ms,
                )
    if rows:
        tx.execute(
            statements.upsert_lanes(tx.dialect),
            {"lanes_in": pack(rows[lane_id] for lane_id in sorted(rows))},
        )


def _take_feed_numbers(tx: Tx, partner_ids: Iterable[str]) -> dict[str, Any]:
    counts: defaultdict[str, int] = defaultdict(int)
    for partner_id in partner_ids:
        counts[partner_id] += 1
    taken = tx.execute(statements.take_feed(tx.dialect), {"takers": pack(sorted(counts.items()))})
    return {
        row.partner_id: iter(range(row.last_seq - counts[row.partner_id] + 1, row.last_seq + 1))
        for row in taken
    }
