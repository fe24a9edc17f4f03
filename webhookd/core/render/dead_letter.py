"""Dead letters, and replays of many of them, as JSON."""

from typing import NotRequired, cast

from typing_extensions import TypedDict

from webhookd.core.fields import (
    AttemptError,
    Count,
    DeadLetterId,
    DeadLetterKind,
    DeadReason,
    DiscardId,
    EndpointId,
    EventName,
    ReplayedState,
    ReplayId,
    TaskId,
    Timestamp,
)
from webhookd.core.model import ReplayState
from webhookd.core.records import DeadLetter
from webhookd.core.render.owner import OwnerDocument
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
    partner: NotRequired[OwnerDocument]
    """Whose it is; to admins only."""


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


class SelectionDocument(TypedDict, total=False):
    """Which ones are taken: what was asked for."""

    state: ReplayedState
    """What is dead, or what waits."""
    kind: DeadLetterKind
    """Of this kind only."""
    endpoint: str
    """For this endpoint only; `none`: those of a `callback_url`."""
    type: str
    """Of this task type only."""
    event: str
    """Deliveries that tell of this only."""
    reason: DeadReason
    """For this reason only."""
    error: AttemptError
    """Whose last attempt failed for this only."""
    status: str
    """Whose last answer had this HTTP status only, or one of its hundred."""
    text: str
    """With this text in the URL or the error only."""
    since: Timestamp
    """Of this time or later."""
    until: Timestamp
    """From before this time."""
    ids: list[str]
    """These only."""


def filter_document(wanted: DeadLetterFilter) -> SelectionDocument:
    """Return the filter as it came: only what was set."""
    given = {
        "state": wanted.state,
        "kind": wanted.kind,
        "endpoint": wanted.endpoint_id,
        "type": wanted.type,
        "event": wanted.event,
        "reason": wanted.reason,
        "error": wanted.error,
        "status": wanted.status,
        "text": wanted.text,
        "since": opt_rfc3339(wanted.since_ms),
        "until": opt_rfc3339(wanted.until_ms),
        "ids": None if wanted.ids is None else list(wanted.ids),
    }
    return cast("SelectionDocument", {name: value for name, value in given.items() if value is not None})


class _UnderWayDocument(TypedDict):
    """What a replay and a discard have in common."""

    state: ReplayState
    """Where it is in its life."""
    dry_run: bool
    """Whether it only counts."""
    filter: SelectionDocument
    """Which ones it takes."""
    rate_per_second: float
    """At most so many a second."""
    matched: Count
    """How many there were when it was asked for."""
    reason: str | None
    """Why, in the words of who asked for it; null where nothing was said."""
    started_by: str
    """Who asked for it: what their key is called, or its id."""
    created_at: Timestamp
    """When it was asked for."""
    finished_at: Timestamp | None
    """When it ended; null until then."""


class ReplayDocument(_UnderWayDocument):
    """A replay of many dead letters, or of what waits."""

    id: ReplayId
    """The replay's id, for good."""
    replayed: Count
    """How many it has put back to work."""
    delivered: Count
    """How many deliveries of those have been taken by their receiver since."""
    failed_again: Count
    """How many deliveries of those have failed again: they are dead, or wait for a further attempt."""


class DiscardDocument(_UnderWayDocument):
    """A discard of many dead letters."""

    id: DiscardId
    """The discard's id, for good."""
    discarded: Count
    """How many it has struck off."""


def replay_document(replay: Replay) -> ReplayDocument:
    """Return the Replay of the API."""
    return {
        "id": replay.id,
        **_under_way_document(replay),
        "replayed": replay.replayed,
        "delivered": replay.delivered,
        "failed_again": replay.failed_again,
    }


def discard_document(discard: Replay) -> DiscardDocument:
    """Return the Discard of the API."""
    return {"id": discard.id, **_under_way_document(discard), "discarded": discard.replayed}


def _under_way_document(replay: Replay) -> _UnderWayDocument:
    return {
        "state": replay.state,
        "dry_run": replay.dry_run,
        "filter": filter_document(replay.filter),
        "rate_per_second": replay.rate_per_second,
        "matched": replay.matched,
        "reason": replay.reason,
        "started_by": replay.started_by,
        "created_at": to_rfc3339(replay.created_ms),
        "finished_at": opt_rfc3339(replay.finished_ms),
    }
