"""The bodies of batches, and their rules: what a task takes from the defaults, and where an error stands."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import Field
from typing_extensions import TypeAliasType, TypedDict

from webhookd.api.caller import Caller
from webhookd.api.problems import ProblemDocument
from webhookd.api.task_wire import MAX_ENDPOINTS, MAX_EVENTS, Event, MetadataOfMost
from webhookd.api.wire import Create, Time
from webhookd.core.errors import ClientError, FieldError, Invalid, UrlNotAllowed
from webhookd.core.fields import BatchId, Count, DescribedAs, PriorityName, TaskId
from webhookd.core.model import BatchState
from webhookd.core.render.batch import BatchDocument, BatchLinksDocument

MAX_TASKS_A_CALL: Final = 1_000
_MERGED: Final = ("input", "metadata")
"""Objects of which a task may give some members, and take the others from the defaults."""


class BatchTask(Create):
    """A task of a batch, or what its tasks begin with: the fields of a submission, none required."""

    type: str | None = None
    """One of the task types there are; the task or the defaults must say it."""
    input: Annotated[Any, DescribedAs(dict[str, Any])] = None
    """What the function gets; members that the task does not have come from the defaults."""
    callback_url: str | None = None
    """Where the task's own webhooks go; without it and `endpoints` it has none."""
    endpoints: list[str] | None = Field(None, max_length=MAX_ENDPOINTS)
    """The endpoints that get a copy of the task's own webhooks."""
    events: list[Event] | None = Field(None, min_length=1, max_length=MAX_EVENTS)
    """Which events go to `callback_url` and `endpoints`; the four final ones if left out."""
    metadata: Annotated[dict[str, Any] | None, DescribedAs(MetadataOfMost)] = None
    """Up to 16 KiB of the caller's own; members that the task does not have come from the defaults."""
    priority: Annotated[Literal["low", "normal", "high"] | None, DescribedAs(PriorityName)] = None
    """The order among the partner's own tasks of a queue; `normal` if left out."""
    run_at: Time | None = None
    """Not before this time, up to a year ahead; at once if left out."""
    expires_at: Time | None = None
    """The task expires where it has not started by then; never if left out."""


class BatchTasksCreate(Create):
    """More tasks for an open batch. They begin with the defaults of the batch."""

    tasks: list[Annotated[Any, DescribedAs(BatchTask)]] = Field(min_length=1, max_length=MAX_TASKS_A_CALL)
    """The tasks, up to 1,000 in one call and 1,000,000 in all."""
    partial: bool = False
    """Let in those that are valid where some are not; otherwise one that is not refuses all."""


class BatchCreate(Create):
    """Tasks with one end. Without `callback_url` and `endpoints`, its subscribers get `batch.completed`."""

    tasks: list[Annotated[Any, DescribedAs(BatchTask)]] = Field(
        default_factory=list, max_length=MAX_TASKS_A_CALL
    )
    """The first tasks, up to 1,000; there must be one unless `open`."""
    defaults: BatchTask | None = None
    """What tasks begin with: these and those that are added later."""
    callback_url: str | None = None
    """Where `batch.completed` goes, without registration; signed with the partner's own secret."""
    endpoints: list[str] | None = Field(None, max_length=MAX_ENDPOINTS)
    """The endpoints that get `batch.completed`, whatever they subscribe to; empty: none of them does."""
    metadata: Annotated[dict[str, Any] | None, DescribedAs(MetadataOfMost)] = None
    """Up to 16 KiB of the caller's own; comes back in the Batch and in its webhook."""
    open: bool = False
    """More tasks will come: it is completed only after it was closed."""
    partial: bool = False
    """Let in those that are valid where some are not; otherwise one that is not refuses all."""
    partner: str | None = None
    """For admins: on whose behalf, by its id."""


class RefusedBatchTaskDocument(TypedDict):
    """A task of a batch that was not let in."""

    index: Count
    """Its place in `tasks`, from 0."""
    error: ProblemDocument
    """Why it was refused."""


class BatchWithTasksDocument(BatchDocument):
    """A batch, and what became of the tasks of this call."""

    task_ids: list[TaskId | None]
    """The new tasks, in the order of `tasks`; null where one was refused."""
    refused: list[RefusedBatchTaskDocument]
    """With `partial`: those that were not let in."""


class BatchReceiptDocument(TypedDict):
    """What a key without `tasks:read` is shown of a batch that it writes."""

    id: BatchId
    """The batch's id."""
    state: BatchState
    """Where it is in its life."""
    done: bool
    """Whether all of its tasks have ended and no more may come."""
    version: Count
    """Grows with every change of the batch or of the state of one of its tasks."""
    links: BatchLinksDocument
    """Where to go from here, with a key that may."""


class BatchWithTasksReceiptDocument(BatchReceiptDocument):
    """What such a key is shown of a batch and the tasks of its call."""

    task_ids: list[TaskId | None]
    """The new tasks, in the order of `tasks`; null where one was refused."""
    refused: list[RefusedBatchTaskDocument]
    """With `partial`: those that were not let in."""


def merged(defaults: Mapping[str, Any], item: Any) -> Any:
    """Return a task's body with what it leaves out."""
    if not isinstance(item, dict):
        return item
    body = {**defaults, **item}
    for name in _MERGED:
        ours, theirs = item.get(name), defaults.get(name)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            body[name] = {**theirs, **ours}
    return body


def parsed_defaults(defaults_json: str) -> dict[str, Any]:
    """Return the defaults that were kept with a batch."""
    defaults: dict[str, Any] = orjson.loads(defaults_json)
    return defaults


def refusal(errors: Iterable[tuple[int, ClientError]], items: list[Any], *, are_sent: bool) -> ClientError:
    """Return what the whole is refused with, because of these tasks.

    What is wrong with the defaults is said once, and of them; `are_sent`: they stand in this body.
    """
    found: dict[FieldError, None] = {}
    refused_urls = True
    for index, error in errors:
        refused_urls = refused_urls and isinstance(error, UrlNotAllowed)
        for one in error.errors:
            found[_placed(one, index, items[index]) if are_sent else one] = None
    fields = list(found)
    if refused_urls and fields:
        return UrlNotAllowed("A URL of the batch is not allowed.", errors=fields)
    return Invalid("The batch is not valid.", errors=fields)


def _placed(error: FieldError, index: int, item: Any) -> FieldError:
    root = f"$.tasks[{index}]."
    if not isinstance(item, dict) or not error.path.startswith(root):
        return error
    rest = error.path.removeprefix(root)
    name = rest.split(".", 1)[0].split("[", 1)[0]
    if name in item or error.message == "is required":
        return error
    return FieldError(path=f"$.defaults.{rest}", message=error.message)


WrittenBatch = TypeAliasType(
    "WrittenBatch",
    Annotated[
        BatchDocument | BatchReceiptDocument,
        Field(description="The batch; to a key without `tasks:read` its id and state only."),
    ],
)
WrittenBatchWithTasks = TypeAliasType(
    "WrittenBatchWithTasks",
    Annotated[
        BatchWithTasksDocument | BatchWithTasksReceiptDocument,
        Field(description="The batch and its new tasks; to a key without `tasks:read` ids and states only."),
    ],
)
_RECEIPT: Final = tuple(BatchReceiptDocument.__annotations__)


def shown_batch(caller: Caller, document: BatchDocument) -> Mapping[str, Any]:
    """Return a Batch as this caller may see it."""
    if caller.may("tasks:read"):
        return document
    return {name: value for name, value in document.items() if name in _RECEIPT}
