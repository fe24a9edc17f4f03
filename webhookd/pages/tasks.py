"""Tasks: finding one, its whole life, cancelling it, running it again."""

from typing import Any, Final

from webhookd.api.answers import Answer
from webhookd.core.model import TaskState
from webhookd.pages.filters import Filters
from webhookd.pages.finding import find
from webhookd.pages.page_rows import Row, does
from webhookd.pages.visit import Visit, side_by_side

PATH: Final = "tasks"
FILTERS: Final = ("state", "type", "batch", "idempotency_key", "rerun_of", "since", "until", "partner")
STATES: Final = tuple(state.value for state in TaskState)
METADATA: Final = "metadata."
PAGED: Final = ("runs", "deliveries")
"""What one task has pages of: the cursor of each stands in the URL under its name."""


async def show_all(visit: Visit) -> Answer:
    """The list, newest first; what the box holds leads on."""
    text = visit.query.get("q", "").strip()
    if text:
        found = await find(visit, text)
        if found is not None and not (found[0] == PATH and not found[1]):
            return visit.goes(found[0], query=found[1])
        page: dict[str, Any] = {"data": [], "next_cursor": None}
        return _listed(visit, page, Filters(), text)
    named = [name for name in visit.query if name.startswith(METADATA)]
    filters = visit.filters((*FILTERS, *named))
    page = await visit.listed("/v1/tasks", filters, cursor=visit.query.get("cursor"))
    return _listed(visit, page, filters, "")


def _listed(visit: Visit, page: dict[str, Any], filters: Filters, text: str) -> Answer:
    metadata = {name.removeprefix(METADATA): filters[name] for name in filters if name.startswith(METADATA)}
    return visit.page(
        "tasks.html", title="Tasks", page=page, filters=filters, metadata=metadata, states=STATES, q=text
    )


async def show(visit: Visit) -> Answer:
    """One task with its timeline, runs, files and deliveries."""
    task_id = visit.params["id"]
    asked = visit.filters(PAGED)
    task, timeline, runs, deliveries, given = await side_by_side(
        visit.get(f"/v1/tasks/{task_id}"),
        visit.get(f"/v1/tasks/{task_id}/timeline"),
        visit.get(f"/v1/tasks/{task_id}/runs", cursor=asked.get("runs")),
        visit.get("/v1/deliveries", task=task_id, cursor=asked.get("deliveries")),
        visit.get(f"/v1/tasks/{task_id}/input"),
    )
    return visit.page(
        "task.html",
        title="Task",
        task=task,
        timeline=timeline,
        runs=runs,
        deliveries=deliveries,
        asked=asked,
        given=given["input"],
    )


async def cancel(visit: Visit) -> Answer:
    """End it, or tell its function to stop."""
    task_id = visit.params["id"]
    await visit.do("POST", f"/v1/tasks/{task_id}/cancel")
    return visit.goes(f"{PATH}/{task_id}", notice="task-cancelled")


async def rerun(visit: Visit) -> Answer:
    """Run the same again as a new task."""
    said = await visit.do("POST", f"/v1/tasks/{visit.params['id']}/rerun")
    return visit.goes(f"{PATH}/{said.document['id']}", notice="running-again")


async def show_trace(visit: Visit) -> Answer:
    """Everything in one trace."""
    trace = await visit.get(f"/v1/traces/{visit.params['id']}")
    return visit.page("trace.html", title="Trace", trace=trace)


ROWS: Final[tuple[Row, ...]] = (
    Row(PATH, show_all, name="Tasks"),
    Row(f"{PATH}/{{id}}", show, below=PATH),
    does(f"{PATH}/{{id}}/cancel", cancel, below=PATH),
    does(f"{PATH}/{{id}}/rerun", rerun, below=PATH),
    Row("traces/{id}", show_trace, below=PATH),
)
