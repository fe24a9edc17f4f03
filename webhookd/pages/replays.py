"""Replays of many dead letters: how far they are, and stopping them."""

from typing import Final

from webhookd.api.answers import Answer
from webhookd.pages.rows import Row, does, shows
from webhookd.pages.visit import Visit

PATH: Final = "replays"


async def show_all(visit: Visit) -> Answer:
    """The list, newest first."""
    page = await visit.look("/v1/replays", visit.filters(("partner", "cursor")))
    return visit.page("replays.html", title="Replays", page=page, filters=visit.filters(("partner",)))


async def show(visit: Visit) -> Answer:
    """One replay."""
    replay = await visit.get(f"/v1/replays/{visit.params['id']}")
    return visit.page("replay_progress.html", title="Replay", replay=replay)


async def cancel(visit: Visit) -> Answer:
    """Stop it."""
    replay_id = visit.params["id"]
    await visit.do("POST", f"/v1/replays/{replay_id}/cancel")
    return visit.goes(f"{PATH}/{replay_id}", notice="replay-cancelled")


ROWS: Final[tuple[Row, ...]] = (
    shows(PATH, show_all, name="Replays"),
    shows(f"{PATH}/{{id}}", show, below=PATH),
    does(f"{PATH}/{{id}}/cancel", cancel, below=PATH),
)
