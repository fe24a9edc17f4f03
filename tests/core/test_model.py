"""The states and the moves between them: what is not in the tables cannot happen."""

from enum import StrEnum
from typing import Any

import pytest

from webhookd.core.errors import IllegalTransition
from webhookd.core.model import (
    BATCHES,
    DELIVERIES,
    ENDPOINTS,
    FINAL_EVENTS,
    OPERATIONAL_EVENTS,
    REPLAYS,
    TASK_DONE,
    TASKS,
    TRANSIENT_EVENTS,
    BatchMove,
    BatchState,
    DeliveryMove,
    DeliveryState,
    EndpointMove,
    EndpointState,
    Machine,
    Priority,
    ReplayMove,
    ReplayState,
    TaskMove,
    TaskState,
    subscribes,
)

MACHINES: list[tuple[Machine[Any, Any], type[StrEnum], type[StrEnum]]] = [
    (TASKS, TaskState, TaskMove),
    (DELIVERIES, DeliveryState, DeliveryMove),
    (ENDPOINTS, EndpointState, EndpointMove),
    (REPLAYS, ReplayState, ReplayMove),
    (BATCHES, BatchState, BatchMove),
]
IDS = ["tasks", "deliveries", "endpoints", "replays", "batches"]


@pytest.mark.parametrize(("machine", "states", "moves"), MACHINES, ids=IDS)
def test_a_move_is_in_the_table_or_raises(
    machine: Machine[Any, Any], states: type[StrEnum], moves: type[StrEnum]
) -> None:
    for state in states:
        for move in moves:
            allowed = machine.allows(state, move)
            assert allowed == (state in machine.sources(move))
            if allowed:
                assert machine.next(state, move) in set(states)
            else:
                with pytest.raises(IllegalTransition, match=f"'{move}' from state '{state}'"):
                    machine.next(state, move)


@pytest.mark.parametrize(("machine", "states", "moves"), MACHINES, ids=IDS)
def test_every_state_and_move_is_used(
    machine: Machine[Any, Any], states: type[StrEnum], moves: type[StrEnum]
) -> None:
    assert {move for _, move in machine.table} == set(moves)
    assert {state for state, _ in machine.table} | set(machine.table.values()) == set(states)


def test_a_task_that_has_ended_moves_only_by_a_replay_of_its_failure() -> None:
    onward = {(state, move) for state, move in TASKS.table if state in TASK_DONE}

    assert onward == {(TaskState.FAILED, TaskMove.REPLAY)}


def test_every_task_can_still_end() -> None:
    for state in set(TaskState) - TASK_DONE:
        reached, fresh = {state}, {state}
        while fresh:
            fresh = {after for (before, _), after in TASKS.table.items() if before in fresh} - reached
            reached |= fresh
        assert reached >= TASK_DONE


def test_every_ended_delivery_can_be_sent_again() -> None:
    assert set(DELIVERIES.sources(DeliveryMove.REPLAY)) == {
        DeliveryState.DELIVERED,
        DeliveryState.DEAD,
        DeliveryState.CANCELLED,
    }


def test_a_wildcard_stands_for_the_four_final_events_only() -> None:
    for event in FINAL_EVENTS:
        assert subscribes(("task.*",), event)
    for event in (*TRANSIENT_EVENTS, *OPERATIONAL_EVENTS, "webhookd.test"):
        assert not subscribes(("task.*",), event)
        assert subscribes(("task.*", event), event)
    assert not subscribes((), "task.failed")


def test_each_end_of_a_task_has_its_event() -> None:
    assert {f"task.{state}" for state in TASK_DONE} == set(FINAL_EVENTS)


def test_high_priority_sorts_first() -> None:
    assert [p.label for p in sorted(Priority)] == ["high", "normal", "low"]
