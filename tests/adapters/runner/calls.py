"""A call of the runner under way, and what its tests have in common; no pytest, for children import it."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.adapters.runner.runner_tasks import TASK_SPEC
from webhookd.adapters.runner import Runner
from webhookd.core.execution import RunFacts
from webhookd.core.outcome import ERROR, PRIVATE, Outcome, RetryLater
from webhookd.core.run_log import RunLog
from webhookd.runtime.cancel_request import CancelRequest
from webhookd.taskset import TaskDefinition

PATIENCE_SECONDS = 60.0
FACTS = RunFacts(
    task_id="task_1",
    attempt=2,
    trace_id="abc",
    partner_id="prt_1",
    partner_name="acme",
    metadata_json='{"order": "42"}',
    priority="high",
    max_attempts=2,
    last_attempt=True,
)

PLACES = ("thread", "loop", "process", "process_loop")

PRIVATELY = RetryLater(code=ERROR, message=PRIVATE)


class Call:
    """One call of `runner.run` under way, with what it reported."""

    def __init__(
        self, runner: Runner, definition: TaskDefinition, raw_input: Any, *, facts: RunFacts = FACTS
    ) -> None:
        self.cancel = CancelRequest()
        self.log = RunLog()
        self.heard: list[tuple[float | None, str | None]] = []
        self.threads: set[threading.Thread] = set()
        self.reported = asyncio.Event()
        self.attached = 0
        self.outcome = asyncio.ensure_future(
            runner.run(
                definition,
                raw_input,
                facts=facts,
                log=self.log,
                cancel=self.cancel,
                on_progress=self.hear,
                on_attach=self.attaches,
            )
        )

    def attaches(self) -> None:
        self.attached += 1

    def hear(self, percent: float | None, message: str | None) -> None:
        self.heard.append((percent, message))
        self.threads.add(threading.current_thread())
        self.reported.set()

    async def has_begun(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.reported.wait()

    async def end(self) -> Outcome:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.outcome


@asynccontextmanager
async def running(
    *, slots: int = 4, stop_grace_seconds: float = 20.0, task_spec: str = TASK_SPEC, **options: Any
) -> AsyncIterator[Runner]:
    runner = Runner(slots=slots, task_spec=task_spec, stop_grace_seconds=stop_grace_seconds, **options)
    yield runner
    await runner.stop(0)
