"""Tasks over HTTP: submit one, look at it, list, cancel."""

from dataclasses import replace
from hashlib import blake2b
from typing import Annotated, Final

import orjson
from pydantic import Field, WithJsonSchema

from webhookd.adapters.store.endpoints.endpoint_settings import unknown_endpoints
from webhookd.adapters.store.tasks.batches import get_batch
from webhookd.adapters.store.tasks.task_listings import list_tasks
from webhookd.adapters.store.tasks.tasks import CancelledTask, cancel_task, get_task
from webhookd.adapters.store.tx import Tx
from webhookd.api import example_ids
from webhookd.api.answers import Answer, page_answer
from webhookd.api.api_route import TASK_HEADERS, AnyRoute, ApiRoute, Returned, lists
from webhookd.api.call import AnyCall, Call, found
from webhookd.api.etags import etag_matches
from webhookd.api.filter_values import refuse_unknown
from webhookd.api.granted import TASK
from webhookd.api.idempotency_key import REPLAYED
from webhookd.api.owners import with_owner, with_owners
from webhookd.api.prefer import preferred_wait
from webhookd.api.problems import retry_after
from webhookd.api.receipts import WrittenTask, body_to, shown_to
from webhookd.api.submitting import submit_one
from webhookd.api.task_files import file_errors, file_faults
from webhookd.api.task_wire import TaskCreate, new_task, unknown_endpoint_errors
from webhookd.api.watch import TaskQuery, hold
from webhookd.api.wire import METADATA, AdminListing, NoBody, NoQuery, Time, cursor_of, unknown_or_wrong
from webhookd.core import ids
from webhookd.core.errors import Invalid, RateLimited, Unavailable
from webhookd.core.fields import TaskId
from webhookd.core.listing import TaskFilter
from webhookd.core.metadata import metadata_tag
from webhookd.core.model import TaskState
from webhookd.core.records import Task
from webhookd.core.render import TaskDocument, task_document


class TaskListing(AdminListing):
    """`GET /v1/tasks`."""

    cursor: str | None = cursor_of(ids.TASK)
    state: TaskState | None = None
    """In this state only."""
    type: str | None = None
    """Of this type only."""
    batch: str | None = None
    """Of this batch only, by its id."""
    metadata: Annotated[dict[str, str] | None, WithJsonSchema({"type": "string"}, mode="validation")] = Field(
        None, alias=METADATA
    )
    """With this pair of metadata only: `metadata.order=42`; up to three, all of which it must have."""
    idempotency_key: str | None = Field(None, min_length=1, max_length=255)
    """Submitted with this `Idempotency-Key` only."""
    rerun_of: TaskId | None = None
    """What runs this task again only, by its id."""
    since: Time | None = None
    """What was submitted at this time or later."""
    until: Time | None = None
    """What was submitted before this time."""


async def submit_task(call: Call[TaskCreate, NoQuery]) -> Answer:
    """`POST /v1/tasks`."""
    parts, body = call.parts, call.body
    partner = await call.acting_partner(body.partner)
    task = new_task(
        body,
        partner=partner,
        task_types=parts.task_types,
        egress=parts.egress,
        trace=call.submission_trace(),
        now_ms=call.now_ms,
        max_input_bytes=parts.options.max_input_bytes,
    )
    if task.endpoint_ids:
        unknown = await parts.store.read(unknown_endpoints, partner.id, task.endpoint_ids)
        if unknown:
            raise Invalid("The task is not valid.", errors=unknown_endpoint_errors(body.endpoints, unknown))
    faults = await file_faults(call, partner.id, [task])
    if faults:
        raise Invalid("The task is not valid.", errors=file_errors(body.input, task, faults))
    shown, replayed = await submit_one(call, partner, task)
    wait_seconds = preferred_wait(call.header(b"prefer"))
    if wait_seconds is None:
        return await task_answer(call, shown, status=202, replayed=replayed)
    wait_seconds = int(min(wait_seconds, parts.options.max_wait_seconds))  # whole seconds, as RFC 7240 has it
    try:
        shown = (await hold(call, shown.id, seconds=wait_seconds, enough=lambda task: task.done)).task
    except Unavailable:
        pass  # it was accepted all the same
    except RateLimited:
        # Too many are held already. It is a preference only, and the task was accepted.
        return await task_answer(call, shown, status=202, replayed=replayed)
    answer = await task_answer(call, shown, status=200 if shown.done else 202, replayed=replayed)
    return replace(answer, headers={**answer.headers, "Preference-Applied": f"wait={wait_seconds}"})


async def show_task(call: Call[None, TaskQuery]) -> Answer:
    """`GET /v1/tasks/{id}`; with `wait` it is held until there is news."""
    task_id, query = call.path_params["id"], call.query
    if not query.wait:
        return await task_answer(call, await call.named(get_task, "task"), status=200)
    seconds = min(query.wait, call.parts.options.max_wait_seconds)
    snapshot = await hold(call, task_id, seconds=seconds, enough=query.satisfied_by)
    body = body_to(call.caller, snapshot, base_url=call.parts.options.base_url)
    return await task_answer(call, snapshot.task, status=200, body=body)


async def page(call: Call[None, TaskListing]) -> Answer:
    """`GET /v1/tasks`."""
    query = call.query
    wanted = TaskFilter(
        state=query.state,
        type=query.type,
        batch_id=query.batch,
        tags=tuple(metadata_tag(name, value) for name, value in (query.metadata or {}).items()),
        idempotency_key=query.idempotency_key,
        rerun_of=query.rerun_of,
        since_ms=query.since,
        until_ms=query.until,
    )
    if query.batch is not None:
        batch = await call.read(get_batch, query.batch, call.caller.partner_id)
        if batch is None:
            raise unknown_or_wrong("query", "batch", "there is no such batch")
    partner_id = await call.narrowed(query.partner)
    await refuse_unknown(call, partner_id, type=query.type)
    rows, cursor = await call.read(list_tasks, partner_id, wanted, query.page)
    base_url = call.parts.options.base_url
    documents = [shown_to(call.caller, task_document(task, base_url=base_url)) for task in rows]
    return page_answer(await with_owners(call, rows, documents), cursor)


async def cancel(call: Call[NoBody, NoQuery]) -> Answer:
    """`POST /v1/tasks/{id}/cancel`."""
    task_id, partner_id = call.path_params["id"], call.caller.partner_id
    store = call.parts.store
    done: list[CancelledTask] = []

    def effect(tx: Tx) -> Answer:
        cancelled: CancelledTask = found(cancel_task(tx, task_id, partner_id), "task")
        done.append(cancelled)
        if not cancelled.was_done:
            call.audit(tx, "task.cancel", task_id, partner_id=cancelled.task.partner_id)
        return Answer(status=200 if cancelled.was_done else 202)

    kept = await call.once(effect)
    if not done:
        task = found(await store.tasks.get(task_id, partner_id), "task")
        return await task_answer(call, task, status=kept.status, replayed=True)
    task = done[-1].task
    call.link(task)
    return await task_answer(call, task, status=kept.status)


async def task_answer(
    call: AnyCall, task: Task, *, status: int, replayed: bool = False, body: bytes | None = None
) -> Answer:
    """Return a task as the response: with `ETag`, and `Retry-After` while it is not done.

    `body` is its JSON where somebody rendered it before, for a key that may read. A GET whose `If-None-Match`
    names the ETag is answered `304`.
    """
    if body is None or call.caller.is_admin:
        document = task_document(task, base_url=call.parts.options.base_url)
        body = orjson.dumps(shown_to(call.caller, await with_owner(call, task, document)))
    etag = f'"{blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if not task.done:
        headers["Retry-After"] = retry_after(seconds_until_news(call, task))
    if status == 202:
        headers |= call.located(f"/v1/tasks/{task.id}")
    if replayed:
        headers[REPLAYED] = "true"
    wanted = call.header(b"if-none-match") if status == 200 and call.method == "GET" else None
    if wanted is not None and etag_matches(etag, wanted):
        return Answer(status=304, headers=headers)
    return Answer(status=status, body=body, headers=headers)


def seconds_until_news(call: AnyCall, task: Task) -> float:
    """Return when it is worth asking again: when it is due, how long its queue takes, or a second."""
    if task.state is TaskState.SCHEDULED:
        return (task.due_ms - call.now_ms) / 1000
    if task.state is TaskState.QUEUED:
        return call.parts.load.wait_seconds(task.queue)
    return 1.0


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="POST",
        path="/v1/tasks",
        handler=submit_task,
        id="submitTask",
        tag="Tasks",
        summary="Submit a task",
        access="tasks:write",
        query=NoQuery,
        body=TaskCreate,
        max_bytes=lambda options: options.max_input_bytes,
        submits=True,
        headers=("Prefer", "traceparent"),
        answers={
            202: Returned(
                WrittenTask,
                "Accepted: the task and its callback are on disk.",
                ("Location", *TASK_HEADERS),
                ("Retry-After", "Preference-Applied"),
            ),
            200: Returned(
                WrittenTask,
                "With `Prefer: wait=N`: it ended in time.",
                ("Preference-Applied", *TASK_HEADERS),
            ),
        },
    ),
    ApiRoute(
        method="GET",
        path="/v1/tasks",
        handler=page,
        id="listTasks",
        tag="Tasks",
        summary="List tasks, newest first",
        access="tasks:read",
        query=TaskListing,
        answers=lists(TaskDocument),
    ),
    ApiRoute(
        method="GET",
        path="/v1/tasks/{id}",
        path_example=example_ids.TASK_ID,
        handler=show_task,
        id="getTask",
        tag="Tasks",
        summary="Look at a task, or wait for news of it",
        access="tasks:read",
        token_reads=TASK,
        query=TaskQuery,
        headers=("If-None-Match",),
        answers={
            200: Returned(TaskDocument, "As it is now.", TASK_HEADERS, ("Retry-After",)),
            304: Returned(
                None, "It is still what `If-None-Match` names.", TASK_HEADERS, ("Retry-After",), media=None
            ),
        },
    ),
    ApiRoute(
        method="POST",
        path="/v1/tasks/{id}/cancel",
        path_example=example_ids.TASK_ID,
        handler=cancel,
        id="cancelTask",
        tag="Tasks",
        summary="Cancel a task",
        access="tasks:write",
        query=NoQuery,
        body=NoBody,
        may_be_empty=True,
        answers={
            202: Returned(
                WrittenTask,
                "Cancelled, or its function was told to stop.",
                ("Location", *TASK_HEADERS),
                ("Retry-After",),
            ),
            200: Returned(WrittenTask, "It was done already.", TASK_HEADERS),
        },
    ),
)
