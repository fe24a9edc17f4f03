"""How a lane is driven: growth, halving, breaker, holds, slowness, rate."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhookd.core.pacing import (
    BREAKER_FAILURES,
    INITIAL_CAP,
    MOVE_INTERVAL_MS,
    RATE_SLACK_MS,
    LaneSample,
    LaneSign,
    Pace,
    after,
    after_many,
    allowance,
    breaker_state,
    outcome_of,
    rate_hold,
    ready_ms,
    released,
)
from webhookd.core.reply import ErrorCode, Reply, Timing

NOW_MS = 1_795_500_000_000
CEILING = 64
CAP_SECONDS = 43_200.0
QUICK = LaneSample(kind=LaneSign.SUCCESS, duration_us=5000)
LATE = LaneSample(kind=LaneSign.SUCCESS, duration_us=2_000_000)
FAILED = LaneSample(kind=LaneSign.FAILURE, duration_us=5000)
BUSY = LaneSample(kind=LaneSign.CONGESTION, duration_us=5000)
HUNG = LaneSample(kind=LaneSign.CONGESTION, duration_us=15_000_000, timed_out=True)
OURS = LaneSample(kind=LaneSign.NEUTRAL, duration_us=5000)


def step(
    pace: Pace, *outcomes: LaneSample, at: int = 0, ceiling: int = CEILING, cap: float = CAP_SECONDS
) -> Pace:
    return after_many(pace, outcomes, now_ms=NOW_MS + at, ceiling=ceiling, policy_cap_seconds=cap)


def opened(at: int = 0) -> Pace:
    return step(Pace(), *[FAILED] * BREAKER_FAILURES, at=at)


# Growth


def test_the_cap_doubles_on_quick_success_up_to_the_ceiling() -> None:
    pace, caps = Pace(), []
    for turn in range(6):
        pace = step(pace, *[QUICK] * pace.cap, at=turn * MOVE_INTERVAL_MS, ceiling=50)
        caps.append(pace.cap)
    assert caps == [8, 16, 32, 50, 50, 50]


def test_a_batch_is_one_piece_of_news() -> None:
    assert step(Pace(), *[QUICK] * 100).cap == 2 * INITIAL_CAP
    assert step(Pace(cap=64), *[BUSY] * (BREAKER_FAILURES - 1)).cap == 32


def test_the_cap_grows_again_only_after_an_interval() -> None:
    pace = step(Pace(), QUICK)
    assert step(pace, QUICK, at=MOVE_INTERVAL_MS - 1).cap == pace.cap
    assert step(pace, QUICK, at=MOVE_INTERVAL_MS).cap == 2 * pace.cap


def test_slow_success_does_not_grow_the_cap() -> None:
    assert step(Pace(), LATE).cap == INITIAL_CAP


@pytest.mark.parametrize("outcome", [BUSY, HUNG])
def test_congestion_halves_the_cap_at_once_and_not_below_one(outcome: LaneSample) -> None:
    assert step(Pace(cap=9), outcome).cap == 4
    assert step(Pace(cap=1), outcome).cap == 1


def test_the_cap_does_not_grow_right_after_it_was_halved() -> None:
    pace = step(Pace(cap=8), BUSY, QUICK)
    assert pace.cap == 4
    assert step(pace, QUICK, at=MOVE_INTERVAL_MS).cap == 5


def test_congestion_right_after_growth_halves_too() -> None:
    assert step(Pace(), QUICK, BUSY).cap == INITIAL_CAP


def test_other_failures_leave_the_cap() -> None:
    assert step(Pace(cap=9), FAILED).cap == 9


def test_after_congestion_growth_creeps_from_the_level_that_held() -> None:
    pace, caps = step(Pace(cap=40), BUSY), []
    for turn in range(1, 4):
        pace = step(pace, QUICK, at=turn * MOVE_INTERVAL_MS)
        caps.append(pace.cap)
    assert caps == [21, 22, 23]


def test_doubling_stops_at_the_threshold() -> None:
    pace, caps = Pace(cap=6, threshold=10), []
    for turn in range(3):
        pace = step(pace, QUICK, at=turn * MOVE_INTERVAL_MS)
        caps.append(pace.cap)
    assert caps == [10, 11, 12]


def test_a_lowered_ceiling_holds_from_the_next_outcome() -> None:
    assert step(Pace(cap=40), FAILED, ceiling=10).cap == 10


def test_more_under_way_than_the_cap_lets_none_start() -> None:
    assert allowance(Pace(cap=4), in_flight=9, ceiling=CEILING, now_ms=NOW_MS) == 0
    assert allowance(Pace(cap=4), in_flight=1, ceiling=3, now_ms=NOW_MS) == 2


def test_fifo_never_has_two_under_way() -> None:
    pace = Pace()
    assert allowance(pace, in_flight=0, ceiling=1, now_ms=NOW_MS) == 1
    for turn in range(10):
        pace = step(pace, QUICK, at=turn * MOVE_INTERVAL_MS, ceiling=1)
    assert pace.cap == 1


# Breaker


def test_ten_consecutive_failures_open_the_breaker_and_nine_do_not() -> None:
    nearly = step(Pace(), *[FAILED] * (BREAKER_FAILURES - 1))
    assert breaker_state(nearly, NOW_MS) == "closed"
    assert breaker_state(step(nearly, FAILED), NOW_MS) == "open"
    assert breaker_state(step(nearly, QUICK, *[FAILED] * (BREAKER_FAILURES - 1)), NOW_MS) == "closed"


@pytest.mark.parametrize(
    ("policy_cap", "hold_ms"), [(43_200.0, 30_000), (30.0, 30_000), (7.5, 7_500), (5.0, 5_000), (0.25, 5_000)]
)
def test_an_open_breaker_holds_thirty_seconds_or_the_retry_cap_but_at_least_five(
    policy_cap: float, hold_ms: int
) -> None:
    pace = step(Pace(), *[FAILED] * BREAKER_FAILURES, cap=policy_cap)
    assert ready_ms(pace) == NOW_MS + hold_ms
    assert allowance(pace, in_flight=0, ceiling=CEILING, now_ms=NOW_MS + hold_ms - 1) == 0
    assert allowance(pace, in_flight=0, ceiling=CEILING, now_ms=NOW_MS + hold_ms) == 1
    assert allowance(pace, in_flight=1, ceiling=CEILING, now_ms=NOW_MS + hold_ms) == 0


def test_a_failed_probe_opens_the_breaker_again() -> None:
    pace = step(opened(), FAILED, at=30_000)
    assert breaker_state(pace, NOW_MS + 59_999) == "open"
    assert breaker_state(pace, NOW_MS + 60_000) == "half_open"


def test_a_probe_that_gets_through_closes_the_breaker_and_the_cap_begins_at_one() -> None:
    pace = step(opened(), QUICK, at=30_000)
    assert breaker_state(pace, NOW_MS + 30_000) == "closed"
    assert pace.cap == 1
    assert step(pace, *[QUICK] * 10, at=30_000).cap == 1


def test_a_receiver_that_came_back_only_to_fail_often_is_held_again() -> None:
    back = step(opened(), QUICK, at=30_000)
    assert breaker_state(step(back, *([FAILED] * 5 + [QUICK]) * 3, at=30_001), NOW_MS + 30_001) == "closed"
    assert breaker_state(step(back, *([FAILED] * 5 + [QUICK]) * 4, at=30_001), NOW_MS + 30_001) == "open"


def test_a_probe_lost_to_our_own_fault_decides_nothing() -> None:
    pace = step(opened(), OURS, at=30_000)
    assert breaker_state(pace, NOW_MS + 30_000) == "half_open"
    assert allowance(pace, in_flight=0, ceiling=CEILING, now_ms=NOW_MS + 30_000) == 1


@pytest.mark.parametrize("late", [QUICK, FAILED, HUNG])
def test_answers_that_were_under_way_when_the_breaker_opened_do_not_move_it(late: LaneSample) -> None:
    pace = opened()
    still = step(pace, late, at=100)
    assert still.open_until_ms == pace.open_until_ms
    assert breaker_state(step(still, FAILED, at=30_000), NOW_MS + 30_001) == "open"


def test_frequent_failure_opens_the_breaker_though_some_succeed() -> None:
    pattern = [FAILED] * 5 + [QUICK]
    assert breaker_state(step(Pace(), *pattern, *pattern, *pattern), NOW_MS) == "closed"
    assert breaker_state(step(Pace(), *pattern, *pattern, *pattern, *pattern), NOW_MS) == "open"


def test_failing_half_the_time_keeps_the_breaker_closed() -> None:
    assert breaker_state(step(Pace(), *[FAILED, QUICK] * 500), NOW_MS) == "closed"


def test_a_long_good_record_does_not_hide_a_receiver_that_starts_failing_often() -> None:
    healthy = step(Pace(), *[QUICK] * 1000)
    assert breaker_state(step(healthy, *([FAILED] * 9 + [QUICK]) * 6), NOW_MS) == "open"


def test_ten_thousand_due_meet_a_paced_ramp_when_the_receiver_is_back() -> None:
    """A receiver that answers in 10 ms, and a lane with no end of work: how many start in each interval."""
    pace = step(opened(), QUICK, at=30_000)
    started, caps = [], []
    for interval in range(1, 11):
        at = 30_000 + interval * MOVE_INTERVAL_MS
        going = allowance(pace, in_flight=0, ceiling=CEILING, now_ms=NOW_MS + at)
        started.append(going * MOVE_INTERVAL_MS // 10)
        pace = step(pace, *[QUICK] * going, at=at)
        caps.append(pace.cap)
    assert started[:4] == [25, 50, 100, 200]
    assert caps == [2, 4, 8, 16, 32, 33, 34, 35, 36, 37]


def test_a_person_asking_ends_a_hold_and_lets_the_probe_go_at_once() -> None:
    held = replace(opened(), hold_until_ms=NOW_MS + 3_600_000)
    free = released(held, NOW_MS + 5)
    assert breaker_state(free, NOW_MS + 5) == "half_open"
    assert allowance(free, in_flight=0, ceiling=CEILING, now_ms=NOW_MS + 5) == 1
    closed = Pace(cap=9, hold_until_ms=NOW_MS + 3_600_000)
    assert released(closed, NOW_MS) == Pace(cap=9)


# Holds and slowness


def test_a_honoured_retry_after_holds_the_lane_and_a_later_shorter_one_does_not_cut_it() -> None:
    pace = step(Pace(), replace(BUSY, hold_until_ms=NOW_MS + 60_000))
    pace = step(pace, replace(BUSY, hold_until_ms=NOW_MS + 1000), QUICK, at=10)
    assert ready_ms(pace) == NOW_MS + 60_000
    assert allowance(pace, in_flight=0, ceiling=CEILING, now_ms=NOW_MS + 59_999) == 0
    assert allowance(pace, in_flight=0, ceiling=CEILING, now_ms=NOW_MS + 60_000) == pace.cap


def test_a_time_out_makes_a_lane_slow_however_short_the_deadline_was() -> None:
    assert step(Pace(), replace(HUNG, duration_us=100_000)).slow


def test_one_late_answer_does_not_make_a_lane_slow_but_a_run_of_them_does() -> None:
    late = replace(LATE, duration_us=4_000_000)
    assert not step(Pace(), late).slow
    assert step(Pace(), *[late] * 10).slow


def test_a_slow_lane_is_quick_again_after_a_run_of_quick_answers() -> None:
    slow = step(Pace(), HUNG)
    assert step(slow, *[QUICK] * 2).slow
    assert not step(slow, *[QUICK] * 10).slow


def test_quick_failures_are_not_slow() -> None:
    assert not step(Pace(), *[FAILED] * 100).slow


def test_our_own_faults_change_nothing() -> None:
    pace = step(Pace(), QUICK, HUNG, FAILED)
    assert step(pace, OURS, at=5000) is pace


# Reading answers


def kind_of(*, status: int | None = None, error: ErrorCode | None = None) -> LaneSign:
    return outcome_of(Reply(status=status, error=error, timing=Timing(total_us=7)), now_ms=NOW_MS).kind


@pytest.mark.parametrize(
    ("kind", "statuses", "errors"),
    [
        (LaneSign.SUCCESS, (200, 204, 410), ()),
        (LaneSign.FAILURE, (301, 400, 404, 500, 502), ("blocked", "dns", "tls_name", "closed", "protocol")),
        (LaneSign.CONGESTION, (429, 503), ("timeout", "connect")),
        (LaneSign.NEUTRAL, (), ("proxy",)),
    ],
)
def test_each_answer_says_its_kind(
    kind: LaneSign, statuses: tuple[int, ...], errors: tuple[ErrorCode, ...]
) -> None:
    assert {kind_of(status=status) for status in statuses} <= {kind}
    assert {kind_of(error=error) for error in errors} <= {kind}


def test_an_answer_brings_its_duration_and_honoured_wait() -> None:
    timing = Timing(total_us=1234)
    busy = Reply(status=429, retry_after="7", timing=timing)
    assert outcome_of(busy, now_ms=NOW_MS) == LaneSample(
        kind=LaneSign.CONGESTION, duration_us=1234, hold_until_ms=NOW_MS + 7000
    )
    broken = Reply(status=500, retry_after="7", timing=timing)
    assert outcome_of(broken, now_ms=NOW_MS).hold_until_ms == 0
    hung = Reply(error="timeout", timing=timing)
    assert outcome_of(hung, now_ms=NOW_MS).timed_out


# What always holds

outcomes = st.builds(
    LaneSample,
    kind=st.sampled_from(LaneSign),
    duration_us=st.integers(0, 20_000_000),
    timed_out=st.booleans(),
    hold_until_ms=st.just(0) | st.integers(NOW_MS, NOW_MS + 10_000),
)
histories = st.lists(st.tuples(st.integers(0, 40_000), st.integers(1, 100), st.lists(outcomes, max_size=12)))


@given(history=histories)
def test_whatever_happens_a_pace_stays_sound(history: list[tuple[int, int, list[LaneSample]]]) -> None:
    pace, at = Pace(), 0
    for pause, ceiling, batch in history:
        at += pause
        before = pace
        pace = step(pace, *batch, at=at, ceiling=ceiling)
        counted = [outcome for outcome in batch if outcome.kind is not LaneSign.NEUTRAL]
        assert 1 <= pace.cap <= (ceiling if counted else before.cap)
        assert pace.cap <= 2 * before.cap
        assert 0 <= pace.failure_ratio <= 1
        assert 0 <= pace.latency_us <= 20_000_000
        assert pace.threshold >= 1
        assert pace.hold_until_ms >= before.hold_until_ms
        if breaker_state(pace, NOW_MS + at) == "open":
            assert pace.cap == 1
            assert allowance(pace, in_flight=0, ceiling=ceiling, now_ms=NOW_MS + at) == 0
            assert ready_ms(pace) <= NOW_MS + at + 30_000 or pace.hold_until_ms == ready_ms(pace)


@given(history=histories, waits=st.integers(0, 3))
def test_from_anywhere_a_receiver_that_is_well_again_gets_the_whole_ceiling(
    history: list[tuple[int, int, list[LaneSample]]], waits: int
) -> None:
    pace, at = Pace(), 0
    for pause, ceiling, batch in history:
        at += pause
        pace = step(pace, *batch, at=at, ceiling=ceiling)
    at = max(at, ready_ms(pace) - NOW_MS) + waits
    for _ in range(CEILING + 10):
        assert allowance(pace, in_flight=0, ceiling=CEILING, now_ms=NOW_MS + at) >= 1
        pace = step(pace, QUICK, at=at)
        at += MOVE_INTERVAL_MS
    assert pace.cap == CEILING
    assert not pace.slow


@given(batch=st.lists(outcomes))
def test_a_batch_means_the_same_as_its_outcomes_one_by_one(batch: list[LaneSample]) -> None:
    pace = Pace()
    for outcome in batch:
        pace = after(pace, outcome, now_ms=NOW_MS, ceiling=CEILING, policy_cap_seconds=CAP_SECONDS)
    assert pace == step(Pace(), *batch)


# Rate


def served(rate: float, pauses: list[int], wanted: int) -> list[tuple[int, int]]:
    """Ask after each pause; return (time, how many went)."""
    tat_ms, now_ms, went = 0.0, NOW_MS, []
    for pause in pauses:
        now_ms += pause
        grant = rate_hold(tat_ms, rate_limit_per_second=rate, wanted=wanted, now_ms=now_ms)
        tat_ms = grant.tat_ms
        went.append((now_ms, grant.allowed))
    return went


def driven(rate: float, *, late_ms: int, seconds: int) -> list[tuple[int, int]]:
    """Come back exactly `late_ms` after each time we were told to."""
    tat_ms, now_ms, went = 0.0, NOW_MS, []
    while now_ms < NOW_MS + seconds * 1000:
        grant = rate_hold(tat_ms, rate_limit_per_second=rate, wanted=1000, now_ms=now_ms)
        tat_ms = grant.tat_ms
        went.append((now_ms, grant.allowed))
        now_ms = grant.ready_ms + late_ms
    return went


@given(
    rate=st.floats(0.1, 2000),
    pauses=st.lists(st.integers(0, 300), max_size=60),
    wanted=st.integers(0, 50),
    window_ms=st.integers(1, 2000),
)
def test_no_window_ever_sees_more_than_the_rate_and_its_slack(
    rate: float, pauses: list[int], wanted: int, window_ms: int
) -> None:
    went = served(rate, pauses, wanted)
    slack_ms = RATE_SLACK_MS if rate > 10 else 0
    bound = 1 + (window_ms + slack_ms) * rate / 1000
    for start, _ in went:
        inside = sum(allowed for at, allowed in went if start <= at < start + window_ms)
        assert inside <= bound + 1e-6


@pytest.mark.parametrize("rate", [1, 2, 5, 10])
def test_a_slow_rate_is_spaced_exactly(rate: int) -> None:
    went = driven(rate, late_ms=0, seconds=10)
    assert [allowed for _, allowed in went] == [1] * (10 * rate)
    assert {later - earlier for (earlier, _), (later, _) in itertools.pairwise(went)} == {1000 // rate}


@pytest.mark.parametrize("rate", [20, 100, 500, 1000])
def test_a_fast_rate_is_reached_in_few_turns_though_each_comes_late(rate: int) -> None:
    went = driven(rate, late_ms=8, seconds=10)
    assert sum(allowed for _, allowed in went) >= 0.97 * 10 * rate
    assert len(went) <= 10 * 100


@given(rate=st.floats(0.1, 2000), wanted=st.integers(1, 50), tat=st.floats(-500, 500))
def test_who_comes_when_told_is_never_sent_away(rate: float, wanted: int, tat: float) -> None:
    first = rate_hold(NOW_MS + tat, rate_limit_per_second=rate, wanted=wanted, now_ms=NOW_MS)
    assert first.ready_ms >= NOW_MS
    again = rate_hold(first.tat_ms, rate_limit_per_second=rate, wanted=1, now_ms=first.ready_ms)
    assert again.allowed == 1


def test_without_a_limit_all_may_go() -> None:
    grant = rate_hold(5.0, rate_limit_per_second=None, wanted=37, now_ms=NOW_MS)
    assert (grant.allowed, grant.ready_ms, grant.tat_ms) == (37, NOW_MS, 5.0)
