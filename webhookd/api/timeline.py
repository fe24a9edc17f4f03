"""The whole life of a task, and of everything in one trace."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from typing_extensions import TypedDict

from webhookd.adapters.store.paging import MAX_PAGE_BYTES
from webhookd.adapters.store.traces import Trace, read_history, read_trace
from webhookd.api import example_ids
from webhookd.api.answers import Answer, json_answer
from webhookd.api.api_route import AnyRoute, ApiRoute, shows
from webhookd.api.call import Call
from webhookd.api.granted import TASK
from webhookd.api.wire import NoQuery
from webhookd.core.fields import TaskId, TraceId
from webhookd.core.model import TaskState
from webhookd.core.timeline import History, sending_entries, timeline
from webhookd.core.timeline_entry import TimelineEntry, TimelineEntryDocument, entry_document, in_order


class TimelineDocument(TypedDict):
    """The whole life of a task."""

    task_id: TaskId
    """The task."""
    trace_id: TraceId
    """The trace it belongs to."""
    type: str
    """The task's type."""
    state: TaskState
    """Where it is in its life."""
    entries: list[TimelineEntryDocument]
    """What happened, in the order of time."""
    complete: bool
    """Whether no old entries were left out."""


class TraceDocument(TypedDict):
    """Everything in one trace."""

    trace_id: TraceId
    """The trace."""
    tasks: list[TimelineDocument]
    """Every task in it, each with its life; first the one that was asked for by an id of its own."""
    entries: list[TimelineEntryDocument]
    """What belongs to none of the tasks, in the order of time."""
    complete: bool
    """Whether nothing was left out."""


async def show_timeline(call: Call[None, NoQuery]) -> Answer:
    """`GET /v1/tasks/{id}/timeline`."""
    return json_answer(200, timeline_document(await call.named(read_history, "task")))


async def show_trace(call: Call[None, NoQuery]) -> Answer:
    """`GET /v1/traces/{id}`: by the trace's own id, or that of a task, message or delivery in it."""
    return json_answer(200, trace_document(await call.named(read_trace, "trace")))


def trace_document(trace: Trace) -> TraceDocument:
    """Return the Trace of the API; where there is no room for all of it, the newest tasks are left out."""
    room = _PageRoom()
    entries, complete = room.newest(in_order([*sending_entries(trace.apart)]))
    shown = [_timeline(history, room) for history in trace.histories if room.left > 0]
    complete = complete and len(shown) == len(trace.histories) and all(one["complete"] for one in shown)
    return {
        "trace_id": trace.trace_id,
        "tasks": shown,
        "entries": entries,
        "complete": trace.complete and complete,
    }


def timeline_document(history: History) -> TimelineDocument:
    """Return the Timeline of the API, without the oldest entries where there is no room for all."""
    return _timeline(history, _PageRoom())


def _timeline(history: History, room: "_PageRoom") -> TimelineDocument:
    task = history.task
    entries, complete = room.newest(timeline(history))
    return {
        "task_id": task.id,
        "trace_id": task.trace.trace_id,
        "type": task.type,
        "state": task.state,
        "entries": entries,
        "complete": history.complete and complete,
    }


@dataclass(slots=True)
class _PageRoom:
    """How many bytes of entries an answer that cannot be paged has room for."""

    left: int = MAX_PAGE_BYTES

    def newest(self, entries: Sequence[TimelineEntry]) -> tuple[list[TimelineEntryDocument], bool]:
        """Return the newest of these, in their order, and whether those are all."""
        documents: list[TimelineEntryDocument] = []
        for entry in reversed(entries):
            document = entry_document(entry)
            self.left -= len(orjson.dumps(document)) + 1
            if self.left < 0:
                break
            documents.append(document)
        return documents[::-1], len(documents) == len(entries)


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
        token_reads=TASK,
        query=NoQuery,
        answers=shows(TimelineDocument),
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
        answers=shows(TraceDocument),
    ),
)
