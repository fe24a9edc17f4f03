"""What a process that changes tasks knows of who watches: what is told, what withheld, and for how long."""

import pytest

from webhookd.core import watched as watched_module
from webhookd.core.records import TaskSignal
from webhookd.core.watched import EVERYTHING, LASTS_SECONDS, WITHHELD_SECONDS, Watched


def changed(task_id: str, version: int = 1, partner_id: str = "prt_1") -> TaskSignal:
    return TaskSignal(task_id=task_id, partner_id=partner_id, version=version)


A, B = changed("task_a"), changed("task_b", partner_id="prt_2")


def test_nothing_is_told_where_nobody_watches() -> None:
    assert Watched().told([A, B], 0.0) == []


@pytest.mark.parametrize(
    ("name", "told"), [("task_a", [A]), ("prt_2", [B]), (EVERYTHING, [A, B]), ("task_c", [])]
)
def test_what_is_watched_by_its_name_or_its_partner_is_told(name: str, told: list[TaskSignal]) -> None:
    watched = Watched()
    assert watched.learn([name], 0.0) == []
    assert watched.told([A, B], 0.0) == told


def test_what_was_said_lapses_unless_it_is_said_again() -> None:
    watched = Watched()
    watched.learn(["task_a"], 0.0)
    watched.learn(["task_a"], 3.0)
    assert watched.told([A], 3.0 + LASTS_SECONDS) == [A]
    assert watched.told([A], 3.1 + LASTS_SECONDS) == []


def test_what_changed_right_before_is_told_once_in_its_newest_version() -> None:
    watched = Watched()
    watched.told([changed("task_a", 3), B], 0.0)
    watched.told([changed("task_a", 2)], 0.5)
    assert watched.learn(["task_a"], 1.0) == [changed("task_a", 3)]
    assert watched.learn(["task_a"], 1.1 + LASTS_SECONDS) == []


def test_who_follows_is_not_told_what_changed_before() -> None:
    watched = Watched()
    watched.told([A, B], 0.0)
    assert watched.learn(["prt_1", EVERYTHING], 0.1) == []


def test_what_changed_long_ago_is_in_the_row_already() -> None:
    watched = Watched()
    watched.told([A], 0.0)
    assert watched.learn(["task_a"], WITHHELD_SECONDS + 0.1) == []


def test_room_for_what_is_withheld_and_for_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched_module, "MOST_WITHHELD", 2)
    monkeypatch.setattr(watched_module, "MOST_NAMES", 2)
    watched = Watched()
    watched.told([changed(f"task_{number}") for number in range(3)], 0.0)
    told = watched.learn([f"task_{number}" for number in range(3)], 0.0)
    assert [signal.task_id for signal in told] == ["task_1", "task_2"]
    assert watched.told([changed("task_other")], 0.0) == [changed("task_other")]


def test_names_that_lapsed_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched_module, "MOST_NAMES", 2)
    watched = Watched()
    watched.learn(["task_1", "task_2"], 0.0)
    watched.learn(["task_3"], LASTS_SECONDS + 1)
    assert watched.told([changed("task_other")], LASTS_SECONDS + 1) == []
