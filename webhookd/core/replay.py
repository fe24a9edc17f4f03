"""Replays of many dead letters at once: which ones, how fast, how far.

What putting one dead letter back means is the store's (`replaying`); when a step runs is the replay
flow's; their JSON is `render`'s. No rows and no clock live here.
"""

from dataclasses import dataclass
from typing import Final

from webhookd.core.model import ReplayState
from webhookd.core.rate import Line, line

KINDS: Final = ("delivery", "task")
DEFAULT_RATE_PER_SECOND: Final = 50.0
HIGHEST_RATE_PER_SECOND: Final = 1000.0

SAVED_UP_MS: Final = 1000.0
"""How much of its rate a replay may catch up on: after an outage it goes on at its pace, not in one burst."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterFilter:
    """Which dead letters; None is any. `since_ms` is inclusive, `until_ms` exclusive, both of their death.

    `type` is the task's type. `endpoint_id` leaves only deliveries.
    """

    kind: str | None = None
    endpoint_id: str | None = None
    type: str | None = None
    reason: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far a replay has come: the last dead letter it looked at, and when its next one is due by rate."""

    at_ms: int
    id: str
    next_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """One replay. `partner_id` None is an admin's over all partners; `place` None has not begun.

    It takes what had died before `created_ms`, so that what dies again is not replayed in a circle.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """The replay after a step, and how many dead letters that step put back to work."""

    replay: Replay
    replayed: int


def allowance(replay: Replay, *, now_ms: int) -> Line:
    """Return how many dead letters the replay's rate lets go now; `after` is for the replay's place."""
    next_ms = float(replay.created_ms) if replay.place is None else replay.place.next_ms
    return line(next_ms, per_second=replay.rate_per_second, slack_ms=SAVED_UP_MS, now_ms=now_ms)
