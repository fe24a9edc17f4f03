"""Batches over HTTP: make, add to, close, cancel, look at, list. Following one is `batch_watch`."""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any, Final

import orjson

from webhookd.adapters.entropy import new_id
from webhookd.adapters.store.endpoints.endpoint_settings import unknown_endpoints
from webhookd.adapters.store.tasks.batch_moves import Moved, cancel_batch, cancel_some, close_batch
from webhookd.adapters.store.tasks.batches import get_batch, list_batches, tasks_of_batch
from webhookd.adapters.store.tx import Tx
from webhookd.api import example_ids
from webhookd.api.answers import Answer, json_answer, page_answer
from webhookd.api.api_route import TASK_HEADERS, AnyRoute, ApiRoute, Returned, lists
from webhookd.api.batch_watch import BatchQuery, hold_batch
from webhookd.api.batch_wire import (
    BatchCreate,
    BatchTasksCreate,
    WrittenBatch,
    WrittenBatchWithTasks,
    merged,
    parsed_defaults,
    refusal,
    shown_batch,
)
from webhookd.api.call import AnyCall, Call, found
from webhookd.api.etags import etag_matches
from webhookd.api.granted import BATCH
from webhookd.api.idempotency_key import REPLAYED, fingerprint, mark_replayed
from webhookd.api.owners import with_owner, with_owners
from webhookd.api.problems import problem_document, retry_after
from webhookd.api.receipts import shown_to
from webhookd.api.task_checks import check_tasks
from webhookd.api.task_wire import checked_callback, metadata_errors, unknown_endpoint_errors
from webhookd.api.wire import AdminListing, Listing, NoBody, NoQuery, Time, unknown_or_wrong
from webhookd.core import ids
from webhookd.core.batches import Batch, BatchCounts, BatchFilter, BatchTasks, NewBatch
from webhookd.core.errors import ClientError, Invalid
from webhookd.core.model import BatchState, TaskState
from webhookd.core.records import NewTask, Partner
from webhookd.core.render import BatchDocument, TaskDocument, batch_document, task_document
from webhookd.core.submission import Submission
from webhookd.core.trace import TraceContext

CANCEL_STEPS_A_CALL: Final = 4
"""So many steps of a cancellation are taken by the call itself; the sweep takes the others."""


class BatchListing(AdminListing):
    """`GET /v1/batches`."""

    state: BatchState | None = None
    """In this state only."""
    since: Time | None = None
    """What was accepted at this time or later."""
    until: Time | None = None
    """What was accepted before this time."""


class BatchTaskListing(Listing):
    """`GET /v1/batches/{id}/tasks`."""

    state: TaskState | None = None
    """In this state only."""


async def create_batch(call: Call[BatchCreate, NoQuery]) -> Answer:
    """`POST /v1/batches`."""
    body = call.body
    partner = await call.acting_partner(body.partner)
    if not body.tasks and not body.open:
        raise unknown_or_wrong("body", "tasks", "must have a task, unless the batch is to be open")
    trace = call.submission_trace()
    batch = await _new_batch(call, partner, trace)
    checked = await _checked(call, partner, call.json.get("defaults") or {}, trace=trace, are_sent=True)
    submission = _submission(call, partner, batch.id, checked)
    accepted = await call.parts.submit.submit(partner, replace(submission, batch=batch))
    if accepted.replayed:
        return await _replayed(call, partner, accepted.outcome, accepted.task_ids)
    return await _written(call, _as_accepted(batch, submission.tasks), checked.layout, accepted.task_ids)


async def add_tasks(call: Call[BatchTasksCreate, NoQuery]) -> Answer:
    """`POST /v1/batches/{id}/tasks`."""
    batch_id, store = call.path_params["id"], call.parts.store
    batch = found(await store.read(get_batch, batch_id, call.caller.partner_id), "batch")
    partner = call.caller.partner or found(await store.partners.get(batch.partner_id), "batch")
    defaults = parsed_defaults(batch.defaults_json)
    checked = await _checked(call, partner, defaults, trace=call.submission_trace(), are_sent=False)
    submission = _submission(call, partner, batch_id, checked)
    accepted = await call.parts.submit.submit(partner, replace(submission, batch_id=batch_id))
    if accepted.replayed:
        return await _replayed(call, partner, accepted.outcome, accepted.task_ids)
    now = found(await store.read(get_batch, batch_id, partner.id), "batch")
    return await _written(call, now, checked.layout, accepted.task_ids)


async def close(call: Call[NoBody, NoQuery]) -> Answer:
    """`POST /v1/batches/{id}/close`."""
    return await _moved(call, close_batch, "batch.close")


async def cancel(call: Call[NoBody, NoQuery]) -> Answer:
    """`POST /v1/batches/{id}/cancel`. What is left of a large one the sweep cancels."""
    answer = await _moved(call, cancel_batch, "batch.cancel")
    if answer.status != 202 or REPLAYED in answer.headers:
        return answer
    batch_id, store = call.path_params["id"], call.parts.store
    for _ in range(CANCEL_STEPS_A_CALL):
        if not await store.write(cancel_some, batch_id):
            break
    batch = found(await store.read(get_batch, batch_id, call.caller.partner_id), "batch")
    return await batch_answer(call, batch, status=202)


async def show_batch(call: Call[None, BatchQuery]) -> Answer:
    """`GET /v1/batches/{id}`; with `wait` it is held until there is news."""
    batch = await hold_batch(call, call.path_params["id"], call.query)
    return await batch_answer(call, batch, status=200)


async def list_all(call: Call[None, BatchListing]) -> Answer:
    """`GET /v1/batches`."""
    query = call.query
    wanted = BatchFilter(state=query.state, since_ms=query.since, until_ms=query.until)
    page, cursor = await call.read(
        call.parts.store.read, list_batches, await call.narrowed(query.partner), wanted, query.page
    )
    base_url = call.parts.options.base_url
    documents = [batch_document(batch, base_url=base_url) for batch in page]
    return page_answer(await with_owners(call, page, documents), cursor)


async def list_its_tasks(call: Call[None, BatchTaskListing]) -> Answer:
    """`GET /v1/batches/{id}/tasks`."""
    read, query = call.parts.store.read, call.query
    batch = found(await call.read(read, get_batch, call.path_params["id"], call.caller.partner_id), "batch")
    wanted = BatchTasks(batch_id=batch.id, state=query.state)
    page, cursor = await call.read(read, tasks_of_batch, wanted, query.page)
    base_url = call.parts.options.base_url
    documents = [shown_to(call.caller, task_document(task, base_url=base_url)) for task in page]
    return page_answer(await with_owners(call, page, documents), cursor)


class _Checked:
    """The tasks that are let in, in order, and where the others stood."""

    def __init__(self, batch_tasks: tuple[NewTask, ...], layout: list[dict[str, Any] | None]) -> None:
        self.tasks = batch_tasks
        self.layout = layout


async def _checked(
    call: AnyCall, partner: Partner, defaults: dict[str, Any], *, trace: TraceContext, are_sent: bool
) -> _Checked:
    items = [merged(defaults, item) for item in call.body.tasks]
    results = await check_tasks(call, partner, items, trace=trace)
    errors = [(index, one) for index, one in enumerate(results) if isinstance(one, ClientError)]
    is_open = getattr(call.body, "open", False)
    if errors and (not call.body.partial or (len(errors) == len(results) and not is_open)):
        raise refusal(errors, call.body.tasks, are_sent=are_sent)
    # Its order is that of the ids: those of one millisecond fall as chance has it.
    new_tasks = [one for one in results if isinstance(one, NewTask)]
    task_ids = sorted(one.id for one in new_tasks)
    ordered = tuple(
        replace(
            task,
            id=task_id,
            # Nobody but who is named hears of it.
            endpoint_ids=() if task.callback_url is None and task.endpoint_ids is None else task.endpoint_ids,
        )
        for task, task_id in zip(new_tasks, task_ids, strict=True)
    )
    layout = [
        problem_document(one, trace_id=call.trace.trace_id) if isinstance(one, ClientError) else None
        for one in results
    ]
    return _Checked(ordered, [None if one is None else dict(one) for one in layout])


def _submission(call: AnyCall, partner: Partner, batch_id: str, checked: _Checked) -> Submission:
    kept = {"batch": batch_id, "layout": checked.layout}
    return Submission(
        partner_id=partner.id,
        tasks=tuple(replace(task, batch_id=batch_id) for task in checked.tasks),
        key=call.task_key(),
        fingerprint="" if call.key is None else fingerprint(call.method, call.path, call.json),
        now_ms=call.now_ms,
        layout=None if call.key is None else orjson.dumps(kept).decode(),
        parent_span_id=call.trace.parent_id,
    )


async def _new_batch(call: Call[BatchCreate, NoQuery], partner: Partner, trace: TraceContext) -> NewBatch:
    body = call.body
    metadata_json = orjson.dumps(body.metadata or {}).decode()
    errors = list(metadata_errors(body.metadata, metadata_json))
    if body.endpoints:
        unknown = await call.parts.store.db.read(unknown_endpoints, partner.id, body.endpoints)
        errors += unknown_endpoint_errors(body, unknown)
    if errors:
        raise Invalid("The batch is not valid.", errors=errors)
    callback = checked_callback(body.callback_url, call.parts.egress)
    return NewBatch(
        id=new_id(ids.BATCH, call.now_ms),
        partner_id=partner.id,
        state=BatchState.OPEN if body.open else BatchState.RUNNING,
        metadata_json=metadata_json,
        defaults_json=orjson.dumps(call.json.get("defaults") or {}).decode(),
        callback_url=None if callback is None else callback.url,
        callback_origin=None if callback is None else callback.origin,
        endpoint_ids=None if body.endpoints is None else tuple(dict.fromkeys(body.endpoints)),
        trace=trace,
        created_ms=call.now_ms,
    )


def _as_accepted(batch: NewBatch, tasks: tuple[NewTask, ...]) -> Batch:
    """Return the batch as it stands right after its commit, without asking the store."""
    scheduled = sum(task.scheduled for task in tasks)
    return Batch(
        id=batch.id,
        partner_id=batch.partner_id,
        state=batch.state,
        total=len(tasks),
        counts=BatchCounts(scheduled=scheduled, queued=len(tasks) - scheduled),
        version=1 + len(tasks),
        metadata_json=batch.metadata_json,
        defaults_json=batch.defaults_json,
        callback_url=batch.callback_url,
        callback_origin=batch.callback_origin,
        endpoint_ids=batch.endpoint_ids,
        trace=batch.trace,
        created_ms=batch.created_ms,
        closed_ms=None if batch.state is BatchState.OPEN else batch.created_ms,
        cancel_requested_ms=None,
        completed_ms=None,
    )


async def _replayed(
    call: AnyCall, partner: Partner, outcome: str | None, task_ids: tuple[str, ...]
) -> Answer:
    kept = orjson.loads(orjson.loads(outcome or "{}")["layout"])
    batch = found(await call.parts.store.read(get_batch, kept["batch"], partner.id), "batch")
    return mark_replayed(await _written(call, batch, kept["layout"], task_ids))


async def _written(call: AnyCall, batch: Batch, layout: list[Any], task_ids: tuple[str, ...]) -> Answer:
    document = await _owned(call, batch)
    places = iter(task_ids)
    more = {
        "task_ids": [next(places, None) if refused is None else None for refused in layout],
        "refused": [
            {"index": index, "error": refused} for index, refused in enumerate(layout) if refused is not None
        ],
    }
    return json_answer(202, {**document, **more}, call.located(f"/v1/batches/{batch.id}"))


async def _moved(call: Call[NoBody, NoQuery], move: Any, action: str) -> Answer:
    batch_id, partner_id = call.path_params["id"], call.caller.partner_id
    moved: list[Moved] = []

    def effect(tx: Tx) -> Answer:
        done: Moved = found(move(tx, batch_id, partner_id), "batch")
        moved.append(done)
        if done.changed:
            call.audit(tx, action, batch_id, partner_id=done.batch.partner_id)
        return Answer(status=202 if done.changed else 200)

    kept = await call.once(effect)
    if moved:
        return await batch_answer(call, moved[-1].batch, status=kept.status)
    batch = found(await call.parts.store.read(get_batch, batch_id, partner_id), "batch")
    return mark_replayed(await batch_answer(call, batch, status=kept.status))


async def _owned(call: AnyCall, batch: Batch) -> Mapping[str, Any]:
    document = shown_batch(call.caller, batch_document(batch, base_url=call.parts.options.base_url))
    return await with_owner(call, batch, document)


async def batch_answer(call: AnyCall, batch: Batch, *, status: int) -> Answer:
    """Return a batch as the response: with `ETag`, and `Retry-After` while it is not done."""
    document = await _owned(call, batch)
    body = orjson.dumps(document)
    etag = f'"{blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if not batch.done:
        headers["Retry-After"] = retry_after(1.0)
    if status == 202:
        headers |= call.located(f"/v1/batches/{batch.id}")
    wanted = call.header(b"if-none-match") if status == 200 and call.method == "GET" else None
    if wanted is not None and etag_matches(etag, wanted):
        return Answer(status=304, headers=headers)
    return Answer(status=status, body=body, headers=headers)


_MOVED: Final = {
    202: Returned(WrittenBatch, "Done.", ("Location", *TASK_HEADERS), ("Retry-After",)),
    200: Returned(WrittenBatch, "It was so before.", TASK_HEADERS, ("Retry-After",)),
}

ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="POST",
        path="/v1/batches",
        handler=create_batch,
        id="createBatch",
        tag="Batches",
        summary="Submit tasks with one end and one callback",
        access="tasks:write",
        query=NoQuery,
        body=BatchCreate,
        max_bytes=lambda options: options.max_batch_bytes,
        submits=True,
        headers=("traceparent",),
        answers={
            202: Returned(
                WrittenBatchWithTasks, "Accepted: its tasks and its callback are on disk.", ("Location",)
            )
        },
    ),
    ApiRoute(
        method="GET",
        path="/v1/batches",
        handler=list_all,
        id="listBatches",
        tag="Batches",
        summary="List batches, newest first",
        access="tasks:read",
        query=BatchListing,
        answers=lists(BatchDocument),
    ),
    ApiRoute(
        method="GET",
        path="/v1/batches/{id}",
        path_example=example_ids.BATCH_ID,
        handler=show_batch,
        id="getBatch",
        tag="Batches",
        summary="Look at a batch, or wait for news of it",
        access="tasks:read",
        token_reads=BATCH,
        query=BatchQuery,
        headers=("If-None-Match",),
        answers={
            200: Returned(BatchDocument, "As it is now.", TASK_HEADERS, ("Retry-After",)),
            304: Returned(
                None, "It is still what `If-None-Match` names.", TASK_HEADERS, ("Retry-After",), media=None
            ),
        },
    ),
    ApiRoute(
        method="POST",
        path="/v1/batches/{id}/tasks",
        path_example=example_ids.BATCH_ID,
        handler=add_tasks,
        id="addTasksToBatch",
        tag="Batches",
        summary="Add tasks to an open batch",
        access="tasks:write",
        query=NoQuery,
        body=BatchTasksCreate,
        max_bytes=lambda options: options.max_batch_bytes,
        submits=True,
        conflicts=True,
        headers=("traceparent",),
        answers={202: Returned(WrittenBatchWithTasks, "Accepted: they are on disk.", ("Location",))},
    ),
    ApiRoute(
        method="GET",
        path="/v1/batches/{id}/tasks",
        path_example=example_ids.BATCH_ID,
        handler=list_its_tasks,
        id="listTasksOfBatch",
        tag="Batches",
        summary="List the tasks of a batch, in the order of their submission",
        access="tasks:read",
        token_reads=BATCH,
        query=BatchTaskListing,
        answers=lists(TaskDocument),
    ),
    ApiRoute(
        method="POST",
        path="/v1/batches/{id}/close",
        path_example=example_ids.BATCH_ID,
        handler=close,
        id="closeBatch",
        tag="Batches",
        summary="Say that no more tasks will come",
        access="tasks:write",
        query=NoQuery,
        body=NoBody,
        may_be_empty=True,
        answers=_MOVED,
    ),
    ApiRoute(
        method="POST",
        path="/v1/batches/{id}/cancel",
        path_example=example_ids.BATCH_ID,
        handler=cancel,
        id="cancelBatch",
        tag="Batches",
        summary="Close a batch and cancel what has not ended of it",
        access="tasks:write",
        query=NoQuery,
        body=NoBody,
        may_be_empty=True,
        answers=_MOVED,
    ),
)
