"""Dead letters: finding what died and why, replaying it, discarding it.

What a form does is said before it is done: for all that match by a dry run, for those selected by number.
"""

from typing import Any, Final

from webhookd.api.answers import Answer
from webhookd.core.errors import Conflict, Invalid, WebhookdError
from webhookd.pages.endpoints import urls_of
from webhookd.pages.filters import Filters, told
from webhookd.pages.page_rows import DELIVERIES, Row, does
from webhookd.pages.visit import Visit, side_by_side

FILTERS: Final = (
    "kind",
    "endpoint",
    "error",
    "status",
    "reason",
    "type",
    "event",
    "text",
    "since",
    "until",
    "partner",
)
GROUPED_BY: Final = "endpoint,error,kind"
MOST_GROUPS: Final = 12
MOST_SELECTED: Final = 500
DEFAULT_RATE: Final = 50
PATH: Final = "dead-letters"
_KINDS: Final = ("delivery", "task")


async def show(visit: Visit) -> Answer:
    """The list, newest first."""
    filters = visit.filters(FILTERS)
    summary = await visit.listed("/v1/dead-letters/summary", filters, group_by=GROUPED_BY, limit=MOST_GROUPS)
    page: dict[str, Any] = {"data": [], "next_cursor": None}
    urls: dict[str, str] = {}
    if summary["data"]:  # counting by an index is quicker than going through all for none
        page, urls = await side_by_side(
            visit.listed("/v1/dead-letters", filters, cursor=visit.query.get("cursor")),
            urls_of(visit, {one["endpoint"] for one in summary["data"] if one["endpoint"]}),
        )
    return visit.page(
        "dead_letters.html",
        title="Dead letters",
        page=page,
        filters=filters,
        groups=summary["data"],
        more_groups=summary["next_cursor"] is not None,
        urls=urls,
    )


async def replay(visit: Visit) -> Answer:
    """Say what would be replayed, then do it."""
    visit.must(DELIVERIES)
    selected = _selected(visit)
    if not visit.form.one("go"):
        counts = _counted(selected) if selected else await _dry_run(visit, "replays")
        return _asks(visit, "replay.html", "Replay", selected, counts)
    if len(selected) != 1:
        return await _begun(visit, "replays", "replay-started", selected)
    [one] = selected
    await visit.do("POST", f"/v1/dead-letters/{one}/replay", query=_reason(visit))
    return visit.goes(f"{'tasks' if _kind(one) == 'task' else 'deliveries'}/{one}", notice="replayed")


async def discard(visit: Visit) -> Answer:
    """Say what would be discarded, then do it."""
    visit.must(DELIVERIES)
    selected = _selected(visit)
    if not visit.form.one("go"):
        counts = _counted(selected) if selected else await _dry_run(visit, "discards")
        return _asks(visit, "discard.html", "Discard", selected, counts)
    if selected:
        await _each(visit, selected, "DELETE", "/v1/dead-letters/{}", query=_reason(visit))
        return visit.goes(PATH, notice="discarded", query=_filter(visit))
    return await _begun(visit, "discards", "discard-started", [])


def _asks(visit: Visit, template: str, title: str, selected: list[str], counts: dict[str, int]) -> Answer:
    filters = _filter(visit)
    return visit.page(
        template, title=title, selected=selected, filters=filters, counts=counts, rate=DEFAULT_RATE
    )


def _counted(selected: list[str]) -> dict[str, int]:
    kinds = [_kind(one) for one in selected]
    return {kind: kinds.count(kind) for kind in _KINDS}


def _kind(letter_id: str) -> str:
    return "task" if letter_id.startswith("task_") else "delivery"


def _reason(visit: Visit) -> dict[str, str]:
    why = visit.form.one("why")
    return {"reason": why} if why else {}


async def _dry_run(visit: Visit, noun: str) -> dict[str, int]:
    """Return how many of each kind match; of the kind that is not asked for none do."""
    wanted = told(_filter(visit))
    counts = dict.fromkeys(_KINDS, 0)
    for kind in [wanted["kind"]] if wanted.get("kind") in _KINDS else _KINDS:
        body = {"filter": {**wanted, "kind": kind}, "dry_run": True}
        counts[kind] = (await visit.do("POST", f"/v1/{noun}", body)).document["matched"]
    return counts


async def _begun(visit: Visit, noun: str, notice: str, selected: list[str]) -> Answer:
    """Begin one for each kind that was chosen, of those selected or of all that match; show it, or them."""
    body: dict[str, Any] = _reason(visit)
    if (rate := visit.form.number("rate")) is not None:
        body["rate_per_second"] = rate
    chosen = {_kind(one) for one in selected} or set(visit.form.all("kinds")) or {"delivery"}
    begun = []
    for kind in sorted(chosen):
        wanted = (
            {"ids": [one for one in selected if _kind(one) == kind]} if selected else told(_filter(visit))
        )
        said = await visit.do("POST", f"/v1/{noun}", {**body, "filter": {**wanted, "kind": kind}})
        begun.append(said.document["id"])
    return visit.goes(f"{noun}/{begun[0]}" if len(begun) == 1 else noun, notice=notice)


def _filter(visit: Visit) -> Filters:
    return Filters({name: visit.form.one(name) for name in FILTERS if visit.form.one(name)})


def _selected(visit: Visit) -> list[str]:
    selected = list(dict.fromkeys(visit.form.all("id")))
    if len(selected) > MOST_SELECTED:
        raise Invalid(f"Select {MOST_SELECTED} at most, or narrow the list and take all that match.")
    return selected


async def _each(
    visit: Visit, selected: list[str], method: str, path: str, query: dict[str, str] | None = None
) -> None:
    """Do it to each; those that are dead no more are left out, unless all are. Raises as the last refusal."""
    refused: list[WebhookdError] = []
    for one in selected:
        try:
            await visit.do(method, path.format(one), query=query)
        except WebhookdError as error:
            if error.status not in (404, 409):
                raise
            refused.append(error)
    if len(refused) == len(selected):
        raise Conflict("None of these is a dead letter any more.") if len(selected) > 1 else refused[0]


ROWS: Final[tuple[Row, ...]] = (
    Row(PATH, show, name="Dead letters"),
    does(f"{PATH}/replay", replay, below=PATH),
    does(f"{PATH}/discard", discard, below=PATH),
)
