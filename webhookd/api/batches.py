"""Batches over HTTP: close, cancel, look at, list. Taking in is `batch_intake`, following `batch_watch`."""

from typing import Any, Final

from webhookd.adapters.store.tasks.batch_moves import Moved, cancel_batch, cancel_some, close_batch
from webhookd.adapters.store.tasks.batches import get_batch, list_batches, tasks_of_batch
from webhookd.adapters.store.tx import Tx
from webhookd.api import example_ids
from webhookd.api.answers import Answer, page_answer
from webhookd.api.api_route import TASK_HEADERS, AnyRoute, ApiRoute, Returned, lists
from webhookd.api.batch_answers import batch_answer
from webhookd.api.batch_intake import add_tasks, create_batch
from webhookd.api.batch_watch import BatchQuery, hold_batch
from webhookd.api.batch_wire import BatchCreate, BatchTasksCreate, WrittenBatch, WrittenBatchWithTasks
from webhookd.api.call import Call, found
from webhookd.api.granted import BATCH
from webhookd.api.idempotency_key import REPLAYED, mark_replayed
from webhookd.api.owners import with_owners
from webhookd.api.receipts import shown_to
from webhookd.api.wire import AdminListing, ListingQuery, NoBody, NoQuery, Time, cursor_of
from webhookd.core import ids
from webhookd.core.batches import BatchFilter, BatchTasks
from webhookd.core.model import BatchState, TaskState
from webhookd.core.render import BatchDocument, TaskDocument, batch_document, task_document

CANCEL_STEPS_A_CALL: Final = 4
"""So many steps of a cancellation are taken by the call itself; the sweep takes the others."""


class BatchListing(AdminListing):
    """`GET /v1/batches`."""

    cursor: str | None = cursor_of(ids.BATCH)
    state: BatchState | None = None
    """In this state only."""
    since: Time | None = None
    """What was accepted at this time or later."""
    until: Time | None = None
    """What was accepted before this time."""


class BatchTaskListing(ListingQuery):
    """`GET /v1/batches/{id}/tasks`."""

    cursor: str | None = cursor_of(ids.TASK)
    state: TaskState | None = None
    """In this state only."""


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
    page, cursor = await call.read(list_batches, await call.narrowed(query.partner), wanted, query.page)
    base_url = call.parts.options.base_url
    documents = [batch_document(batch, base_url=base_url) for batch in page]
    return page_answer(await with_owners(call, page, documents), cursor)


async def list_its_tasks(call: Call[None, BatchTaskListing]) -> Answer:
    """`GET /v1/batches/{id}/tasks`."""
    query, batch = call.query, await call.named(get_batch, "batch")
    wanted = BatchTasks(batch_id=batch.id, state=query.state)
    page, cursor = await call.read(tasks_of_batch, wanted, query.page)
    base_url = call.parts.options.base_url
    documents = [shown_to(call.caller, task_document(task, base_url=base_url)) for task in page]
    return page_answer(await with_owners(call, page, documents), cursor)


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
