"""How requests are said: paths, bodies, idempotency keys, long polls and pages."""

import time
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypeVar
from urllib.parse import quote

from webhookd.client.documents import Document, Page
from webhookd.client.errors import TimedOut
from webhookd.client.steps import Call, Emit, Pause, Request, Stream

LONG_POLL_SECONDS: Final = 30
"""Below the 45 s that the service holds a call at most, and the 50 and 60 s at which proxies give up."""
LEAST_PAUSE_SECONDS: Final = 0.25
"""Between two long polls of which the first was answered at once with nothing new."""
PAGE_LIMIT: Final = 500
CURSOR: Final = "cursor"

D = TypeVar("D", bound=Document)


def reading(path: str, query: Mapping[str, Any] | None = None, *, wait_seconds: float = 0.0) -> Request:
    return Request(method="GET", path=path, query=query or {}, wait_seconds=wait_seconds)


def posting(
    path: str,
    json: Any = None,
    *,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
    wait_seconds: float = 0.0,
) -> Request:
    sent = {"Idempotency-Key": key or new_key(), **(headers or {})}
    return Request(method="POST", path=path, json=json, headers=sent, wait_seconds=wait_seconds)


def held(kind: type[D], path: str, version: int | None, seconds: float) -> Call[D]:
    """Long-poll once: what is newer than `version`, or the same again after at most `seconds`."""
    asked_at = time.monotonic()
    # A whole second at least: 0 would be answered at once, over and over.
    whole = max(1, min(LONG_POLL_SECONDS, round(seconds)))
    news = kind.of((yield reading(path, {"wait": whole, "version": version}, wait_seconds=whole)))
    if news.get("version") == version and time.monotonic() - asked_at < LEAST_PAUSE_SECONDS:
        yield Pause(LEAST_PAUSE_SECONDS)
    return news


def until_done(kind: type[D], path: str, timeout: float | None) -> Call[D]:
    """Long-poll until it is done. Raises TimedOut after `timeout` seconds (None: never)."""
    deadline = None if timeout is None else time.monotonic() + timeout
    now = kind.of((yield reading(path)))
    while not now["done"]:
        left = LONG_POLL_SECONDS if deadline is None else deadline - time.monotonic()
        if timeout is not None and left <= 0:
            raise TimedOut(now, timeout)
        now = yield from held(kind, path, now["version"], left)
    return now


def versions(kind: type[D], path: str) -> Stream[D]:
    """Iterate over the versions from the present one to the final one."""
    now = kind.of((yield reading(path)))
    yield Emit(now)
    while not now["done"]:
        news = yield from held(kind, path, now["version"], LONG_POLL_SECONDS)
        if news["version"] != now["version"]:
            yield Emit(news)
        now = news


def listed(kind: type[D], path: str, filters: Mapping[str, Any], *, by: str = CURSOR) -> Stream[D]:
    """Iterate over a listing; `by` takes a page's `next_cursor`. The feed always has one, and ends empty."""
    query: dict[str, Any] = {"limit": PAGE_LIMIT, **filtering(filters)}
    for name, value in (query.pop("metadata", None) or {}).items():
        query[f"metadata.{name}"] = value
    while True:
        page = Page.of((yield reading(path, query)))
        for row in page.data:
            yield Emit(kind(row))
        if page.next_cursor is None or (by != CURSOR and not page.data):
            return
        query[by] = page.next_cursor


def id_of(of: str | Mapping[str, Any]) -> str:
    return of if isinstance(of, str) else str(of["id"])


def path_of(*steps: str) -> str:
    """Return `v1/…` of these steps; an id cannot leave its step."""
    return "v1/" + "/".join(quote(step, safe="") for step in steps)


def given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def time_of(at: datetime | str | None) -> str | None:
    """Return RFC 3339; a time without a zone is this machine's."""
    return at.astimezone().isoformat() if isinstance(at, datetime) else at


def filtering(filters: Mapping[str, Any]) -> dict[str, Any]:
    """Return filters with their times as the API takes them."""
    return {name: time_of(value) if isinstance(value, datetime) else value for name, value in filters.items()}


def new_key() -> str:
    return str(uuid.uuid4())
