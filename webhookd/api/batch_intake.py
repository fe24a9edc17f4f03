"""Batches and their tasks taken in over HTTP: checked, submitted, and answered for each task of the call."""

from dataclasses import fields, replace
from typing import Any

import orjson

from webhookd.adapters.entropy import new_id
from webhookd.adapters.store.endpoints.endpoint_settings import unknown_endpoints
from webhookd.adapters.store.tasks.batches import get_batch
from webhookd.api.answers import Answer, json_answer
from webhookd.api.batch_answers import owned_batch
from webhookd.api.batch_wire import BatchCreate, BatchTasksCreate, merged, parsed_defaults, refusal
from webhookd.api.call import AnyCall, Call, found
from webhookd.api.idempotency_key import mark_replayed
from webhookd.api.problems import problem_document
from webhookd.api.submitting import kept_for_repeats, submission
from webhookd.api.task_checks import check_tasks
from webhookd.api.task_wire import checked_callback, metadata_errors, unknown_endpoint_errors
from webhookd.api.wire import NoQuery, unknown_or_wrong
from webhookd.core import ids
from webhookd.core.batches import Batch, BatchCounts, NewBatch
from webhookd.core.errors import ClientError, Invalid
from webhookd.core.model import BatchState
from webhookd.core.records import NewTask, Partner
from webhookd.core.submission import Submission
from webhookd.core.trace import TraceContext


async def create_batch(call: Call[BatchCreate, NoQuery]) -> Answer:
    """`POST /v1/batches`."""
    body = call.body
    partner = await call.acting_partner(body.partner)
    if not body.tasks and not body.open:
        raise unknown_or_wrong("body", "tasks", "must have a task, unless the batch is to be open")
    trace = call.submission_trace()
    batch = await _new_batch(call, partner, trace)
    checked = await _checked(call, partner, call.json.get("defaults") or {}, trace=trace, are_sent=True)
    asked = _submission(call, partner, batch.id, checked)
    accepted = await call.parts.submit.submit(partner, replace(asked, batch=batch))
    if accepted.replayed:
        return await _replayed(call, partner, accepted.outcome, accepted.task_ids)
    return await _written(call, _as_accepted(batch, asked.tasks), checked.layout, accepted.task_ids)


async def add_tasks(call: Call[BatchTasksCreate, NoQuery]) -> Answer:
    """`POST /v1/batches/{id}/tasks`."""
    batch_id, store = call.path_params["id"], call.parts.store
    batch = found(await store.read(get_batch, batch_id, call.caller.partner_id), "batch")
    partner = call.caller.partner or found(await store.partners.get(batch.partner_id), "batch")
    defaults = parsed_defaults(batch.defaults_json)
    checked = await _checked(call, partner, defaults, trace=call.submission_trace(), are_sent=False)
    asked = _submission(call, partner, batch_id, checked)
    accepted = await call.parts.submit.submit(partner, replace(asked, batch_id=batch_id))
    if accepted.replayed:
        return await _replayed(call, partner, accepted.outcome, accepted.task_ids)
    now = found(await store.read(get_batch, batch_id, partner.id), "batch")
    return await _written(call, now, checked.layout, accepted.task_ids)


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
    tasks = (replace(task, batch_id=batch_id) for task in checked.tasks)
    return submission(call, partner, tasks, kept={"batch": batch_id, "layout": checked.layout})


async def _new_batch(call: Call[BatchCreate, NoQuery], partner: Partner, trace: TraceContext) -> NewBatch:
    body = call.body
    metadata_json = orjson.dumps(body.metadata or {}).decode()
    errors = list(metadata_errors(body.metadata, metadata_json))
    if body.endpoints:
        unknown = await call.parts.store.read(unknown_endpoints, partner.id, body.endpoints)
        errors += unknown_endpoint_errors(body.endpoints, unknown)
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
        total=len(tasks),
        counts=BatchCounts(scheduled=scheduled, queued=len(tasks) - scheduled),
        version=1 + len(tasks),
        closed_ms=None if batch.state is BatchState.OPEN else batch.created_ms,
        **{one.name: getattr(batch, one.name) for one in fields(NewBatch)},
    )


async def _replayed(
    call: AnyCall, partner: Partner, outcome: str | None, task_ids: tuple[str, ...]
) -> Answer:
    kept = kept_for_repeats(outcome)
    batch = found(await call.parts.store.read(get_batch, kept["batch"], partner.id), "batch")
    return mark_replayed(await _written(call, batch, kept["layout"], task_ids))


async def _written(call: AnyCall, batch: Batch, layout: list[Any], task_ids: tuple[str, ...]) -> Answer:
    document = await owned_batch(call, batch)
    places = iter(task_ids)
    more = {
        "task_ids": [next(places, None) if refused is None else None for refused in layout],
        "refused": [
            {"index": index, "error": refused} for index, refused in enumerate(layout) if refused is not None
        ],
    }
    return json_answer(202, {**document, **more}, call.located(f"/v1/batches/{batch.id}"))
