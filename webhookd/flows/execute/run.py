"""One try of a task: its state in this process, the facts of it, and what its outcome makes of the task."""

import asyncio
from dataclasses import dataclass, field
from math import inf

from webhookd.core.execution import End, TaskEnd
from webhookd.core.facts import RunEnded, RunStarted
from webhookd.core.outcome import (
    CancelledByRequest,
    Crashed,
    Failed,
    Interrupted,
    Outcome,
    RetryLater,
    RunTimedOut,
    Succeeded,
)
from webhookd.core.records import ClaimedTask
from webhookd.core.retry import RetryPolicy
from webhookd.core.run_log import RunLog
from webhookd.runtime.cancel_request import CancelRequest
from webhookd.taskset import TaskDefinition

LONGEST_RETRY_SECONDS = 3_600.0
LONGEST_ASKED_SECONDS = 366 * 86_400.0
"""The longest pause a function can ask for: as far ahead as a submission can say when it runs."""


@dataclass(slots=True)
class ActiveRun:
    """A claimed task in this process: what is known of its try, and the asyncio task that works on it."""

    task: ClaimedTask
    session_id: str
    host: str
    pid: int
    started_ms: int
    deadline: float
    log: RunLog = field(default_factory=RunLog)
    cancel: CancelRequest = field(default_factory=CancelRequest)
    percent: float | None = None
    message: str | None = None
    has_folder: bool = False
    unwritten: bool = False
    writing: bool = False
    announced_at: float = -inf
    announcement: asyncio.TimerHandle | None = None
    starting: bool = False
    span_id: str = ""
    work: asyncio.Task[None] | None = None

    def gets_folder(self) -> None:
        """Note that files of the run may lie in its folder. Safe to call from any thread."""
        self.has_folder = True

    def started(self) -> RunStarted:
        """Return the fact that it begins."""
        task = self.task
        return RunStarted(
            task_id=task.id,
            partner_id=task.partner_id,
            type=task.type,
            queue=task.queue,
            attempt=task.attempt,
            wait_ms=task.claimed_ms - task.due_ms,
            trace_id=task.trace.trace_id,
            span_id=self.span_id,
            parent_span_id=task.trace.parent_id,
            trace_flags=task.trace.flags,
            trace_state=task.trace.state,
        )

    def ended(self, outcome: str, error: str | None, now_ms: int, *, write_us: int = 0) -> RunEnded:
        """Return the fact that it ended at `now_ms`, and was written `write_us` later."""
        task = self.task
        return RunEnded(
            task_id=task.id,
            type=task.type,
            attempt=task.attempt,
            outcome=outcome,
            error=error,
            wait_ms=task.claimed_ms - task.due_ms,
            run_ms=now_ms - self.started_ms,
            trace_id=task.trace.trace_id,
            write_us=write_us,
            span_id=self.span_id,
        )


def ending(run: ActiveRun, definition: TaskDefinition, outcome: Outcome, now_ms: int) -> TaskEnd:
    """Decide what the outcome makes of the task."""
    task = run.task
    end = End.SUCCEEDED
    result: str | None = None
    code: str | None = None
    message: str | None = None
    due_ms: int | None = None
    reason: str | None = None
    match outcome:
        case Succeeded():
            result = outcome.result_json.decode()
        case Failed():
            code, message = outcome.code, outcome.message
            end, reason = End.FAILED, "task_failed"
        case CancelledByRequest():
            end = End.CANCELLED
        case Interrupted():
            end, due_ms = End.HANDED_BACK, task.due_ms
        case RetryLater() | RunTimedOut() | Crashed():
            code, message, reason = _failure(outcome, definition)
            end = End.FAILED
            if task.budget_attempt < task.max_attempts:
                pause = outcome.after_seconds if isinstance(outcome, RetryLater) else None
                end, due_ms = End.RETRY, now_ms + int(1000 * _pause(definition, task, pause))
    return TaskEnd(
        task=task,
        session_id=run.session_id,
        end=end,
        started_ms=run.started_ms,
        now_ms=now_ms,
        result_json=result,
        error_code=code,
        error_message=message,
        due_ms=due_ms,
        reason=reason,
        span_id=run.span_id,
        progress_percent=run.percent,
        progress_message=run.message,
        host=run.host,
        pid=run.pid,
        log=run.log.lines,
        raised=outcome.raised if isinstance(outcome, Failed | RetryLater) else None,
    )


def _failure(outcome: RetryLater | RunTimedOut | Crashed, definition: TaskDefinition) -> tuple[str, str, str]:
    """Return error code, message and dead-letter reason."""
    if isinstance(outcome, RunTimedOut):
        return "timeout", f"It did not end within {definition.timeout_seconds:g} s.", "task_failed"
    if isinstance(outcome, Crashed):
        return "worker_crashed", outcome.detail, "worker_crashed"
    return outcome.code, outcome.message, "task_failed"


def _pause(definition: TaskDefinition, task: ClaimedTask, asked_seconds: float | None) -> float:
    if asked_seconds is not None:
        return min(asked_seconds, LONGEST_ASKED_SECONDS)
    policy = RetryPolicy(
        max_attempts=task.max_attempts,
        base_seconds=definition.retry_base_seconds,
        factor=definition.retry_factor,
        cap_seconds=LONGEST_RETRY_SECONDS,
        jitter=0,
    )
    return policy.delay_seconds(task.budget_attempt, chance=0.5)
