"""`/openapi.json` and `/docs`: the description of the API, for programs and for people.

Both are made once a process, at the first request (some 300 ms, beside the event loop); what differs between
requests is the server that is named, which is the one that was asked.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import orjson
from pydantic import Field

from webhookd.api.answers import Answer
from webhookd.api.api_route import OPEN, AnyRoute, ApiRoute, Returned
from webhookd.api.call import Call
from webhookd.api.description.page import CONTENT_SECURITY_POLICY, page
from webhookd.api.wire import NoQuery, QueryString

_HEADERS: Final = {"Cache-Control": "public, max-age=300"}
_PLACE: Final = "https://this.invalid"
_HOST: Final = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}")


class DescriptionQuery(QueryString):
    """`GET /openapi.json`."""

    audience: Literal["partner"] | None = Field(None, alias="for")
    """`partner`: without what is only for admins."""


@dataclass(frozen=True, slots=True)
class _Made:
    """The answers but for the server: `whole` and `partners` are JSON around the place where it stands."""

    whole: tuple[bytes, bytes]
    partners: tuple[bytes, bytes]
    page: bytes


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
                query=DescriptionQuery,
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
                        "A page that reads it, with everything that can be tried.",
                        ("Cache-Control", "Content-Security-Policy"),
                        media="text/html",
                    )
                },
            ),
        )
        self._rows = (*rows, *self.routes)
        self._made: _Made | None = None

    async def show_document(self, call: Call[None, DescriptionQuery]) -> Answer:
        """`GET /openapi.json`."""
        made = await self._answers()
        before, after = made.whole if call.query.audience is None else made.partners
        server = orjson.dumps(call.parts.options.base_url or _origin(call))
        return Answer(status=200, body=before + server + after, headers=_HEADERS)

    async def show_page(self, call: Call[None, NoQuery]) -> Answer:  # noqa: ARG002 - every handler takes a call
        """`GET /docs`."""
        return Answer(
            status=200,
            body=(await self._answers()).page,
            content_type="text/html; charset=utf-8",
            headers={**_HEADERS, "Content-Security-Policy": CONTENT_SECURITY_POLICY},
        )

    async def _answers(self) -> _Made:
        if self._made is None:
            self._made = await asyncio.to_thread(self._make)
        return self._made

    def _make(self) -> _Made:
        # Imported where it is used: its examples take the task types that ship along, which no API needs.
        from webhookd.api.description.audience import for_partners
        from webhookd.api.description.openapi import openapi_document

        document = openapi_document(self._rows, base_url=_PLACE)
        place = orjson.dumps(_PLACE)
        before, _, after = orjson.dumps(document).partition(place)
        partners_before, _, partners_after = orjson.dumps(for_partners(document)).partition(place)
        return _Made(
            whole=(before, after),
            partners=(partners_before, partners_after),
            page=page().encode(),
        )


def _origin(call: Call[None, DescriptionQuery]) -> str:
    """Return scheme and host as they were asked; `/` where the host is none."""
    host = call.header(b"host") or ""
    return f"{call.scheme}://{host}" if _HOST.fullmatch(host) else "/"


def routes(rows: Sequence[AnyRoute]) -> tuple[AnyRoute, ...]:
    """Return the two routes that describe `rows` and themselves."""
    return Description(rows).routes
