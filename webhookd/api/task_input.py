"""`GET /v1/tasks/{id}/input`: what a task's function gets. The Task leaves it out: it may be large."""

from typing import Any, Final

import orjson
from typing_extensions import TypedDict

from webhookd.adapters.store.tasks.task_inputs import read_input
from webhookd.api import example_ids
from webhookd.api.answers import Answer, json_answer
from webhookd.api.api_route import AnyRoute, ApiRoute, shows
from webhookd.api.call import Call
from webhookd.api.wire import NoQuery
from webhookd.core.fields import TaskId


class TaskInputDocument(TypedDict):
    """A task's input."""

    task_id: TaskId
    """The task."""
    input: dict[str, Any]
    """What its function gets, as it was submitted."""


async def show(call: Call[None, NoQuery]) -> Answer:
    """`GET /v1/tasks/{id}/input`."""
    text = await call.named(read_input, "task")
    return json_answer(200, {"task_id": call.path_params["id"], "input": orjson.Fragment(text)})


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="GET",
        path="/v1/tasks/{id}/input",
        path_example=example_ids.TASK_ID,
        handler=show,
        id="getTaskInput",
        tag="Tasks",
        summary="See what a task's function gets",
        access="tasks:read",
        query=NoQuery,
        answers=shows(TaskInputDocument),
    ),
)
