"""The style and the script of the pages: files of our own, cached for good under the mark of their bytes."""

import asyncio
import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from webhookd.api.answers import Answer
from webhookd.api.edge import context_of
from webhookd.api.problems import WrongMethod
from webhookd.core.errors import NotFound

FOLDER: Final = Path(__file__).with_name("static")
_KINDS: Final = {
    "pages.css": "text/css; charset=utf-8",
    "pages.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_PATH: Final = "/pages/{name}"


def static_routes() -> list[Route]:
    """Return the route of the files."""
    return [Route(_PATH, _StaticFiles())]


@cache
def read(name: str) -> bytes:
    """Return a file."""
    return (FOLDER / name).read_bytes()


@cache
def mark() -> str:
    """Return what changes with the files, so that they can be cached for good."""
    return hashlib.sha256(b"".join(read(name) for name in _KINDS)).hexdigest()[:12]


class _StaticFiles:
    """The files by name, as an ASGI application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's shape
        context_of(scope).route = _PATH
        name = scope["path_params"]["name"]
        if name not in _KINDS:
            raise NotFound("There is nothing at this path.")
        if scope["method"] not in ("GET", "HEAD"):
            raise WrongMethod("GET, HEAD")
        answer = Answer(
            status=200,
            body=await asyncio.to_thread(read, name),
            content_type=_KINDS[name],
            headers={"Cache-Control": "public, max-age=31536000, immutable"},
        )
        more = context_of(scope).more_headers
        await answer.send_to(send, more_headers=more, head=scope["method"] == "HEAD")
