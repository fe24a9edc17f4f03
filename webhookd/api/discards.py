"""Discards of many dead letters at once: what matches is struck off, and the audit keeps why."""

from typing import Final

from pydantic import Field

from webhookd.api.dead_letter_wire import Asked, LetterFilter
from webhookd.api.replays import Errand, ErrandListing, errand_routes
from webhookd.api.wire import cursor_of
from webhookd.core import ids
from webhookd.core.render import DiscardDocument, discard_document
from webhookd.core.replay import HIGHEST_RATE_PER_SECOND, Deed


class DiscardListing(ErrandListing):
    """`GET /v1/discards`."""

    cursor: str | None = cursor_of(ids.DISCARD)


class DiscardFilter(LetterFilter):
    """Which dead letters; what is left out is any."""


class DiscardCreate(Asked):
    """A discard of many dead letters."""

    filter: DiscardFilter = DiscardFilter()
    """Which ones it takes; with none, `all` must be true."""
    rate_per_second: float = Field(
        HIGHEST_RATE_PER_SECOND, gt=0, le=HIGHEST_RATE_PER_SECOND, allow_inf_nan=False
    )
    """At most so many a second; 1,000 if left out."""


DISCARD: Final = Errand(deed=Deed.DISCARD, noun="discard", prefix=ids.DISCARD, document=discard_document)

ROUTES: Final = errand_routes(
    DISCARD,
    DiscardListing,
    DiscardCreate,
    DiscardDocument,
    summary="Discard many dead letters",
    done="what it has discarded stays discarded",
)
