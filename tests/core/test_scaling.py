"""How many task workers should run, given readings."""

from dataclasses import replace

import pytest

from webhookd.core.scaling import CALM_SECONDS, LOOK_SECONDS, STUCK_SECONDS, Autoscaler, Reading, WorkerRange

CALM = Reading(
    at_seconds=0.0, waiting=0, oldest_seconds=0.0, running=0, processes=1, slots=8, ended_per_second=0.0
)
BUSY = replace(CALM, waiting=1_000, oldest_seconds=30.0, running=8, ended_per_second=20.0)


def scaler(least: int = 1, most: int = 8) -> Autoscaler:
    return Autoscaler(WorkerRange(least=least, most=most))


@pytest.mark.parametrize(("text", "least", "most"), [("1..4", 1, 4), ("3", 3, 3), (" 2..2 ", 2, 2)])
def test_range_is_read(text: str, least: int, most: int) -> None:
    assert WorkerRange.parse(text) == WorkerRange(least=least, most=most)


@pytest.mark.parametrize("text", ["", "0", "0..2", "4..1", "1..", "..3", "-1", "1-4", "a", "1...4", "٣"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"range|begin"):
        WorkerRange.parse(text)


def test_long_wait_asks_for_as_many_as_the_rate_says() -> None:
    assert scaler().target(BUSY, 1) == 5  # 50 s of work, 10 s wanted


def test_range_is_never_left() -> None:
    assert scaler(most=3).target(BUSY, 1) == 3
    assert scaler(least=2).target(replace(CALM, processes=2, slots=16), 2) == 2


def test_short_wait_asks_for_nothing() -> None:
    assert scaler().target(replace(BUSY, waiting=150), 1) == 1


def test_tasks_none_of_which_has_ended_yet_double_the_workers_once_they_are_stuck() -> None:
    unknown = replace(BUSY, ended_per_second=0.0)
    assert scaler().target(replace(unknown, oldest_seconds=STUCK_SECONDS - 0.1), 1) == 1
    assert scaler().target(replace(unknown, oldest_seconds=STUCK_SECONDS), 1) == 2


def test_waiting_tasks_beside_free_slots_ask_for_nothing() -> None:
    assert scaler().target(replace(BUSY, running=2), 1) == 1


def test_workers_that_are_starting_are_waited_for() -> None:
    assert scaler().target(BUSY, 5) == 5


def test_workers_of_other_machines_count() -> None:
    assert scaler().target(replace(BUSY, processes=4, slots=32, running=32, waiting=300), 1) == 3


def test_no_worker_at_all_is_no_reason_to_change() -> None:
    assert scaler(least=2).target(replace(BUSY, processes=0, slots=0), 2) == 2


def test_workers_go_only_after_a_calm_while_and_no_further_than_was_needed_in_it() -> None:
    autoscaler = scaler()
    calm = replace(CALM, processes=4, slots=32)
    assert autoscaler.target(calm, 4) == 4
    assert autoscaler.target(replace(calm, at_seconds=10.0, running=12), 4) == 4
    assert autoscaler.target(replace(calm, at_seconds=CALM_SECONDS - 0.1), 4) == 4
    assert autoscaler.target(replace(calm, at_seconds=CALM_SECONDS), 4) == 2


def test_one_busy_look_begins_the_calm_again() -> None:
    autoscaler = scaler()
    calm = replace(CALM, processes=2, slots=16)
    assert autoscaler.target(calm, 2) == 2
    assert autoscaler.target(replace(calm, at_seconds=20.0, running=16), 2) == 2
    assert autoscaler.target(replace(calm, at_seconds=CALM_SECONDS), 2) == 2
    assert autoscaler.target(replace(calm, at_seconds=CALM_SECONDS + LOOK_SECONDS), 2) == 2
    assert autoscaler.target(replace(calm, at_seconds=2 * CALM_SECONDS), 2) == 1


def test_tasks_held_back_by_a_limit_do_not_keep_idle_workers() -> None:
    autoscaler = scaler()
    held = replace(CALM, waiting=500, running=1, processes=4, slots=32)
    assert autoscaler.target(held, 4) == 4
    assert autoscaler.target(replace(held, at_seconds=CALM_SECONDS), 4) == 2
