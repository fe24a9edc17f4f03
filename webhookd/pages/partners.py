"""Partners: limits, use, keys, suspending, a link into the portal, and what was done about each."""

from typing import Any, Final

from webhookd.api.answers import Answer
from webhookd.pages.forms import Form
from webhookd.pages.page_rows import ADMIN, Row, does
from webhookd.pages.visit import Visit

PATH: Final = "partners"
_LIMITS: Final = ("rate_per_second", "burst", "max_queued")


async def show_all(visit: Visit) -> Answer:
    """The list, newest first."""
    page = await visit.look("/v1/partners", visit.filters(("cursor",)))
    return visit.page("partners.html", title="Partners", page=page)


async def show(visit: Visit) -> Answer:
    """One partner."""
    partner_id = visit.params["id"]
    # First what is below the partner: where there is none, that is not found.
    keys = await visit.get(f"/v1/partners/{partner_id}/keys", limit=100)
    # The listing's partner has no use; a partner's own look at itself has.
    partner = await visit.get("/v1/partner", partner=partner_id)
    audit = await visit.get("/v1/audit", partner=partner_id, limit=20)
    return visit.page(
        "partner.html", title=partner["name"], partner=partner, keys=keys["data"], audit=audit["data"]
    )


async def create(visit: Visit) -> Answer:
    """Make one and show its key and secret this once."""
    said = await visit.do("POST", "/v1/partners", {"name": visit.form.one("name")})
    return visit.page("partner_made.html", title="Partner made", partner=said.document)


async def save(visit: Visit) -> Answer:
    """Change its name, limits, weight and task types."""
    return await _changed(visit, _settings(visit.form), "saved")


async def suspend(visit: Visit) -> Answer:
    """Refuse its keys for the time being."""
    return await _changed(visit, {"suspended": True}, "suspended")


async def unsuspend(visit: Visit) -> Answer:
    """Take its keys again."""
    return await _changed(visit, {"suspended": False}, "unsuspended")


async def link(visit: Visit) -> Answer:
    """Make a link into its portal and show it this once."""
    partner_id = visit.params["id"]
    said = await visit.do("POST", f"/v1/partners/{partner_id}/portal-link")
    url = said.document["url"]
    # Without a public URL the service knows the path only; whoever reads this is at the right host.
    shown = url if "://" in url else visit.root + url.lstrip("/")
    return visit.page(
        "portal_link.html", title="Portal link", link=said.document, shown=shown, back=f"../{partner_id}"
    )


async def make_key(visit: Visit) -> Answer:
    """Make a key and show it this once."""
    partner_id = visit.params["id"]
    said = await visit.do("POST", f"/v1/partners/{partner_id}/keys", {"name": visit.form.one("name")})
    return visit.page("key_made.html", title="Key made", key=said.document, back=f"../{partner_id}")


async def revoke(visit: Visit) -> Answer:
    """End a key for good."""
    await visit.do("DELETE", f"/v1/keys/{visit.params['key']}")
    return visit.goes(f"{PATH}/{visit.params['id']}", notice="revoked")


async def _changed(visit: Visit, body: dict[str, Any], notice: str) -> Answer:
    partner_id = visit.params["id"]
    await visit.do("PATCH", f"/v1/partners/{partner_id}", body)
    return visit.goes(f"{PATH}/{partner_id}", notice=notice)


def _settings(form: Form) -> dict[str, Any]:
    limits = {name: (form.number if name == _LIMITS[0] else form.whole)(name) for name in _LIMITS}
    return {
        "name": form.one("name"),
        "limits": {name: value for name, value in limits.items() if value is not None},
        "weight": 1 if (weight := form.whole("weight")) is None else weight,
        "task_types": form.one("task_types").replace(",", " ").split(),
    }


_ADMINS: Final = (ADMIN,)
_ONE: Final = f"{PATH}/{{id}}"

ROWS: Final[tuple[Row, ...]] = (
    Row(PATH, show_all, name="Partners", sides=_ADMINS),
    does(PATH, create, sides=_ADMINS, again=show_all),
    Row(_ONE, show, below=PATH, sides=_ADMINS),
    does(_ONE, save, below=PATH, sides=_ADMINS, again=show),
    *(
        does(f"{_ONE}/{name}", handler, below=PATH, sides=_ADMINS)
        for name, handler in (
            ("suspend", suspend),
            ("unsuspend", unsuspend),
            ("link", link),
            ("keys", make_key),
            ("keys/{key}/revoke", revoke),
        )
    ),
)
