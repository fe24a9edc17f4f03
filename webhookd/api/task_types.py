"""`GET /v1/task-types`: which types there are, with the schemas of their input."""

from typing import Any, Final

from typing_extensions import TypedDict

from webhookd.api.answers import Answer, fitting, page_answer
from webhookd.api.api_route import ANY_KEY, AnyRoute, ApiRoute, lists
from webhookd.api.call import Call
from webhookd.api.wire import ListingByName, cursor_by_name
from webhookd.core.fields import Count
from webhookd.core.routing import type_matches
from webhookd.taskset.known import TaskType


class TaskTypeDocument(TypedDict):
    """A type of tasks."""

    type: str
    """Its name."""
    description: str
    """What it does, in its operator's words."""
    queue: str
    """The queue its tasks wait in."""
    timeout_seconds: float
    """How long one try may take."""
    max_attempts: Count
    """How often a task is tried."""
    input_schema: dict[str, Any]
    """The JSON Schema (2020-12) of its `input`."""
    output_schema: dict[str, Any] | None
    """The JSON Schema (2020-12) of its `result`; null where its operator has said none."""


def task_type_document(definition: TaskType) -> TaskTypeDocument:
    """Return the type as the API shows it."""
    return {
        "type": definition.type,
        "description": definition.description,
        "queue": definition.queue,
        "timeout_seconds": definition.timeout_seconds,
        "max_attempts": definition.max_attempts,
        "input_schema": definition.input_schema(),
        "output_schema": definition.output_schema(),
    }


class TaskTypeListing(ListingByName):
    """`GET /v1/task-types`."""

    NOUN = "type"
    cursor: str | None = cursor_by_name(NOUN)


async def list_task_types(call: Call[None, TaskTypeListing]) -> Answer:
    """`GET /v1/task-types`: to a partner those it may submit."""
    partner = call.caller.partner
    allowed = () if partner is None else partner.task_types
    limit, after = call.query.limit, call.query.after
    known = sorted(
        (d for d in call.parts.task_types if d.type > after and type_matches(allowed, d.type)),
        key=lambda d: d.type,
    )
    shown = fitting(task_type_document(definition) for definition in known[:limit])
    return page_answer(shown, call.query.cursor_after(shown[-1]["type"]) if len(known) > len(shown) else None)


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="GET",
        path="/v1/task-types",
        handler=list_task_types,
        id="listTaskTypes",
        tag="Tasks",
        summary="List task types and the schemas of their input",
        access=ANY_KEY,
        query=TaskTypeListing,
        answers=lists(TaskTypeDocument),
    ),
)
