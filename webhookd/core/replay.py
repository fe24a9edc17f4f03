"""Replays and discards of many at once: which ones, how fast, how far.

Both are one machine: something is picked by a filter, in order, at a pace, and a deed is done to it. What
putting one dead letter back means is the store's (`replaying`); when a step runs is the replay flow's; their
JSON is `render`'s. No rows and no clock live here.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from webhookd.core.model import ReplayState
from webhookd.core.rate import Starts, line

KINDS: Final = ("delivery", "task")
NO_ENDPOINT: Final = "none"
"""What a filter says in the place of an endpoint's id for what went to a `callback_url`."""
MOST_NAMED: Final = 500
"""Dead letters that a filter may name."""
DEFAULT_RATE_PER_SECOND: Final = 50.0
HIGHEST_RATE_PER_SECOND: Final = 1000.0
RETRY_RATE_PER_SECOND: Final = 10_000.0
"""Of an endpoint's retry, which has no pace of its own: more than any lane sends."""

SAVED_UP_MS: Final = 1000.0
"""How much of its rate a replay may catch up on: after an outage it goes on at its pace, not in one burst."""


class Deed(StrEnum):
    """What is done to what matches."""

    REPLAY = "replay"
    DISCARD = "discard"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRange:
    """HTTP statuses from `low` to `high`, both included: 503 alone, or all that begin with 5."""

    low: int
    high: int

    @property
    def text(self) -> str:
        """As a filter has it: `503`, or `5xx`."""
        return str(self.low) if self.low == self.high else f"{self.low // 100}xx"


def status_range(text: str) -> StatusRange:
    """Return the statuses that `503` or `5xx` stand for. Raises ValueError."""
    first, rest = text[:1], text[1:]
    if first in set("12345") and len(rest) == 2:
        if rest == "xx":
            return StatusRange(low=int(first) * 100, high=int(first) * 100 + 99)
        if rest.isascii() and rest.isdigit():
            return StatusRange(low=int(text), high=int(text))
    raise ValueError("must be an HTTP status such as 503, or 5xx")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterFilter:
    """Which dead letters; None is any. `since_ms` is inclusive, `until_ms` exclusive, both of their death.

    `type` is the task's type. `endpoint_id`, `event` and `status` leave only deliveries; an endpoint may be
    NO_ENDPOINT. `ids` and `state` are only a replay's: `pending` takes what waits in place of what is dead,
    and the times are those of its making.
    """

    state: str | None = None
    kind: str | None = None
    endpoint_id: str | None = None
    type: str | None = None
    event: str | None = None
    reason: str | None = None
    error: str | None = None
    status: str | None = None
    text: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    ids: tuple[str, ...] | None = None

    @property
    def named_endpoint(self) -> str | None:
        """The endpoint that is named by its id."""
        return None if self.endpoint_id == NO_ENDPOINT else self.endpoint_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far a replay has come: the last thing it looked at, and when its next one is due by rate.

    `lane_id` is there where what waits is walked through lane by lane.
    """

    at_ms: int
    id: str
    next_ms: float
    lane_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """One replay or discard. `partner_id` None is an admin's over all partners; `place` None has not begun.

    It takes what had died (or was waiting) before `created_ms`, so that what dies again is not replayed in a
    circle. `replayed` is to how many its deed was done. `delivered` and `failed_again` are how the deliveries
    that it put back stand, filled in where they are shown.
    """

    id: str
    partner_id: str | None
    filter: DeadLetterFilter
    dry_run: bool
    rate_per_second: float
    state: ReplayState
    matched: int
    replayed: int
    place: Place | None
    created_ms: int
    finished_ms: int | None
    deed: Deed = Deed.REPLAY
    reason: str | None = None
    started_by: str = ""
    delivered: int = field(default=0, compare=False)
    failed_again: int = field(default=0, compare=False)

    @property
    def takes_waiting(self) -> bool:
        """Whether it sends now what waits, in place of what is dead."""
        return self.filter.state == "pending"

    @property
    def wanted(self) -> DeadLetterFilter:
        """The filter, bounded by its own beginning; tasks only where they are asked for."""
        until_ms = self.created_ms + 1
        if self.filter.until_ms is not None:
            until_ms = min(until_ms, self.filter.until_ms)
        return replace(self.filter, kind=self.filter.kind or "delivery", until_ms=until_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """The replay after a step, and to how many that step did its deed."""

    replay: Replay
    replayed: int


def allowance(replay: Replay, *, now_ms: int) -> Starts:
    """Return how many the replay's rate lets go now; `after` is for the replay's place."""
    next_ms = float(replay.created_ms) if replay.place is None else replay.place.next_ms
    return line(next_ms, per_second=replay.rate_per_second, slack_ms=SAVED_UP_MS, now_ms=now_ms)


def paced(replay: Replay, rate_per_second: float, *, now_ms: int) -> Replay:
    """Return the replay at another rate; what the old one made it wait for is forgotten."""
    place = replay.place
    if place is not None:
        next_ms = min(place.next_ms, now_ms + 1000 / rate_per_second)
        place = replace(place, next_ms=next_ms)
    return replace(replay, rate_per_second=rate_per_second, place=place)
