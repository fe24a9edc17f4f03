"""`GET /v1/tasks/{id}/events`: a task as Server-Sent Events, from what it is now until it is done.

Format and resumption: WHATWG HTML section 9.2. A reader too slow for every version gets the newest.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.types import Send

from webhookd.api import example_ids
from webhookd.api.answers import Answer, Headers, Sendable
from webhookd.api.api_route import AnyRoute, ApiRoute, follows
from webhookd.api.call import AnyCall, Call, found
from webhookd.api.granted import TASK
from webhookd.api.owners import told_whose, with_owner
from webhookd.api.receipts import body_to
from webhookd.api.watch import noticing_disconnect
from webhookd.api.wire import StreamQuery
from webhookd.core.errors import WebhookdError
from webhookd.flows.watch import Snapshot, Watch

KEEP_ALIVE_SECONDS: Final = 15.0
SEND_SECONDS: Final = 20.0
"""How long a reader may take nothing before the connection is cut."""
RETRY_MS: Final = 2_000
"""What an EventSource waits before it connects again."""

EVENT_HEADERS: Final[Headers] = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
]


async def stream_events(call: Call[None, StreamQuery]) -> Sendable:
    """Answer with the stream, or with `204` (do not connect again) where the final version was seen."""
    task_id = call.path_params["id"]
    task = found(await call.parts.watchers.present(task_id, call.caller.partner_id), "task").task
    seen = last_event_id(call.header(b"last-event-id"))
    if task.done and seen == task.version:
        return Answer(status=204, headers={"Cache-Control": "no-store"})
    whose = await with_owner(call, task, {})
    return TaskEvents(call=call, task_id=task_id, seen=seen, whose=whose)


@dataclass(frozen=True, slots=True, kw_only=True)
class Events(ABC):
    """A reply of events, as long as `follow` writes some."""

    call: AnyCall
    status: int = 200

    async def send_to(self, send: Send, *, more_headers: Headers, head: bool) -> None:
        """Write events until the end, the reader's leaving, a revoked key, or our stopping.

        Raises RateLimited, before anything was written, where the partner has too many waiting.
        """
        headers = [*EVENT_HEADERS, *more_headers]
        start = {"type": "http.response.start", "status": self.status, "headers": headers}
        caller, watchers = self.call.caller, self.call.parts.watchers
        if head:
            await send(start)
        else:
            with (
                self.call.parts.held.one(caller.partner_id),
                watchers.watch(partner_id=caller.partner_id, key_id=caller.review_id) as watch,
                noticing_disconnect(self.call.receive, watch),
            ):
                await send(start)
                await write_some(send, b"retry: %d\n\n" % RETRY_MS)
                await self.follow(watch, send)
        await write_some(send, b"", more=False)

    @abstractmethod
    async def follow(self, watch: Watch, send: Send) -> None:
        """Write events until there will be no more, or the watch has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEvents(Events):
    """Those of a task. `seen` is the version the reader has, 0 where none; `whose` is told to admins."""

    task_id: str
    seen: int
    whose: Mapping[str, Any]

    async def follow(self, watch: Watch, send: Send) -> None:
        watch.add([self.task_id])
        try:
            now = await self.call.parts.watchers.present(self.task_id, watch.partner_id)
        except WebhookdError:
            return  # the status is out already; the reader connects again, and meets the error then
        if now is None:
            return
        watch.saw(self.task_id, now.task.version)
        # What has a version beyond this one was told of before a restore, or never: this is news to it.
        if now.task.version != self.seen:
            await write_some(send, self._event(now))
            if now.task.done:
                return
        while watch.ended is None:
            news = await watch.next(KEEP_ALIVE_SECONDS)
            for snapshot in news:
                await write_some(send, self._event(snapshot))
                if snapshot.task.done:
                    return
            if not news and watch.ended is None:
                await write_some(send, b": keep-alive\n\n")

    def _event(self, snapshot: Snapshot) -> bytes:
        body = body_to(self.call.caller, snapshot, base_url=self.call.parts.options.base_url)
        body = told_whose(body, self.whose)
        return b"event: task\nid: %d\ndata: %b\n\n" % (snapshot.task.version, body)


async def write_some(send: Send, data: bytes, *, more: bool = True) -> None:
    """Write, unless the reader takes nothing for SEND_SECONDS. Raises ClientDisconnect then."""
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await send({"type": "http.response.body", "body": data, "more_body": more})
    except TimeoutError:
        raise ClientDisconnect from None


def last_event_id(header: str | None) -> int:
    """Return the version the reader saw last; what is no number of ours counts as none."""
    text = (header or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="GET",
        path="/v1/tasks/{id}/events",
        path_example=example_ids.TASK_ID,
        handler=stream_events,
        id="followTask",
        tag="Tasks",
        summary="Follow a task as Server-Sent Events",
        access="tasks:read",
        token_reads=TASK,
        token_in_query=True,
        query=StreamQuery,
        headers=("Last-Event-ID",),
        answers=follows("task"),
    ),
)
