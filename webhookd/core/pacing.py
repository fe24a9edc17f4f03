"""How hard a lane may be driven: concurrency, circuit breaker, holds, slowness and rate.

A lane's pace is one small value, changed only by the outcomes of its attempts; the numbers go into the
lane's row. Three promises: a receiver that is well soon gets all it can take, one that struggles gets
less, one that is down gets a single probe now and then and, once back, a paced ramp instead of its backlog.

Nothing here uses up attempts or picks deliveries: `delivery` judges, the store claims (in flight below
`min(cap, ceiling)`, not before `ready_ms`).
"""

from collections.abc import Iterable
from dataclasses import replace
from enum import Enum
from math import ceil
from typing import Final, Literal

from webhookd.core.delivery import OUR_FAULTS, asked_wait_seconds, error_code
from webhookd.core.rate import line
from webhookd.core.record import record
from webhookd.core.reply import Reply

INITIAL_CAP: Final = 4
BREAKER_FAILURES: Final = 10
BREAKER_RATIO: Final = 0.8
BREAKER_SAMPLES: Final = 20
BREAKER_HOLD_SECONDS: Final = 30.0
BREAKER_LEAST_SECONDS: Final = 5.0

MOVE_INTERVAL_MS: Final = 250
"""The cap moves at most once per direction in this time: outcomes come in batches, and twenty requests
that were in flight together are one piece of news, not twenty."""

SLOW_US: Final = 2_000_000
QUICK_AGAIN_US: Final = 1_000_000
RATE_SLACK_MS: Final = 25.0
RATE_EXACT_SPACING_MS: Final = 100.0
_LATENCY_WEIGHT: Final = 8
# However short the deadline, one time-out in an otherwise idle lane makes it slow.
_TIMEOUT_COUNTS_AS_US: Final = SLOW_US * _LATENCY_WEIGHT
_NO_THRESHOLD: Final = 1 << 20

_ALIVE: Final = frozenset({None, "http_410"})
_CONGESTED: Final = frozenset({"http_429", "http_503", "timeout", "connect"})


class LaneSign(Enum):
    """What an attempt says about its lane."""

    SUCCESS = "success"
    FAILURE = "failure"
    CONGESTION = "congestion"
    NEUTRAL = "neutral"


@record(frozen=True, slots=True, kw_only=True)
class LaneSample:
    """One attempt, as pacing sees it. `hold_until_ms` is when an honoured `Retry-After` ends, else 0."""

    kind: LaneSign
    duration_us: int
    timed_out: bool = False
    hold_until_ms: int = 0


@record(frozen=True, slots=True, kw_only=True)
class LaneGrant:
    """`allowed` may go now; ask again at `ready_ms`. `tat_ms` is the state for the lane's row."""

    allowed: int
    ready_ms: int
    tat_ms: float


@record(frozen=True, slots=True, kw_only=True)
class Pace:
    """A lane's pace; every field is a number for its row.

    The cap doubles below `threshold` and creeps above it. `open_until_ms` is None while the breaker is
    closed. `failure_ratio` is over the last `samples` (≤ BREAKER_SAMPLES) outcomes, older ones fading.
    """

    cap: int = INITIAL_CAP
    threshold: int = _NO_THRESHOLD
    grow_at_ms: int = 0
    shrink_at_ms: int = 0
    consecutive_failures: int = 0
    samples: int = 0
    failure_ratio: float = 0.0
    open_until_ms: int | None = None
    hold_until_ms: int = 0
    latency_us: int = 0
    slow: bool = False


def breaker_state(pace: Pace, now_ms: int) -> Literal["closed", "open", "half_open"]:
    """Tell where the breaker stands. Half open means: one probe may go, and its outcome decides."""
    if pace.open_until_ms is None:
        return "closed"
    return "open" if now_ms < pace.open_until_ms else "half_open"


def ready_ms(pace: Pace) -> int:
    """Return the time before which nothing may be sent; 0 where nothing holds the lane."""
    return max(pace.open_until_ms or 0, pace.hold_until_ms)


def allowance(pace: Pace, *, in_flight: int, ceiling: int, now_ms: int) -> int:
    """Return how many more attempts may start now. `ceiling` is the endpoint's max_concurrency (fifo: 1)."""
    if now_ms < ready_ms(pace):
        return 0
    return max(0, min(pace.cap, ceiling) - in_flight)


def released(pace: Pace, now_ms: int) -> Pace:
    """Drop holds because a person asked (enable, test, replay); an open breaker turns half open at once."""
    open_until_ms = None if pace.open_until_ms is None else min(pace.open_until_ms, now_ms)
    return replace(pace, hold_until_ms=0, open_until_ms=open_until_ms)


def outcome_of(answer: Reply, *, now_ms: int) -> LaneSample:
    """Read an answer for its lane.

    A 410 is the answer of a receiver that is alive. Besides 429, 503 says "too much" too.
    """
    error = error_code(answer)
    if error in _ALIVE:
        kind = LaneSign.SUCCESS
    elif error in OUR_FAULTS:
        kind = LaneSign.NEUTRAL
    else:
        kind = LaneSign.CONGESTION if error in _CONGESTED else LaneSign.FAILURE
    wait_seconds = asked_wait_seconds(answer, now_ms=now_ms)
    return LaneSample(
        kind=kind,
        duration_us=answer.timing.total_us,
        timed_out=error == "timeout",
        hold_until_ms=now_ms + ceil(wait_seconds * 1000) if wait_seconds else 0,
    )


def after_many(
    pace: Pace, outcomes: Iterable[LaneSample], *, now_ms: int, ceiling: int, policy_cap_seconds: float
) -> Pace:
    """Apply the outcomes of a batch in the order given."""
    for outcome in outcomes:
        pace = after(pace, outcome, now_ms=now_ms, ceiling=ceiling, policy_cap_seconds=policy_cap_seconds)
    return pace


def after(pace: Pace, outcome: LaneSample, *, now_ms: int, ceiling: int, policy_cap_seconds: float) -> Pace:
    """Return the pace after one attempt.

    `ceiling` (≥ 1) bounds the cap, `policy_cap_seconds` is the retry policy's longest pause, which bounds
    the breaker's hold (never below BREAKER_LEAST_SECONDS). While the breaker is open, answers still under
    way when it opened are heard but do not move it; the first outcome after the hold decides.
    """
    if outcome.kind is LaneSign.NEUTRAL:
        return pace
    state = breaker_state(pace, now_ms)
    pace = _heard(pace, outcome, ceiling=ceiling)
    if state == "open":
        return pace
    if outcome.kind is LaneSign.SUCCESS:
        if state == "half_open":
            return _closed(pace, now_ms)
        return _grown(pace, outcome, now_ms=now_ms, ceiling=ceiling)
    often = pace.samples >= BREAKER_SAMPLES and pace.failure_ratio >= BREAKER_RATIO
    if state == "half_open" or often or pace.consecutive_failures >= BREAKER_FAILURES:
        hold_seconds = max(BREAKER_LEAST_SECONDS, min(BREAKER_HOLD_SECONDS, policy_cap_seconds))
        return replace(
            pace, open_until_ms=now_ms + ceil(hold_seconds * 1000), cap=1, threshold=max(1, ceiling // 2)
        )
    if outcome.kind is LaneSign.CONGESTION and now_ms >= pace.shrink_at_ms:
        half, settled_ms = max(1, pace.cap // 2), now_ms + MOVE_INTERVAL_MS
        return replace(pace, cap=half, threshold=half, grow_at_ms=settled_ms, shrink_at_ms=settled_ms)
    return pace


def _heard(pace: Pace, outcome: LaneSample, *, ceiling: int) -> Pace:
    """Take in what every outcome tells: latency, holds and the record of failures.

    Latency takes an eighth of the news each time; a lane is slow above SLOW_US and quick again only below
    QUICK_AGAIN_US.
    """
    seen_us = max(outcome.duration_us, _TIMEOUT_COUNTS_AS_US) if outcome.timed_out else outcome.duration_us
    latency_us = pace.latency_us + (seen_us - pace.latency_us) // _LATENCY_WEIGHT
    failed = outcome.kind is not LaneSign.SUCCESS
    samples = min(pace.samples + 1, BREAKER_SAMPLES)
    return replace(
        pace,
        cap=min(pace.cap, ceiling),
        consecutive_failures=pace.consecutive_failures + 1 if failed else 0,
        samples=samples,
        failure_ratio=pace.failure_ratio + (failed - pace.failure_ratio) / samples,
        hold_until_ms=max(pace.hold_until_ms, outcome.hold_until_ms),
        latency_us=latency_us,
        slow=latency_us >= (QUICK_AGAIN_US if pace.slow else SLOW_US),
    )


def _grown(pace: Pace, outcome: LaneSample, *, now_ms: int, ceiling: int) -> Pace:
    if outcome.duration_us >= SLOW_US or now_ms < pace.grow_at_ms or pace.cap >= ceiling:
        return pace
    grown = min(2 * pace.cap, pace.threshold) if pace.cap < pace.threshold else pace.cap + 1
    return replace(pace, cap=min(grown, ceiling), grow_at_ms=now_ms + MOVE_INTERVAL_MS)


def _closed(pace: Pace, now_ms: int) -> Pace:
    """The probe got through: go on from the one it was, with a clean record."""
    return replace(pace, open_until_ms=None, samples=0, grow_at_ms=now_ms + MOVE_INTERVAL_MS)


def rate_hold(tat_ms: float, *, rate_limit_per_second: float | None, wanted: int, now_ms: int) -> LaneGrant:
    """Return how many of `wanted` attempts the endpoint's `rate_limit` (> 0) lets start now.

    `tat_ms` is the theoretical time of the next attempt, 0.0 for a lane never used. Up to ten a second the
    slack (`rate.line`) is nil and the limit exact; above, it is RATE_SLACK_MS, so that a turn that comes
    late loses nothing and a fast lane is served by the handful instead of one by one.
    """
    if rate_limit_per_second is None:
        return LaneGrant(allowed=wanted, ready_ms=now_ms, tat_ms=tat_ms)
    spacing_ms = 1000 / rate_limit_per_second
    slack_ms = RATE_SLACK_MS if spacing_ms < RATE_EXACT_SPACING_MS else 0.0
    due = line(tat_ms, per_second=rate_limit_per_second, slack_ms=slack_ms, now_ms=now_ms)
    allowed = min(wanted, due.count)
    tat_ms = due.after(allowed)
    if allowed == wanted:
        return LaneGrant(allowed=allowed, ready_ms=max(now_ms, ceil(tat_ms)), tat_ms=tat_ms)
    # Several fit into the slack: come back when about half of them may go, not for each one.
    pause_ms = slack_ms / 2 if spacing_ms < slack_ms / 2 else 0.0
    return LaneGrant(allowed=allowed, ready_ms=ceil(tat_ms + pause_ms), tat_ms=tat_ms)
