"""One call to make: the function, what it is given, and where its lines go."""

from collections.abc import Callable
from typing import Any

import orjson

from webhookd.core.execution import RunFacts
from webhookd.core.record import record
from webhookd.runtime.current_run import CurrentRun
from webhookd.taskset import TaskContext, TaskDefinition, TaskPartner


@record(frozen=True, slots=True, kw_only=True)
class Job:
    """One call: `raw_input` is the parsed JSON as it was submitted, `keep_line` takes what it logs."""

    definition: TaskDefinition
    raw_input: Any
    facts: RunFacts
    context: TaskContext
    max_result_bytes: int
    keep_line: Callable[[str], None]

    @property
    def current(self) -> CurrentRun:
        """What log lines of the call are marked with."""
        facts = self.facts
        return CurrentRun(
            task_id=facts.task_id, attempt=facts.attempt, trace_id=facts.trace_id, keep=self.keep_line
        )


def context_of(
    definition: TaskDefinition,
    facts: RunFacts,
    *,
    timeout_seconds: float,
    on_progress: Callable[[float | None, str | None], None],
    on_attach: Callable[[], None] | None = None,
    state: Any = None,
) -> TaskContext:
    """Return what the function is given first."""
    return TaskContext(
        task_id=facts.task_id,
        type=definition.type,
        attempt=facts.attempt,
        max_attempts=facts.max_attempts,
        last_attempt=facts.last_attempt,
        trace_id=facts.trace_id,
        partner=TaskPartner(id=facts.partner_id, name=facts.partner_name),
        metadata=orjson.loads(facts.metadata_json),
        priority=facts.priority,
        state=state,
        timeout_seconds=timeout_seconds,
        on_progress=on_progress,
        folder=facts.folder or None,
        on_attach=on_attach,
        max_file_bytes=facts.max_file_bytes,
    )
