"""Now: how the installation stands, for whoever comes to see whether something is wrong."""

from typing import Any, Final

from webhookd.api.answers import Answer
from webhookd.core.errors import Unavailable
from webhookd.pages.charts import latency_chart, throughput_chart
from webhookd.pages.endpoints import urls_of
from webhookd.pages.page_rows import ADMIN, Row, does
from webhookd.pages.visit import Visit, side_by_side

PATH: Final = "now"
MOST_GROUPS: Final = 10
MOST_COUNTED: Final = 500
_SUMMARY: Final = "/v1/dead-letters/summary"
_UNDER_WAY: Final = ("running", "paused")
STEPS: Final = {"1h": "minute", "6h": "5 minutes", "24h": "15 minutes"}
WINDOW: Final = "6h"
_CHARTS: Final = (
    ("runs", "Runs of tasks", "runs", "the time from due to done"),
    ("attempts", "Attempts of deliveries", "attempts", "the answer's time"),
)
_PARTS: Final = (
    ("database", "Database"),
    ("broker", "Broker"),
    ("disk", "Disk"),
    ("task_workers", "Task workers"),
    ("deliver_workers", "Deliver workers"),
)


async def show(visit: Visit) -> Answer:
    """Parts, queues, workers, endpoints in trouble, what died and where, what is being replayed."""
    asked = visit.query.get("window")
    window = asked if asked in STEPS else WINDOW
    (
        (dead, dead_total),
        parts,
        activity,
        queues,
        types,
        workers,
        failing,
        disabled,
        *under_way,
    ) = await side_by_side(
        _dead(visit),
        _readiness(visit),
        visit.get("/v1/activity", window=window),
        visit.get("/v1/queues", limit=200),
        visit.get("/v1/task-types", limit=500),
        visit.get("/v1/workers", limit=200),
        visit.get("/v1/endpoints", state="enabled", failing="true", limit=MOST_GROUPS),
        visit.get("/v1/endpoints", state="disabled", limit=MOST_GROUPS),
        *(visit.get("/v1/replays", state=state, limit=MOST_GROUPS) for state in _UNDER_WAY),
    )
    replays = dict(zip(_UNDER_WAY, under_way, strict=True))
    return visit.page(
        "now.html",
        title="Now",
        parts=[{"name": name, **parts[key]} for key, name in _PARTS],
        queues=queues["data"],
        types=by_queue(types["data"]),
        window=window,
        windows=tuple(STEPS),
        activity=_drawn(activity, window),
        hosts=by_host(workers["data"]),
        dead=dead[:MOST_GROUPS],
        more_dead=len(dead) > MOST_GROUPS,
        dead_total=dead_total,
        urls=await urls_of(visit, {one["endpoint"] for one in dead[:MOST_GROUPS] if one["endpoint"]}),
        troubled=[*failing["data"], *disabled["data"]],
        more_troubled=bool(failing["next_cursor"] or disabled["next_cursor"]),
        replays=[one for page in replays.values() for one in page["data"]],
        more_replays=[state for state, page in replays.items() if page["next_cursor"]],
    )


def _drawn(activity: dict[str, Any], window: str) -> dict[str, Any]:
    """Return the charts of what all workers do."""
    return {
        "step": STEPS[window],
        "any": any(activity[key]["total"] for key, *_ in _CHARTS),
        "charts": [
            {
                "name": name,
                "time": time,
                "throughput": throughput_chart(activity[key], what=what, window=window),
                "latency": latency_chart(activity[key], what=time.capitalize()),
            }
            for key, name, what, time in _CHARTS
        ],
    }


async def _readiness(visit: Visit) -> dict[str, Any]:
    said = await visit.site.inside.ask("GET", "/readyz", visit.asker)
    document: dict[str, Any] = said.document
    if "database" not in document:
        raise Unavailable("The service cannot say how it stands.")
    return document


async def _dead(visit: Visit) -> tuple[list[dict[str, Any]], int]:
    """Return dead letters by endpoint, the most first, with their commonest error; and how many there are.

    What is counted by endpoint and error in one page is added up. Where that is not all, it is counted anew.
    """
    page = await visit.get(_SUMMARY, group_by="endpoint,kind,error", limit=MOST_COUNTED)
    dead = by_endpoint(page["data"])
    if page["next_cursor"] is None:
        return dead, sum(one["count"] for one in dead)
    commonest = {_whose(one): one["error"] for one in dead}
    exact = (await visit.get(_SUMMARY, group_by="endpoint,kind", limit=MOST_GROUPS + 1))["data"]
    kinds = (await visit.get(_SUMMARY, group_by="kind"))["data"]
    return (
        [{**one, "error": commonest.get(_whose(one))} for one in exact],
        sum(one["count"] for one in kinds),
    )


def by_endpoint(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return groups by endpoint, kind and error, the largest first, as those by endpoint and kind.

    `error` is then the commonest one.
    """
    found: dict[Any, dict[str, Any]] = {}
    for group in groups:
        one = found.setdefault(_whose(group), {**group, "count": 0})
        one["count"] += group["count"]
        one["first_at"] = min(one["first_at"], group["first_at"])
        one["last_at"] = max(one["last_at"], group["last_at"])
    return sorted(found.values(), key=lambda one: -one["count"])


def _whose(group: dict[str, Any]) -> tuple[str, str | None, str]:
    return group["partner"]["id"], group["endpoint"], group["kind"]


async def pause(visit: Visit) -> Answer:
    """Let nothing more of a queue start."""
    await visit.do("POST", f"/v1/queues/{visit.params['name']}/pause")
    return visit.goes(PATH, notice="paused")


async def resume(visit: Visit) -> Answer:
    """Let a queue go on."""
    await visit.do("POST", f"/v1/queues/{visit.params['name']}/resume")
    return visit.goes(PATH, notice="resumed")


def by_queue(types: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return the types of each queue: a list of its tasks is one of each type."""
    found: dict[str, list[str]] = {}
    for one in types:
        found.setdefault(one["queue"], []).append(one["type"])
    return found


def by_host(workers: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the workers of each host."""
    hosts: dict[str, list[dict[str, Any]]] = {}
    for worker in workers:
        hosts.setdefault(worker["host"], []).append(worker)
    return dict(sorted(hosts.items()))


_ADMINS: Final = (ADMIN,)

ROWS: Final[tuple[Row, ...]] = (
    Row(PATH, show, name="Now", sides=_ADMINS),
    does("queues/{name}/pause", pause, below=PATH, sides=_ADMINS),
    does("queues/{name}/resume", resume, below=PATH, sides=_ADMINS),
)
