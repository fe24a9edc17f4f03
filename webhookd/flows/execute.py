"""Running tasks: claim for the free slots, run, write the end; a turn serves many rows.

A turn claims until nothing is left or its time slice ends, then rings for the queue again, so that the
broker stays tiny and no queue holds a process for itself. What is claimed is decided by the store's
claim statement; how a function runs is the runner's.

Where tasks are short, a process claims a little more than it has free slots: as many as it has lately
ended in AHEAD_SECONDS. Otherwise every handful of quick tasks would cost two commits, and the window
must outlast a few commits, or small batches keep the rate small (measured on one busy machine with 8
slots: 0.05 s ahead ran 220 tasks a second at 1.4 ms of processor each, 0.2 s ahead 630 at 0.45 ms). What
has waited too long behind slower tasks goes back unspent, so nobody else's worker idles for it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol

import orjson
import structlog

from webhookd.core.errors import ServiceError
from webhookd.core.execution import Claim, ClaimTasks, End, Progress, Recorded, TaskEnd, TypeLimit
from webhookd.core.facts import RunEnded, RunStarted
from webhookd.core.outcome import (
    CancelledByRequest,
    Crashed,
    Failed,
    Interrupted,
    Outcome,
    RetryLater,
    Succeeded,
    TimedOut,
)
from webhookd.core.records import ClaimedTask, TaskSignal
from webhookd.core.retry import RetryPolicy
from webhookd.flows.alarm import Alarm
from webhookd.flows.lease import Lease
from webhookd.taskset import TaskDefinition, TaskSet

log = structlog.get_logger(__name__)

SLICE_SECONDS = 1.0
AHEAD_SECONDS = 0.2
AHEAD_MOST = 256
WAIT_MOST_SECONDS = 1.0
CANCEL_POLL_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 3_600.0
WRITE_OFF_SECONDS = 10.0
DOUBT_SECONDS = 5.0
"""How long after a claim without an answer its commit may still show."""


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

    async def progress(self, report: Progress) -> TaskSignal | None:
        """Write progress; None: the task was taken away."""
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
        task_id: str,
        attempt: int,
        trace_id: str,
        cancel: asyncio.Event,
        on_progress: Callable[[float | None, str | None], None],
    ) -> Outcome:
        """Run one call and return how it ended."""
        ...

    async def stop(self, grace_seconds: float) -> None:
        """Start nothing more; interrupt what does not end within the grace."""
        ...


@dataclass(slots=True)
class _Running:
    task: ClaimedTask
    session_id: str
    started_ms: int
    deadline: float
    cancel: asyncio.Event = field(default_factory=asyncio.Event)
    percent: float | None = None
    message: str | None = None
    unwritten: bool = False
    writing: bool = False
    starting: bool = False
    span_id: str = ""
    work: asyncio.Task[None] | None = None


class Executor:
    """Runs the tasks of this process. `turn` is what a permit calls; `stop` ends gracefully.

    `on_start` hear of each try before its function runs, in the context that it will run in; they and
    `listeners` are called in one asyncio task a try. Only where there are any do tries have spans.
    """

    def __init__(
        self,
        *,
        tasks: Tasks,
        runner: Runs,
        task_set: TaskSet,
        lease: Lease,
        alarm: Alarm,
        ring: Callable[[str], None],
        publish: Callable[[Sequence[TaskSignal]], None],
        now_ms: Callable[[], int],
        new_span_id: Callable[[], str],
        on_start: Sequence[Callable[[RunStarted], None]] = (),
        listeners: Sequence[Callable[[RunEnded], None]] = (),
    ) -> None:
        self._tasks = tasks
        self._runner = runner
        self._task_set = task_set
        self._lease = lease
        self._alarm = alarm
        self._ring = ring
        self._publish = publish
        self._now_ms = now_ms
        self._new_span_id = new_span_id
        self._on_start = tuple(on_start)
        self._listeners = tuple(listeners)
        self._running: dict[tuple[str, int], _Running] = {}
        self._backlog: deque[_Running] = deque()
        self._pace = _Pace()
        self._changed = asyncio.Event()
        self._slots = runner.free_slots
        # Started, but the runner has not heard of them yet: they do not show in its free slots.
        self._starting = 0
        self._stopping = False
        # A suspect is run with nothing beside it. `_alone`: one waits, so this process is to fall idle;
        # `_idle_claim`: a claim under way may bring one, so nothing else is claimed meanwhile.
        self._alone = False
        self._claims = 0
        self._asked = 0  # what claims under way may still bring
        self._idle_claim = False
        self._doubt_ends: float | None = None  # there was a claim whose answer was lost
        self._limits = {
            queue: tuple(_limit(d) for d in task_set if d.queue == queue) for queue in task_set.queues
        }
        lease.on_lost.append(self._drop_all)

    @property
    def running(self) -> int:
        """How many tasks are claimed and not yet written off."""
        return len(self._running)

    async def turn(self, queue: str) -> None:
        """Claim and start tasks of `queue` until nothing is left or the time slice ends."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + SLICE_SECONDS
        limits = self._limits.get(queue, ())
        while limits and not self._stopping and self._lease.alive:
            if self._doubt_ends is not None and not await self._find_unknown(self._doubt_ends):
                return
            room = self._room()
            if room == 0:
                if loop.time() >= ends or not await self._change_before(ends):
                    self._ring(queue)
                    return
                continue
            claim = await self._claim(queue, limits, room)
            if not self._alone and not self._more(queue, claim):
                return
            if loop.time() >= ends:
                self._ring(queue)
                return

    async def watch_cancellations(self) -> None:
        """Tell running functions that somebody cancelled their task; until cancelled itself."""
        while True:
            await asyncio.sleep(CANCEL_POLL_SECONDS)
            if not self._running:
                continue
            try:
                wanted = set(await self._tasks.cancel_requests(self._lease.id))
            except ServiceError:
                continue
            for running in self._running.values():
                if running.task.id in wanted:
                    running.cancel.set()

    async def stop(self, grace_seconds: float) -> None:
        """Claim nothing more, let what runs end within the grace, hand the rest back unspent."""
        self._stopping = True
        self._changed.set()
        for waiting in self._backlog:
            self._hand_back(waiting)
        self._backlog.clear()
        await self._runner.stop(grace_seconds)
        ends = asyncio.get_running_loop().time() + WRITE_OFF_SECONDS
        while self._running and await self._change_before(ends):
            pass

    def _room(self) -> int:
        """Return how many tasks to claim now; 0: not yet."""
        if self._idle_claim or any(running.task.suspect for running in self._running.values()):
            return 0
        if self._alone:
            return 0 if self._running else 1
        ahead = self._pace.ahead(asyncio.get_running_loop().time())
        if ahead == 0:
            return max(0, self._free_slots - len(self._backlog) - self._asked)
        capacity = self._slots + ahead
        room = capacity - len(self._running) - self._asked
        # The backlog keeps the slots busy meanwhile; a claim is worth its commit by the dozen.
        return room if room >= capacity // 3 else 0

    @property
    def _free_slots(self) -> int:
        return self._runner.free_slots - self._starting

    def _more(self, queue: str, claim: Claim) -> bool:
        if claim.again_ms is None:
            return False
        if claim.again_ms > self._now_ms():
            self._alarm.at(queue, claim.again_ms)
            return False
        return True

    async def _claim(self, queue: str, limits: tuple[TypeLimit, ...], room: int) -> Claim:
        request = ClaimTasks(
            session_id=self._lease.id,
            queue=queue,
            free=room,
            idle=not self._running and not self._claims,
            limits=limits,
            now_ms=self._now_ms(),
        )
        self._claims += 1
        self._asked += room
        self._idle_claim = request.idle
        try:
            claim = await self._tasks.claim(request)
        except ServiceError:
            self._doubt_ends = asyncio.get_running_loop().time() + DOUBT_SECONDS
            raise
        finally:
            self._claims -= 1
            self._asked -= room
            self._idle_claim = False
            self._changed.set()
        if request.session_id != self._lease.id:
            # The lease was lost meanwhile, and with it what was claimed under it.
            return Claim()
        for task in claim.tasks:
            self._take(task)
        self._alone = claim.suspect_waits or any(task.suspect for task in claim.tasks)
        self._publish(
            [TaskSignal(task_id=t.id, partner_id=t.partner_id, version=t.version) for t in claim.tasks]
        )
        return claim

    async def _find_unknown(self, doubt_ends: float) -> bool:
        """Start what is held because of a claim whose answer was lost. False: claim nothing more yet.

        Nothing is claimed meanwhile, or it would be taken for lost while its answer is on the way.
        """
        if self._claims:
            return False
        self._claims += 1
        known = set(self._running)
        session_id = self._lease.id
        try:
            held = await self._tasks.held(session_id)
        finally:
            self._claims -= 1
        if session_id != self._lease.id:
            return False
        for task in held:
            if (task.id, task.token) not in known:
                log.info("claim_found", task=task.id)
                self._take(task)
        self._alone = self._alone or any(task.suspect for task in held)
        if self._doubt_ends == doubt_ends and asyncio.get_running_loop().time() >= doubt_ends:
            self._doubt_ends = None
        return True

    async def _change_before(self, ends: float) -> bool:
        """Wait for a slot to free; False: none did before the slice ended."""
        self._changed.clear()
        try:
            async with asyncio.timeout_at(ends):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _take(self, task: ClaimedTask) -> None:
        """Start a claimed task, or let it wait for a slot for a moment."""
        now = asyncio.get_running_loop().time()
        running = _Running(
            task=task,
            session_id=self._lease.id,
            started_ms=self._now_ms(),
            deadline=now + WAIT_MOST_SECONDS,
        )
        self._running[task.id, task.token] = running
        if self._stopping:
            self._hand_back(running)
            return
        if self._free_slots > 0:
            self._start(running)
            return
        if not self._backlog:
            asyncio.get_running_loop().call_at(running.deadline, self._return_late)
        self._backlog.append(running)

    def _start(self, running: _Running) -> None:
        running.started_ms = self._now_ms()
        running.starting = True
        self._starting += 1
        self._work_on(running, self._run(running))

    def _work_on(self, running: _Running, work: Coroutine[Any, Any, None]) -> None:
        running.work = asyncio.get_running_loop().create_task(work, name=running.task.id)
        # A task that is cancelled before its first step runs none of its own code.
        running.work.add_done_callback(lambda ended: self._forget(running, ended))

    def _forget(self, running: _Running, ended: asyncio.Task[None]) -> None:
        self._has_started(running)
        self._running.pop((running.task.id, running.task.token), None)
        self._changed.set()
        if not ended.cancelled() and (error := ended.exception()) is not None:
            log.error("run_not_written", task=running.task.id, exc_info=error)

    def _has_started(self, running: _Running) -> None:
        self._starting -= running.starting
        running.starting = False

    def _start_waiting(self) -> None:
        while self._backlog and self._free_slots > 0:
            self._start(self._backlog.popleft())

    def _return_late(self) -> None:
        """Hand back what has waited behind slower tasks for too long."""
        loop = asyncio.get_running_loop()
        while self._backlog and self._backlog[0].deadline <= loop.time():
            self._pace.forget()
            self._hand_back(self._backlog.popleft())
        if self._backlog:
            loop.call_at(self._backlog[0].deadline, self._return_late)

    def _hand_back(self, running: _Running) -> None:
        self._work_on(running, self._finish(running, Interrupted()))

    async def _finish(self, running: _Running, outcome: Outcome) -> None:
        """Write the end of a try."""
        task = running.task
        definition = self._task_set[task.type]
        try:
            await self._write(running, self._end(running, definition, outcome))
        finally:
            if definition.concurrency is not None or isinstance(outcome, Interrupted):
                self._ring(task.queue)

    async def _run(self, running: _Running) -> None:
        task = running.task
        definition = self._task_set[task.type]
        self._has_started(running)
        if self._on_start:
            self._tell_start(running)
        try:
            outcome = await self._runner.run(
                definition,
                orjson.loads(task.input_json),
                task_id=task.id,
                attempt=task.attempt,
                trace_id=task.trace_id,
                cancel=running.cancel,
                on_progress=lambda percent, message: self._progressed(running, percent, message),
            )
            self._pace.ended(asyncio.get_running_loop().time())
            self._changed.set()
            # The runner frees the slot with the outcome; writing it may take as long as the store needs.
            self._start_waiting()
            await self._finish(running, outcome)
        except asyncio.CancelledError:
            # The lease was lost: others run this task now, and nothing here may be written.
            self._tell_end(running, "lost", None, self._now_ms())
            raise

    def _end(self, running: _Running, definition: TaskDefinition, outcome: Outcome) -> TaskEnd:
        """Decide what the outcome makes of the task."""
        task, now_ms = running.task, self._now_ms()
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
            case RetryLater() | TimedOut() | Crashed():
                code, message, reason = _failure(outcome, definition)
                end = End.FAILED
                if task.budget_attempt < task.max_attempts:
                    pause = outcome.after_seconds if isinstance(outcome, RetryLater) else None
                    end, due_ms = End.RETRY, now_ms + int(1000 * _pause(definition, task, pause))
        return TaskEnd(
            task=task,
            session_id=running.session_id,
            end=end,
            started_ms=running.started_ms,
            now_ms=now_ms,
            result_json=result,
            error_code=code,
            error_message=message,
            due_ms=due_ms,
            reason=reason,
            span_id=running.span_id,
            progress_percent=running.percent,
            progress_message=running.message,
        )

    async def _write(self, running: _Running, end: TaskEnd) -> None:
        """Write the end, however long the store is away, unless the lease is lost meanwhile."""
        began = perf_counter()
        pause_seconds = 0.1
        while True:
            try:
                recorded = await self._tasks.record(end)
                break
            except ServiceError as error:
                if running.session_id != self._lease.id:
                    recorded = Recorded(lost=True)
                    break
                log.warning("task_end_not_written", task=end.task.id, reason=error.detail)
                await asyncio.sleep(pause_seconds)
                pause_seconds = min(2.0, pause_seconds * 2)
        if recorded.signal is not None:
            self._publish([recorded.signal])
        if recorded.deliveries:
            self._ring("deliver")
        if end.due_ms is not None and end.end is End.RETRY:
            self._alarm.at("sweep", end.due_ms)
        outcome = "lost" if recorded.lost else end.end.value
        write_us = int((perf_counter() - began) * 1_000_000)
        self._tell_end(running, outcome, end.error_code, end.now_ms, write_us=write_us)

    def _tell_start(self, running: _Running) -> None:
        task = running.task
        running.span_id = self._new_span_id()
        fact = RunStarted(
            task_id=task.id,
            partner_id=task.partner_id,
            type=task.type,
            queue=task.queue,
            attempt=task.attempt,
            wait_ms=task.claimed_ms - task.due_ms,
            trace_id=task.trace_id,
            span_id=running.span_id,
            parent_span_id=task.trace_parent_id,
            trace_flags=task.trace_flags,
            trace_state=task.trace_state,
        )
        for tell in self._on_start:
            tell(fact)

    def _tell_end(
        self, running: _Running, outcome: str, error: str | None, now_ms: int, *, write_us: int = 0
    ) -> None:
        task = running.task
        fact = RunEnded(
            task_id=task.id,
            type=task.type,
            attempt=task.attempt,
            outcome=outcome,
            error=error,
            wait_ms=task.claimed_ms - task.due_ms,
            run_ms=now_ms - running.started_ms,
            trace_id=task.trace_id,
            write_us=write_us,
            span_id=running.span_id,
        )
        for tell in self._listeners:
            tell(fact)

    def _progressed(self, running: _Running, percent: float | None, message: str | None) -> None:
        running.percent = percent if percent is not None else running.percent
        running.message = message
        running.unwritten = True
        if not running.writing:
            running.writing = True
            writing = asyncio.get_running_loop().create_task(self._write_progress(running))
            writing.add_done_callback(_ignore)

    async def _write_progress(self, running: _Running) -> None:
        """Write the newest progress, as long as there is a newer one."""
        try:
            while running.unwritten:
                running.unwritten = False
                report = Progress(
                    task_id=running.task.id,
                    session_id=running.session_id,
                    token=running.task.token,
                    percent=running.percent,
                    message=running.message,
                    now_ms=self._now_ms(),
                    span_id=running.span_id,
                )
                signal = await self._tasks.progress(report)
                if signal is None:
                    return
                self._publish([signal])
                self._ring("deliver")
        except ServiceError as error:
            log.info("progress_not_written", task=running.task.id, reason=error.detail)
        finally:
            running.writing = False

    def _drop_all(self) -> None:
        """The lease was lost: others run these tasks now, what they still do here counts for nothing."""
        for waiting in self._backlog:
            del self._running[waiting.task.id, waiting.task.token]
        self._backlog.clear()
        for running in self._running.values():
            if running.work is not None:
                running.work.cancel()


class _Pace:
    """How quickly tasks end here, over the last moments: what claiming ahead goes by."""

    _WINDOW_SECONDS = 0.2

    def __init__(self) -> None:
        self._since = 0.0
        self._ended = 0
        self._rate = 0.0

    def ended(self, now: float) -> None:
        """Count a task that ended."""
        self._ended += 1
        self._turn_over(now)

    def forget(self) -> None:
        """Tasks are not that short after all."""
        self._rate = 0.0
        self._ended = 0

    def ahead(self, now: float) -> int:
        """Return how many tasks to claim beyond the free slots."""
        self._turn_over(now)
        return min(AHEAD_MOST, int(self._rate * AHEAD_SECONDS))

    def _turn_over(self, now: float) -> None:
        elapsed = now - self._since
        if elapsed >= self._WINDOW_SECONDS:
            self._rate = self._ended / elapsed
            self._since, self._ended = now, 0


def _limit(definition: TaskDefinition) -> TypeLimit:
    return TypeLimit(
        type=definition.type,
        timeout_ms=int(definition.timeout_seconds * 1000),
        concurrency=definition.concurrency,
        rate_per_second=definition.rate_per_second,
    )


def _failure(outcome: RetryLater | TimedOut | Crashed, definition: TaskDefinition) -> tuple[str, str, str]:
    """Return error code, message and dead-letter reason."""
    if isinstance(outcome, TimedOut):
        return "timeout", f"It did not end within {definition.timeout_seconds:g} s.", "task_failed"
    if isinstance(outcome, Crashed):
        return "worker_crashed", outcome.detail, "worker_crashed"
    return outcome.code, outcome.message, "task_failed"


def _pause(definition: TaskDefinition, task: ClaimedTask, asked_seconds: float | None) -> float:
    if asked_seconds is not None:
        return asked_seconds
    policy = RetryPolicy(
        max_attempts=task.max_attempts,
        base_seconds=definition.retry_base_seconds,
        factor=definition.retry_factor,
        cap_seconds=LONGEST_RETRY_SECONDS,
        jitter=0,
    )
    return policy.delay_seconds(task.budget_attempt, chance=0.5)


def _ignore(_task: asyncio.Task[None]) -> None:
    """Keep a reference until the task is done; its outcome was logged."""
