"""Messages: one with its exact bytes, and all of a partner, in an order that never changes: the pull feed.

A cursor is `<feed number>.<partner>.<message>`, to be handed back, not to be read. Every page has one, also
the last and an empty one, so that a reader always knows where to go on. The message is in it because after a
restore of the database the same numbers are given out again: a reader must not take others for those it saw.
"""

import asyncio
import re
from typing import Any, Final

import orjson
from pydantic import Field
from typing_extensions import TypedDict

from webhookd.adapters.store.deliveries.messages import get_message, read_feed
from webhookd.api import example_ids
from webhookd.api.answers import Answer, json_answer, page_answer
from webhookd.api.api_route import AnyRoute, ApiRoute, shows
from webhookd.api.call import Call
from webhookd.api.watch import noticing_disconnect, refuse_revoked
from webhookd.api.wire import DEFAULT_LIMIT, MAX_LIMIT, NoQuery, QueryString, unknown_or_wrong
from webhookd.core.fields import EventName, MessageId, TaskId, Timestamp
from webhookd.core.records import Message

LOOK_EVERY_SECONDS: Final = 1.0
"""For messages no signal tells of, and for lost signals."""
_CURSOR: Final = re.compile(
    r"(?:0|(?P<number>[1-9][0-9]{0,17}))\.(?P<owner>prt_[0-9a-z]{26})(?(number)\.(?P<message>msg_[0-9a-z]{26}))"
)
"""The first one names no message."""


class FeedQuery(QueryString):
    """`GET /v1/messages`. `wait` is in seconds; more than the longest wait are as many."""

    after: str | None = Field(None, min_length=1, max_length=200)
    """The `next_cursor` of the page before; without it from the beginning."""
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)
    """How many a page may have; a page also ends at 4 MiB."""
    wait: float = Field(0.0, ge=0, allow_inf_nan=False)
    """Hold the call until something comes, up to so many seconds; longest is the operator's wait, or 45."""
    partner: str | None = None
    """For admins: whose messages, by the partner's id."""


class FeedMessageDocument(TypedDict):
    """A message of the pull feed: a webhook's body with its id."""

    id: MessageId
    """The `webhook-id` it is delivered with."""
    type: EventName
    """What it tells of."""
    timestamp: Timestamp
    """When that happened."""
    data: dict[str, Any]
    """What it is about: a Task, an Endpoint or a Delivery, by its type."""


class MessageDocument(FeedMessageDocument):
    """A message with what is signed."""

    task_id: TaskId | None
    """The task it is about; null where it is about an endpoint or a delivery."""
    body: str
    """The exact text that is sent and signed, as `id.timestamp.body`; the rest is read from it."""


class FeedPageDocument(TypedDict):
    """Messages after a cursor, the oldest first."""

    data: list[FeedMessageDocument]
    """The messages; there may be none."""
    next_cursor: str
    """The `after` of the next call, on every page."""


async def show(call: Call[None, NoQuery]) -> Answer:
    """`GET /v1/messages/{id}`."""
    return json_answer(200, whole_message_document(await call.named(get_message, "message")))


async def feed(call: Call[None, FeedQuery]) -> Answer:
    """`GET /v1/messages`: at once where there are any after the cursor, else when some come or time is up."""
    query = call.query
    partner_id = (await call.acting_partner(query.partner, place="query")).id
    after_seq, after_id = (0, "") if query.after is None else _read_cursor(query.after, partner_id)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + min(query.wait, call.parts.options.max_wait_seconds)
    page = await call.read(read_feed, partner_id, after_seq=after_seq, limit=query.limit)
    if after_seq > page.last_seq or page.after_id not in (None, after_id):
        raise _unknown_cursor()
    if not page.messages and query.wait:
        watchers, caller = call.parts.watchers, call.caller
        with (
            call.parts.held.one(caller.partner_id),
            watchers.watch(partner_id=caller.partner_id, key_id=caller.key_id) as watch,
            noticing_disconnect(call.receive, watch),
        ):
            watch.heed(partner_id)
            while not page.messages and (left := deadline - loop.time()) > 0 and not watch.ended:
                await watch.pause(min(LOOK_EVERY_SECONDS, left))
                page = await call.parts.store.read(
                    read_feed, partner_id, after_seq=after_seq, limit=query.limit
                )
            refuse_revoked(watch)
    next_cursor = query.after or f"0.{partner_id}"
    if page.messages:
        await call.parts.store.db.make_last()  # no loss of power may give a number told to another message
        next_cursor = f"{page.messages[-1].seq}.{partner_id}.{page.messages[-1].id}"
    return page_answer([message_document(message) for message in page.messages], next_cursor)


def whole_message_document(message: Message) -> Any:
    """Return the message as the feed has it, with its task and the text itself."""
    told = {"id": message.id, "task_id": message.task_id, "body": message.body}
    return orjson.Fragment(orjson.dumps(told)[:-1] + b"," + message.body[1:].encode())


def message_document(message: Message) -> Any:
    """The message's id in front of the very text that was signed."""
    return orjson.Fragment(f'{{"id":"{message.id}",{message.body[1:]}')


def _read_cursor(cursor: str, partner_id: str) -> tuple[int, str]:
    """Return the feed number, and the message that has it."""
    match = _CURSOR.fullmatch(cursor)
    if match is None or match["owner"] != partner_id:
        raise _unknown_cursor()
    return int(match["number"] or 0), match["message"] or ""


def _unknown_cursor() -> Exception:
    return unknown_or_wrong("query", "after", "is not a cursor of this feed")


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="GET",
        path="/v1/messages",
        handler=feed,
        id="readMessages",
        tag="Messages",
        summary="Read the messages after a cursor, or wait for some",
        access="tasks:read",
        query=FeedQuery,
        answers=shows(FeedPageDocument),
    ),
    ApiRoute(
        method="GET",
        path="/v1/messages/{id}",
        path_example=example_ids.MESSAGE_ID,
        handler=show,
        id="getMessage",
        tag="Messages",
        summary="Look at a message and the exact text that is signed",
        access="tasks:read",
        query=NoQuery,
        answers=shows(MessageDocument),
    ),
)
