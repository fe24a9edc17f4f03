"""Announcing what happened: one message, and one delivery per recipient, in the transaction of the cause.

Whoever changes a task's state calls `announce_tasks` on the same connection, so there is no result
without its deliveries. A partner's feed number is taken last and its row stays locked until the
commit: feed order is commit order, and no message can appear before one already handed out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, Boolean, Integer, Text, case, literal, select, text

from webhookd.adapters.entropy import new_id, new_trace
from webhookd.adapters.store.deliveries.feeds import WOKEN, last_number, take_feed_numbers
from webhookd.adapters.store.deliveries.subscribers import subscribers_of_partner, subscribers_of_tasks
from webhookd.adapters.store.insert import Insert
from webhookd.adapters.store.lanes.rows import INITIAL_PACE
from webhookd.adapters.store.rowset import POSTGRESQL, rowset, upsert
from webhookd.adapters.store.schema import deliveries, lanes, messages
from webhookd.adapters.store.statement import Change
from webhookd.adapters.store.tx import Tx
from webhookd.core import ids
from webhookd.core.model import DELIVER_QUEUE, SENT_ONCE, TRANSIENT_EVENTS, DeliveryState, subscribes
from webhookd.core.pacing import INITIAL_CAP
from webhookd.core.records import Task
from webhookd.core.render import announced_task_document, event_body
from webhookd.core.routing import Recipient, recipients, to_endpoint
from webhookd.core.trace import TraceContext

_ENDED = (DeliveryState.DEAD, DeliveryState.CANCELLED)
NO_SPANS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """One event and who gets it. `body` is the exact text that will be signed.

    Its attempts are below the parent of `trace`; None begins one.
    """

    partner_id: str
    event: str
    body: str
    recipients: tuple[Recipient, ...]
    task_id: str | None = None
    task_type: str | None = None
    trace: TraceContext | None = None


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
    subscribers = subscribers_of_tasks(tx, happenings)
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
                trace=task.trace.child(span_ids.get(task.id) or task.trace.parent_id),
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
    told = tuple(
        to_endpoint(subscriber)
        for subscriber in subscribers_of_partner(tx, partner_id)
        if subscriber.endpoint_id != but_endpoint_id and subscribes(subscriber.events, event)
    )
    if not told:
        return None
    body = event_body(event, timestamp_ms=now_ms, data=data)
    announcement = Announcement(partner_id=partner_id, event=event, body=body, recipients=told)
    return announce(tx, [announcement], now_ms=now_ms)[0]


class MessageIn(NamedTuple):
    """A row of `messages`; `behind`: how many of its partner's come after it in the same statement."""

    id: str
    partner_id: str
    task_id: str | None
    event: str
    body: str
    behind: int
    trace_id: str
    trace_parent_id: str
    trace_flags: int
    trace_state: str
    created_ms: int


class _NewDelivery(NamedTuple):
    id: str
    message_id: str
    announcement: Announcement
    recipient: Recipient
    now_ms: int

    @property
    def once(self) -> bool:
        return self.announcement.event in SENT_ONCE


def _insert_messages(dialect: str) -> Any:
    """Write messages, each with its partner's number: the last one taken, less how far it is behind."""
    rows = rowset(dialect, "rows", MessageIn)
    seq = (last_number(dialect, rows.c.partner_id) - rows.c.behind).label("seq")
    values = [seq if name == "behind" else rows.c[name] for name in MessageIn._fields]
    return messages.insert().from_select([value.name for value in values], select(*values))


_INSERT_MESSAGES: Final = Change(_insert_messages)
_INSERT_DELIVERIES: Final = Insert(
    deliveries,
    _NewDelivery,
    "announcement",
    "recipient",
    once=lambda new: new.once,
    attempts=lambda _: 0,
    attempts_before=lambda _: 0,
    max_attempts=lambda new: 1 if new.once else new.recipient.max_attempts,
    due_ms=lambda new: new.now_ms if new.recipient.state is DeliveryState.PENDING else None,
    token=lambda _: 0,
    created_ms=lambda new: new.now_ms,
    ended_ms=lambda new: new.now_ms if new.recipient.state in _ENDED else None,
)


def announce(tx: Tx, announcements: Sequence[Announcement], *, now_ms: int) -> list[Announced]:
    """Write messages, deliveries and wake their lanes."""
    if not announcements:
        return []
    tx.told = True
    tx.later(_UPSERT_LANES, name=WOKEN, lanes_in=_lanes_in(announcements, now_ms))
    behind = take_feed_numbers(tx, [a.partner_id for a in announcements])
    # Ids of one millisecond fall as chance has it; fifo lanes go by them, so they are put in order.
    wanted = sum(len(a.recipients) for a in announcements)
    fresh_ids = iter(sorted(new_id(ids.DELIVERY, now_ms) for _ in range(wanted)))
    messages_in: list[MessageIn] = []
    deliveries_in: list[_NewDelivery] = []
    announced: list[Announced] = []
    for announcement, one_behind in zip(announcements, behind, strict=True):
        message = _message_in(announcement, one_behind, now_ms)
        made = [
            _NewDelivery(next(fresh_ids), message.id, announcement, recipient, now_ms)
            for recipient in announcement.recipients
        ]
        messages_in.append(message)
        deliveries_in += made
        announced.append(
            Announced(
                message_id=message.id,
                delivery_ids=tuple(delivery.id for delivery in made),
                sendable=any(r.state is DeliveryState.PENDING for r in announcement.recipients),
            )
        )
    if any(one.sendable for one in announced):
        tx.wakes.ring(DELIVER_QUEUE)
    tx.later(_INSERT_MESSAGES, leads=True, rows=messages_in)
    if deliveries_in:
        tx.later(_INSERT_DELIVERIES, rows=_INSERT_DELIVERIES.rows(deliveries_in))
    return announced


def _message_in(announcement: Announcement, behind: int, now_ms: int) -> MessageIn:
    trace = announcement.trace or new_trace().child("")
    return MessageIn(
        id=new_id(ids.MESSAGE, now_ms),
        partner_id=announcement.partner_id,
        task_id=announcement.task_id,
        event=announcement.event,
        body=announcement.body,
        behind=behind,
        trace_id=trace.trace_id,
        trace_parent_id=trace.parent_id,
        trace_flags=trace.flags,
        trace_state=trace.state,
        created_ms=now_ms,
    )


class _LaneIn(NamedTuple):
    id: str
    partner_id: str
    endpoint_id: str | None
    fifo: bool
    ready_ms: int


def _upsert_lanes(dialect: str) -> Any:
    """Make the lanes that are not there yet, and let the others be looked at in time."""
    rows = rowset(dialect, "lanes_in", _LaneIn)
    fixed: dict[str, Any] = {
        "hold_ms": literal(0, BigInteger),
        "served_ms": literal(0, BigInteger),
        "in_flight": literal(0, Integer),
        "cap": literal(INITIAL_CAP, Integer),
        "slow": literal(value=False, type_=Boolean),
        "heard": literal(value=False, type_=Boolean),
        "pace": literal(INITIAL_PACE, Text),
    }
    insert = upsert(dialect)(lanes).from_select(
        [*rows.c.keys(), *fixed], select(rows, *fixed.values()).where(text("true"))
    )
    sooner = case(
        (lanes.c.ready_ms < insert.excluded.ready_ms, lanes.c.ready_ms), else_=insert.excluded.ready_ms
    )
    waking = insert.on_conflict_do_update(
        index_elements=[lanes.c.id], set_={"ready_ms": sooner, "fifo": insert.excluded.fifo}
    )
    return waking.returning(lanes.c.id) if dialect == POSTGRESQL else waking


_UPSERT_LANES: Final = Change(_upsert_lanes)


def wake_lanes(tx: Tx, announcements: Sequence[Announcement], now_ms: int) -> None:
    """Lock the lanes that these go to, made where they are new, and let them be looked at."""
    lanes_in = _lanes_in(announcements, now_ms)
    if lanes_in:
        tx.run(_UPSERT_LANES, lanes_in=lanes_in)


def _lanes_in(announcements: Sequence[Announcement], now_ms: int) -> list[_LaneIn]:
    rows = {
        recipient.lane_id: _LaneIn(
            recipient.lane_id, announcement.partner_id, recipient.endpoint_id, recipient.fifo, now_ms
        )
        for announcement in announcements
        for recipient in announcement.recipients
        if recipient.state is DeliveryState.PENDING
    }
    return [rows[lane_id] for lane_id in sorted(rows)]
