"""What an endpoint's attempts came to, minute by minute and hour by hour, in a few numbers each.

`RunningSpans` are kept beside the lane's pace and grow with every attempt; what a span of time came to is
handed out when the next one begins. So the figures cost no statement an attempt, and reading them takes as
long for a million attempts as for ten. Times of answers are counted in buckets, each a fifth wider than the
one before, which is how exact a percentile of them is.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import floor, log2
from typing import Any, Final

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
SPANS_MS: Final = (MINUTE_MS, HOUR_MS)
"""The lengths of the spans that are kept."""

BUCKETS_AN_OCTAVE: Final = 4
OTHER: Final = "other"
MOST_ERRORS: Final = 50
"""Errors of one span by name: a receiver may think up as many statuses as it likes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """One attempt: `error` is None where it delivered, `answer_us` None where nothing came back."""

    at_ms: int
    error: str | None
    answer_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What the attempts of `length_ms` from `at_ms` on came to. `times` are answers by bucket."""

    at_ms: int
    length_ms: int
    attempts: int = 0
    delivered: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    times: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningSpans:
    """The spans under way, one a length, and when a delivery last succeeded."""

    spans: tuple[Span, ...] = ()
    last_success_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What is asked for: so much time until now, in spans of one length, drawn in steps."""

    length_ms: int
    span_ms: int
    step_ms: int


WINDOWS: Final[Mapping[str, Window]] = {
    "1h": Window(length_ms=HOUR_MS, span_ms=MINUTE_MS, step_ms=MINUTE_MS),
    "24h": Window(length_ms=24 * HOUR_MS, span_ms=HOUR_MS, step_ms=HOUR_MS),
    "7d": Window(length_ms=168 * HOUR_MS, span_ms=HOUR_MS, step_ms=HOUR_MS),
}
KEEP_MS: Final[Mapping[int, int]] = {MINUTE_MS: 2 * HOUR_MS, HOUR_MS: 8 * 24 * HOUR_MS}
"""How long spans of a length are kept: a little longer than the longest window that is made of them."""


def tallied(
    tally: RunningSpans, attempts: Sequence[Counted], lengths_ms: Sequence[int] = SPANS_MS
) -> tuple[RunningSpans, list[Span]]:
    """Return the tally with these attempts, and the spans of these lengths that are over by them.

    The lengths are whole minutes. What comes late, by the clock of another process, counts to the span under
    way.
    """
    minutes = _by_minute(attempts)
    under_way = {span.length_ms: span for span in tally.spans}
    over: list[Span] = []
    for length_ms in lengths_ms:
        span = under_way.get(length_ms)
        for minute in minutes:
            begin_ms = minute.at_ms - minute.at_ms % length_ms
            if span is not None and span.at_ms < begin_ms:
                over.append(span)
                span = None
            span = _joined(span or Span(at_ms=begin_ms, length_ms=length_ms), minute)
        if span is not None:
            under_way[length_ms] = span
    spans = tuple(under_way[length_ms] for length_ms in lengths_ms if length_ms in under_way)
    successes = [attempt.at_ms for attempt in attempts if attempt.error is None]
    last_success_ms = max(tally.last_success_ms or 0, *successes) if successes else tally.last_success_ms
    return RunningSpans(spans=spans, last_success_ms=last_success_ms), over


def summed(spans: Iterable[Span], *, at_ms: int, length_ms: int) -> Span:
    """Return what these came to together."""
    attempts = delivered = 0
    errors: Counter[str] = Counter()
    times: Counter[int] = Counter()
    for span in spans:
        attempts += span.attempts
        delivered += span.delivered
        errors.update(span.errors)
        times.update(span.times)
    return Span(
        at_ms=at_ms,
        length_ms=length_ms,
        attempts=attempts,
        delivered=delivered,
        errors=dict(errors),
        times=dict(times),
    )


def window_begins(window: Window, now_ms: int) -> int:
    """Return when a window begins: it is made of whole steps, of which the last is under way."""
    last_ms = now_ms - now_ms % window.step_ms
    return last_ms + window.step_ms - window.length_ms


def drawn(spans: Iterable[Span], window: Window, now_ms: int) -> list[Span]:
    """Return a window's steps in order, the empty ones too."""
    begin_ms = window_begins(window, now_ms)
    steps: dict[int, list[Span]] = {
        at_ms: [] for at_ms in range(begin_ms, begin_ms + window.length_ms, window.step_ms)
    }
    for span in spans:
        at_ms = span.at_ms - span.at_ms % window.step_ms
        if at_ms in steps:
            steps[at_ms].append(span)
    return [summed(group, at_ms=at_ms, length_ms=window.step_ms) for at_ms, group in steps.items()]


def percentile_ms(times: Mapping[int, int], share: float) -> float | None:
    """Return what `share` of the answers took at most, by the middle of its bucket; None without answers."""
    wanted = sum(times.values()) * share
    seen = 0
    for bucket in sorted(times):
        seen += times[bucket]
        if seen >= wanted:
            return round(2 ** ((bucket + 0.5) / BUCKETS_AN_OCTAVE) / 1000, 3)
    return None


def bucket_of(answer_us: int) -> int:
    """Return the bucket of a duration."""
    return floor(BUCKETS_AN_OCTAVE * log2(max(1, answer_us)))


def to_json(tally: RunningSpans) -> list[Any]:
    """Return the tally as JSON values, as short as can be: it is written with every change of a lane."""
    return [tally.last_success_ms, *(_span_to_json(span) for span in tally.spans)]


def from_json(stored: Sequence[Any] | None) -> RunningSpans:
    """Read what `to_json` made; nothing is an empty tally."""
    if not stored:
        return RunningSpans()
    last_success_ms, *spans = stored
    return RunningSpans(last_success_ms=last_success_ms, spans=tuple(_span_from_json(one) for one in spans))


def _span_to_json(span: Span) -> list[Any]:
    times = {str(bucket): count for bucket, count in span.times.items()}
    return [span.length_ms, span.at_ms, span.attempts, span.delivered, span.errors, times]


def _span_from_json(stored: Sequence[Any]) -> Span:
    length_ms, at_ms, attempts, delivered, errors, times = stored
    return Span(
        length_ms=length_ms,
        at_ms=at_ms,
        attempts=attempts,
        delivered=delivered,
        errors=errors,
        times={int(bucket): count for bucket, count in times.items()},
    )


def _by_minute(attempts: Sequence[Counted]) -> list[Span]:
    """Return what the attempts of each minute came to, in order."""
    minutes: dict[int, list[Counted]] = {}
    for attempt in attempts:
        minutes.setdefault(attempt.at_ms - attempt.at_ms % MINUTE_MS, []).append(attempt)
    return [_counted(at_ms, group) for at_ms, group in sorted(minutes.items())]


def _counted(at_ms: int, attempts: Sequence[Counted]) -> Span:
    errors: dict[str, int] = {}
    times: dict[int, int] = {}
    for attempt in attempts:
        if attempt.error is not None:
            errors[attempt.error] = errors.get(attempt.error, 0) + 1
        if attempt.answer_us is not None:
            bucket = bucket_of(attempt.answer_us)
            times[bucket] = times.get(bucket, 0) + 1
    delivered = len(attempts) - sum(errors.values())
    return Span(
        at_ms=at_ms,
        length_ms=MINUTE_MS,
        attempts=len(attempts),
        delivered=delivered,
        errors=errors,
        times=times,
    )


def _joined(span: Span, minute: Span) -> Span:
    errors, times = dict(span.errors), dict(span.times)
    for error, count in minute.errors.items():
        name = error if error in errors or len(errors) < MOST_ERRORS else OTHER
        errors[name] = errors.get(name, 0) + count
    for bucket, count in minute.times.items():
        times[bucket] = times.get(bucket, 0) + count
    return Span(
        at_ms=span.at_ms,
        length_ms=span.length_ms,
        attempts=span.attempts + minute.attempts,
        delivered=span.delivered + minute.delivered,
        errors=errors,
        times=times,
    )
