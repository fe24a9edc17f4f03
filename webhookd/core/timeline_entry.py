"""One thing that happened to a task, a message or a delivery, as a value and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, Required

from typing_extensions import TypeAliasType, TypedDict

from webhookd.core.fields import (
    EXCLUSIVE,
    AttemptError,
    Count,
    DeadReason,
    DeliveryId,
    EndpointId,
    EventName,
    MessageId,
    RunOutcome,
    Timestamp,
    known,
)
from webhookd.core.model import DeliveryState
from webhookd.core.render.task import TaskErrorDocument
from webhookd.core.times import to_rfc3339

KINDS: Final = (
    "received",
    "scheduled",
    "queued",
    "run.started",
    "cancel.requested",
    "run.finished",
    "retry.scheduled",
    "succeeded",
    "failed",
    "cancelled",
    "expired",
    "message",
    "delivery.created",
    "delivery.parked",
    "delivery.attempt",
    "delivery.delivered",
    "delivery.dead",
    "delivery.cancelled",
)
"""In the order in which things of one millisecond come about."""
_RANKS: Final = {kind: rank for rank, kind in enumerate(KINDS)}

EntryKind = TypeAliasType("EntryKind", Annotated[str, known("What happened.", KINDS)])


class EntryDetail(TypedDict, total=False):
    """What an entry has besides; which of it depends on its kind."""

    type: str
    """With `received`: the task's type."""
    queue: str
    """With `queued`: the queue it waited in."""
    until: Timestamp
    """With `scheduled` and `retry.scheduled`: when it is due."""
    attempt: Count
    """With `run.…` and `delivery.attempt`: which one it was, from 1."""
    outcome: RunOutcome
    """With `run.finished`: how the run ended."""
    error: Annotated[TaskErrorDocument | AttemptError | None, EXCLUSIVE]
    """With runs and ends an object, with `delivery.attempt` a code; null where all went well."""
    message_id: MessageId
    """With `message` and `delivery.created`: the message."""
    event: EventName
    """With `message` and `delivery.created`: what it tells of."""
    delivery_id: DeliveryId
    """With `delivery.…`: the delivery."""
    endpoint_id: EndpointId | None
    """With `delivery.created`: where it goes; null for a `callback_url`."""
    url: str
    """With `delivery.created`: where it goes."""
    state: DeliveryState
    """With `delivery.created`: how the delivery stands now."""
    next_attempt_at: Timestamp | None
    """With `delivery.created`: when its next attempt is due; null where none is, or one is under way."""
    reason: DeadReason
    """With `delivery.dead`: why it was given up."""
    status: int | None
    """With `delivery.attempt`: the HTTP status; null where there was no answer."""
    dns_ms: float | None
    """With `delivery.attempt`: the time that the name took; null where it was not asked for."""
    connect_ms: float | None
    """With `delivery.attempt`: the time that the connection took; null where there was one."""
    tls_ms: float | None
    """With `delivery.attempt`: the time that the TLS handshake took; null where there was none."""
    first_byte_ms: float | None
    """With `delivery.attempt`: the time to the answer's first byte; null where none came."""
    resent: bool
    """With `delivery.attempt`: whether it was written once more, after a kept connection had closed."""


class TimelineEntryDocument(EntryDetail):
    """One thing that happened. What else it has depends on `kind`."""

    at: Required[Timestamp]
    """When it happened."""
    kind: Required[EntryKind]
    """What happened."""
    duration_ms: Required[float | None]
    """How long it took, or lasted until then; null where that means nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """One thing that happened. `kind` is one of KINDS; `detail` depends on it."""

    at_ms: int
    kind: str
    duration_ms: float | None = None
    detail: EntryDetail = field(default_factory=EntryDetail)


def in_order(entries: Sequence[TimelineEntry]) -> list[TimelineEntry]:
    """Sort by time; what comes at the same time stands in the order of KINDS."""
    return sorted(entries, key=lambda entry: (entry.at_ms, _RANKS[entry.kind]))


def entry_document(entry: TimelineEntry) -> TimelineEntryDocument:
    """Return an entry as JSON: `{at, kind, duration_ms, …detail}`."""
    return {
        "at": to_rfc3339(entry.at_ms),
        "kind": entry.kind,
        "duration_ms": entry.duration_ms,
        **entry.detail,
    }
