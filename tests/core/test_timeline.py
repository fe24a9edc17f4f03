"""A task's life, put in order."""

from dataclasses import replace
from typing import Any

import pytest

from tests.support.records import NOW, a_queued_task
from webhookd.core.model import DeliveryState, TaskState
from webhookd.core.records import AttemptMade, Delivery, MessageMade, Run
from webhookd.core.timeline import (
    History,
    Sendings,
    timeline,
)
from webhookd.core.timeline_entry import KINDS, entry_document

QUEUED = a_queued_task()
DELIVERY = Delivery(
    id="dlv_1",
    message_id="msg_1",
    partner_id="prt_1",
    task_id="task_a",
    task_type="demo.echo",
    endpoint_id="ep_1",
    lane_id="lane",
    url="https://partner.example/hooks",
    event="task.succeeded",
    state=DeliveryState.PENDING,
    attempts=0,
    attempts_in_budget=0,
    max_attempts=14,
    due_ms=NOW + 9_000,
    in_flight=False,
    last_status=None,
    last_error=None,
    dead_reason=None,
    created_ms=NOW + 300,
    delivered_ms=None,
    ended_ms=None,
)


def run(number: int, start: int, end: int, outcome: str = "succeeded", error: str | None = None) -> Run:
    return Run(
        task_id="task_a",
        attempt=number,
        token=number,
        started_ms=NOW + start,
        finished_ms=NOW + end,
        outcome=outcome,
        error_code=error,
        error_message=None,
    )


def attempt(number: int, at: int, status: int | None, error: str | None = None) -> AttemptMade:
    return AttemptMade(
        delivery_id="dlv_1",
        number=number,
        at_ms=NOW + at,
        duration_us=12_500,
        dns_us=1_000,
        connect_us=None,
        tls_us=2_500,
        first_byte_us=4_000,
        status=status,
        error=error,
    )


def told(history: History) -> list[tuple[int, str]]:
    return [(entry.at_ms - NOW, entry.kind) for entry in timeline(history)]


def details(history: History, kind: str) -> list[dict[str, Any]]:
    return [dict(entry_document(entry)) for entry in timeline(history) if entry.kind == kind]


def test_whole_life_is_in_order() -> None:
    history = History(
        task=replace(QUEUED, state=TaskState.SUCCEEDED, started_ms=NOW + 200, finished_ms=NOW + 300),
        runs=[run(1, 50, 60, "retry", "boom"), run(2, 200, 300)],
        sendings=Sendings(
            messages=[
                MessageMade(id="msg_1", task_id="task_a", event="task.succeeded", created_ms=NOW + 300)
            ],
            deliveries=[
                replace(DELIVERY, state=DeliveryState.DELIVERED, ended_ms=NOW + 420, delivered_ms=NOW + 420)
            ],
            attempts=[attempt(1, 310, 500, "http_500"), attempt(2, 400, 200)],
        ),
    )
    assert told(history) == [
        (0, "received"),
        (0, "queued"),
        (50, "run.started"),
        (60, "run.finished"),
        (200, "run.started"),
        (300, "run.finished"),
        (300, "succeeded"),
        (300, "message"),
        (300, "delivery.created"),
        (310, "delivery.attempt"),
        (400, "delivery.attempt"),
        (420, "delivery.delivered"),
    ]
    assert [one["duration_ms"] for one in details(history, "queued")] == [50]
    assert details(history, "run.finished")[0]["error"] == {"code": "boom", "message": ""}
    assert details(history, "succeeded")[0]["duration_ms"] == 300
    [first, second] = details(history, "delivery.attempt")
    assert (first["attempt"], first["status"], first["error"], first["duration_ms"]) == (
        1,
        500,
        "http_500",
        12.5,
    )
    assert (first["dns_ms"], first["connect_ms"], first["tls_ms"], first["first_byte_ms"]) == (
        1,
        None,
        2.5,
        4,
    )
    assert second["at"] == "2026-09-21T14:13:20.400Z"


def test_scheduled_task_is_queued_when_its_time_has_come() -> None:
    waiting = replace(
        QUEUED, run_at_ms=NOW + 500, due_ms=NOW + 500, state=TaskState.SCHEDULED, finished_ms=None
    )
    assert told(History(task=waiting)) == [(0, "received"), (0, "scheduled")]
    queued = replace(waiting, state=TaskState.QUEUED)
    assert told(History(task=queued)) == [(0, "received"), (0, "scheduled"), (500, "queued")]
    cancelled = replace(waiting, state=TaskState.CANCELLED, finished_ms=NOW + 100)
    assert told(History(task=cancelled)) == [(0, "received"), (0, "scheduled"), (100, "cancelled")]


def test_run_under_way_has_no_end_yet() -> None:
    running = replace(QUEUED, state=TaskState.RUNNING, attempts=1, started_ms=NOW + 10)
    assert told(History(task=running)) == [(0, "received"), (0, "queued"), (10, "run.started")]
    second = replace(running, attempts=2, started_ms=NOW + 90)
    history = History(task=second, runs=[run(1, 10, 20, "retry")])
    assert [one["attempt"] for one in details(history, "run.started")] == [1, 2]


def test_pause_before_the_next_try_is_shown() -> None:
    pausing = replace(QUEUED, state=TaskState.SCHEDULED, due_ms=NOW + 4_000, started_ms=NOW + 10)
    history = History(task=pausing, runs=[run(1, 10, 20, "retry")])
    assert told(history)[-1] == (20, "retry.scheduled")
    assert details(history, "retry.scheduled")[0]["until"] == "2026-09-21T14:13:24.000Z"


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (DeliveryState.DEAD, "delivery.dead"),
        (DeliveryState.CANCELLED, "delivery.cancelled"),
        (DeliveryState.PARKED, "delivery.parked"),
    ],
)
def test_end_of_a_delivery_is_shown(state: DeliveryState, kind: str) -> None:
    ended = None if state is DeliveryState.PARKED else NOW + 900
    delivery = replace(DELIVERY, state=state, ended_ms=ended, due_ms=None, dead_reason="gone")
    history = History(task=QUEUED, sendings=Sendings(deliveries=[delivery]))
    assert told(history)[-1][1] == kind
    assert details(history, "delivery.created")[0]["next_attempt_at"] is None
    [end] = details(history, kind)
    assert end.get("reason") == ("gone" if state is DeliveryState.DEAD else None)


def test_pending_delivery_says_when_it_is_tried_next() -> None:
    history = History(task=QUEUED, sendings=Sendings(deliveries=[DELIVERY]))
    assert details(history, "delivery.created")[0]["next_attempt_at"] == "2026-09-21T14:13:29.000Z"


def test_every_final_state_is_a_kind() -> None:
    finals = (TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED, TaskState.EXPIRED)
    for state in finals:
        ended = replace(QUEUED, state=state, finished_ms=NOW + 5, error_code="e")
        history = History(task=ended)
        assert told(history)[-1] == (5, state.value)
        assert details(history, state.value)[0]["error"] == {"code": "e", "message": ""}
    assert {state.value for state in finals} <= set(KINDS)


def test_when_cancelling_was_asked_for_stands_between_the_runs_start_and_its_end() -> None:
    asked = replace(
        QUEUED, state=TaskState.RUNNING, started_ms=NOW + 5, cancel_requested_ms=NOW + 60, attempts=1
    )
    until_asked = [(0, "received"), (0, "queued"), (5, "run.started"), (60, "cancel.requested")]
    assert told(History(task=asked)) == until_asked
    ended = replace(asked, state=TaskState.CANCELLED, finished_ms=NOW + 60)
    assert told(History(task=ended, runs=[run(1, 5, 60, "cancelled")])) == [
        *until_asked,
        (60, "run.finished"),
        (60, "cancelled"),
    ]
    kept = replace(ended, state=TaskState.SUCCEEDED, finished_ms=NOW + 90)
    assert told(History(task=kept, runs=[run(1, 5, 90)]))[-3:] == [
        (60, "cancel.requested"),
        (90, "run.finished"),
        (90, "succeeded"),
    ]
