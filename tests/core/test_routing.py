"""Who gets a copy of an event."""

from typing import Any

import pytest

from tests.support.records import a_task
from webhookd.core.model import DeliveryState
from webhookd.core.routing import Subscriber, inline_lane_id, recipients, type_matches

INLINE: dict[str, Any] = {"callback_url": "https://x.example/hook", "callback_origin": "https://x.example"}


def _subscriber(name: str, **changes: Any) -> Subscriber:
    fields: dict[str, Any] = {
        "endpoint_id": name,
        "partner_id": "prt_1",
        "events": ("task.*",),
        "task_types": (),
        "enabled": True,
        "deleted": False,
        "fifo": False,
        "max_attempts": 5,
    }
    return Subscriber(**(fields | changes))


def _heard(task: Any, event: str, *subscribers: Subscriber) -> list[str | None]:
    return [r.endpoint_id for r in recipients(task, event, subscribers, default_max_attempts=14)]


def test_without_an_address_every_subscriber_gets_a_copy() -> None:
    one, other = _subscriber("ep_1"), _subscriber("ep_2", events=("task.failed",))

    assert _heard(a_task(), "task.failed", one, other) == ["ep_1", "ep_2"]
    assert _heard(a_task(), "task.succeeded", one, other) == ["ep_1"]


def test_an_empty_list_of_endpoints_is_none_of_them() -> None:
    everybody = (_subscriber("ep_1"), _subscriber("ep_2", events=("task.started",)))

    for event in ("task.succeeded", "task.failed", "task.started"):
        assert _heard(a_task(endpoint_ids=()), event, *everybody) == []
    assert _heard(a_task(**INLINE, endpoint_ids=()), "task.failed", *everybody) == [None]


@pytest.mark.parametrize("event", ["task.started", "task.progress"])
def test_transient_events_are_heard_only_by_name(event: str) -> None:
    named = _subscriber("ep_2", events=(event,))

    assert _heard(a_task(), event, _subscriber("ep_1"), named) == ["ep_2"]
    assert _heard(a_task(**INLINE), event) == []
    assert _heard(a_task(**INLINE, events=(event,)), event) == [None]


def test_an_endpoint_may_want_some_types_only() -> None:
    assert _heard(a_task(), "task.failed", _subscriber("ep_1", task_types=("report.*",))) == ["ep_1"]
    assert _heard(a_task(), "task.failed", _subscriber("ep_1", task_types=("csv.*", "report"))) == []


@pytest.mark.parametrize(
    ("patterns", "matches"),
    [
        ((), True),
        (("*",), True),
        (("report.statement",), True),
        (("report.*",), True),
        (("report",), False),
        (("report.statement.*",), False),
        (("rep.*",), False),
        (("x", "report.*"), True),
    ],
)
def test_a_types_wildcard_names_all_below_it(patterns: tuple[str, ...], matches: bool) -> None:
    assert type_matches(patterns, "report.statement") is matches


def test_an_addressed_task_goes_exactly_where_it_says() -> None:
    subscribers = _subscriber("ep_1", events=()), _subscriber("ep_2")
    task = a_task(**INLINE, endpoint_ids=("ep_1",))

    assert _heard(task, "task.succeeded", *subscribers) == [None, "ep_1"]
    assert (
        _heard(a_task(endpoint_ids=("ep_1",), events=("task.failed",)), "task.succeeded", *subscribers) == []
    )


def test_an_inline_callback_has_the_lane_of_its_origin_and_the_default_budget() -> None:
    (to,) = recipients(a_task(**INLINE), "task.failed", (), default_max_attempts=14)
    (bare,) = recipients(a_task(callback_url="https://x.example"), "task.failed", (), default_max_attempts=14)

    assert to.lane_id == bare.lane_id == inline_lane_id("prt_1", "https://x.example")
    assert (to.url, to.max_attempts, to.fifo, to.state) == (
        INLINE["callback_url"],
        14,
        False,
        DeliveryState.PENDING,
    )
    assert inline_lane_id("prt_2", "https://x.example") != to.lane_id


def test_a_disabled_endpoints_copy_is_parked_and_a_deleted_ones_is_dead_if_it_was_named() -> None:
    gone, off = (
        _subscriber("ep_1", deleted=True, enabled=False),
        _subscriber("ep_2", enabled=False, fifo=True),
    )
    named = recipients(
        a_task(endpoint_ids=("ep_1", "ep_2")), "task.failed", (gone, off), default_max_attempts=14
    )

    assert [(r.state, r.dead_reason) for r in named] == [
        (DeliveryState.DEAD, "endpoint_deleted"),
        (DeliveryState.PARKED, None),
    ]
    assert (named[1].lane_id, named[1].fifo, named[1].max_attempts) == ("ep_2", True, 5)
    assert _heard(a_task(), "task.failed", gone, off) == ["ep_2"]
