"""`/docs`: the description as a page, in Swagger UI, which comes with the package `swagger-ui-py`.

Of that package only two files are used, and none of its code. Nothing is loaded from anywhere else, and
nothing stands inline: the policy allows this origin's scripts, styles and answers, and nothing more.
"""

import asyncio
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from webhookd.api.answers import Answer
from webhookd.api.edge import context_of
from webhookd.api.problems import WrongMethod
from webhookd.core.errors import NotFound

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PACKAGE: Final = "swagger_ui"
_KINDS: Final = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "start.js": "text/javascript; charset=utf-8",
}
_ALLOW: Final = "GET, HEAD, OPTIONS"
_PATH: Final = "/docs/{name}"


def page() -> str:
    """Return the page; what it needs it finds beside itself, below whatever prefix."""
    mark = version("swagger-ui-py")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>webhookd: API</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><link rel="stylesheet" href="docs/swagger-ui.css?{mark}"></head>'
        '<body><main id="reader"><noscript>This page is a script that reads '
        '<a href="openapi.json">/openapi.json</a>, which is for programs.</noscript></main>'
        f'<script src="docs/swagger-ui-bundle.js?{mark}"></script>'
        f'<script src="docs/start.js?{mark}"></script>'
        "</body></html>"
    )


def file_routes() -> list[Route]:
    """Return the route of the page's files. They are no calls of the API, so they are not described."""
    return [Route(_PATH, _ReaderFiles())]


class _ReaderFiles:
    """The files by name, as an ASGI application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's shape
        context = context_of(scope)
        context.route = _PATH
        name = scope["path_params"]["name"]
        if name not in _KINDS:
            raise NotFound("There is nothing at this path.")
        answer = Answer(status=204, headers={"Allow": _ALLOW})
        if scope["method"] in ("GET", "HEAD"):
            answer = Answer(
                status=200,
                body=await asyncio.to_thread(_read, name),
                content_type=_KINDS[name],
                headers={"Cache-Control": "public, max-age=86400"},
            )
        elif scope["method"] != "OPTIONS":
            raise WrongMethod(_ALLOW)
        await answer.send_to(send, more_headers=context.more_headers, head=scope["method"] == "HEAD")


@cache
def _read(name: str) -> bytes:
    """Return a file. Swagger UI's package is looked up, not imported: its code brings a template engine."""
    if name == "start.js":
        return Path(__file__).with_name(name).read_bytes()
    package = find_spec(_PACKAGE)
    assert package is not None  # noqa: S101 - it is installed with us
    assert package.submodule_search_locations is not None  # noqa: S101 - and is a package
    return Path(package.submodule_search_locations[0], "static", name).read_bytes()
