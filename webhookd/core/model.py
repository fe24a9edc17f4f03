"""The states of tasks, deliveries, endpoints, replays and batches, and the moves between them.

Each machine is one table: `(state, move) -> state`. What is not in the table cannot happen;
the store derives its `WHERE state IN (...)` guards from the same tables (`sources`), and the
diagram in docs/reference/states.md is drawn from them. No rows and no I/O live here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final, Generic, TypeVar

from webhookd.core.errors import IllegalTransition

DELIVER_QUEUE: Final = "deliver"
"""The queue whose work is deliveries; every other one has tasks."""


class TaskState(StrEnum):
    """Where a task is in its life."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class TaskMove(StrEnum):
    """What can happen to a task."""

    FALL_DUE = "fall_due"
    CLAIM = "claim"
    SUCCEED = "succeed"
    FAIL = "fail"
    RETRY = "retry"
    HAND_BACK = "hand_back"
    LOSE = "lose"
    CANCEL = "cancel"
    STOP = "stop"
    EXPIRE = "expire"
    REPLAY = "replay"


class DeliveryState(StrEnum):
    """Where a delivery is in its life."""

    PENDING = "pending"
    PARKED = "parked"
    DELIVERED = "delivered"
    DEAD = "dead"
    CANCELLED = "cancelled"


class DeliveryMove(StrEnum):
    """What can happen to a delivery."""

    DELIVER = "deliver"
    RETRY = "retry"
    GIVE_UP = "give_up"
    PARK = "park"
    RELEASE = "release"
    CANCEL = "cancel"
    HASTEN = "hasten"
    REPLAY = "replay"


class ReplayState(StrEnum):
    """Where a replay, or a discard, of many is in its life."""

    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    CANCELLED = "cancelled"


class ReplayMove(StrEnum):
    """What can happen to a replay or a discard."""

    PAUSE = "pause"
    RESUME = "resume"
    FINISH = "finish"
    CANCEL = "cancel"


class EndpointState(StrEnum):
    """Whether deliveries go out to an endpoint, or are parked."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class EndpointMove(StrEnum):
    """What can happen to an endpoint."""

    DISABLE = "disable"
    ENABLE = "enable"
    DELETE = "delete"


class BatchState(StrEnum):
    """Where a batch is in its life."""

    OPEN = "open"
    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class BatchMove(StrEnum):
    """What can happen to a batch. The last task of a closed one ends it, cancelled or not."""

    CLOSE = "close"
    COMPLETE = "complete"
    CANCEL = "cancel"


class Priority(IntEnum):
    """Order among one partner's queued tasks; the smaller number goes first, as an index sorts."""

    HIGH = 0
    NORMAL = 1
    LOW = 2

    @property
    def label(self) -> str:
        """The name on the wire: `low`, `normal`, `high`."""
        return self.name.lower()


S = TypeVar("S", bound=StrEnum)
M = TypeVar("M", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Machine(Generic[S, M]):
    """A table of moves."""

    table: Mapping[tuple[S, M], S]

    def next(self, state: S, move: M) -> S:
        """Return the state after `move`. Raises IllegalTransition where the table has no such row."""
        try:
            return self.table[state, move]
        except KeyError:
            raise IllegalTransition(f"no move '{move}' from state '{state}'") from None

    def sources(self, move: M) -> tuple[S, ...]:
        """Return every state `move` may start from, in table order."""
        return tuple(state for state, known in self.table if known is move)

    def allows(self, state: S, move: M) -> bool:
        """Tell whether the table has the row."""
        return (state, move) in self.table


TASKS: Final[Machine[TaskState, TaskMove]] = Machine(
    {
        (TaskState.SCHEDULED, TaskMove.FALL_DUE): TaskState.QUEUED,
        (TaskState.SCHEDULED, TaskMove.CANCEL): TaskState.CANCELLED,
        (TaskState.SCHEDULED, TaskMove.EXPIRE): TaskState.EXPIRED,
        (TaskState.QUEUED, TaskMove.CLAIM): TaskState.RUNNING,
        (TaskState.QUEUED, TaskMove.CANCEL): TaskState.CANCELLED,
        (TaskState.QUEUED, TaskMove.EXPIRE): TaskState.EXPIRED,
        (TaskState.RUNNING, TaskMove.SUCCEED): TaskState.SUCCEEDED,
        (TaskState.RUNNING, TaskMove.FAIL): TaskState.FAILED,
        (TaskState.RUNNING, TaskMove.RETRY): TaskState.SCHEDULED,
        (TaskState.RUNNING, TaskMove.HAND_BACK): TaskState.QUEUED,
        (TaskState.RUNNING, TaskMove.LOSE): TaskState.QUEUED,
        (TaskState.RUNNING, TaskMove.STOP): TaskState.CANCELLED,
        (TaskState.FAILED, TaskMove.REPLAY): TaskState.QUEUED,
    }
)

DELIVERIES: Final[Machine[DeliveryState, DeliveryMove]] = Machine(
    {
        (DeliveryState.PENDING, DeliveryMove.DELIVER): DeliveryState.DELIVERED,
        (DeliveryState.PENDING, DeliveryMove.RETRY): DeliveryState.PENDING,
        (DeliveryState.PENDING, DeliveryMove.GIVE_UP): DeliveryState.DEAD,
        (DeliveryState.PENDING, DeliveryMove.PARK): DeliveryState.PARKED,
        (DeliveryState.PENDING, DeliveryMove.CANCEL): DeliveryState.CANCELLED,
        (DeliveryState.PENDING, DeliveryMove.HASTEN): DeliveryState.PENDING,
        (DeliveryState.PARKED, DeliveryMove.RELEASE): DeliveryState.PENDING,
        (DeliveryState.PARKED, DeliveryMove.GIVE_UP): DeliveryState.DEAD,
        (DeliveryState.PARKED, DeliveryMove.CANCEL): DeliveryState.CANCELLED,
        (DeliveryState.DELIVERED, DeliveryMove.REPLAY): DeliveryState.PENDING,
        (DeliveryState.DEAD, DeliveryMove.REPLAY): DeliveryState.PENDING,
        (DeliveryState.CANCELLED, DeliveryMove.REPLAY): DeliveryState.PENDING,
    }
)

REPLAYS: Final[Machine[ReplayState, ReplayMove]] = Machine(
    {
        (ReplayState.RUNNING, ReplayMove.FINISH): ReplayState.DONE,
        (ReplayState.RUNNING, ReplayMove.PAUSE): ReplayState.PAUSED,
        (ReplayState.RUNNING, ReplayMove.CANCEL): ReplayState.CANCELLED,
        (ReplayState.PAUSED, ReplayMove.RESUME): ReplayState.RUNNING,
        (ReplayState.PAUSED, ReplayMove.CANCEL): ReplayState.CANCELLED,
    }
)

ENDPOINTS: Final[Machine[EndpointState, EndpointMove]] = Machine(
    {
        (EndpointState.ENABLED, EndpointMove.DISABLE): EndpointState.DISABLED,
        (EndpointState.ENABLED, EndpointMove.DELETE): EndpointState.DISABLED,
        (EndpointState.DISABLED, EndpointMove.ENABLE): EndpointState.ENABLED,
        (EndpointState.DISABLED, EndpointMove.DELETE): EndpointState.DISABLED,
    }
)
"""A deleted endpoint is a disabled one that nobody sees or enables any more (`deleted_ms`)."""


BATCHES: Final[Machine[BatchState, BatchMove]] = Machine(
    {
        (BatchState.OPEN, BatchMove.CLOSE): BatchState.RUNNING,
        (BatchState.RUNNING, BatchMove.COMPLETE): BatchState.COMPLETED,
        (BatchState.RUNNING, BatchMove.CANCEL): BatchState.CANCELLED,
    }
)

TASK_DONE: Final = frozenset({TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED, TaskState.EXPIRED})

FINAL_EVENTS: Final = ("task.succeeded", "task.failed", "task.cancelled", "task.expired")
"""What `task.*` stands for, and what a task announces when it ends."""

TRANSIENT_EVENTS: Final = ("task.started", "task.progress")
"""Sent once, never retried, never dead-lettered; subscribed to by exact name only."""

OPERATIONAL_EVENTS: Final = ("endpoint.failing", "endpoint.recovered", "endpoint.disabled", "delivery.dead")
"""Told to the partner's other endpoints that name them; they never cause further ones."""

BATCH_COMPLETED: Final = "batch.completed"
"""Told once of each closed batch whose tasks have all ended."""

TEST_EVENT: Final = "webhookd.test"

SENT_ONCE: Final = (*TRANSIENT_EVENTS, TEST_EVENT)
"""Whose deliveries have one attempt and are never dead letters."""

SUBSCRIBABLE_EVENTS: Final = (
    "task.*",
    *FINAL_EVENTS,
    *TRANSIENT_EVENTS,
    BATCH_COMPLETED,
    *OPERATIONAL_EVENTS,
)

USUAL_SCOPES: Final = (
    "tasks:write",
    "tasks:read",
    "files:write",
    "files:read",
    "endpoints:write",
    "deliveries:replay",
)
"""What a key may do unless its maker says otherwise."""

SCOPES: Final = (*USUAL_SCOPES, "keys:write")


def subscribes(patterns: tuple[str, ...], event: str) -> bool:
    """Tell whether an endpoint with these `events` wants `event`.

    `task.*` is the four final events; every other event is wanted only by its exact name.
    """
    return event in patterns or ("task.*" in patterns and event in FINAL_EVENTS)
