"""Tasks, endpoints and deliveries as the JSON everybody gets: API, live streams, signed webhook bodies.

One shape and one function each, so that every door shows the same thing; the description of the API is made
from the shapes, and from the sentence below each field. Result and metadata are spliced in as the text they
were stored as. What only HTTP adds (headers, problem documents) lives in `webhookd.api`.
"""

from webhookd.core.render.batch import BatchDocument, batch_document
from webhookd.core.render.dead_letter import (
    DeadLetterDocument,
    DiscardDocument,
    ReplayDocument,
    dead_letter_document,
    discard_document,
    filter_document,
    replay_document,
)
from webhookd.core.render.delivery import DeliveryDocument, delivery_document
from webhookd.core.render.endpoint import EndpointDocument, endpoint_document
from webhookd.core.render.event import dead_delivery_document, event_body, tested_endpoint_document
from webhookd.core.render.file import FileDocument, file_document
from webhookd.core.render.task import (
    AnnouncedTaskDocument,
    TaskDocument,
    announced_task_document,
    task_document,
)

__all__ = [
    "AnnouncedTaskDocument",
    "BatchDocument",
    "DeadLetterDocument",
    "DeliveryDocument",
    "DiscardDocument",
    "EndpointDocument",
    "FileDocument",
    "ReplayDocument",
    "TaskDocument",
    "announced_task_document",
    "batch_document",
    "dead_delivery_document",
    "dead_letter_document",
    "delivery_document",
    "discard_document",
    "endpoint_document",
    "event_body",
    "file_document",
    "filter_document",
    "replay_document",
    "task_document",
    "tested_endpoint_document",
]
