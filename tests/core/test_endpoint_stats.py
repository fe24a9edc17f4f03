"""Tallies of attempts: spans that are over are handed out whole, and windows are drawn of them."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhookd.core.endpoint_stats import (
    HOUR_MS,
    KEEP_MS,
    MINUTE_MS,
    MOST_ERRORS,
    OTHER,
    WINDOWS,
    Counted,
    RunningSpans,
    Span,
    bucket_of,
    drawn,
    from_json,
    percentile_ms,
    summed,
    tallied,
    to_json,
    window_begins,
)

NOW = 1_790_000_000_000 - 1_790_000_000_000 % HOUR_MS


def ok(at_ms: int, answer_us: int = 5_000) -> Counted:
    return Counted(at_ms=at_ms, error=None, answer_us=answer_us)


def bad(at_ms: int, error: str = "http_500", answer_us: int | None = 5_000) -> Counted:
    return Counted(at_ms=at_ms, error=error, answer_us=answer_us)


def test_a_span_is_handed_out_when_an_attempt_of_the_next_comes() -> None:
    tally, over = tallied(RunningSpans(), [ok(NOW), bad(NOW + 1), bad(NOW + 2, "timeout", None)])
    assert over == []

    tally, over = tallied(tally, [ok(NOW + MINUTE_MS)])

    (minute,) = over
    assert (minute.at_ms, minute.length_ms, minute.attempts, minute.delivered) == (NOW, MINUTE_MS, 3, 1)
    assert minute.errors == {"http_500": 1, "timeout": 1}
    assert minute.times == {bucket_of(5_000): 2}
    assert tally.last_success_ms == NOW + MINUTE_MS
    _, over = tallied(tally, [bad(NOW + HOUR_MS)])
    assert [(span.length_ms, span.attempts) for span in over] == [(MINUTE_MS, 1), (HOUR_MS, 4)]


def test_what_comes_late_counts_to_the_span_under_way() -> None:
    tally, _ = tallied(RunningSpans(), [ok(NOW + MINUTE_MS)])
    tally, over = tallied(tally, [ok(NOW + MINUTE_MS - 1)])
    assert over == []
    assert [span.attempts for span in tally.spans] == [2, 2]


@given(
    st.lists(
        st.lists(
            st.builds(
                Counted,
                at_ms=st.integers(NOW, NOW + 3 * HOUR_MS),
                error=st.sampled_from([None, "http_500", "timeout"]),
                answer_us=st.none() | st.integers(0, 20_000_000),
            ),
            max_size=5,
        ),
        max_size=8,
    )
)
def test_no_attempt_is_lost_or_counted_twice(batches: list[list[Counted]]) -> None:
    tally, over = RunningSpans(), list[Span]()
    for batch in batches:
        tally, ended = tallied(from_json(orjson.loads(orjson.dumps(to_json(tally)))), batch)
        over += ended
    made = [attempt for batch in batches for attempt in batch]
    for length_ms in (MINUTE_MS, HOUR_MS):
        spans = [span for span in (*over, *tally.spans) if span.length_ms == length_ms]
        assert len({span.at_ms for span in spans}) == len(spans)
        total = summed(spans, at_ms=0, length_ms=0)
        assert total.attempts == len(made)
        assert total.delivered == sum(one.error is None for one in made)
        assert sum(total.errors.values()) == total.attempts - total.delivered
        assert sum(total.times.values()) == sum(one.answer_us is not None for one in made)


@pytest.mark.parametrize("name", WINDOWS)
def test_a_window_ends_with_the_step_under_way_and_its_spans_are_kept_for_it(name: str) -> None:
    window, now_ms = WINDOWS[name], NOW + 17 * MINUTE_MS + 5
    begins_ms = window_begins(window, now_ms)
    spans = [
        Span(at_ms=at_ms, length_ms=window.span_ms, attempts=1)
        for at_ms in range(begins_ms - HOUR_MS, now_ms, window.span_ms)
    ]

    steps = drawn(spans, window, now_ms)

    assert len(steps) == window.length_ms // window.step_ms
    assert (steps[0].at_ms, steps[-1].at_ms) == (begins_ms, now_ms - now_ms % window.step_ms)
    assert all(step.attempts for step in steps)
    assert sum(step.attempts for step in steps) == sum(span.at_ms >= begins_ms for span in spans)
    assert begins_ms > now_ms - KEEP_MS[window.span_ms]


@pytest.mark.parametrize("answer_us", [0, 1, 900, 5_000, 123_456, 15_000_000])
def test_a_percentile_is_as_exact_as_its_bucket(answer_us: int) -> None:
    found = percentile_ms({bucket_of(answer_us): 3}, 0.5)
    assert found is not None
    assert found == pytest.approx(max(answer_us, 1) / 1000, rel=0.2)


def test_percentiles_are_of_answers_in_order_and_none_without_one() -> None:
    times = {bucket_of(1_000): 90, bucket_of(400_000): 10}
    assert percentile_ms(times, 0.5) == pytest.approx(1, rel=0.2)
    assert percentile_ms(times, 0.95) == pytest.approx(400, rel=0.2)
    assert percentile_ms({}, 0.5) is None


def test_a_receiver_that_thinks_up_errors_does_not_blow_its_row_up() -> None:
    tally, _ = tallied(RunningSpans(), [bad(NOW, f"http_{number}") for number in range(400, 599)])
    errors = tally.spans[0].errors
    assert len(errors) == MOST_ERRORS + 1
    assert errors[OTHER] == 199 - MOST_ERRORS
