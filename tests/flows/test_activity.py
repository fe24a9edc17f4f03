"""What a process tells of its work for the charts."""

from collections.abc import Sequence

import pytest

from tests.support import facts
from webhookd.core.activity import FIVE_MINUTES_MS, KEEP_MS, SPANS_MS, WINDOWS, ActivityKind
from webhookd.core.endpoint_stats import MINUTE_MS, Span, bucket_of
from webhookd.core.errors import Unavailable
from webhookd.flows.activity import Activity

NOW = 1_790_000_000_000 - 1_790_000_000_000 % FIVE_MINUTES_MS


class Kept:
    """Keeps the newest of each span, as the database does; fails while it is away."""

    def __init__(self) -> None:
        self.spans: dict[tuple[int, int], Span] = {}
        self.away = False
        self.writes = 0

    async def __call__(self, kind: ActivityKind, spans: Sequence[Span]) -> None:
        assert kind is ActivityKind.ATTEMPTS
        if self.away:
            raise Unavailable("It is read-only.")
        self.writes += 1
        self.spans |= {(span.length_ms, span.at_ms): span for span in spans}

    def counts(self, length_ms: int) -> list[tuple[int, int]]:
        return [
            (span.attempts, span.delivered)
            for (length, _), span in sorted(self.spans.items())
            if length == length_ms
        ]


class Clock:
    """Stands where it is put."""

    now_ms = NOW


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def activity(kept: Kept, clock: Clock) -> Activity:
    return Activity(ActivityKind.ATTEMPTS, kept, lambda: clock.now_ms)


async def test_events_are_told_together_and_nothing_is_told_twice(activity: Activity, kept: Kept) -> None:
    await activity.tell()
    for _ in range(1_200):
        activity.attempt_ended(facts.attempt())
    activity.attempt_ended(facts.attempt(verdict="retry", status=500, error="http_500"))
    await activity.tell()
    await activity.tell()
    assert kept.writes == 1
    assert kept.counts(MINUTE_MS) == kept.counts(FIVE_MINUTES_MS) == [(1_201, 1_200)]


async def test_a_span_that_is_over_is_told_whole(activity: Activity, kept: Kept, clock: Clock) -> None:
    activity.attempt_ended(facts.attempt())
    await activity.tell()
    activity.attempt_ended(facts.attempt())
    clock.now_ms += MINUTE_MS
    activity.attempt_ended(facts.attempt())
    await activity.tell()
    assert kept.counts(MINUTE_MS) == [(2, 2), (1, 1)]
    assert kept.counts(FIVE_MINUTES_MS) == [(3, 3)]


async def test_what_could_not_be_told_is_told_later(activity: Activity, kept: Kept, clock: Clock) -> None:
    kept.away = True
    for _ in range(3):
        activity.attempt_ended(facts.attempt())
        with pytest.raises(Unavailable):
            await activity.tell()
        clock.now_ms += MINUTE_MS
    kept.away = False
    await activity.tell()
    assert kept.counts(MINUTE_MS) == [(1, 1)] * 3


async def test_a_run_counts_from_falling_due_and_only_what_came_to_something(
    kept: Kept, clock: Clock
) -> None:
    told: list[Span] = []

    async def keep(_kind: ActivityKind, spans: Sequence[Span]) -> None:
        told.extend(spans)

    activity = Activity(ActivityKind.RUNS, keep, lambda: clock.now_ms)
    for outcome in ("cancelled", "handed_back", "lost"):
        activity.run_ended(facts.ended(outcome=outcome))
    for outcome, error in (("succeeded", None), ("retry", "error"), ("failed", "no_such_account")):
        activity.run_ended(facts.ended(outcome=outcome, error=error, wait_ms=2_000, run_ms=1_000))
    await activity.tell()
    assert {(span.attempts, span.delivered) for span in told} == {(3, 1)}
    assert {bucket: count for span in told for bucket, count in span.times.items()} == {
        bucket_of(3_000_000): 3
    }


@pytest.mark.parametrize("verdict", ["lost", "not_counted"])
async def test_an_attempt_that_does_not_count_is_not_counted(
    activity: Activity, kept: Kept, verdict: str
) -> None:
    activity.attempt_ended(facts.attempt(verdict=verdict))
    await activity.tell()
    assert not kept.writes


async def test_an_attempt_without_an_answer_has_no_time(activity: Activity, kept: Kept) -> None:
    activity.attempt_ended(facts.attempt(verdict="retry", status=None, error="timeout"))
    await activity.tell()
    assert [span.times for span in kept.spans.values()] == [{}, {}]


def test_windows_are_made_of_spans_that_are_kept() -> None:
    assert {window.span_ms for window in WINDOWS.values()} == set(SPANS_MS) == set(KEEP_MS)
    for window in WINDOWS.values():
        assert window.step_ms % window.span_ms == 0
        assert KEEP_MS[window.span_ms] > window.length_ms
