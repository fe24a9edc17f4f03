"""Following a batch: the long poll, Server-Sent Events, and the stream of its results.

A batch has no signals of its own. Whoever waits for one is woken by any task of its partner (`Watch.heed`),
and looks once a second anyway; all who wait for the same batch share a look.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import orjson
from pydantic import Field
from starlette.requests import ClientDisconnect
from starlette.types import Send

from webhookd.adapters.store.tasks.batches import get_batch, tasks_of_batch
from webhookd.api import example_ids
from webhookd.api.answers import Answer, Headers, Sendable
from webhookd.api.api_route import AnyRoute, ApiRoute, Returned, follows
from webhookd.api.call import AnyCall, Call, found
from webhookd.api.events import KEEP_ALIVE_SECONDS, Events, last_event_id, write_some
from webhookd.api.granted import BATCH
from webhookd.api.owners import with_owners
from webhookd.api.receipts import shown_to
from webhookd.api.watch import noticing_disconnect, refuse_revoked
from webhookd.api.wire import QueryString, StreamQuery
from webhookd.core.batches import Batch, BatchTasks
from webhookd.core.errors import WebhookdError
from webhookd.core.records import Bounds
from webhookd.core.render import batch_document, task_document
from webhookd.flows.watch import Ended, Watch
from webhookd.runtime.single_flight import RECENT_SECONDS

LOOK_EVERY_SECONDS: Final = 1.0
RESULTS_A_READ: Final = 100
NDJSON: Final = "application/x-ndjson"


class BatchQuery(QueryString):
    """`GET /v1/batches/{id}`. `wait` is in seconds; more than the longest wait are as many."""

    wait: int = Field(0, ge=0)
    """Hold the call until there is news, up to so many seconds; the longest wait is the operator's, or 45."""
    version: int | None = Field(None, ge=0)
    """Answer as soon as the batch's version exceeds this one; without it, when the batch is done."""

    def satisfied_by(self, batch: Batch) -> bool:
        """Whether there is news: a later version; where none was named, the end."""
        return batch.done or (self.version is not None and batch.version > self.version)


class ResultsQuery(QueryString):
    """`GET /v1/batches/{id}/results`."""

    cursor: str | None = Field(None, pattern=r"^task_[0-9a-z]{26}$")
    """The `id` of the last line that was read: go on behind it."""


async def hold_batch(call: Call[None, BatchQuery], batch_id: str, query: BatchQuery) -> Batch:
    """Return a batch as soon as the query is satisfied, or as it is when the time is up or we stop.

    Raises NotFound; RateLimited where the partner has too many waiting; Unauthenticated where the key is
    revoked meanwhile; ClientDisconnect.
    """
    caller, watchers = call.caller, call.parts.watchers
    batch = found(await call.read(get_batch, batch_id, caller.partner_id), "batch")
    seconds = min(query.wait, call.parts.options.max_wait_seconds)
    if query.satisfied_by(batch) or not seconds:
        return batch
    with (
        call.parts.held.one(caller.partner_id),
        watchers.watch(partner_id=caller.partner_id, key_id=caller.review_id) as watch,
        noticing_disconnect(call.receive, watch),
    ):
        watch.heed(batch.partner_id)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not query.satisfied_by(batch) and (left := deadline - loop.time()) > 0 and not watch.ended:
            batch = await _next_look(call, watch, batch, left)
        refuse_revoked(watch)
        if watch.ended is Ended.GONE:
            raise ClientDisconnect
    return batch


async def _next_look(call: AnyCall, watch: Watch, batch: Batch, left: float) -> Batch:
    """Return the batch once something may have changed, at most so many seconds from now."""
    await watch.pause(min(LOOK_EVERY_SECONDS, left))
    store = call.parts.store
    before = asyncio.get_running_loop().time()
    now = await call.parts.batch_reads.get(batch.id, lambda: store.read(get_batch, batch.id, None))
    if now is None or now.version <= batch.version:
        # Its partner's tasks may change a thousand times a second.
        spent = asyncio.get_running_loop().time() - before
        await asyncio.sleep(max(0.0, min(RECENT_SECONDS, left) - spent))
        return batch
    return now


async def follow_batch(call: Call[None, StreamQuery]) -> Sendable:
    """Answer with the stream, or with `204` (do not connect again) where the final version was seen."""
    batch = await call.named(get_batch, "batch")
    seen = last_event_id(call.header(b"last-event-id"))
    if batch.done and seen == batch.version:
        return Answer(status=204, headers={"Cache-Control": "no-store"})
    return BatchEvents(call=call, batch=batch, seen=seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchEvents(Events):
    """Those of a batch. `seen` is the version the reader has, 0 where none."""

    batch: Batch
    seen: int

    async def follow(self, watch: Watch, send: Send) -> None:
        watch.heed(self.batch.partner_id)
        loop = asyncio.get_running_loop()
        batch, base_url = self.batch, self.call.parts.options.base_url
        if batch.version != self.seen:
            await write_some(send, _event(batch, base_url))
        quiet_since = loop.time()
        while not batch.done and watch.ended is None:
            try:
                now = await _next_look(self.call, watch, batch, LOOK_EVERY_SECONDS)
            except WebhookdError:
                return  # the status is out already; the reader connects again, and meets the error then
            if now.version > batch.version:
                batch = now
                await write_some(send, _event(batch, base_url))
                quiet_since = loop.time()
                await asyncio.sleep(RECENT_SECONDS)
            elif loop.time() - quiet_since >= KEEP_ALIVE_SECONDS:
                await write_some(send, b": keep-alive\n\n")
                quiet_since = loop.time()


def _event(batch: Batch, base_url: str) -> bytes:
    body = orjson.dumps(batch_document(batch, base_url=base_url))
    return b"event: batch\nid: %d\ndata: %b\n\n" % (batch.version, body)


async def stream_results(call: Call[None, ResultsQuery]) -> Sendable:
    """`GET /v1/batches/{id}/results`."""
    batch = await call.named(get_batch, "batch")
    return Results(call=call, batch_id=batch.id, cursor=call.query.cursor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The reply: a line a task that has ended, read some at a time, so that it takes no memory."""

    call: AnyCall
    batch_id: str
    cursor: str | None
    status: int = 200

    async def send_to(self, send: Send, *, more_headers: Headers, head: bool) -> None:
        """Write the lines. Raises Unavailable and RateLimited before anything was written.

        What fails later breaks off the body, so that nobody takes a part for the whole.
        """
        lines = self._pages()
        first = b"" if head else await anext(lines, b"")
        headers: Headers = [
            (b"content-type", NDJSON.encode()),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
            *more_headers,
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        if not head:
            await write_some(send, first)
            async for page in lines:
                await write_some(send, page)
        await write_some(send, b"", more=False)

    async def _pages(self) -> AsyncIterator[bytes]:
        base_url, cursor = self.call.parts.options.base_url, self.cursor
        caller = self.call.caller
        wanted = BatchTasks(batch_id=self.batch_id, ended=True)
        while True:
            page, cursor = await self.call.read(
                tasks_of_batch,
                wanted,
                Bounds(limit=RESULTS_A_READ, cursor=cursor),
            )
            if page:
                shown = [shown_to(caller, task_document(one, base_url=base_url)) for one in page]
                owned = await with_owners(self.call, page, shown)
                yield b"".join(orjson.dumps(one) + b"\n" for one in owned)
            if cursor is None:
                return


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="GET",
        path="/v1/batches/{id}/events",
        path_example=example_ids.BATCH_ID,
        handler=follow_batch,
        id="followBatch",
        tag="Batches",
        summary="Follow a batch as Server-Sent Events",
        access="tasks:read",
        token_reads=BATCH,
        token_in_query=True,
        query=StreamQuery,
        headers=("Last-Event-ID",),
        answers=follows("batch"),
    ),
    ApiRoute(
        method="GET",
        path="/v1/batches/{id}/results",
        path_example=example_ids.BATCH_ID,
        handler=stream_results,
        id="readBatchResults",
        tag="Batches",
        summary="Read what has ended of a batch, a line a task",
        access="tasks:read",
        token_reads=BATCH,
        query=ResultsQuery,
        answers={
            200: Returned(
                None,
                "A Task a line (NDJSON), of each that has ended, in the order of submission.",
                media=NDJSON,
            )
        },
    ),
)
