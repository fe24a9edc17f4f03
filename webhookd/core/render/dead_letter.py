"""Dead letters, and replays of many of them, as JSON."""

from typing_extensions import TypedDict

from webhookd.core.fields import (
    AttemptError,
    Count,
    DeadLetterId,
    DeadLetterKind,
    DeadReason,
    EndpointId,
    EventName,
    ReplayId,
    TaskId,
    Timestamp,
)
from webhookd.core.model import ReplayState
from webhookd.core.records import DeadLetter
from webhookd.core.replay import DeadLetterFilter, Replay
from webhookd.core.times import opt_rfc3339, to_rfc3339


class DeadLetterDocument(TypedDict):
    """What ran out of attempts."""

    id: DeadLetterId
    """The delivery's or the task's own id."""
    kind: DeadLetterKind
    """What it was."""
    reason: DeadReason
    """Why it is here."""
    at: Timestamp
    """When it came here."""
    task_id: TaskId | None
    """The task it is about; null where it is about an endpoint or a delivery."""
    endpoint_id: EndpointId | None
    """The endpoint a delivery was for; null for a `callback_url`, and for a task."""
    url: str | None
    """Where a delivery was to go; null for a task."""
    event: EventName | None
    """What a delivery was to tell of; null for a task."""
    type: str | None
    """The task's type; null where there is no task."""
    last_error: AttemptError | None
    """Why a delivery's last attempt failed; of a task, its error code."""


def dead_letter_document(letter: DeadLetter) -> DeadLetterDocument:
    """Return the dead letter of the API."""
    return {
        "id": letter.id,
        "kind": letter.kind,
        "reason": letter.reason,
        "at": to_rfc3339(letter.at_ms),
        "task_id": letter.task_id,
        "endpoint_id": letter.endpoint_id,
        "url": letter.url,
        "event": letter.event,
        "type": letter.type,
        "last_error": letter.last_error,
    }


class ReplayedFilterDocument(TypedDict, total=False):
    """Which dead letters are replayed: what was asked for."""

    kind: DeadLetterKind
    """Of this kind only."""
    endpoint: str
    """For this endpoint only."""
    type: str
    """Of this task type only."""
    reason: DeadReason
    """For this reason only."""
    since: Timestamp
    """Of this time or later."""
    until: Timestamp
    """From before this time."""


def filter_document(wanted: DeadLetterFilter) -> ReplayedFilterDocument:
    """Return the filter as it came: only what was set."""
    document: ReplayedFilterDocument = {}
    if wanted.kind is not None:
        document["kind"] = wanted.kind
    if wanted.endpoint_id is not None:
        document["endpoint"] = wanted.endpoint_id
    if wanted.type is not None:
        document["type"] = wanted.type
    if wanted.reason is not None:
        document["reason"] = wanted.reason
    if wanted.since_ms is not None:
        document["since"] = to_rfc3339(wanted.since_ms)
    if wanted.until_ms is not None:
        document["until"] = to_rfc3339(wanted.until_ms)
    return document


class ReplayDocument(TypedDict):
    """A replay of many dead letters."""

    id: ReplayId
    """The replay's id, for good."""
    state: ReplayState
    """Where it is in its life."""
    dry_run: bool
    """Whether it only counts."""
    filter: ReplayedFilterDocument
    """Which dead letters it takes."""
    rate_per_second: float
    """At most so many a second."""
    matched: Count
    """How many there were when it was asked for."""
    replayed: Count
    """How many it has put back to work."""
    created_at: Timestamp
    """When it was asked for."""
    finished_at: Timestamp | None
    """When it ended; null until then."""


def replay_document(replay: Replay) -> ReplayDocument:
    """Return the Replay of the API."""
    return {
        "id": replay.id,
        "state": replay.state,
        "dry_run": replay.dry_run,
        "filter": filter_document(replay.filter),
        "rate_per_second": replay.rate_per_second,
        "matched": replay.matched,
        "replayed": replay.replayed,
        "created_at": to_rfc3339(replay.created_ms),
        "finished_at": opt_rfc3339(replay.finished_ms),
    }
