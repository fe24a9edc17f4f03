"""What a key without `tasks:read` is shown of the tasks and deliveries it writes: ids and states.

A write answers with the thing as it is now, which may hold a result, metadata or an error that another key
put there. To one without `files:read` the files of a task have no links that open them. Endpoints and replays
are not reduced: they show what the key itself may set.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Final

import orjson
from pydantic import Field
from typing_extensions import TypeAliasType, TypedDict

from webhookd.api.answers import Answer
from webhookd.api.caller import Caller
from webhookd.core.fields import Count, DeliveryId, EndpointId, MessageId, TaskId
from webhookd.core.model import DeliveryState, TaskState
from webhookd.core.render import DeliveryDocument, TaskDocument, task_document
from webhookd.core.render.task import TaskLinksDocument
from webhookd.flows.watch import Snapshot


class TaskReceiptDocument(TypedDict):
    """What a key without `tasks:read` is shown of a task that it writes."""

    id: TaskId
    """The task's id."""
    type: str
    """The task's type."""
    state: TaskState
    """Where it is in its life."""
    done: bool
    """Whether it has ended."""
    version: Count
    """Grows with every change of state or progress."""
    links: TaskLinksDocument
    """Where to go from here, with a key that may."""


class DeliveryReceiptDocument(TypedDict):
    """What a key without `tasks:read` is shown of a delivery that it writes."""

    id: DeliveryId
    """The delivery's id."""
    message_id: MessageId
    """The message it carries."""
    task_id: TaskId | None
    """The task it is about; null where it is about none."""
    endpoint_id: EndpointId | None
    """The endpoint it goes to; null where it goes to a task's `callback_url`."""
    state: DeliveryState
    """Where it is in its life."""


WrittenTask = TypeAliasType(
    "WrittenTask",
    Annotated[
        TaskDocument | TaskReceiptDocument,
        Field(description="The task; to a key without `tasks:read` its id and state only."),
    ],
)
WrittenDelivery = TypeAliasType(
    "WrittenDelivery",
    Annotated[
        DeliveryDocument | DeliveryReceiptDocument,
        Field(description="The delivery; to a key without `tasks:read` its ids and state only."),
    ],
)

READ: Final = "tasks:read"
READ_FILES: Final = "files:read"
RECEIPT: Final = (
    "id",
    "type",
    "state",
    "done",
    "version",
    "message_id",
    "task_id",
    "endpoint_id",
    "links",
)


def shown_to(caller: Caller, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a Task or a Delivery as this caller may see it."""
    if caller.may(READ):
        return document if caller.may(READ_FILES) else _without_links(document)
    return {name: document[name] for name in RECEIPT if name in document}


def body_to(caller: Caller, snapshot: Snapshot, *, base_url: str) -> bytes:
    """Return the JSON of a task as this caller may see it; to most it is the same bytes."""
    if caller.may(READ_FILES) or not snapshot.task.files:
        return snapshot.body
    return orjson.dumps(_without_links(task_document(snapshot.task, base_url=base_url)))


def _without_links(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Leave out what opens files without a key."""
    if not document.get("files"):
        return document
    closed = {"download_url": None, "download_expires_at": None}
    return {**document, "files": [{**file, **closed} for file in document["files"]]}


def answer_to(caller: Caller, answer: Answer) -> Answer:
    """Return an answer whose body is a Task or a Delivery as this caller may see it.

    An answer that is kept for repeats is kept whole, since another key of the partner may ask for it again.
    """
    if (caller.may(READ) and caller.may(READ_FILES)) or not answer.body:
        return answer
    return replace(answer, body=orjson.dumps(shown_to(caller, orjson.loads(answer.body))))
