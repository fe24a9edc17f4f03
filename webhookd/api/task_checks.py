"""Many tasks of one body: each is looked at by itself, and is a `NewTask` or what is wrong with it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from time import monotonic
from typing import Any, Final, TypeVar

from webhookd.adapters.store.endpoints.endpoint_settings import unknown_endpoints
from webhookd.api.call import AnyCall
from webhookd.api.task_files import file_errors, file_faults
from webhookd.api.task_wire import TaskCreate, new_task, unknown_endpoint_errors
from webhookd.api.wire import parse_body
from webhookd.core.errors import ClientError, FieldError, Invalid
from webhookd.core.records import NewTask, Partner
from webhookd.core.trace import TraceContext

AT_A_STRETCH_SECONDS: Final = 0.01

T = TypeVar("T")
Result = NewTask | ClientError


async def check_tasks(
    call: AnyCall, partner: Partner, items: Sequence[Any], *, trace: TraceContext
) -> list[Result]:
    """Return what each item comes to, in order; they stand at `$.tasks` of the body."""
    bodies = [_item(item, index) async for index, item in letting_others(items)]
    unknown = await _unknown_endpoints(call, partner, bodies)
    results = [
        _result(call, partner, body, unknown, index, trace=trace)
        async for index, body in letting_others(bodies)
    ]
    return await _with_files(call, partner, bodies, results)


async def letting_others(items: Sequence[T]) -> AsyncIterator[tuple[int, T]]:
    """Enumerate, and let the event loop serve others every AT_A_STRETCH_SECONDS."""
    stop_at = monotonic() + AT_A_STRETCH_SECONDS
    for index, item in enumerate(items):
        if monotonic() >= stop_at:
            await asyncio.sleep(0)
            stop_at = monotonic() + AT_A_STRETCH_SECONDS
        yield index, item


def _item(item: Any, index: int) -> TaskCreate | Invalid:
    try:
        return parse_body(TaskCreate, item, at=("tasks", index))
    except Invalid as error:
        return error


async def _unknown_endpoints(
    call: AnyCall, partner: Partner, bodies: list[TaskCreate | Invalid]
) -> frozenset[str]:
    wanted = {one for body in bodies if isinstance(body, TaskCreate) for one in body.endpoints or ()}
    if not wanted:
        return frozenset()
    return await call.parts.store.read(unknown_endpoints, partner.id, wanted)


def _result(
    call: AnyCall,
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
    endpoint_errors = unknown_endpoint_errors(body.endpoints, unknown, at)
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
    call: AnyCall,
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
