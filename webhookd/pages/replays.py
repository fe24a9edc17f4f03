"""Replays and discards of many: how far they are, who began them and why, pacing and stopping them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from webhookd.api.answers import Answer
from webhookd.pages.page_rows import Row, does
from webhookd.pages.visit import Visit

FILTERS: Final = ("state", "partner")
DRY_RUNS: Final = "dry_run"
"""Listed only where they are asked for: each dialog that was opened has left some."""
NOTICES: Final = {"pause": "paused", "resume": "resumed", "cancel": "replay-cancelled"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrandPages:
    """What is done to many: its path, what it is called, and the field with what it has done."""

    path: str
    title: str
    many: str
    done: str

    async def show_all(self, visit: Visit) -> Answer:
        """The list, newest first."""
        filters = visit.filters(FILTERS)
        dry = visit.query.get(DRY_RUNS) == "true"
        more = {DRY_RUNS: "true" if dry else "false", "cursor": visit.query.get("cursor")}
        page = await visit.listed(f"/v1/{self.path}", filters, **more)
        kept = {**filters, DRY_RUNS: "true"} if dry else filters
        return visit.page(
            "replays.html", title=self.many, page=page, filters=filters, errand=self, dry=dry, kept=kept
        )

    async def show(self, visit: Visit) -> Answer:
        """One of them."""
        one = await visit.get(f"/v1/{self.path}/{visit.params['id']}")
        return visit.page("replay_progress.html", title=self.title, one=one, errand=self)

    async def pace(self, visit: Visit) -> Answer:
        """Another rate."""
        its_id = visit.params["id"]
        body = {"rate_per_second": visit.form.number("rate")}
        await visit.do("PATCH", f"/v1/{self.path}/{its_id}", body)
        return visit.goes(f"{self.path}/{its_id}", notice="rate-changed")

    def moves(self, move: str) -> Callable[[Visit], Awaitable[Answer]]:
        """Return what pauses, resumes or cancels one."""

        async def handler(visit: Visit) -> Answer:
            its_id = visit.params["id"]
            await visit.do("POST", f"/v1/{self.path}/{its_id}/{move}")
            return visit.goes(f"{self.path}/{its_id}", notice=NOTICES[move])

        return handler

    def rows(self, *, name: str = "") -> tuple[Row, ...]:
        """Return its pages; without a name they stand below that of the replays."""
        one = f"{self.path}/{{id}}"
        return (
            Row(self.path, self.show_all, name=name, below=REPLAY.path),
            Row(one, self.show, below=REPLAY.path),
            does(f"{one}/rate", self.pace, below=REPLAY.path),
            *(does(f"{one}/{move}", self.moves(move), below=REPLAY.path) for move in NOTICES),
        )


REPLAY: Final = ErrandPages(path="replays", title="Replay", many="Replays", done="replayed")
DISCARD: Final = ErrandPages(path="discards", title="Discard", many="Discards", done="discarded")

ROWS: Final[tuple[Row, ...]] = (*REPLAY.rows(name="Replays"), *DISCARD.rows())
