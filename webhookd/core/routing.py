"""Who gets a copy of an event: publish/subscribe as one pure function.

A task with its own `callback_url` or `endpoints` goes to exactly those, and its own `events` say which
events; otherwise every endpoint of the partner that subscribes to the event and the task's type gets a
copy. A disabled endpoint's copy is born parked, a deleted one's dead, so that nothing vanishes.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from webhookd.core.batches import Batch
from webhookd.core.model import BATCH_COMPLETED, FINAL_EVENTS, DeliveryState, subscribes
from webhookd.core.records import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """The part of an endpoint that routing needs."""

    endpoint_id: str
    partner_id: str
    events: tuple[str, ...]
    task_types: tuple[str, ...]
    enabled: bool
    deleted: bool
    fifo: bool
    max_attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """One delivery to make: to an endpoint, or (`endpoint_id` None) to the inline callback `url`."""

    lane_id: str
    endpoint_id: str | None
    url: str | None
    fifo: bool
    max_attempts: int
    state: DeliveryState
    dead_reason: str | None = None


def inline_lane_id(partner_id: str, origin: str) -> str:
    """Return the lane of a partner's inline callbacks to one origin: fixed length, the same everywhere."""
    digest = hashlib.blake2s(f"{partner_id} {origin}".encode(), digest_size=16).hexdigest()
    return f"inl_{digest}"


def type_matches(patterns: tuple[str, ...], task_type: str) -> bool:
    """Tell whether one of `patterns` names `task_type`; `report.*` names all below, none names all."""
    return not patterns or any(
        pattern in ("*", task_type) or (pattern.endswith(".*") and task_type.startswith(pattern[:-1]))
        for pattern in patterns
    )


def recipients(
    task: Task, event: str, subscribers: Iterable[Subscriber], *, default_max_attempts: int
) -> list[Recipient]:
    """Return who gets `event` of `task`. `subscribers` are the partner's endpoints, deleted ones too."""
    found: list[Recipient] = []
    named = task.endpoint_ids
    addressed = task.callback_url is not None or named is not None
    wanted = subscribes(task.events or FINAL_EVENTS, event)
    if task.callback_url is not None and wanted:
        found.append(_to_callback(task, task.callback_url, default_max_attempts))
    for subscriber in subscribers:
        if addressed:
            chosen = wanted and subscriber.endpoint_id in (named or ())
        else:
            chosen = (
                not subscriber.deleted
                and subscribes(subscriber.events, event)
                and type_matches(subscriber.task_types, task.type)
            )
        if chosen:
            found.append(to_endpoint(subscriber))
    return found


def batch_recipients(
    batch: Batch, subscribers: Iterable[Subscriber], *, default_max_attempts: int
) -> list[Recipient]:
    """Return who gets the one message of `batch`: its own receivers, or who subscribes to it by name."""
    named = batch.endpoint_ids
    found: list[Recipient] = []
    if batch.callback_url is not None:
        found.append(_to_callback(batch, batch.callback_url, default_max_attempts))
    for subscriber in subscribers:
        if batch.addressed:
            chosen = subscriber.endpoint_id in (named or ())
        else:
            chosen = not subscriber.deleted and subscribes(subscriber.events, BATCH_COMPLETED)
        if chosen:
            found.append(to_endpoint(subscriber))
    return found


def _to_callback(cause: Task | Batch, url: str, max_attempts: int) -> Recipient:
    return Recipient(
        lane_id=inline_lane_id(cause.partner_id, cause.callback_origin or url),
        endpoint_id=None,
        url=url,
        fifo=False,
        max_attempts=max_attempts,
        state=DeliveryState.PENDING,
    )


def to_endpoint(subscriber: Subscriber) -> Recipient:
    """Return the delivery to make to this endpoint as it stands now."""
    if subscriber.deleted:
        state = DeliveryState.DEAD
    elif subscriber.enabled:
        state = DeliveryState.PENDING
    else:
        state = DeliveryState.PARKED
    return Recipient(
        lane_id=subscriber.endpoint_id,
        endpoint_id=subscriber.endpoint_id,
        url=None,
        fifo=subscriber.fifo,
        max_attempts=subscriber.max_attempts,
        state=state,
        dead_reason="endpoint_deleted" if subscriber.deleted else None,
    )
