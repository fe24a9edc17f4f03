"""Batches: how far each is, its tasks by state, closing and cancelling it."""

from collections.abc import Awaitable, Callable
from typing import Final

from webhookd.api.answers import Answer
from webhookd.core.model import BatchState
from webhookd.pages.page_rows import Row, does
from webhookd.pages.visit import Visit

PATH: Final = "batches"
FILTERS: Final = ("state", "since", "until", "partner")
STATES: Final = tuple(state.value for state in BatchState)
NOTICES: Final = {"close": "batch-closed", "cancel": "batch-cancelled"}


async def show_all(visit: Visit) -> Answer:
    """The list, newest first."""
    filters = visit.filters(FILTERS)
    page = await visit.listed("/v1/batches", filters, cursor=visit.query.get("cursor"))
    return visit.page("batches.html", title="Batches", page=page, filters=filters, states=STATES)


async def show(visit: Visit) -> Answer:
    """One batch; its tasks are the list of tasks with a filter."""
    batch = await visit.get(f"/v1/batches/{visit.params['id']}")
    return visit.page("batch.html", title="Batch", batch=batch)


def _moves(move: str) -> Callable[[Visit], Awaitable[Answer]]:
    async def handler(visit: Visit) -> Answer:
        batch_id = visit.params["id"]
        await visit.do("POST", f"/v1/batches/{batch_id}/{move}")
        return visit.goes(f"{PATH}/{batch_id}", notice=NOTICES[move])

    return handler


ROWS: Final[tuple[Row, ...]] = (
    Row(PATH, show_all, below="tasks"),
    Row(f"{PATH}/{{id}}", show, below="tasks"),
    *(does(f"{PATH}/{{id}}/{move}", _moves(move), below="tasks") for move in NOTICES),
)
