"""What the executor needs of others: where tasks are kept, and what runs a function."""

from collections.abc import Callable
from typing import Any, Protocol

from webhookd.core.execution import Claim, ClaimTasks, Progress, Recorded, RunFacts, TaskEnd
from webhookd.core.outcome import Outcome
from webhookd.core.records import ClaimedTask
from webhookd.core.run_log import RunLog
from webhookd.runtime.cancel_request import CancelRequest
from webhookd.taskset import TaskDefinition


class Tasks(Protocol):
    """Where tasks are claimed and their ends written."""

    async def claim(self, request: ClaimTasks) -> Claim:
        """Claim tasks."""
        ...

    async def held(self, session_id: str) -> list[ClaimedTask]:
        """Return what a session holds."""
        ...

    async def record(self, end: TaskEnd) -> Recorded:
        """Write the end of a try."""
        ...

    async def progress(self, report: Progress) -> bool:
        """Write progress; False: the task was taken away."""
        ...

    async def cancel_requests(self, session_id: str) -> list[str]:
        """Return the ids of held tasks that are to stop."""
        ...


class Runs(Protocol):
    """What runs a function."""

    @property
    def free_slots(self) -> int:
        """How many calls may start now."""
        ...

    async def run(
        self,
        definition: TaskDefinition,
        raw_input: Any,
        *,
        facts: RunFacts,
        log: RunLog,
        cancel: CancelRequest,
        on_progress: Callable[[float | None, str | None], None],
        on_attach: Callable[[], None],
    ) -> Outcome:
        """Run one call and return how it ended; `log` gets what it logs. `on_attach`: it may attach files."""
        ...

    async def stop(self, grace_seconds: float) -> None:
        """Start nothing more; interrupt what does not end within the grace."""
        ...
