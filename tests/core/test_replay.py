"""Replays as values: their pace and their public JSON."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.records import a_replay
from webhookd.core.model import ReplayState
from webhookd.core.records import DeadLetter
from webhookd.core.render import dead_letter_document, replay_document
from webhookd.core.replay import SAVED_UP_MS, DeadLetterFilter, Place, Replay, allowance

NOW = 1_790_000_000_000

RUNNING = a_replay(matched=5)


def at(next_ms: float) -> Replay:
    return replace(RUNNING, place=Place(at_ms=1, id="dlv_1", next_ms=next_ms))


def test_the_first_dead_letter_goes_at_once() -> None:
    assert allowance(RUNNING, now_ms=NOW).count == 1


def test_nothing_goes_before_the_next_is_due() -> None:
    assert allowance(at(NOW + 1), now_ms=NOW).count == 0


@pytest.mark.parametrize(("passed_ms", "count"), [(0, 1), (99, 1), (100, 2), (950, 10)])
def test_time_passed_lets_as_many_go_as_the_rate_says(passed_ms: int, count: int) -> None:
    assert allowance(at(NOW), now_ms=NOW + passed_ms).count == count


def test_no_more_than_a_second_is_caught_up_on() -> None:
    assert allowance(at(NOW), now_ms=NOW + 3_600_000).count == 11


@given(
    rate=st.floats(0.1, 1000),
    steps=st.lists(st.integers(0, 5_000), min_size=1, max_size=50),
)
def test_over_any_run_of_steps_the_rate_holds(rate: float, steps: list[int]) -> None:
    replay, now_ms, taken = replace(RUNNING, rate_per_second=rate), NOW, 0
    for step_ms in steps:
        now_ms += step_ms
        allowed = allowance(replay, now_ms=now_ms)
        taken += allowed.count
        next_ms = allowed.after(allowed.count)
        assert next_ms > now_ms or allowed.count == 0
        replay = replace(replay, place=Place(at_ms=1, id="dlv_1", next_ms=next_ms))

    assert taken <= (now_ms - NOW + SAVED_UP_MS) * rate / 1000 + 1


def test_the_public_filter_shows_only_what_was_set() -> None:
    wanted = DeadLetterFilter(kind="delivery", endpoint_id="ep_1", since_ms=NOW, until_ms=NOW + 1)

    document = replay_document(replace(RUNNING, filter=wanted))

    assert document["filter"] == {
        "kind": "delivery",
        "endpoint": "ep_1",
        "since": "2026-09-21T14:13:20.000Z",
        "until": "2026-09-21T14:13:20.001Z",
    }
    assert (document["state"], document["matched"], document["finished_at"]) == ("running", 5, None)


def test_a_finished_replay_says_when() -> None:
    done = replace(RUNNING, state=ReplayState.DONE, finished_ms=NOW)

    assert replay_document(done)["finished_at"] == "2026-09-21T14:13:20.000Z"


def test_a_dead_letter_does_not_show_whose_it_is() -> None:
    letter = DeadLetter(
        id="dlv_1",
        kind="delivery",
        partner_id="prt_1",
        reason="gone",
        at_ms=NOW,
        task_id="task_1",
        endpoint_id="ep_1",
        url="https://a.example/",
        event="task.failed",
        type="demo.fail",
        last_error="http_410",
    )

    document = dead_letter_document(letter)

    assert document["at"] == "2026-09-21T14:13:20.000Z"
    assert (document["id"], document["kind"], document["reason"]) == ("dlv_1", "delivery", "gone")
    assert "prt_1" not in str(document)
