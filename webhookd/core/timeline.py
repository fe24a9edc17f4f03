"""A task's whole life as one ordered list: received, queued, every run, every message and every attempt.

Put together from the rows as they are; nothing is written for it. What a row no longer tells (when a replayed
task was first queued, say) is not guessed at.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from webhookd.core.model import TASK_DONE, DeliveryState, TaskState
from webhookd.core.records import AttemptMade, Delivery, MessageMade, Run, Task
from webhookd.core.render.task import TaskErrorDocument
from webhookd.core.timeline_entry import EntryDetail, TimelineEntry, in_order
from webhookd.core.times import opt_rfc3339, to_rfc3339


@dataclass(frozen=True, slots=True, kw_only=True)
class Sendings:
    """Messages, their deliveries and the attempts at those."""

    messages: Sequence[MessageMade] = ()
    deliveries: Sequence[Delivery] = ()
    attempts: Sequence[AttemptMade] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A task with everything that happened to it, or (not `complete`) the newest part of that."""

    task: Task
    runs: Sequence[Run] = ()
    sendings: Sendings = field(default_factory=Sendings)
    complete: bool = True


def timeline(history: History) -> list[TimelineEntry]:
    """Return the entries of a task, in the order of time."""
    return in_order([*_task_entries(history.task, history.runs), *sending_entries(history.sendings)])


def _task_entries(task: Task, runs: Sequence[Run]) -> Iterator[TimelineEntry]:
    yield TimelineEntry(at_ms=task.created_ms, kind="received", detail={"type": task.type})
    queued_ms = task.created_ms
    if task.run_at_ms is not None and task.run_at_ms > task.created_ms:
        queued_ms = task.run_at_ms
        yield TimelineEntry(
            at_ms=task.created_ms, kind="scheduled", detail={"until": to_rfc3339(task.run_at_ms)}
        )
    first_start_ms = runs[0].started_ms if runs else task.started_ms
    waits_for_first = task.state is TaskState.SCHEDULED and not runs
    ended_ms = task.finished_ms
    if not waits_for_first and (first_start_ms is not None or ended_ms is None or ended_ms > queued_ms):
        waited = None if first_start_ms is None else max(0, first_start_ms - queued_ms)
        yield TimelineEntry(at_ms=queued_ms, kind="queued", duration_ms=waited, detail={"queue": task.queue})
    for run in runs:
        yield TimelineEntry(at_ms=run.started_ms, kind="run.started", detail={"attempt": run.attempt})
        yield TimelineEntry(
            at_ms=run.finished_ms,
            kind="run.finished",
            duration_ms=run.finished_ms - run.started_ms,
            detail={
                "attempt": run.attempt,
                "outcome": run.outcome,
                "error": _error(run.error_code, run.error_message),
            },
        )
    if task.state is TaskState.RUNNING and task.started_ms is not None:
        number = runs[-1].attempt + 1 if runs else task.attempts
        yield TimelineEntry(at_ms=task.started_ms, kind="run.started", detail={"attempt": number})
    if task.cancel_requested_ms is not None:
        yield TimelineEntry(at_ms=task.cancel_requested_ms, kind="cancel.requested")
    if task.state is TaskState.SCHEDULED and runs:
        detail: EntryDetail = {"until": to_rfc3339(task.due_ms)}
        yield TimelineEntry(at_ms=runs[-1].finished_ms, kind="retry.scheduled", detail=detail)
    if task.state in TASK_DONE and ended_ms is not None:
        yield TimelineEntry(
            at_ms=ended_ms,
            kind=task.state.value,
            duration_ms=ended_ms - task.created_ms,
            detail={"error": _error(task.error_code, task.error_message)},
        )


def sending_entries(sendings: Sendings) -> Iterator[TimelineEntry]:
    """Return the entries of messages and their ways, in no order."""
    for message in sendings.messages:
        detail: EntryDetail = {"message_id": message.id, "event": message.event}
        yield TimelineEntry(at_ms=message.created_ms, kind="message", detail=detail)
    last_ms: dict[str, int] = {}
    for attempt in sendings.attempts:
        last_ms[attempt.delivery_id] = attempt.at_ms + attempt.duration_us // 1000
        yield _attempt_entry(attempt)
    for delivery in sendings.deliveries:
        yield from _delivery_entries(delivery, last_ms.get(delivery.id, delivery.created_ms))


def _delivery_entries(delivery: Delivery, last_ms: int) -> Iterator[TimelineEntry]:
    about: EntryDetail = {"delivery_id": delivery.id}
    yield TimelineEntry(
        at_ms=delivery.created_ms,
        kind="delivery.created",
        detail={
            **about,
            "message_id": delivery.message_id,
            "endpoint_id": delivery.endpoint_id,
            "url": delivery.url,
            "event": delivery.event,
            "state": delivery.state,
            "next_attempt_at": opt_rfc3339(delivery.next_attempt_ms),
        },
    )
    if delivery.state is DeliveryState.PARKED:
        yield TimelineEntry(at_ms=last_ms, kind="delivery.parked", detail=about)
    if delivery.ended_ms is None:
        return
    if delivery.state is DeliveryState.DEAD:
        about["reason"] = delivery.dead_reason or ""
    yield TimelineEntry(
        at_ms=delivery.ended_ms,
        kind=f"delivery.{delivery.state.value}",
        duration_ms=delivery.ended_ms - delivery.created_ms,
        detail=about,
    )


def _attempt_entry(attempt: AttemptMade) -> TimelineEntry:
    return TimelineEntry(
        at_ms=attempt.at_ms,
        kind="delivery.attempt",
        duration_ms=attempt.duration_us / 1000,
        detail={
            "delivery_id": attempt.delivery_id,
            "attempt": attempt.number,
            "status": attempt.status,
            "error": attempt.error,
            "dns_ms": _ms(attempt.dns_us),
            "connect_ms": _ms(attempt.connect_us),
            "tls_ms": _ms(attempt.tls_us),
            "first_byte_ms": _ms(attempt.first_byte_us),
            "resent": attempt.resent,
        },
    )


def _ms(us: int | None) -> float | None:
    return None if us is None else us / 1000


def _error(code: str | None, message: str | None) -> TaskErrorDocument | None:
    return None if code is None else {"code": code, "message": message or ""}
