"""A delivery as JSON, without its attempts."""

from typing import NotRequired

from typing_extensions import TypedDict

from webhookd.core.fields import (
    AttemptError,
    Count,
    DeadReason,
    DeliveryId,
    EndpointId,
    EventName,
    MessageId,
    TaskId,
    Timestamp,
)
from webhookd.core.model import DeliveryState
from webhookd.core.records import Delivery
from webhookd.core.render.owner import OwnerDocument
from webhookd.core.times import opt_rfc3339, to_rfc3339


class DeliveryDocument(TypedDict):
    """One message on its way to one endpoint, or to a task's `callback_url` (`endpoint_id` null)."""

    id: DeliveryId
    """The delivery's id, for good."""
    message_id: MessageId
    """The message it carries: the `webhook-id`, the same over attempts and replays."""
    task_id: TaskId | None
    """The task it is about; null where it is about an endpoint or a delivery."""
    endpoint_id: EndpointId | None
    """The endpoint it goes to; null where it goes to a task's `callback_url`."""
    url: str
    """Where it goes."""
    event: EventName
    """What it tells of."""
    state: DeliveryState
    """Where it is in its life."""
    attempts: Count
    """How many attempts were ever made, over all replays; one under way counts."""
    attempts_left: Count
    """How many are left of the present budget: of `max_attempts`, afresh with each replay."""
    max_attempts: Count
    """How many a budget has: after so many failures it is dead."""
    in_flight: bool
    """Whether an attempt is under way."""
    next_attempt_at: Timestamp | None
    """When the next attempt is due; null where none is, and while one is under way."""
    last_status: int | None
    """The HTTP status of the last answer; null where there was none."""
    last_error: AttemptError | None
    """Why the last attempt failed; null where it did not."""
    dead_reason: DeadReason | None
    """Why it was given up; null where it was not."""
    created_at: Timestamp
    """When it was made."""
    delivered_at: Timestamp | None
    """When the receiver took it; null until then."""
    partner: NotRequired[OwnerDocument]
    """Whose it is; to admins only."""


def delivery_document(delivery: Delivery) -> DeliveryDocument:
    """Return the Delivery of the API, without its attempts."""
    return {
        "id": delivery.id,
        "message_id": delivery.message_id,
        "task_id": delivery.task_id,
        "endpoint_id": delivery.endpoint_id,
        "url": delivery.url,
        "event": delivery.event,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "attempts_left": delivery.attempts_left,
        "max_attempts": delivery.max_attempts,
        "in_flight": delivery.in_flight,
        "next_attempt_at": opt_rfc3339(delivery.next_attempt_ms),
        "last_status": delivery.last_status,
        "last_error": delivery.last_error,
        "dead_reason": delivery.dead_reason,
        "created_at": to_rfc3339(delivery.created_ms),
        "delivered_at": opt_rfc3339(delivery.delivered_ms),
    }
