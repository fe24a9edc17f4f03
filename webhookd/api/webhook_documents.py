"""The bodies of webhooks, as pydantic models for /openapi.json; see `documents`."""

from typing import Literal

from webhookd.api.documents import AnnouncedTask, Delivery, Document, Endpoint, EndpointId, Timestamp


class TaskEvent(Document):
    """Something happened to a task."""

    type: Literal[
        "task.succeeded", "task.failed", "task.cancelled", "task.expired", "task.started", "task.progress"
    ]
    timestamp: Timestamp
    data: AnnouncedTask


class EndpointDisabledEvent(Document):
    """Another endpoint of the partner was disabled."""

    type: Literal["endpoint.disabled"]
    timestamp: Timestamp
    data: Endpoint


class DeliveryDeadEvent(Document):
    """A delivery to another endpoint of the partner ran out of attempts."""

    type: Literal["delivery.dead"]
    timestamp: Timestamp
    data: Delivery


class EndpointTest(Document):
    """What a test message says."""

    endpoint_id: EndpointId
    message: str


class EndpointTestEvent(Document):
    """Somebody asked for a test of this endpoint."""

    type: Literal["webhookd.test"]
    timestamp: Timestamp
    data: EndpointTest
