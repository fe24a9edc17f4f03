"""The bodies of webhooks as JSON."""

from typing import Annotated, Literal

import orjson
from pydantic import Field
from typing_extensions import TypeAliasType, TypedDict

from webhookd.core.fields import EndpointId, Timestamp, one_of
from webhookd.core.model import FINAL_EVENTS, TRANSIENT_EVENTS
from webhookd.core.records import Delivery
from webhookd.core.render.batch import BatchDocument
from webhookd.core.render.delivery import DeliveryDocument, delivery_document
from webhookd.core.render.endpoint import EndpointDocument
from webhookd.core.render.task import AnnouncedTaskDocument
from webhookd.core.times import to_rfc3339

TaskEventName = TypeAliasType(
    "TaskEventName",
    Annotated[str, one_of("What happened to the task.", (*FINAL_EVENTS, *TRANSIENT_EVENTS))],
)


class TaskEventDocument(TypedDict):
    """Something happened to a task."""

    type: TaskEventName
    """What happened."""
    timestamp: Timestamp
    """When it happened."""
    data: AnnouncedTaskDocument
    """The task as it was then."""


class BatchEventDocument(TypedDict):
    """All tasks of a closed batch have ended."""

    type: Literal["batch.completed"]
    """What happened."""
    timestamp: Timestamp
    """When it happened."""
    data: BatchDocument
    """The batch as it was then, and stays."""


class EndpointDisabledEventDocument(TypedDict):
    """Another endpoint of the partner was disabled."""

    type: Literal["endpoint.disabled"]
    """What happened."""
    timestamp: Timestamp
    """When it happened."""
    data: EndpointDocument
    """The endpoint as it was then."""


class EndpointFailingEventDocument(TypedDict):
    """Another endpoint of the partner has had no success for a while."""

    type: Literal["endpoint.failing"]
    """What happened."""
    timestamp: Timestamp
    """When it was noticed; `failing_since` of the endpoint says when it began."""
    data: EndpointDocument
    """The endpoint as it was then."""


class EndpointRecoveredEventDocument(TypedDict):
    """An endpoint that was told to be failing has taken a delivery."""

    type: Literal["endpoint.recovered"]
    """What happened."""
    timestamp: Timestamp
    """When it happened."""
    data: EndpointDocument
    """The endpoint as it was then."""


class DeadDeliveryDocument(DeliveryDocument):
    """A dead delivery, for those that died with it."""

    count: Annotated[int, Field(ge=1)]
    """How many deliveries there have died since this was last told; this one is the last of them."""


class DeliveryDeadEventDocument(TypedDict):
    """Deliveries to another endpoint of the partner ran out of attempts; told once a minute at most."""

    type: Literal["delivery.dead"]
    """What happened."""
    timestamp: Timestamp
    """When it happened."""
    data: DeadDeliveryDocument
    """The last of them, and how many they are."""


class TestedEndpointDocument(TypedDict):
    """What a test message says."""

    id: EndpointId
    """The endpoint that is tested."""
    message: str
    """A sentence for people."""


class EndpointTestEventDocument(TypedDict):
    """Somebody asked for a test of this endpoint."""

    type: Literal["webhookd.test"]
    """What happened."""
    timestamp: Timestamp
    """When it happened."""
    data: TestedEndpointDocument
    """What is tested."""


def dead_delivery_document(delivery: Delivery, count: int) -> DeadDeliveryDocument:
    """Return the last of `count` dead deliveries."""
    return {**delivery_document(delivery), "count": count}


def tested_endpoint_document(endpoint_id: str) -> TestedEndpointDocument:
    """Return what a test message says."""
    return {"id": endpoint_id, "message": "This is a test of your endpoint."}


def event_body(event: str, *, timestamp_ms: int, data: object) -> str:
    """Return the webhook body `{"type", "timestamp", "data"}` as the text that is stored and signed."""
    return orjson.dumps({"type": event, "timestamp": to_rfc3339(timestamp_ms), "data": data}).decode()
