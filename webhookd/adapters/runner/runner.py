"""`Runner`: gives each call a slot and a place, watches its clock, and passes on what it is told."""

import asyncio
import contextlib
import heapq
import itertools
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import structlog

from webhookd.adapters.runner.child_pool import ChildPool
from webhookd.adapters.runner.child_process import ChildCall
from webhookd.adapters.runner.ending import Ending, Forced, call, judge
from webhookd.adapters.runner.job import Job, context_of
from webhookd.adapters.runner.lifespans import LEAVE_SECONDS, HeldLifespans, States
from webhookd.adapters.runner.loop_thread import LoopThread
from webhookd.adapters.runner.progress import Listener, ProgressRelay
from webhookd.adapters.runner.protocol import ChildSettings
from webhookd.adapters.runner.threads import ThreadPool
from webhookd.core.execution import RunFacts
from webhookd.core.outcome import CancelledByRequest, Interrupted, Outcome, RunTimedOut
from webhookd.core.run_log import RunLog
from webhookd.runtime.cancel_request import CancelRequest
from webhookd.taskset import TaskContext, TaskDefinition

if TYPE_CHECKING:  # OpenTelemetry may not be installed
    from webhookd.adapters.spans.spans import Spans

logger = structlog.get_logger(__name__)

MAX_RESULT_BYTES: Final = 256 * 1024
LOST_SECONDS: Final = 0.5
"""How long a function that was given up may still take to end before its process is given up, too."""


class Execution(Protocol):
    """A call under way somewhere. All three return at once; none of them is the end."""

    def cancel(self) -> None:
        """Pass on that the task was cancelled."""

    def interrupt(self) -> None:
        """Make it stop: its time is up, or the worker stops."""

    def abandon(self) -> None:
        """It did not stop within the grace; do what is left to do."""


class Runner:
    """Runs task functions, meant for up to `slots` at once. Made and used on one event loop.

    `task_spec` is WEBHOOKD_TASKS as text: child processes (`isolation="process"`) load their functions
    by it, and log as `log_format` and `log_level` say. A function that was told to stop has
    `stop_grace_seconds` to do so; then its outcome is given without it, and its slot stays taken
    until it really ends. One that does not end even then is not to be had out of this process: `on_lost` is
    called, once. `on_limit` is told when (`time.monotonic()`) the soonest function in a thread or on the loop
    has surely had its time, None while none runs. Functions run in a copy of the context `run` is called in;
    `spans` carries its place in the trace to child processes, and their spans back.
    """

    def __init__(
        self,
        *,
        slots: int,
        task_spec: str,
        log_format: Literal["text", "json"] = "text",
        log_level: str = "info",
        max_result_bytes: int = MAX_RESULT_BYTES,
        stop_grace_seconds: float = 2.0,
        progress_interval_seconds: float = 0.1,
        spans: "Spans | None" = None,
        on_lost: Callable[[], None] = lambda: None,
        on_limit: Callable[[float | None], None] = lambda _: None,
    ) -> None:
        self._on_lost = on_lost
        self._on_limit = on_limit
        # (when it has surely had its time, its number, the call); those that are over lie in it for a while.
        self._limits: list[tuple[float, int, _Call]] = []
        self._numbers = itertools.count()
        self._slots = slots
        self._children = ChildPool(
            ChildSettings(
                task_spec=task_spec, log_format=log_format, log_level=log_level, spans=spans is not None
            )
        )
        self._held: HeldLifespans | None = None
        self._states: States = {}
        self._max_result_bytes = max_result_bytes
        self._stop_grace_seconds = stop_grace_seconds
        self._progress_interval_seconds = progress_interval_seconds
        self._spans = spans
        self._threads = ThreadPool()
        self._loop_thread: LoopThread | None = None
        self._calls: set[_Call] = set()
        self._stopping = False

    @property
    def free_slots(self) -> int:
        """How many more calls may be started now; none once the runner is stopping."""
        return 0 if self._stopping else max(0, self._slots - len(self._calls))

    @property
    def lost_slots(self) -> int:
        """How many slots are held by functions whose outcome was given without them."""
        return sum(one.abandoned for one in self._calls)

    async def start(self, definitions: Iterable[TaskDefinition]) -> None:
        """Make ready for these types: enter their lifespans, start a child ahead. Raises SettingsError.

        It may be left out where there are no lifespans.
        """
        wanted = tuple(definitions)
        here = [d.lifespan for d in wanted if d.lifespan is not None and d.isolation != "process"]
        if here:
            self._loop_thread = LoopThread()
            self._held = HeldLifespans(self._loop_thread.loop, here)
            self._states = await asyncio.wrap_future(self._held.entered)
        if any(d.isolation == "process" for d in wanted):
            self._children.warm_up()

    async def run(
        self,
        definition: TaskDefinition,
        raw_input: Any,
        *,
        facts: RunFacts,
        log: RunLog,
        cancel: CancelRequest,
        on_progress: Listener,
        on_attach: Callable[[], None],
    ) -> Outcome:
        """Call the function once and return how it ended; never raises for what it does.

        The time limit is the definition's, on the monotonic clock from now. Setting `cancel` tells the
        function. `log` gets the lines it logs. `on_progress` is called on this loop, at most once per
        progress interval and never after the outcome. `on_attach` is called, from any thread, before files
        that the function attaches may lie in its folder. If the awaiting task is cancelled, the function is
        interrupted.
        `free_slots` says how much to claim; what has been claimed is run even where that was too much.
        """
        if self._stopping:
            return Interrupted()
        loop = asyncio.get_running_loop()
        progress = ProgressRelay(loop, on_progress, interval_seconds=self._progress_interval_seconds)
        context = context_of(
            definition,
            facts,
            timeout_seconds=definition.timeout_seconds,
            on_progress=progress.report,
            on_attach=on_attach,
            state=self._states.get(definition.lifespan),
        )
        job = Job(
            definition=definition,
            raw_input=raw_input,
            facts=facts,
            context=context,
            max_result_bytes=self._max_result_bytes,
            keep_line=log.add,
        )
        one = _Call(
            context, grace_seconds=self._stop_grace_seconds, on_over=self._over, on_given_up=self._given_up
        )
        one.killable = definition.isolation == "process"
        if one.killable:
            on_attach()  # a child does it unheard
        else:
            one.limit_at = time.monotonic() + definition.timeout_seconds + self._stop_grace_seconds
        self._calls.add(one)
        if one.limit_at is not None:
            heapq.heappush(self._limits, (one.limit_at, next(self._numbers), one))
            if self._limits[0][-1] is one:
                self._on_limit(one.limit_at)
        one.execution = self._start(job, one.over)
        time_limit = loop.call_later(definition.timeout_seconds, one.stop, RunTimedOut())
        cancel.listen(one.cancel)
        try:
            return await one.outcome
        finally:
            time_limit.cancel()
            cancel.ignore()
            progress.close()
            if one.outcome.cancelled():
                one.stop(Interrupted())

    async def stop(self, grace_seconds: float) -> None:
        """Start nothing more, give what runs `grace_seconds` to end, then interrupt it.

        Returns once every call has its outcome, at most `grace_seconds` and the stop grace later.
        """
        self._stopping = True
        running = [one.outcome for one in self._calls if not one.outcome.done()]
        if running:
            await asyncio.wait(running, timeout=grace_seconds)
        for one in tuple(self._calls):
            one.stop(Interrupted())
        if running:
            await asyncio.wait(running)
        await asyncio.to_thread(self._children.close)
        self._threads.close()
        if self._held is not None:
            with contextlib.suppress(Exception):  # it was logged; the process ends all the same
                await asyncio.wait_for(asyncio.wrap_future(self._held.leave()), LEAVE_SECONDS)
        if self._loop_thread is not None:
            await self._loop_thread.close()

    def _over(self, one: "_Call") -> None:
        self._calls.discard(one)
        if self._limits and self._limits[0][-1] is one:
            while self._limits and self._limits[0][-1] not in self._calls:
                heapq.heappop(self._limits)
            self._on_limit(self._limits[0][0] if self._limits else None)

    def _given_up(self, one: "_Call") -> None:
        asyncio.get_running_loop().call_later(LOST_SECONDS, self._look_for, one)

    def _look_for(self, one: "_Call") -> None:
        if one in self._calls:
            logger.error("function_lost", task=one.task_id)
            self._on_lost()

    def _start(self, job: Job, on_end: Callable[[Ending], None]) -> Execution:
        if job.definition.isolation == "process":
            return ChildCall(job, self._children, threads=self._threads, on_end=on_end, spans=self._spans)
        if job.definition.is_async:
            self._loop_thread = self._loop_thread or LoopThread()
            return self._loop_thread.submit(job, on_end)
        return self._threads.submit(lambda: call(job), on_end)


class _Call:
    """One call from its start to its end, on the main loop: what it was told, and what it came to."""

    execution: Execution

    def __init__(
        self,
        context: TaskContext,
        *,
        grace_seconds: float,
        on_over: Callable[["_Call"], None],
        on_given_up: Callable[["_Call"], None],
    ) -> None:
        self.limit_at: float | None = None
        self.killable = False
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.abandoned = False
        self._context = context
        self._grace_seconds = grace_seconds
        self._on_over = on_over
        self._on_given_up = on_given_up
        self._cancel_requested = False
        self._forced: Forced | None = None
        self._is_over = False

    @property
    def task_id(self) -> str:
        """Whose call it is."""
        return self._context.task_id

    def cancel(self) -> None:
        """Tell the function that its task was cancelled."""
        if self._forced is None:
            self._cancel_requested = True
            self._context.cancel()
            self.execution.cancel()
            if self.killable:
                asyncio.get_running_loop().call_later(self._grace_seconds, self._end_cancelled)

    def stop(self, outcome: RunTimedOut | Interrupted) -> None:
        """Interrupt the function for this reason; the first reason stays."""
        if self._forced is None:
            self._forced = outcome
            self._context.cancel()
            self.execution.interrupt()
            asyncio.get_running_loop().call_later(self._grace_seconds, self._give_up)

    def _end_cancelled(self) -> None:
        """It was told of its cancellation, and had its time to end by itself."""
        if not self._is_over and self._forced is None:
            self._forced = CancelledByRequest()
            self._give_up()

    def over(self, ending: Ending) -> None:
        """The function has really ended, perhaps long after its outcome was given."""
        self._is_over, self.abandoned = True, False
        self._on_over(self)
        if not self.outcome.done():
            self.outcome.set_result(
                judge(ending, cancel_requested=self._cancel_requested, forced=self._forced)
            )

    def _give_up(self) -> None:
        if self._is_over or self._forced is None:
            return
        self.abandoned = True
        self.execution.abandon()
        self._on_given_up(self)
        if not self.outcome.done():
            self.outcome.set_result(self._forced)
