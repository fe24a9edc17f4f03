"""Which dead letters: the query of their listing, and the bodies of replays and discards of many."""

from typing import Annotated, Final, Literal

from pydantic import Field

from webhookd.api.wire import AdminListing, ChangeBody, Create, Status, Time, cursor_like
from webhookd.core import ids
from webhookd.core.fields import (
    AttemptError,
    DeadLetterKind,
    DeadReason,
    DescribedAs,
    EventName,
    ReplayedState,
)
from webhookd.core.replay import (
    DEFAULT_RATE_PER_SECOND,
    HIGHEST_RATE_PER_SECOND,
    MOST_NAMED,
    DeadLetterFilter,
)

MAX_REASON: Final = 500


class DeadLetterListing(AdminListing):
    """`GET /v1/dead-letters`."""

    cursor: str | None = cursor_like(rf"^[0-9]{{1,15}}\.({ids.DELIVERY}|{ids.TASK})_[0-9a-z]{{26}}$")
    kind: Annotated[Literal["delivery", "task"], DescribedAs(DeadLetterKind)] | None = None
    """Of this kind only."""
    endpoint: str | None = None
    """For this endpoint only, by its id; `none`: those of a `callback_url`."""
    type: str | None = None
    """Of this task type only."""
    event: Annotated[str | None, DescribedAs(EventName)] = None
    """Deliveries that tell of this only."""
    reason: Annotated[str | None, DescribedAs(DeadReason)] = None
    """For this reason only."""
    error: Annotated[str | None, DescribedAs(AttemptError)] = None
    """Whose last attempt failed for this only; of tasks, their error code."""
    status: Status | None = None
    """Whose last answer had this HTTP status only: `503`, or `5xx`."""
    text: str | None = Field(None, min_length=1, max_length=200)
    """With this text in the URL or the error only, in any case."""
    since: Time | None = None
    """What died at this time or later."""
    until: Time | None = None
    """What died before this time."""


class LetterFilter(Create):
    """Which dead letters; what is left out is any."""

    kind: Annotated[Literal["delivery", "task"], DescribedAs(DeadLetterKind)] | None = None
    """Deliveries, or tasks; deliveries if left out."""
    endpoint: str | None = Field(None, max_length=128)
    """For this endpoint only, by its id; `none`: those of a `callback_url`."""
    type: str | None = Field(None, max_length=200)
    """Of this task type only."""
    event: Annotated[str | None, DescribedAs(EventName)] = Field(None, max_length=100)
    """Deliveries that tell of this only."""
    reason: Annotated[str | None, DescribedAs(DeadReason)] = Field(None, max_length=100)
    """For this reason only."""
    error: Annotated[str | None, DescribedAs(AttemptError)] = Field(None, max_length=100)
    """Whose last attempt failed for this only; of tasks, their error code."""
    status: Status | None = None
    """Whose last answer had this HTTP status only: `503`, or `5xx`."""
    text: str | None = Field(None, min_length=1, max_length=200)
    """With this text in the URL or the error only, in any case."""
    since: Time | None = None
    """What died at this time or later."""
    until: Time | None = None
    """What died before this time."""
    partner: str | None = Field(None, max_length=128)
    """For admins: of this partner only, by its id or name."""
    ids: list[Annotated[str, Field(max_length=128)]] | None = Field(None, min_length=1, max_length=MOST_NAMED)
    """These only, by their ids; one that is no dead letter matches nothing."""


class ReplayFilter(LetterFilter):
    """Which ones; what is left out is any."""

    state: Annotated[Literal["dead", "pending"], DescribedAs(ReplayedState)] | None = None
    """`dead`: dead letters, also if left out. `pending`: send now what waits for its next attempt."""


def letter_filter(asked: DeadLetterListing | LetterFilter) -> DeadLetterFilter:
    """Return the filter for the store."""
    return DeadLetterFilter(
        state=asked.state if isinstance(asked, ReplayFilter) else None,
        kind=asked.kind,
        endpoint_id=asked.endpoint,
        type=asked.type,
        event=asked.event,
        reason=asked.reason,
        error=asked.error,
        status=asked.status,
        text=asked.text,
        since_ms=asked.since,
        until_ms=asked.until,
        ids=tuple(asked.ids) if isinstance(asked, LetterFilter) and asked.ids is not None else None,
    )


class Asked(Create):
    """What a replay and a discard are asked for with."""

    all: bool = False
    """Must be true where no filter is given: it takes everything then."""
    dry_run: bool = False
    """Whether it only counts; it does the work if left out."""
    reason: str | None = Field(None, max_length=MAX_REASON)
    """Why, for those who look at it later; the audit keeps it."""


class ReplayCreate(Asked):
    """A replay of many dead letters, or of what waits."""

    filter: ReplayFilter = ReplayFilter()
    """Which ones it takes; with none, `all` must be true."""
    rate_per_second: float = Field(
        DEFAULT_RATE_PER_SECOND, gt=0, le=HIGHEST_RATE_PER_SECOND, allow_inf_nan=False
    )
    """At most so many a second; 50 if left out."""


class ReplayChange(ChangeBody):
    """Another pace."""

    rate_per_second: float = Field(gt=0, le=HIGHEST_RATE_PER_SECOND, allow_inf_nan=False)
    """At most so many a second from now on."""
