"""What a handler returns: an `Answer`, written out whole.

Streams (Server-Sent Events) are replies of another kind: whatever has `send_to`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, Protocol, TypeVar

import orjson
from starlette.types import Send
from typing_extensions import TypedDict

from webhookd.adapters.store.paging import MAX_PAGE_BYTES

JSON: Final = "application/json"
Headers = list[tuple[bytes, bytes]]


class Sendable(Protocol):
    """What can be sent as the response to a request."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    async def send_to(self, send: Send, *, more_headers: Headers, head: bool) -> None:
        """Write the response. `head`: the request was HEAD, so headers only."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole response. `headers` has no Content-Type or Content-Length; they follow from the body.

    JSON is sent with a line feed at its end, which terminals want and parsers do not mind.
    """

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    async def send_to(self, send: Send, *, more_headers: Headers, head: bool) -> None:
        """Write the response in two ASGI messages."""
        body = self.body + b"\n" if self.body and self.content_type.endswith("json") else self.body
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        if self.status not in (204, 304):
            headers.append((b"content-type", self.content_type.encode()))
            headers.append((b"content-length", str(len(body)).encode()))
        headers += more_headers
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if head else body})


def unstored(answer: Answer) -> Answer:
    """Return the answer with `Cache-Control: no-store`, unless it says itself what caches may do."""
    if "Cache-Control" in answer.headers:
        return answer
    return replace(answer, headers={**answer.headers, "Cache-Control": "no-store"})


def json_answer(status: int, document: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """Return `document` (anything orjson writes) as JSON."""
    return Answer(status=status, body=orjson.dumps(document), headers=headers or {})


T = TypeVar("T")


class Page(TypedDict, Generic[T]):
    """A page of a listing."""

    data: list[T]
    """What is listed, in its order."""
    next_cursor: str | None
    """Where there is more: the `cursor` of the next call. Null on the last page."""


def fitting(documents: Iterable[T]) -> list[T]:
    """Return the first of these that MAX_PAGE_BYTES have room for, one at least where there is one."""
    fit: list[T] = []
    left = MAX_PAGE_BYTES
    for document in documents:
        left -= len(orjson.dumps(document)) + 1
        if left < 0 and fit:
            break
        fit.append(document)
    return fit


def page_answer(documents: list[Any], next_cursor: str | None) -> Answer:
    """Return a page of a listing: `{"data": […], "next_cursor": …}`."""
    return json_answer(200, {"data": documents, "next_cursor": next_cursor})
