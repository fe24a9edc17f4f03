"""A row a route: everything there is to say of a call, for the router and for /openapi.json alike."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from webhookd.api.answers import JSON, Page, Sendable
from webhookd.api.call import Call
from webhookd.api.parts import ApiOptions
from webhookd.api.wire import QueryString
from webhookd.flows.rates import RateKind

B = TypeVar("B")
Q = TypeVar("Q", bound=QueryString)

ANY_KEY: Final = "any key"
ADMIN: Final = "admin"
OPEN: Final = "open"

TASK_HEADERS: Final = ("ETag", "Cache-Control")
"""What an answer that is a task has."""


@dataclass(frozen=True, slots=True)
class Returned:
    """One answer: its document (None: no JSON body), what it means, and headers of its own.

    `headers` always come, `perhaps` do not.

    `document` is a type that pydantic can describe: a TypedDict, or a union of some under a name. `media` is
    the content type, None where there is no body.
    """

    document: Any
    meaning: str
    headers: tuple[str, ...] = ()
    perhaps: tuple[str, ...] = ()
    media: str | None = JSON


def shows(document: Any, *headers: str) -> dict[int, Returned]:
    """Return the answers of a call that shows something."""
    return {200: Returned(document, "As it is now.", headers)}


def lists(document: Any) -> dict[int, Returned]:
    """Return the answers of a listing."""
    return {200: Returned(Page[document], "A page of them.")}


def makes(document: Any) -> dict[int, Returned]:
    """Return the answers of a call that makes something with secrets in it."""
    return {201: Returned(document, "Made. Secrets in it are shown this once.", ("Location",))}


def follows(event: str) -> dict[int, Returned]:
    """Return the answers of a call that streams a thing's versions as events of this name."""
    told = f"Events `{event}` with a {event.capitalize()} each, until it is done."
    return {
        200: Returned(None, told, media="text/event-stream"),
        204: Returned(None, "`Last-Event-ID` is the final version: do not connect again.", media=None),
    }


def removes() -> dict[int, Returned]:
    """Return the answers of a call that removes something."""
    return {204: Returned(None, "Done.", media=None)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRoute(Generic[B, Q]):
    """One call of the API.

    `access` is a scope (an admin's key has all), ANY_KEY, ADMIN or OPEN. `body` is the wire model, None
    where none is read (GET, DELETE); `may_be_empty` lets an empty body stand for `{}`. `max_bytes`
    picks the body's limit out of the options. `query` names every parameter known. A write takes one from
    the partner's bucket of writes, before its body is read; one that `sends` a webhook takes one of its tasks
    too, and one that `submits` takes as many of its tasks as it has, and does so itself: before its body is
    read one must be there, and it is taken where the body is refused.

    `id`, `tag` and `summary` name the call in /openapi.json. `answers` are those of success, by status; the
    refusals follow from the rest, but for 409: only a call that `conflicts` may answer it. `headers` are the
    request headers it knows besides the usual, `path_example` an example of the parameter in its path.
    `streams` names the content of a body that the handler reads itself, piece by piece. `by_link`: a `token`
    in the query stands for a key, and the handler checks it.
    `token_reads` lets a page's token in, and says what the id in the path is of: TASK, BATCH or FILE
    (`granted`); `token_in_query`: the token may be `token` in the query.
    """

    method: str
    path: str
    id: str
    tag: str
    summary: str
    handler: Callable[[Call[B, Q]], Awaitable[Sendable]]
    access: str
    query: type[Q]
    answers: Mapping[int, Returned]
    body: type[B] | None = None
    may_be_empty: bool = False
    max_bytes: Callable[[ApiOptions], int] = lambda options: options.max_body_bytes
    sends: bool = False
    submits: bool = False
    headers: tuple[str, ...] = ()
    conflicts: bool = False
    streams: str = ""
    by_link: bool = False
    token_reads: str = ""
    token_in_query: bool = False
    path_example: str = ""

    @property
    def takes(self) -> tuple[RateKind, ...]:
        """The buckets that a call takes from."""
        if self.method == "GET":
            return ()
        if self.submits:
            return (RateKind.TASKS,)
        return (RateKind.WRITES, RateKind.TASKS) if self.sends else (RateKind.WRITES,)


AnyRoute = ApiRoute[Any, Any]
