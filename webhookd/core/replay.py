"""Replays of many dead letters at once: which ones, how fast, how far.

What putting one dead letter back means is the store's (`replaying`); when a step runs is the replay
flow's; their JSON is `render`'s. No rows and no clock live here.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import floor
from typing import Final

KINDS: Final = ("delivery", "task")
DEFAULT_RATE_PER_SECOND: Final = 50.0
HIGHEST_RATE_PER_SECOND: Final = 1000.0

SAVED_UP_MS: Final = 1000.0
"""How much of its rate a replay may catch up on: after an outage it goes on at its pace, not in one burst."""


class ReplayState(StrEnum):
    """Where a replay is in its life."""

    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """`count` dead letters may go now; `after(n)` is when the next is due once `n` of them went."""

    count: int
    earliest_ms: float
    spacing_ms: float

    def after(self, taken: int) -> float:
        """Return the `next_ms` for the replay's place."""
        return self.earliest_ms + taken * self.spacing_ms


def allowance(replay: Replay, *, now_ms: int) -> Allowance:
    """Return how many dead letters the replay's rate lets go now (a generic cell rate algorithm)."""
    spacing_ms = 1000 / replay.rate_per_second
    next_ms = float(replay.created_ms) if replay.place is None else replay.place.next_ms
    earliest_ms = max(next_ms, now_ms - SAVED_UP_MS)
    count = floor((now_ms - earliest_ms) / spacing_ms) + 1 if now_ms >= earliest_ms else 0
    if count and earliest_ms + count * spacing_ms <= now_ms:  # the division was rounded down
        count += 1
    return Allowance(count=count, earliest_ms=earliest_ms, spacing_ms=spacing_ms)
