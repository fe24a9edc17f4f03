"""`POST /v1/tasks/{id}/rerun`: a new task with what an ended one was submitted with."""

from dataclasses import replace
from typing import Final

from webhookd.adapters import entropy
from webhookd.adapters.store.tasks.reruns import read_rerun
from webhookd.api import example_ids
from webhookd.api.answers import Answer
from webhookd.api.api_route import TASK_HEADERS, AnyRoute, ApiRoute, Returned
from webhookd.api.call import Call, found
from webhookd.api.receipts import WrittenTask
from webhookd.api.submitting import submit_one
from webhookd.api.task_files import file_faults
from webhookd.api.tasks import task_answer
from webhookd.api.wire import NoBody, NoQuery
from webhookd.core import ids
from webhookd.core.errors import Conflict
from webhookd.core.records import NewTask, Partner
from webhookd.core.routing import type_matches


async def rerun(call: Call[NoBody, NoQuery]) -> Answer:
    """`POST /v1/tasks/{id}/rerun`."""
    parts, task_id = call.parts, call.path_params["id"]
    new_id = entropy.new_id(ids.TASK, call.now_ms)
    again, ended = found(
        await call.read(read_rerun, task_id, call.caller.partner_id, new_id, call.submission_trace()),
        "task",
    )
    if not ended:
        raise Conflict("The task has not ended; only one that has can be run again.")
    partner = call.caller.partner or found(await parts.store.partners.get(again.partner_id), "task")
    again = _as_today(call, partner, replace(again, due_ms=call.now_ms, created_ms=call.now_ms))
    faults = await file_faults(call, partner.id, [again])
    if faults:
        file_id, fault = next(iter(faults.items()))
        raise Conflict(f"A file of the task's input, {file_id}, is not to be had: {fault}.")
    shown, replayed = await submit_one(call, partner, again)
    return await task_answer(call, shown, status=202, replayed=replayed)


def _as_today(call: Call[NoBody, NoQuery], partner: Partner, again: NewTask) -> NewTask:
    """Return the task on the queue, and with the tries, that its type has today. Raises Conflict."""
    if not type_matches(partner.task_types, again.type):
        raise Conflict(f"The partner may not submit tasks of the type {again.type} any more.")
    known = call.parts.task_types.get(again.type)
    if known is None:
        return again
    return replace(again, queue=known.queue, max_attempts=known.max_attempts)


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="POST",
        path="/v1/tasks/{id}/rerun",
        path_example=example_ids.TASK_ID,
        handler=rerun,
        id="rerunTask",
        tag="Tasks",
        summary="Run an ended task again, as a new one",
        access="tasks:write",
        query=NoQuery,
        body=NoBody,
        may_be_empty=True,
        submits=True,
        headers=("traceparent",),
        answers={
            202: Returned(WrittenTask, "The new task.", ("Location", *TASK_HEADERS), ("Retry-After",)),
        },
        conflicts=True,
    ),
)
