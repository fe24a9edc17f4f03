"""The whole life of a task, and of everything in one trace."""

from typing import Any, Final

from webhookd.api import documents, example_ids
from webhookd.api.answers import Answer, json_answer
from webhookd.api.api_route import AnyRoute, ApiRoute, shows
from webhookd.api.call import Call, found
from webhookd.api.wire import NoQuery
from webhookd.core.timeline import History, entry_document, in_order, sending_entries, timeline


async def show_timeline(call: Call[None, NoQuery]) -> Answer:
    """`GET /v1/tasks/{id}/timeline`."""
    traces, task_id = call.parts.store.traces, call.path_params["id"]
    return json_answer(
        200, _document(found(await call.read(traces.of_task, task_id, call.caller.partner_id), "task"))
    )


async def show_trace(call: Call[None, NoQuery]) -> Answer:
    """`GET /v1/traces/{id}`: by the trace's own id, or that of a task, message or delivery in it."""
    traces = call.parts.store.traces
    trace = found(await call.read(traces.find, call.path_params["id"], call.caller.partner_id), "trace")
    return json_answer(
        200,
        {
            "trace_id": trace.trace_id,
            "tasks": [_document(history) for history in trace.histories],
            "entries": [entry_document(entry) for entry in in_order([*sending_entries(trace.apart)])],
            "complete": trace.complete,
        },
    )


def _document(history: History) -> dict[str, Any]:
    task = history.task
    return {
        "task_id": task.id,
        "trace_id": task.trace_id,
        "type": task.type,
        "state": task.state.value,
        "entries": [entry_document(entry) for entry in timeline(history)],
    }


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="GET",
        path="/v1/tasks/{id}/timeline",
        path_example=example_ids.TASK_ID,
        handler=show_timeline,
        id="getTaskTimeline",
        tag="Tasks",
        summary="Read a task's whole life",
        access="tasks:read",
        query=NoQuery,
        answers=shows(documents.Timeline),
    ),
    ApiRoute(
        method="GET",
        path="/v1/traces/{id}",
        path_example=example_ids.TRACE_ID,
        handler=show_trace,
        id="getTrace",
        tag="Tasks",
        summary="Read everything in one trace",
        access="tasks:read",
        query=NoQuery,
        answers=shows(documents.Trace),
    ),
)
