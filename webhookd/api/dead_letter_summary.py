"""`GET /v1/dead-letters/summary`: how many dead letters are alike in what, and since when."""

from collections.abc import Mapping
from itertools import islice
from typing import Annotated, Final, NotRequired, cast

from pydantic import AfterValidator, Field, WithJsonSchema
from typing_extensions import TypedDict

from webhookd.adapters.store.access.partners import partner_names
from webhookd.adapters.store.deliveries.letter_groups import HOUR_MS, group_dead_letters
from webhookd.api.answers import Answer, page_answer
from webhookd.api.api_route import AnyRoute, ApiRoute, lists
from webhookd.api.call import Call
from webhookd.api.caller import Caller
from webhookd.api.dead_letter_wire import DeadLetterListing, letter_filter
from webhookd.api.dead_letters import narrowed_letters
from webhookd.api.owners import owner
from webhookd.api.wire import cursor_like, unknown_or_wrong
from webhookd.core.fields import AttemptError, DeadLetterKind, DeadReason, EndpointId, Timestamp
from webhookd.core.listing import GROUP_KEYS, LetterGroup
from webhookd.core.render.owner import OwnerDocument
from webhookd.core.times import to_rfc3339


def _group_keys(value: str) -> str:
    names = value.split(",")
    if not set(names) <= set(GROUP_KEYS) or len(set(names)) < len(names):
        raise ValueError(f"must be some of {', '.join(GROUP_KEYS)}, each once, with commas between")
    return value


class SummaryListing(DeadLetterListing):
    """`GET /v1/dead-letters/summary`."""

    group_by: Annotated[
        str, AfterValidator(_group_keys), WithJsonSchema({"type": "string"}, mode="validation")
    ] = "endpoint,error"
    """What to count by, with commas between: `endpoint`, `error`, `type`, `reason`, `hour`, `kind`, and for
    admins `partner`. What an admin counts by `endpoint` is counted by `partner` too."""
    cursor: str | None = cursor_like(r"^group\.[0-9]{1,5}$")


class LetterGroupDocument(TypedDict):
    """Dead letters that are alike. It has the fields that they are counted by."""

    partner: NotRequired[OwnerDocument]
    """Whose they are; for admins."""
    count: Annotated[int, Field(ge=1)]
    """How many there are."""
    first_at: Timestamp
    """When the first of them died."""
    last_at: Timestamp
    """When the last of them died."""
    endpoint: NotRequired[EndpointId | None]
    """The endpoint they were for; null for those of a `callback_url`, and for tasks."""
    error: NotRequired[AttemptError | None]
    """Why their last attempt failed; of tasks, their error code."""
    type: NotRequired[str | None]
    """Their task type; null where there is no task."""
    reason: NotRequired[DeadReason | None]
    """Why they are dead."""
    hour: NotRequired[Timestamp]
    """The beginning of the hour in which they died."""
    kind: NotRequired[DeadLetterKind]
    """What they were."""


async def summary(call: Call[None, SummaryListing]) -> Answer:
    """`GET /v1/dead-letters/summary`: the largest group first."""
    query, partner_id = call.query, await narrowed_letters(call, call.query)
    group_by, begin = tuple(query.group_by.split(",")), int((query.cursor or "0").removeprefix("group."))
    group_by = tuple(dict.fromkeys((*_by_whom(call.caller, group_by), *group_by)))
    groups = await call.read(group_dead_letters, partner_id, letter_filter(query), group_by)
    page = list(islice(groups, begin, begin + query.limit))
    whose = {one.partner for one in page if one.partner is not None}
    names = await call.read(partner_names, whose) if whose else {}
    shown = [group_document(one, group_by, names) for one in page]
    end = begin + len(shown)
    return page_answer(shown, f"group.{end}" if end < len(groups) else None)


def _by_whom(caller: Caller, group_by: tuple[str, ...]) -> tuple[str, ...]:
    """Return `partner` where an admin counts by endpoint: whose it is says where to call."""
    if caller.is_admin:
        return ("partner",) if "endpoint" in group_by else ()
    if "partner" in group_by:
        raise unknown_or_wrong("query", "group_by", "partner is for admins")
    return ()


def group_document(
    group: LetterGroup, group_by: tuple[str, ...], names: Mapping[str, str]
) -> LetterGroupDocument:
    """Return the group of the API; `names` are those of partners, by id."""
    by = {name: getattr(group, name) for name in group_by}
    if group.partner is not None:
        by["partner"] = owner(names, group.partner)
    if group.hour is not None:
        by["hour"] = to_rfc3339(group.hour * HOUR_MS)
    times = {"first_at": to_rfc3339(group.first_ms), "last_at": to_rfc3339(group.last_ms)}
    # Which of its fields there are is the caller's choice.
    return cast("LetterGroupDocument", {**by, "count": group.letters, **times})


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="GET",
        path="/v1/dead-letters/summary",
        handler=summary,
        id="summarizeDeadLetters",
        tag="Dead letters",
        summary="Count dead letters by what they have in common",
        access="tasks:read",
        query=SummaryListing,
        answers=lists(LetterGroupDocument),
    ),
)
