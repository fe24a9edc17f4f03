"""Now: how the installation stands, for whoever comes to see whether something is wrong."""

from typing import Any, Final

from webhookd.api.answers import Answer
from webhookd.core.errors import NotFound, Unavailable
from webhookd.pages.charts import latency_chart, throughput_chart
from webhookd.pages.rows import ADMIN, Row, does, shows
from webhookd.pages.visit import Visit

PATH: Final = "now"
MOST_GROUPS: Final = 10
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
    parts = await _readiness(visit)
    asked = visit.query.get("window")
    window = asked if asked in STEPS else WINDOW
    activity = await visit.get("/v1/activity", window=window)
    queues = await visit.get("/v1/queues", limit=200)
    workers = await visit.get("/v1/workers", limit=200)
    dead = await visit.get("/v1/dead-letters/summary", group_by="endpoint,error")
    groups = dead["data"][:MOST_GROUPS]
    replays = await visit.get("/v1/replays", limit=20)
    failing = await visit.get("/v1/endpoints", state="enabled", failing="true", limit=MOST_GROUPS)
    disabled = await visit.get("/v1/endpoints", state="disabled", limit=MOST_GROUPS)
    return visit.page(
        "now.html",
        title="Now",
        parts=[{"name": name, **parts[key]} for key, name in _PARTS],
        queues=queues["data"],
        window=window,
        windows=tuple(STEPS),
        activity=_drawn(activity, window),
        hosts=by_host(workers["data"]),
        dead=groups,
        urls=await _urls(visit, {one["endpoint"] for one in groups if one["endpoint"]}),
        troubled=[*failing["data"], *disabled["data"]],
        more_troubled=bool(failing["next_cursor"] or disabled["next_cursor"]),
        dead_total=sum(one["count"] for one in dead["data"]),
        replays=[one for one in replays["data"] if one["state"] in ("running", "paused")],
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


async def _urls(visit: Visit, endpoint_ids: set[str]) -> dict[str, str]:
    """Return where these endpoints are; a deleted one is left out."""
    urls = {}
    for endpoint_id in endpoint_ids:
        try:
            urls[endpoint_id] = (await visit.get(f"/v1/endpoints/{endpoint_id}"))["url"]
        except NotFound:
            continue
    return urls


async def pause(visit: Visit) -> Answer:
    """Let nothing more of a queue start."""
    await visit.do("POST", f"/v1/queues/{visit.params['name']}/pause")
    return visit.goes(PATH, notice="paused")


async def resume(visit: Visit) -> Answer:
    """Let a queue go on."""
    await visit.do("POST", f"/v1/queues/{visit.params['name']}/resume")
    return visit.goes(PATH, notice="resumed")


def by_host(workers: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the workers of each host."""
    hosts: dict[str, list[dict[str, Any]]] = {}
    for worker in workers:
        hosts.setdefault(worker["host"], []).append(worker)
    return dict(sorted(hosts.items()))


_ADMINS: Final = (ADMIN,)

ROWS: Final[tuple[Row, ...]] = (
    shows(PATH, show, name="Now", sides=_ADMINS),
    does("queues/{name}/pause", pause, below=PATH, sides=_ADMINS),
    does("queues/{name}/resume", resume, below=PATH, sides=_ADMINS),
)
