"""`/openapi.json` and `/docs`: the description of the API, for programs and for people.

Both are made once a process, at the first request (some 200 ms, beside the event loop).
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import orjson

from webhookd.api.answers import Answer
from webhookd.api.api_route import OPEN, AnyRoute, ApiRoute, Returned
from webhookd.api.call import Call
from webhookd.api.description.openapi import openapi_document
from webhookd.api.description.page import CONTENT_SECURITY_POLICY, page
from webhookd.api.wire import NoQuery

_HEADERS: Final = {"Cache-Control": "public, max-age=300"}


class Description:
    """The answers, once they are made. `rows` are the other routes; these two describe themselves too."""

    def __init__(self, rows: Sequence[AnyRoute]) -> None:
        self.routes: tuple[AnyRoute, ...] = (
            ApiRoute(
                method="GET",
                path="/openapi.json",
                handler=self.show_document,
                id="getOpenApi",
                tag="Operations",
                summary="Read this description",
                access=OPEN,
                query=NoQuery,
                answers={200: Returned(None, "An OpenAPI 3.1 document.", ("Cache-Control",))},
            ),
            ApiRoute(
                method="GET",
                path="/docs",
                handler=self.show_page,
                id="getDocs",
                tag="Operations",
                summary="Read this description as a page",
                access=OPEN,
                query=NoQuery,
                answers={
                    200: Returned(
                        None,
                        "A page without scripts.",
                        ("Cache-Control", "Content-Security-Policy"),
                        "text/html",
                    )
                },
            ),
        )
        self._rows = (*rows, *self.routes)
        self._made: dict[str, tuple[Answer, Answer]] = {}

    async def show_document(self, call: Call[None, NoQuery]) -> Answer:
        """`GET /openapi.json`."""
        return (await self._answers(call.parts.options.base_url))[0]

    async def show_page(self, call: Call[None, NoQuery]) -> Answer:
        """`GET /docs`."""
        return (await self._answers(call.parts.options.base_url))[1]

    async def _answers(self, base_url: str) -> tuple[Answer, Answer]:
        if base_url not in self._made:
            self._made[base_url] = await asyncio.to_thread(self._make, base_url)
        return self._made[base_url]

    def _make(self, base_url: str) -> tuple[Answer, Answer]:
        document = openapi_document(self._rows, base_url=base_url)
        return (
            Answer(status=200, body=orjson.dumps(document), headers=_HEADERS),
            Answer(
                status=200,
                body=page(document).encode(),
                content_type="text/html; charset=utf-8",
                headers={**_HEADERS, "Content-Security-Policy": CONTENT_SECURITY_POLICY},
            ),
        )


def routes(rows: Sequence[AnyRoute]) -> tuple[AnyRoute, ...]:
    """Return the two routes that describe `rows` and themselves."""
    return Description(rows).routes
