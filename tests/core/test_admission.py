"""Who is let in: rates, quotas and what the service can hold."""

from dataclasses import replace

import pytest

from webhookd.core.admission import (
    LONGEST_RETRY_SECONDS,
    UNKNOWN_DRAIN_SECONDS,
    Admit,
    Ceilings,
    Full,
    Load,
    Shed,
    admit,
    drain_seconds,
)

CEILINGS = Ceilings(max_queued=100, partner_max_queued=10, min_free_disk_bytes=1_000)
CALM = Load(waiting=0, partner_waiting=0, ended_per_second=2.0, disk_free_bytes=5_000)


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
