"""Rates with bursts: what may be taken, when more may, and clocks that jump."""

from hypothesis import given
from hypothesis import strategies as st

from webhookd.core.rate import UNUSED, Rate, give_back, spend, take

NOW = 1_800_000_000_000
RATES = st.builds(Rate, per_second=st.floats(0.001, 1e6), burst=st.integers(1, 10_000_000))


@given(rate=RATES)
def test_a_bucket_never_used_holds_exactly_its_burst(rate: Rate) -> None:
    looked = take(UNUSED, rate, 0, now_ms=NOW)
    assert (looked.remaining, looked.full_seconds) == (rate.burst, 0.0)
    taken = take(UNUSED, rate, rate.burst, now_ms=NOW)
    assert taken.granted
    assert taken.remaining == 0
    assert not take(taken.full_ms, rate, 1, now_ms=NOW).granted


@given(rate=RATES, data=st.data())
def test_more_than_the_burst_is_never_there(rate: Rate, data: st.DataObject) -> None:
    refused = take(UNUSED, rate, rate.burst + data.draw(st.integers(1, 1_000)), now_ms=NOW)
    assert not refused.granted
    assert refused.retry_seconds is None
    assert refused.remaining == rate.burst


@given(steps=st.lists(st.tuples(st.integers(0, 2_000), st.integers(1, 8)), max_size=60))
def test_in_any_time_no_more_is_given_than_burst_and_rate_allow(steps: list[tuple[int, int]]) -> None:
    rate, full_ms, now_ms, given_out = Rate(per_second=3, burst=7), UNUSED, float(NOW), 0
    for pause_ms, wanted in steps:
        now_ms += pause_ms
        taken = take(full_ms, rate, wanted, now_ms=now_ms)
        full_ms = taken.full_ms
        given_out += wanted if taken.granted else 0
        assert given_out <= rate.burst + rate.per_second * (now_ms - NOW) / 1000 + 1e-3


@given(rate=st.builds(Rate, per_second=st.floats(0.1, 1e4), burst=st.integers(1, 1_000)), data=st.data())
def test_what_is_refused_is_given_when_it_says(rate: Rate, data: st.DataObject) -> None:
    wanted = data.draw(st.integers(1, rate.burst))
    empty = take(UNUSED, rate, rate.burst, now_ms=NOW).full_ms
    refused = take(empty, rate, wanted, now_ms=NOW)
    assert not refused.granted
    assert refused.retry_seconds is not None
    assert take(empty, rate, wanted, now_ms=NOW + refused.retry_seconds * 1000 + 1).granted


def test_a_clock_that_goes_back_gives_nothing_and_costs_one_burst_at_most() -> None:
    rate = Rate(per_second=1, burst=10)
    full_ms = take(UNUSED, rate, 3, now_ms=NOW).full_ms
    assert not take(full_ms, rate, 1, now_ms=NOW - 86_400_000).granted
    assert take(full_ms, rate, 10, now_ms=NOW - 86_400_000 + 10_000).granted is False
    emptied = take(full_ms, rate, 0, now_ms=NOW - 86_400_000).full_ms
    assert take(emptied, rate, 10, now_ms=NOW - 86_400_000 + 10_000).granted


def test_what_is_given_back_may_be_taken_again() -> None:
    rate = Rate(per_second=1, burst=2)
    full_ms = take(UNUSED, rate, 2, now_ms=NOW).full_ms
    assert take(give_back(full_ms, rate, 1), rate, 1, now_ms=NOW).granted
    assert take(give_back(full_ms, rate, 99), rate, 0, now_ms=NOW).remaining == 2


def test_what_others_gave_out_is_spent_even_where_there_is_less() -> None:
    rate = Rate(per_second=1, burst=2)
    assert take(spend(UNUSED, rate, 1, now_ms=NOW), rate, 0, now_ms=NOW).remaining == 1
    assert take(spend(UNUSED, rate, 99, now_ms=NOW), rate, 0, now_ms=NOW).remaining == 0
    assert take(spend(UNUSED, rate, 99, now_ms=NOW), rate, 2, now_ms=NOW + 2_000).granted
