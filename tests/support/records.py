"""Records with the defaults, for tests that care about one field."""

from dataclasses import replace
from typing import Any

from webhookd.core.model import Priority, ReplayState, TaskState
from webhookd.core.records import ClaimedTask, Task
from webhookd.core.replay import DeadLetterFilter, Replay
from webhookd.core.trace import TraceContext

TRACE = TraceContext(trace_id="0af7651916cd43dd8448eb211c80319c", parent_id="b7ad6b7169203331", flags=1)

NOW = 1_790_000_000_000


def a_task(**changes: Any) -> Task:
    plain = Task(
        id="task_1",
        partner_id="prt_1",
        type="report.statement",
        queue="reports",
        state=TaskState.SUCCEEDED,
        priority=Priority.NORMAL,
        version=3,
        attempts=1,
        max_attempts=3,
        progress_percent=None,
        progress_message=None,
        trace=TRACE,
        callback_url=None,
        callback_origin=None,
        endpoint_ids=None,
        events=(),
        metadata_json="{}",
        result_json=None,
        error_code=None,
        error_message=None,
        created_ms=NOW,
        run_at_ms=None,
        due_ms=NOW,
        expires_ms=None,
        started_ms=None,
        finished_ms=None,
    )
    return replace(plain, **changes)


def a_queued_task(**changes: Any) -> Task:
    return a_task(
        id="task_a",
        type="demo.echo",
        queue="default",
        state=TaskState.QUEUED,
        version=1,
        attempts=0,
        **changes,
    )


def a_claimed_task(**changes: Any) -> ClaimedTask:
    plain = ClaimedTask(
        id="task_1",
        partner_id="prt_1",
        partner_name="acme",
        type="quick",
        priority=Priority.NORMAL,
        metadata_json="{}",
        queue="default",
        version=2,
        attempt=1,
        budget_attempt=1,
        max_attempts=3,
        token=1,
        suspect=False,
        trace=TRACE,
        input_json="{}",
        created_ms=NOW,
        claimed_ms=NOW,
        due_ms=NOW,
    )
    return replace(plain, **changes)


def a_replay(**changes: Any) -> Replay:
    plain = Replay(
        id="rpl_1",
        partner_id=None,
        filter=DeadLetterFilter(),
        dry_run=False,
        rate_per_second=10.0,
        state=ReplayState.RUNNING,
        matched=0,
        replayed=0,
        place=None,
        created_ms=NOW,
        finished_ms=None,
    )
    return replace(plain, **changes)
