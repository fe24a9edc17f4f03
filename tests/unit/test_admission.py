"""Who is let in: rates, quotas and what the service can hold."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhookd.core.admission import (
    LONGEST_RETRY_SECONDS,
    UNKNOWN_DRAIN_SECONDS,
    Admit,
    Bucket,
    Ceilings,
    Full,
    Load,
    Shed,
    admit,
    drain_seconds,
    take,
)

CEILINGS = Ceilings(max_queued=100, partner_max_queued=10, min_free_disk_bytes=1_000)
CALM = Load(waiting=0, partner_waiting=0, ended_per_second=2.0, disk_free_bytes=5_000)


def test_new_bucket_is_full() -> None:
    taken = take(None, rate=10, burst=5, wanted=5, now_ms=0)
    assert taken.granted
    assert taken.remaining == 0
    assert taken.full_seconds == 0.5
    assert not take(taken.bucket, rate=10, burst=5, wanted=1, now_ms=0).granted


def test_refusal_takes_nothing_and_says_when() -> None:
    empty = take(None, rate=10, burst=5, wanted=5, now_ms=0).bucket
    refused = take(empty, rate=10, burst=5, wanted=3, now_ms=100)
    assert not refused.granted
    assert refused.remaining == 1
    assert refused.retry_seconds == pytest.approx(0.2)
    assert take(refused.bucket, rate=10, burst=5, wanted=3, now_ms=300).granted


def test_more_than_the_burst_never_fits() -> None:
    assert take(None, rate=10, burst=5, wanted=6, now_ms=0).retry_seconds is None


def test_looking_takes_nothing() -> None:
    looked = take(None, rate=10, burst=5, wanted=0, now_ms=0)
    assert looked.granted
    assert looked.remaining == 5


def test_clock_that_goes_back_gains_nothing() -> None:
    bucket = Bucket(tokens=1.0, at_ms=1_000)
    assert take(bucket, rate=10, burst=5, wanted=0, now_ms=0).bucket.tokens == 1.0


@given(
    rate=st.floats(0.1, 1_000),
    burst=st.integers(1, 50),
    steps=st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 60)), max_size=40),
)
def test_no_window_gets_more_than_burst_and_rate(
    rate: float, burst: int, steps: list[tuple[int, int]]
) -> None:
    bucket, now_ms, granted = None, 0, 0
    for pause_ms, wanted in steps:
        now_ms += pause_ms
        taken = take(bucket, rate=rate, burst=burst, wanted=wanted, now_ms=now_ms)
        bucket = taken.bucket
        granted += wanted if taken.granted else 0
        assert granted <= burst + rate * now_ms / 1000 + 1e-6
        assert 0 <= taken.remaining <= burst


def test_calm_service_admits() -> None:
    assert admit(CALM, CEILINGS, count=10) == Admit()


@pytest.mark.parametrize(
    ("load", "full"),
    [
        (replace(CALM, partner_waiting=1), Full.QUOTA),
        (replace(CALM, waiting=91), Full.DEPTH),
        (replace(CALM, disk_free_bytes=999), Full.DISK),
        (replace(CALM, broker_full=True), Full.BROKER),
        (replace(CALM, database_away=True, broker_full=True, waiting=1_000), Full.DATABASE),
        (replace(CALM, waiting=91, partner_waiting=91), Full.DEPTH),
    ],
)
def test_full_service_sheds(load: Load, full: Full) -> None:
    verdict = admit(load, CEILINGS, count=10)
    assert isinstance(verdict, Shed)
    assert verdict.full is full
    assert verdict.retry_seconds >= 1


def test_disk_that_is_not_ours_is_not_judged() -> None:
    assert admit(replace(CALM, disk_free_bytes=None), CEILINGS, count=1) == Admit()


def test_wait_is_what_the_excess_takes_to_drain() -> None:
    verdict = admit(replace(CALM, partner_waiting=10), CEILINGS, count=7)
    assert verdict == Shed(full=Full.QUOTA, retry_seconds=4.0)


@pytest.mark.parametrize(
    ("count", "rate", "seconds"),
    [
        (1, 100.0, 1.0),
        (10, 3.0, 4.0),
        (10, 0.0, UNKNOWN_DRAIN_SECONDS),
        (10**9, 1.0, LONGEST_RETRY_SECONDS),
    ],
)
def test_drain_estimate(count: int, rate: float, seconds: float) -> None:
    assert drain_seconds(count, rate) == seconds
