"""`POST /v1/tasks/batch`: up to a thousand tasks in one commit, each accepted or refused by itself.

What is wrong with one item is its own result; what is wrong with the whole (size, rate, quota) refuses
the whole.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import Field
from typing_extensions import TypeAliasType, TypedDict

from webhookd.api.answers import Answer, json_answer
from webhookd.api.api_route import AnyRoute, ApiRoute, Returned
from webhookd.api.call import Call
from webhookd.api.idempotency_key import mark_replayed
from webhookd.api.owners import owner
from webhookd.api.problems import MOST_FIELD_ERRORS, ProblemDocument, problem_document
from webhookd.api.receipts import WrittenTask, shown_to
from webhookd.api.submitting import kept_for_repeats, submission
from webhookd.api.task_checks import Result, check_tasks
from webhookd.api.task_wire import TaskCreate, as_accepted
from webhookd.api.wire import Create, NoQuery
from webhookd.core.fields import EXCLUSIVE, DescribedAs
from webhookd.core.records import NewTask, Partner, Task
from webhookd.core.render import task_document

MAX_TASKS: Final = 1_000
MOST_ERRORS: Final = 1_000
"""Wrong fields named in one answer."""


class TaskBatchCreate(Create):
    """Tasks to be done. Each item is looked at by itself, so what is wrong with one is its own result."""

    tasks: list[Annotated[Any, DescribedAs(TaskCreate)]] = Field(min_length=1, max_length=MAX_TASKS)
    """The tasks, up to 1,000."""
    partner: str | None = None
    """For admins: on whose behalf, by its id; an item may repeat it, not change it."""


class AcceptedTaskDocument(TypedDict):
    """A task of a batch that was let in."""

    status: Literal[202]
    """What its own call would have been answered with."""
    task: WrittenTask
    """The task; to a key without `tasks:read` its receipt."""


class RefusedTaskDocument(TypedDict):
    """A task of a batch that was not."""

    status: Literal[422]
    """What its own call would have been answered with."""
    error: ProblemDocument
    """Why it was refused."""


BatchResult = TypeAliasType(
    "BatchResult",
    Annotated[
        AcceptedTaskDocument | RefusedTaskDocument,
        EXCLUSIVE,
        Field(description="What became of one task of a batch; its `status` says which it is."),
    ],
)


class BatchResultsDocument(TypedDict):
    """What became of each task of a batch."""

    results: list[BatchResult]
    """One for each task, in their order."""


async def submit_batch(call: Call[TaskBatchCreate, NoQuery]) -> Answer:
    """`POST /v1/tasks/batch`."""
    partner = await call.acting_partner(_named_partner(call))
    results = await check_tasks(call, partner, call.body.tasks, trace=call.submission_trace())
    tasks = tuple(result for result in results if isinstance(result, NewTask))
    layout = _layout(call, results)
    if not tasks:
        return json_answer(202, {"results": layout})
    accepted = await call.parts.submit.submit(partner, submission(call, partner, tasks, kept=layout))
    if not accepted.replayed:
        return _answer(call, partner, layout, [as_accepted(task) for task in tasks])
    shown = await call.parts.store.tasks.get_many(accepted.task_ids)
    return mark_replayed(_answer(call, partner, kept_for_repeats(accepted.outcome), shown))


def _named_partner(call: Call[TaskBatchCreate, NoQuery]) -> str | None:
    """An admin may name the partner in the batch or in its items, which then all name the same."""
    if call.body.partner is not None or not call.caller.is_admin:
        return call.body.partner
    named = {
        one if isinstance(one := item.get("partner"), str) else None
        for item in call.body.tasks
        if isinstance(item, dict)
    }
    return named.pop() if len(named) == 1 else None


def _layout(call: Call[TaskBatchCreate, NoQuery], results: list[Result]) -> list[dict[str, Any] | None]:
    """Return the refusals in their places. Together they name MOST_ERRORS fields, and each one."""
    layout: list[dict[str, Any] | None] = []
    left = MOST_ERRORS
    for result in results:
        if isinstance(result, NewTask):
            layout.append(None)
            continue
        most = min(MOST_FIELD_ERRORS, max(1, left))
        left -= len(result.errors[:most])
        problem = problem_document(result, trace_id=call.trace.trace_id, most_errors=most)
        layout.append({"status": result.status, "error": problem})
    return layout


def _answer(
    call: Call[TaskBatchCreate, NoQuery], partner: Partner, layout: list[Any], tasks: list[Task]
) -> Answer:
    base_url = call.parts.options.base_url
    whose = {"partner": owner({partner.id: partner.name}, partner.id)} if call.caller.is_admin else {}
    places = iter(tasks)
    return json_answer(
        202,
        {
            "results": [
                {
                    "status": 202,
                    "task": {
                        **shown_to(call.caller, task_document(next(places), base_url=base_url)),
                        **whose,
                    },
                }
                if refused is None
                else refused
                for refused in layout
            ]
        },
    )


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="POST",
        path="/v1/tasks/batch",
        handler=submit_batch,
        id="submitTasks",
        tag="Tasks",
        summary="Submit up to 1,000 tasks in one commit",
        access="tasks:write",
        query=NoQuery,
        body=TaskBatchCreate,
        max_bytes=lambda options: options.max_batch_bytes,
        submits=True,
        headers=("traceparent",),
        answers={202: Returned(BatchResultsDocument, "Each task's own result, in order.")},
    ),
)
