"""The tries of a task's function: where each ran, how it ended, what it logged, and what it raised."""

from typing import Annotated, Final

from pydantic import Field
from typing_extensions import TypedDict

from webhookd.adapters.store.tasks.runs import RunUnderWay, read_runs
from webhookd.api import example_ids
from webhookd.api.answers import Answer, page_answer
from webhookd.api.api_route import AnyRoute, ApiRoute, lists
from webhookd.api.call import Call, found
from webhookd.api.granted import TASK
from webhookd.api.wire import ListingQuery, cursor_like
from webhookd.core.fields import RunOutcome, Timestamp
from webhookd.core.outcome import Raised
from webhookd.core.records import Run
from webhookd.core.render.task import TaskErrorDocument
from webhookd.core.times import to_rfc3339


class RunExceptionDocument(TypedDict):
    """What a function raised, as Python tells it."""

    type: str
    """The exception's class."""
    message: str
    """Its text."""
    traceback: str
    """Where it came from, with what it was raised because of."""


class RunDocument(TypedDict):
    """One try of a task's function."""

    number: Annotated[int, Field(ge=1)]
    """Counts from 1 and goes on over replays; a run that was handed back did not use its number up."""
    host: str | None
    """The worker's host; null where it was not kept."""
    pid: int | None
    """The worker's process."""
    started_at: Timestamp
    """When it began."""
    finished_at: Timestamp | None
    """When it ended; null while it runs."""
    outcome: RunOutcome
    """How it ended."""
    error: TaskErrorDocument | None
    """Why it failed, as the partner is told it; null where it did not."""
    log: list[str] | None
    """The last lines it logged: 200, 16 KiB. Null where they are not shown, and while it runs."""
    exception: RunExceptionDocument | None
    """What it raised, for admins; null where it raised nothing."""


class RunListing(ListingQuery):
    """`GET /v1/tasks/{id}/runs`."""

    cursor: str | None = cursor_like(r"^run\.[0-9]{1,9}$")


async def list_runs(call: Call[None, RunListing]) -> Answer:
    """`GET /v1/tasks/{id}/runs`."""
    caller = call.caller
    shown = found(
        await call.read(read_runs, call.path_params["id"], caller.partner_id, call.query.page), "task"
    )
    definition = call.parts.task_types.get(shown.type)
    with_log = caller.is_admin or (definition is not None and definition.expose_logs)
    page = [run_document(run, with_log=with_log, with_exception=caller.is_admin) for run in shown.runs]
    if shown.now is not None:
        page.append(_under_way(shown.now))
    return page_answer(page, shown.next_cursor)


def run_document(run: Run, *, with_log: bool, with_exception: bool) -> RunDocument:
    """Return the run of the API."""
    error: TaskErrorDocument | None = None
    if run.error_code is not None:
        error = {"code": run.error_code, "message": run.error_message or ""}
    return {
        "number": run.attempt,
        "host": run.host,
        "pid": run.pid,
        "started_at": to_rfc3339(run.started_ms),
        "finished_at": to_rfc3339(run.finished_ms),
        "outcome": run.outcome,
        "error": error,
        "log": list(run.log) if with_log else None,
        "exception": _exception(run.raised) if with_exception and run.raised is not None else None,
    }


def _exception(raised: Raised) -> RunExceptionDocument:
    return {"type": raised.type, "message": raised.message, "traceback": raised.traceback}


def _under_way(now: RunUnderWay) -> RunDocument:
    return {
        "number": now.attempt,
        "host": now.host,
        "pid": now.pid,
        "started_at": to_rfc3339(now.started_ms),
        "finished_at": None,
        "outcome": "running",
        "error": None,
        "log": None,
        "exception": None,
    }


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="GET",
        path="/v1/tasks/{id}/runs",
        path_example=example_ids.TASK_ID,
        handler=list_runs,
        id="listTaskRuns",
        tag="Tasks",
        summary="List the runs of a task: where, when, what they logged and raised",
        access="tasks:read",
        token_reads=TASK,
        query=RunListing,
        answers=lists(RunDocument),
    ),
)
