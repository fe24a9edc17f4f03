"""Keys: a partner's own keys, what it uses of its quotas, and the secret of its inline callbacks."""

from typing import Any, Final

from webhookd.api.answers import Answer
from webhookd.core.errors import Forbidden
from webhookd.pages.endpoints import rotating, rotation
from webhookd.pages.page_rows import ENDPOINTS, PORTAL, Row, does
from webhookd.pages.visit import Visit

PATH: Final = "keys"


async def show(visit: Visit) -> Answer:
    """The list, where this key may see it."""
    partner = await visit.get("/v1/partner")
    keys: list[Any] | None
    try:
        keys = (await visit.get("/v1/keys", limit=100))["data"]
    except Forbidden:
        keys = None
    return visit.page("keys.html", title="Keys", partner=partner, keys=keys)


async def make(visit: Visit) -> Answer:
    """Make a key and show it this once."""
    said = await visit.do("POST", "/v1/keys", {"name": visit.form.one("name")})
    return visit.page("key_made.html", title="Key made", key=said.document, back=PATH)


async def revoke(visit: Visit) -> Answer:
    """End a key for good."""
    await visit.do("DELETE", f"/v1/keys/{visit.params['id']}")
    return visit.goes(PATH, notice="revoked")


async def rotate(visit: Visit) -> Answer:
    """Ask for how long the old secret signs too; with an answer, make a new one and show it this once."""
    visit.must(ENDPOINTS)
    if not visit.form.one("go"):
        return await rotating(visit)
    said = await visit.do("POST", "/v1/partner/rotate-secret", rotation(visit.form))
    return visit.page("rotate.html", title="Rotate", back=f"../{PATH}", rotated=said.document)


_PARTNERS: Final = (PORTAL,)

ROWS: Final[tuple[Row, ...]] = (
    Row(PATH, show, name="Keys", sides=_PARTNERS),
    does(PATH, make, sides=_PARTNERS, again=show),
    does("keys/rotate", rotate, below=PATH, sides=_PARTNERS, again=rotating),
    does(f"{PATH}/{{id}}/revoke", revoke, below=PATH, sides=_PARTNERS),
)
