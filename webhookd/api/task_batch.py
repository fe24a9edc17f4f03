"""`POST /v1/tasks/batch`: up to a thousand tasks in one commit, each accepted or refused by itself.

What is wrong with one item is its own result; what is wrong with the whole (size, rate, quota) refuses
the whole.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from time import monotonic
from typing import Annotated, Any, Final, Literal, TypeVar

import orjson
from pydantic import Field
from typing_extensions import TypedDict

from webhookd.adapters.store.endpoint_settings import unknown_endpoints
from webhookd.api.answers import Answer, json_answer
from webhookd.api.api_route import AnyRoute, ApiRoute, Returned
from webhookd.api.call import Call
from webhookd.api.idempotency_key import fingerprint, mark_replayed
from webhookd.api.problems import MOST_FIELD_ERRORS, ProblemDocument, problem_document
from webhookd.api.receipts import WrittenTask, shown_to
from webhookd.api.task_files import file_errors, file_faults
from webhookd.api.task_wire import TaskCreate, as_accepted, new_task, unknown_endpoint_errors
from webhookd.api.wire import Create, NoQuery, parse_body
from webhookd.core.errors import ClientError, FieldError, Invalid
from webhookd.core.fields import DescribedAs
from webhookd.core.records import NewTask, Partner, Task
from webhookd.core.render import task_document
from webhookd.core.submission import Submission
from webhookd.core.trace import TraceContext

MAX_TASKS: Final = 1_000
MOST_ERRORS: Final = 1_000
"""Wrong fields named in one answer."""
AT_A_STRETCH_SECONDS: Final = 0.01

T = TypeVar("T")
Result = NewTask | ClientError


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


class BatchResultsDocument(TypedDict):
    """What became of each task of a batch."""

    results: list[AcceptedTaskDocument | RefusedTaskDocument]
    """One for each task, in their order."""


async def submit_batch(call: Call[TaskBatchCreate, NoQuery]) -> Answer:
    """`POST /v1/tasks/batch`."""
    partner = await call.acting_partner(_named_partner(call))
    bodies = [_item(item, index) async for index, item in letting_others(call.body.tasks)]
    unknown = await _unknown_endpoints(call, partner, bodies)
    trace = call.submission_trace()
    results = [
        _result(call, partner, body, unknown, index, trace=trace)
        async for index, body in letting_others(bodies)
    ]
    results = await _with_files(call, partner, bodies, results)
    tasks = tuple(result for result in results if isinstance(result, NewTask))
    layout = _layout(call, results)
    if not tasks:
        return json_answer(202, {"results": layout})
    accepted = await call.parts.submit.submit(
        partner,
        Submission(
            partner_id=partner.id,
            tasks=tasks,
            key=call.task_key(),
            fingerprint="" if call.key is None else fingerprint(call.method, call.path, call.json),
            now_ms=call.now_ms,
            layout=None if call.key is None else orjson.dumps(layout).decode(),
            parent_span_id=call.trace.parent_id,
        ),
    )
    if not accepted.replayed:
        return _answer(call, layout, [as_accepted(task) for task in tasks])
    shown = await call.parts.store.tasks.get_many(accepted.task_ids)
    kept = orjson.loads(orjson.loads(accepted.outcome or "{}")["layout"])
    return mark_replayed(_answer(call, kept, shown))


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


def _item(item: Any, index: int) -> TaskCreate | Invalid:
    try:
        return parse_body(TaskCreate, item, at=("tasks", index))
    except Invalid as error:
        return error


async def _unknown_endpoints(
    call: Call[TaskBatchCreate, NoQuery], partner: Partner, bodies: list[TaskCreate | Invalid]
) -> frozenset[str]:
    wanted = {one for body in bodies if isinstance(body, TaskCreate) for one in body.endpoints or ()}
    if not wanted:
        return frozenset()
    return await call.parts.store.db.read(unknown_endpoints, partner.id, wanted)


def _result(
    call: Call[TaskBatchCreate, NoQuery],
    partner: Partner,
    body: TaskCreate | Invalid,
    unknown: frozenset[str],
    index: int,
    *,
    trace: TraceContext,
) -> Result:
    if isinstance(body, Invalid):
        return body
    at = ("tasks", index)
    if body.partner is not None and (not call.caller.is_admin or body.partner != partner.id):
        message = "must be the batch's" if call.caller.is_admin else "is not known here"
        return Invalid(
            "The task is not valid.", errors=[FieldError(path=f"$.tasks[{index}].partner", message=message)]
        )
    endpoint_errors = unknown_endpoint_errors(body, unknown, at)
    if endpoint_errors:
        return Invalid("The task is not valid.", errors=endpoint_errors)
    parts = call.parts
    try:
        return new_task(
            body,
            partner=partner,
            task_types=parts.task_types,
            egress=parts.egress,
            trace=trace,
            now_ms=call.now_ms,
            max_input_bytes=parts.options.max_input_bytes,
            at=at,
        )
    except ClientError as error:
        return error


async def _with_files(
    call: Call[TaskBatchCreate, NoQuery],
    partner: Partner,
    bodies: list[TaskCreate | Invalid],
    results: list[Result],
) -> list[Result]:
    """Refuse the tasks that name files which cannot be used."""
    faults = await file_faults(call, partner.id, (one for one in results if isinstance(one, NewTask)))
    if not faults:
        return results
    checked: list[Result] = []
    for index, (body, result) in enumerate(zip(bodies, results, strict=True)):
        errors = []
        if isinstance(result, NewTask) and isinstance(body, TaskCreate):
            errors = file_errors(body.input, result, faults, ("tasks", index))
        checked.append(Invalid("The task is not valid.", errors=errors) if errors else result)
    return checked


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


async def letting_others(items: Sequence[T]) -> AsyncIterator[tuple[int, T]]:
    """Enumerate, and let the event loop serve others every AT_A_STRETCH_SECONDS."""
    stop_at = monotonic() + AT_A_STRETCH_SECONDS
    for index, item in enumerate(items):
        if monotonic() >= stop_at:
            await asyncio.sleep(0)
            stop_at = monotonic() + AT_A_STRETCH_SECONDS
        yield index, item


def _answer(call: Call[TaskBatchCreate, NoQuery], layout: list[Any], tasks: list[Task]) -> Answer:
    base_url = call.parts.options.base_url
    places = iter(tasks)
    return json_answer(
        202,
        {
            "results": [
                {
                    "status": 202,
                    "task": shown_to(call.caller, task_document(next(places), base_url=base_url)),
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
