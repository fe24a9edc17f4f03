"""Rates with bursts, by the generic cell rate algorithm (ITU-T I.371). Pure: time is an argument.

What is kept is one number, the theoretical arrival time, in one of two readings. Of a bucket (`take`) it is
`full_ms`, when it is full again. Of a line of starts (`line`) it is `next_ms`, when the next is due; that
lies a burst but one earlier. What is full, or was never used, has its time behind it and need not be kept.
"""

from dataclasses import dataclass
from math import floor
from typing import Final

UNUSED: Final = 0.0
"""The `full_ms` of a bucket nobody has taken from."""

_ROUNDING: Final = 1e-6  # of a token: what floats lose on the way must not cost one


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """`per_second` tokens come back a second (> 0), up to `burst` (≥ 1)."""

    per_second: float
    burst: int

    @property
    def spacing_ms(self) -> float:
        """How long one token takes to come back."""
        return 1000 / self.per_second


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What came of taking tokens.

    `full_ms` is the bucket afterwards. `remaining` is whole tokens left; `full_seconds` is how long until it
    is full again; on a refusal `retry_seconds` is when as many as were wanted will be there, None where the
    bucket never holds so many.
    """

    full_ms: float
    granted: bool
    remaining: int
    full_seconds: float
    retry_seconds: float | None


def take(full_ms: float, rate: Rate, wanted: int, *, now_ms: float) -> Taken:
    """Take `wanted` tokens, all or none; 0 only looks.

    A clock that went back gains nothing, and costs one burst at most.
    """
    span_ms = rate.burst * rate.spacing_ms
    full_ms = min(max(full_ms, now_ms), now_ms + span_ms)
    left = _left(full_ms, rate, now_ms=now_ms)
    granted = left + _ROUNDING >= wanted
    retry_seconds: float | None = 0.0
    if granted:
        full_ms = min(full_ms + wanted * rate.spacing_ms, now_ms + span_ms)
        left = max(0.0, left - wanted)
    else:
        retry_seconds = (wanted - left) / rate.per_second if wanted <= rate.burst else None
    return Taken(
        full_ms=full_ms,
        granted=granted,
        remaining=floor(left + _ROUNDING),
        full_seconds=(full_ms - now_ms) / 1000,
        retry_seconds=retry_seconds,
    )


def spend(full_ms: float, rate: Rate, count: int, *, now_ms: float) -> float:
    """Take `count` tokens that were given out elsewhere, also where there are fewer; return the bucket."""
    span_ms = rate.burst * rate.spacing_ms
    return min(max(full_ms, now_ms) + count * rate.spacing_ms, now_ms + span_ms)


def give_back(full_ms: float, rate: Rate, count: int) -> float:
    """Return the bucket with `count` tokens that were taken for nothing."""
    return full_ms - count * rate.spacing_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the broker says of a bucket: when it is full again, and whether what was wanted is granted."""

    granted: bool
    full_in_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Starts:
    """Starts that are `spacing_ms` apart: `count` of them are due, the first since `first_ms`."""

    count: int
    first_ms: float
    spacing_ms: float

    def after(self, taken: int) -> float:
        """Return the `next_ms` once so many of them started."""
        return self.first_ms + taken * self.spacing_ms


def line(next_ms: float, *, per_second: float, slack_ms: float = 0.0, now_ms: float) -> Starts:
    """Return what may start now, at `per_second` (> 0). What is up to `slack_ms` late is made up for.

    In any window of W ms at most `1 + (W + slack) / spacing` start.
    """
    spacing_ms = 1000 / per_second
    first_ms = max(next_ms, now_ms - slack_ms)
    count = floor((now_ms - first_ms) / spacing_ms) + 1 if now_ms >= first_ms else 0
    if count and first_ms + count * spacing_ms <= now_ms:  # the division was rounded down
        count += 1
    return Starts(count=count, first_ms=first_ms, spacing_ms=spacing_ms)


def _left(full_ms: float, rate: Rate, *, now_ms: float) -> float:
    return rate.burst - (full_ms - now_ms) / rate.spacing_ms
