"""Pauses and `Retry-After`."""

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhookd.core.retry import RETRY_AFTER_CAP_SECONDS, RetryPolicy, parse_retry_after
from webhookd.settings import Settings
from webhookd.wiring.worker import delivery_policy

NOW = 1_795_500_000.0  # Tue, 24 Nov 2026 06:00:00 GMT
SUN_1994 = 784_111_777.0
DELIVERY_RETRY = delivery_policy(Settings())
TASK_RETRY = RetryPolicy(max_attempts=3, base_seconds=1, factor=4, cap_seconds=3600, jitter=0)

fractions = st.floats(0, 1, exclude_max=True)
policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 100),
    base_seconds=st.floats(0.001, 3600),
    factor=st.floats(1, 100),
    cap_seconds=st.floats(0.001, 90_000),
    jitter=st.floats(0, 0.99),
)


def test_deliveries_are_retried_for_about_three_days_and_a_third() -> None:
    pauses = [DELIVERY_RETRY.delay_seconds(n, chance=0.5) for n in range(1, DELIVERY_RETRY.max_attempts)]
    assert pauses[:8] == [5, 20, 80, 320, 1280, 5120, 20480, 43200]
    assert sum(pauses) / 86400 == pytest.approx(3.3, abs=0.05)


def test_tasks_pause_one_four_sixteen_seconds_exactly() -> None:
    assert [TASK_RETRY.delay_seconds(n, chance=0.99) for n in (1, 2, 3)] == [1, 4, 16]
    assert TASK_RETRY.delay_seconds(50, chance=0) == 3600


def test_jitter_spreads_a_fifth_to_either_side_also_at_the_cap() -> None:
    for attempt, exact in ((1, 5.0), (13, 43200.0)):
        assert DELIVERY_RETRY.delay_seconds(attempt, chance=0) == pytest.approx(exact * 0.8)
        assert DELIVERY_RETRY.delay_seconds(attempt, chance=0.75) == pytest.approx(exact * 1.1)


@given(policy=policies, attempt=st.integers(1, 10_000), chance=fractions)
def test_every_pause_lies_within_the_policy(policy: RetryPolicy, attempt: int, chance: float) -> None:
    exact = min(policy.base_seconds, policy.cap_seconds)
    pause = policy.delay_seconds(attempt, chance=chance)
    slack = 1 + 1e-9
    assert exact * (1 - policy.jitter) / slack <= pause <= policy.cap_seconds * (1 + policy.jitter) * slack


@given(policy=policies, attempt=st.integers(1, 1000), chance=fractions)
def test_pauses_never_shorten(policy: RetryPolicy, attempt: int, chance: float) -> None:
    earlier, later = (policy.delay_seconds(n, chance=chance) for n in (attempt, attempt + 1))
    assert later >= earlier * (1 - 1e-9)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0},
        {"base_seconds": 0},
        {"base_seconds": float("nan")},
        {"base_seconds": float("inf")},
        {"factor": 0.5},
        {"factor": float("inf")},
        {"cap_seconds": -1},
        {"cap_seconds": float("inf")},
        {"jitter": 1},
        {"jitter": -0.1},
    ],
)
def test_what_makes_no_schedule_is_refused(wrong: dict[str, float]) -> None:
    sound: dict[str, float] = {"max_attempts": 14, "base_seconds": 5, "factor": 4, "cap_seconds": 60}
    with pytest.raises(ValueError, match="schedule"):
        RetryPolicy(**(sound | wrong))  # type: ignore[arg-type]  # one dict serves int and float fields


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 120\t", 120.0),
        ("0000000000000000120", 120.0),
        ("86401", RETRY_AFTER_CAP_SECONDS),
        ("9" * 10, RETRY_AFTER_CAP_SECONDS),
        ("9" * 20_000, RETRY_AFTER_CAP_SECONDS),
        ("0" * 20_000, 0.0),
        ("Tue, 24 Nov 2026 06:01:30 GMT", 90.0),
        ("Tuesday, 24-Nov-26 06:01:30 GMT", 90.0),
        ("Tue Nov 24 06:01:30 2026", 90.0),
        ("Tue, 24 Nov 2026 08:01:30 +0200", 90.0),
        ("Tue, 24 Nov 2026 05:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", RETRY_AFTER_CAP_SECONDS),
    ],
)
def test_a_wait_in_seconds_or_as_a_date_is_read_and_capped(value: str, seconds: float) -> None:
    assert parse_retry_after(value, now_seconds=NOW) == seconds


@pytest.mark.parametrize("value", ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT"])
def test_the_dates_of_rfc_9110_are_read(value: str) -> None:
    assert parse_retry_after(value, now_seconds=SUN_1994 - 5) == 5.0


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "  ",
        "-1",
        "+5",
        "1e9",
        "1.5",
        "soon",
        "\uff11\uff12",
        "²",
        "Tue, 99 Nov 2026 06:00:00 GMT",
        "Tue, 24 Nov 2026 06:00:00 +99999999999999999",
        "x" * 100_000,
    ],
)
def test_what_is_neither_is_no_wait(value: str | None) -> None:
    assert parse_retry_after(value, now_seconds=NOW) is None


def test_a_date_without_a_zone_is_utc_wherever_the_server_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "EST5EDT")
        time.tzset()
        assert parse_retry_after("Tue Nov 24 06:01:30 2026", now_seconds=NOW) == 90.0
    time.tzset()


@given(ahead=st.integers(0, 86_400))
def test_any_date_of_the_next_day_is_read_to_the_second(ahead: int) -> None:
    value = formatdate(NOW + ahead, usegmt=True)
    assert parse_retry_after(value, now_seconds=NOW) == ahead


@given(
    value=st.text()
    | st.from_regex(r"\A[A-Z][a-z]{2}, [0-9]{1,3} [A-Z][a-z]{2} [0-9]{1,5} [0-9:]{1,12} ?[A-Z+0-9-]{0,12}\Z")
)
def test_no_value_fails_or_escapes_the_bounds(value: str) -> None:
    wait = parse_retry_after(value, now_seconds=NOW)
    assert wait is None or 0 <= wait <= RETRY_AFTER_CAP_SECONDS
