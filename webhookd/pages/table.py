"""Every page, in the order of the navigation."""

from collections.abc import Sequence
from typing import Final

from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from webhookd.api.answers import Answer
from webhookd.api.app import ROUTES
from webhookd.api.auth import Authenticator
from webhookd.api.edge import context_of
from webhookd.api.inside import Inside
from webhookd.api.parts import ApiParts
from webhookd.api.problems import WrongMethod
from webhookd.api.routes import starlette_routes
from webhookd.pages import (
    audit,
    batches,
    dead_letters,
    deliveries,
    endpoints,
    files,
    keys,
    log_in,
    now,
    partners,
    replays,
    tasks,
    verify,
)
from webhookd.pages.page_rows import ADMIN, PORTAL, Row
from webhookd.pages.page_sessions import cookie_name, cookies
from webhookd.pages.site import Site
from webhookd.pages.visit import Visit, redirect

FIRST: Final = {ADMIN: now.PATH, PORTAL: endpoints.PATH}
"""Where each side begins."""


async def _first(visit: Visit) -> Answer:
    return visit.goes(FIRST[visit.side])


ROWS: Final[Sequence[Row]] = (
    Row("", _first),
    *now.ROWS,
    *tasks.ROWS,
    *batches.ROWS,
    *endpoints.ROWS,
    *deliveries.ROWS,
    *dead_letters.ROWS,
    *replays.ROWS,
    *files.ROWS,
    *keys.ROWS,
    *partners.ROWS,
    *audit.ROWS,
    *verify.ROWS,
    *log_in.ROWS,
)


def page_routes(
    parts: ApiParts, authenticator: Authenticator, *, portal_ancestors: str = ""
) -> list[BaseRoute]:
    """Return the routes of the pages, for `create_app`."""
    site = Site(
        parts,
        authenticator,
        Inside(starlette_routes(ROUTES, parts, authenticator)),
        rows=ROWS,
        open_rows=log_in.OPEN_ROWS,
        portal_ancestors=portal_ancestors,
    )
    return [Route("/", _Root()), *site.routes()]


class _Root:
    """`/`: people are led to the pages, programs to the description."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's shape
        context = context_of(scope)
        context.route = "/"
        if scope["method"] not in ("GET", "HEAD"):
            raise WrongMethod("GET, HEAD")
        answer = redirect("openapi.json", {"Vary": "Accept"})
        if b"text/html" in context.headers.get(b"accept", b""):
            side = PORTAL if cookie_name(PORTAL) in cookies(context.headers) else ADMIN
            answer = redirect(f"{side}/", {"Vary": "Accept"})
        await answer.send_to(send, more_headers=context.more_headers, head=scope["method"] == "HEAD")
