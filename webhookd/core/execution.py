"""What the execution of tasks hands to the store and gets back: claims and ends."""

from enum import StrEnum

from webhookd.core.files import File
from webhookd.core.outcome import Raised
from webhookd.core.record import record
from webhookd.core.records import ClaimedTask
from webhookd.core.run_folder import MAX_FILE_BYTES


@record(frozen=True, slots=True, kw_only=True)
class TypeLimit:
    """A type this process can run, with its limits over all processes.

    `concurrency` None is unlimited; `rate_per_second` None likewise.
    """

    type: str
    timeout_ms: int
    concurrency: int | None = None
    rate_per_second: float | None = None


@record(frozen=True, slots=True, kw_only=True)
class ClaimTasks:
    """Ask for up to `free` tasks of `queue`. `idle`: nothing else runs in this process just now."""

    session_id: str
    queue: str
    free: int
    idle: bool
    limits: tuple[TypeLimit, ...]
    now_ms: int


@record(frozen=True, slots=True, kw_only=True)
class Claim:
    """The claimed tasks.

    `again_ms`: when more may be claimable (None: nothing waits; `now_ms` or earlier: at once).
    `suspect_waits`: a task suspected of crashing its worker waits for an idle process.
    """

    tasks: tuple[ClaimedTask, ...] = ()
    again_ms: int | None = None
    suspect_waits: bool = False


@record(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What a function may know of its run. `priority` as on the wire; `attempt` goes on over replays.

    `folder` is where its files lie (`core.run_folder`); empty: a context makes one of its own. It is there
    only once files of the input were brought (`inputs_brought`) or the function has attached one.
    """

    task_id: str
    attempt: int
    trace_id: str
    partner_id: str
    partner_name: str
    metadata_json: str
    priority: str
    max_attempts: int
    last_attempt: bool
    folder: str = ""
    inputs_brought: bool = False
    max_file_bytes: int = MAX_FILE_BYTES


def facts_of(
    task: ClaimedTask, *, folder: str = "", inputs_brought: bool = False, max_file_bytes: int = MAX_FILE_BYTES
) -> RunFacts:
    """Return what the function of a claimed task may know."""
    return RunFacts(
        task_id=task.id,
        attempt=task.attempt,
        trace_id=task.trace.trace_id,
        partner_id=task.partner_id,
        partner_name=task.partner_name,
        metadata_json=task.metadata_json,
        priority=task.priority.label,
        max_attempts=task.max_attempts,
        last_attempt=task.budget_attempt >= task.max_attempts,
        folder=folder,
        inputs_brought=inputs_brought,
        max_file_bytes=max_file_bytes,
    )


class End(StrEnum):
    """How one try of a task's function ended, as far as the store is concerned."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RETRY = "retry"
    HANDED_BACK = "handed_back"


@record(frozen=True, slots=True, kw_only=True)
class TaskEnd:
    """The end of one try. Written only while `session_id` and `token` still hold the task.

    `due_ms` is when a retry falls due; `reason` is why a failed task is a dead letter. `span_id` is what the
    message of the end is below in its trace; empty: what the task is. `files` are what the function attached;
    their bytes are stored. `log` and `raised` are kept with the run, beside the worker's `host` and `pid`.
    """

    task: ClaimedTask
    session_id: str
    end: End
    started_ms: int
    now_ms: int
    result_json: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    due_ms: int | None = None
    reason: str | None = None
    span_id: str = ""
    progress_percent: float | None = None
    progress_message: str | None = None
    files: tuple[File, ...] = ()
    host: str | None = None
    pid: int | None = None
    log: tuple[str, ...] = ()
    raised: Raised | None = None


@record(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What became of an end. `lost`: another process holds the task now, nothing was written."""

    lost: bool


@record(frozen=True, slots=True, kw_only=True)
class Progress:
    """A running task's progress, the newest only. `span_id` as in TaskEnd.

    `announced`: who names `task.progress` is told, not only who watches.
    """

    task_id: str
    session_id: str
    token: int
    percent: float | None
    message: str | None
    now_ms: int
    span_id: str = ""
    announced: bool = True
