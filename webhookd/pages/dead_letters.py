"""Dead letters: finding what died and why, replaying it, discarding it.

What a form does is said before it is done: for all that match by a dry run, for those selected by number.
"""

from typing import Any, Final

from webhookd.api.answers import Answer
from webhookd.core.errors import Conflict, Invalid, WebhookdError
from webhookd.pages.rows import Row, does, shows
from webhookd.pages.visit import Filters, Visit

FILTERS: Final = ("kind", "endpoint", "type", "reason", "since", "until", "partner")
MOST_SELECTED: Final = 500
DEFAULT_RATE: Final = 50
PATH: Final = "dead-letters"
_KINDS: Final = ("delivery", "task")


async def show(visit: Visit) -> Answer:
    """The list, newest first."""
    wanted = visit.filters((*FILTERS, "cursor"))
    page = await visit.look("/v1/dead-letters", wanted)
    return visit.page("dead_letters.html", title="Dead letters", page=page, filters=visit.filters(FILTERS))


async def replay(visit: Visit) -> Answer:
    """Say what would be replayed, then do it."""
    selected = _selected(visit)
    if not visit.form.one("go"):
        return await (_ask_selected(visit, selected) if selected else _ask_all(visit))
    if selected:
        await _each(visit, selected, "POST", "/v1/dead-letters/{}/replay")
        if len(selected) == 1:
            noun = "tasks" if selected[0].startswith("task_") else "deliveries"
            return visit.goes(f"{noun}/{selected[0]}", notice="replayed")
        return visit.goes(PATH, notice="replayed", query=_filter(visit))
    made = {}
    for kind in visit.form.all("kind_to_replay") or ["delivery"]:
        body = _replay_body(visit, kind)
        said = await visit.do("POST", "/v1/replays", {**body, **_rate(visit)})
        made = said.document
    return visit.goes(f"replays/{made['id']}", notice="replay-started")


async def discard(visit: Visit) -> Answer:
    """Say what would be discarded, then do it."""
    selected = _selected(visit)
    if not selected:
        raise Invalid("Select the dead letters to discard.")
    if not visit.form.one("go"):
        return visit.page("discard.html", title="Discard", selected=selected, filters=_filter(visit))
    await _each(visit, selected, "DELETE", "/v1/dead-letters/{}")
    return visit.goes(PATH, notice="discarded", query=_filter(visit))


async def _ask_selected(visit: Visit, selected: list[str]) -> Answer:
    tasks = sum(1 for one in selected if one.startswith("task_"))
    return visit.page(
        "replay.html",
        title="Replay",
        selected=selected,
        filters=_filter(visit),
        counts={"delivery": len(selected) - tasks, "task": tasks},
        rate=DEFAULT_RATE,
    )


async def _ask_all(visit: Visit) -> Answer:
    wanted = _filter(visit)
    counts = dict.fromkeys(_KINDS, 0)
    for kind in [wanted["kind"]] if wanted.get("kind") in _KINDS else _KINDS:
        body = {**_replay_body(visit, kind), "dry_run": True}
        said = await visit.do("POST", "/v1/replays", body)
        counts[kind] = said.document["matched"]
    return visit.page(
        "replay.html", title="Replay", selected=[], filters=wanted, counts=counts, rate=DEFAULT_RATE
    )


def _replay_body(visit: Visit, kind: str) -> dict[str, Any]:
    return {"filter": {**_filter(visit), "kind": kind}}


def _rate(visit: Visit) -> dict[str, float]:
    rate = visit.form.number("rate")
    return {} if rate is None else {"rate_per_second": rate}


def _filter(visit: Visit) -> Filters:
    return Filters({name: visit.form.one(name) for name in FILTERS if visit.form.one(name)})


def _selected(visit: Visit) -> list[str]:
    selected = list(dict.fromkeys(visit.form.all("id")))
    if len(selected) > MOST_SELECTED:
        raise Invalid(f"Select {MOST_SELECTED} at most, or narrow the list and take all that match.")
    return selected


async def _each(visit: Visit, selected: list[str], method: str, path: str) -> None:
    """Do it to each; those that are dead no more are left out, unless all are. Raises as the last refusal."""
    refused: list[WebhookdError] = []
    for one in selected:
        try:
            await visit.do(method, path.format(one))
        except WebhookdError as error:
            if error.status not in (404, 409):
                raise
            refused.append(error)
    if len(refused) == len(selected):
        raise Conflict("None of these is a dead letter any more.") if len(selected) > 1 else refused[0]


ROWS: Final[tuple[Row, ...]] = (
    shows(PATH, show, name="Dead letters"),
    does(f"{PATH}/replay", replay, below=PATH),
    does(f"{PATH}/discard", discard, below=PATH),
)
