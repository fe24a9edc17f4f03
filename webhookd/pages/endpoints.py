"""Endpoints: the list, one with its figures, and everything that is done to it."""

from collections.abc import Iterable
from typing import Any, Final

from webhookd.api.answers import Answer
from webhookd.core.errors import NotFound
from webhookd.pages.charts import attempts_chart
from webhookd.pages.forms import Form
from webhookd.pages.page_rows import ENDPOINTS, Row, does
from webhookd.pages.visit import Visit, side_by_side

PATH: Final = "endpoints"
DAY: Final = "24h"
WEEK: Final = "7d"
WINDOWS: Final = ("1h", DAY)
"""Those with a chart each; that of a week is shown where it is asked for."""
ON_A_PAGE: Final = 25
LOOKED_INTO: Final = 3
"""Deliveries whose attempts are shown."""
MOST_ATTEMPTS: Final = 10
TEST_SECONDS: Final = 10
DAY_SECONDS: Final = 86_400
_FILTERS: Final = ("state", "failing", "partner")
_RETRY: Final = ("max_attempts", "base_seconds", "factor", "cap_seconds")


async def show_all(visit: Visit) -> Answer:
    """The list with a day of each."""
    filters, cursor = visit.filters(_FILTERS), visit.query.get("cursor")
    page = await visit.listed("/v1/endpoints", filters, cursor=cursor, limit=ON_A_PAGE)
    looks = (visit.get(f"/v1/endpoints/{one['id']}/stats", window=DAY) for one in page["data"])
    days = {
        stats["endpoint_id"]: (stats, attempts_chart(stats, window=DAY))
        for stats in await side_by_side(*looks)
    }
    return visit.page("endpoints.html", title="Endpoints", page=page, days=days, filters=filters)


async def show(visit: Visit) -> Answer:
    """One endpoint."""
    endpoint_id = visit.params["id"]
    windows = (*WINDOWS, WEEK) if visit.query.get("window") == WEEK else WINDOWS
    endpoint, last, *figures = await side_by_side(
        visit.get(f"/v1/endpoints/{endpoint_id}"),
        visit.get("/v1/deliveries", endpoint=endpoint_id, limit=10),
        *(visit.get(f"/v1/endpoints/{endpoint_id}/stats", window=window) for window in windows),
    )
    stats = dict(zip(windows, figures, strict=True))
    return visit.page(
        "endpoint.html",
        title="Endpoint",
        endpoint=endpoint,
        stats=stats[DAY],
        charts={window: attempts_chart(one, window=window) for window, one in stats.items()},
        week=WEEK,
        last=last["data"],
        attempts=await _last_attempts(visit, last["data"]),
    )


async def urls_of(visit: Visit, endpoint_ids: Iterable[str]) -> dict[str, str]:
    """Return where these endpoints are; a deleted one is left out."""

    async def url_of(endpoint_id: str) -> tuple[str, str] | None:
        try:
            return endpoint_id, (await visit.get(f"/v1/endpoints/{endpoint_id}"))["url"]
        except NotFound:
            return None

    return dict(one for one in await side_by_side(*map(url_of, endpoint_ids)) if one is not None)


async def _last_attempts(visit: Visit, deliveries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the newest attempts of these deliveries, the newest first, each with its delivery."""
    tried = [one for one in deliveries if one["attempts"]][:LOOKED_INTO]
    histories = await side_by_side(*(visit.get(f"/v1/deliveries/{one['id']}") for one in tried))
    found = [
        {**attempt, "delivery": delivery}
        for delivery, history in zip(tried, histories, strict=True)
        for attempt in history["attempts_log"]
    ]
    return sorted(found, key=lambda one: str(one["at"]), reverse=True)[:MOST_ATTEMPTS]


async def disable(visit: Visit) -> Answer:
    """Park what is for it."""
    return await _order(visit, "disable", "disabled")


async def enable(visit: Visit) -> Answer:
    """Let out what was parked."""
    return await _order(visit, "enable", "enabled")


async def retry(visit: Visit) -> Answer:
    """Make all that waits due now."""
    return await _order(visit, "retry", "retrying")


async def test(visit: Visit) -> Answer:
    """Send one message and show what came back."""
    endpoint_id = visit.params["id"]
    said = await visit.do("POST", f"/v1/endpoints/{endpoint_id}/test", prefer=f"wait={TEST_SECONDS}")
    return visit.page("endpoint_test.html", title="Test", endpoint_id=endpoint_id, delivery=said.document)


async def ask_rotate(visit: Visit) -> Answer:
    """Ask for how long the old secret signs too; with an answer, make a new one and show it this once."""
    visit.must(ENDPOINTS)
    endpoint_id = visit.params["id"]
    if not visit.form.one("go"):
        return await rotating(visit)
    said = await visit.do("POST", f"/v1/endpoints/{endpoint_id}/rotate-secret", rotation(visit.form))
    return visit.page("rotate.html", title="Rotate", back=f"../{endpoint_id}", rotated=said.document)


async def rotating(visit: Visit) -> Answer:
    """The form of a rotation, of a thing's secret or a partner's."""
    back = f"../{visit.params.get('id', 'keys')}"
    return visit.page("rotate.html", title="Rotate", back=back, overlap=DAY_SECONDS, rotated=None)


def rotation(form: Form) -> dict[str, Any]:
    """Return what a form asks of a new secret."""
    body: dict[str, Any] = {}
    if (overlap := form.number("overlap_seconds")) is not None:
        body["overlap_seconds"] = overlap
    if secret := form.one("secret"):
        body["secret"] = secret
    return body


async def edit(visit: Visit) -> Answer:
    """The form with its settings."""
    visit.must(ENDPOINTS)
    endpoint = await visit.get(f"/v1/endpoints/{visit.params['id']}")
    return visit.page("endpoint_edit.html", title="Edit", endpoint=endpoint, back=f"../{endpoint['id']}")


async def save(visit: Visit) -> Answer:
    """Change its settings."""
    endpoint_id = visit.params["id"]
    await visit.do("PATCH", f"/v1/endpoints/{endpoint_id}", _settings(visit.form))
    return visit.goes(f"{PATH}/{endpoint_id}", notice="saved")


async def new(visit: Visit) -> Answer:
    """The form of a new one."""
    visit.must(ENDPOINTS)
    return visit.page("endpoint_edit.html", title="New endpoint", endpoint=None, back=f"../{PATH}")


async def create(visit: Visit) -> Answer:
    """Register it and show its secret this once."""
    settings = {name: value for name, value in _settings(visit.form).items() if value not in (None, [])}
    settings["retry"] = {name: value for name, value in settings["retry"].items() if value is not None}
    if partner := visit.form.one("partner"):
        settings["partner"] = partner
    said = await visit.do("POST", "/v1/endpoints", settings)
    return visit.page("endpoint_made.html", title="Endpoint registered", endpoint=said.document)


async def delete(visit: Visit) -> Answer:
    """Ask, then remove it."""
    visit.must(ENDPOINTS)
    endpoint_id = visit.params["id"]
    if not visit.form.one("go"):
        return visit.page("endpoint_delete.html", title="Delete", back=f"../{endpoint_id}")
    await visit.do("DELETE", f"/v1/endpoints/{endpoint_id}")
    return visit.goes(PATH, notice="deleted")


async def _order(visit: Visit, order: str, notice: str) -> Answer:
    endpoint_id = visit.params["id"]
    await visit.do("POST", f"/v1/endpoints/{endpoint_id}/{order}")
    return visit.goes(f"{PATH}/{endpoint_id}", notice=notice)


def _settings(form: Form) -> dict[str, Any]:
    """Return the settings of a form; what is empty is the default again."""
    return {
        "url": form.one("url"),
        "description": form.one("description"),
        "events": _names(form.one("events")) or None,
        "task_types": _names(form.one("task_types")),
        "rate_limit": form.number("rate_limit"),
        "max_concurrency": form.whole("max_concurrency"),
        "ordering": form.one("ordering") or "none",
        "retry": {name: (form.whole if name == "max_attempts" else form.number)(name) for name in _RETRY},
    }


def _names(text: str) -> list[str]:
    return [name for name in text.replace(",", " ").split() if name]


_ONE: Final = f"{PATH}/{{id}}"

ROWS: Final[tuple[Row, ...]] = (
    Row(PATH, show_all, name="Endpoints"),
    Row(f"{PATH}/new", new, below=PATH),
    does(f"{PATH}/new", create, below=PATH, again=new),
    Row(_ONE, show, below=PATH),
    Row(f"{_ONE}/edit", edit, below=PATH),
    does(f"{_ONE}/edit", save, below=PATH, again=edit),
    does(f"{_ONE}/rotate", ask_rotate, below=PATH, again=rotating),
    *(
        does(f"{_ONE}/{name}", handler, below=PATH)
        for name, handler in (
            ("disable", disable),
            ("enable", enable),
            ("retry", retry),
            ("test", test),
            ("delete", delete),
        )
    ),
)
