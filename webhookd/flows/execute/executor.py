"""Running tasks: claim for the free slots, run, write the end; a turn serves many rows.

A turn claims until nothing is left or its time slice ends, then rings for the queue again, so that the
broker stays tiny and no queue holds a process for itself. What is claimed is decided by the store's claim
statement; how a function runs is the runner's.

Theory of operation. A claimed task is in `_running` from the answer of its claim to the end of its asyncio
task, whatever becomes of it between. It starts at once, or waits in `_backlog` where it was claimed ahead
of a free slot; what has waited there for WAIT_MOST_SECONDS is handed back, so that no other worker idles
for it. Turns of several queues, ends of runs, `stop` and a lost lease interleave at every `await`. That is
safe by four rules:

- What a claim under way may bring is counted as taken (`_asked`), so turns together never claim more than
  there is room for.
- A suspect runs with nothing beside it. Only a claim by an idle process may bring one, so nothing else is
  claimed meanwhile (`_idle_claim`). Where one waits or runs (`_alone`), room is 0 until this process is
  idle, and only the claim that follows ends that.
- A claim whose answer was lost may have been committed. For DOUBT_SECONDS each turn first asks what the
  session holds, with no claim under way, and takes up what it does not know (`_find_unknown`).
- Everything written carries session and token. After the lease is lost nothing is: answers of claims under
  the old session are dropped, and runs are cancelled (`_drop_all`).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

import orjson
import structlog

from webhookd.core.errors import ServiceError
from webhookd.core.execution import Claim, ClaimTasks, End, TypeLimit, facts_of
from webhookd.core.facts import RunEnded, RunStarted
from webhookd.core.outcome import Interrupted, Outcome
from webhookd.core.records import ClaimedTask
from webhookd.flows.alarm import Alarm
from webhookd.flows.execute.claim_ahead import ClaimAhead
from webhookd.flows.execute.file_inputs import RunFiles
from webhookd.flows.execute.ports import Runs, Tasks
from webhookd.flows.execute.run import ActiveRun, ending
from webhookd.flows.execute.run_writer import RunWriter
from webhookd.flows.lease import DOUBT_SECONDS, Lease
from webhookd.runtime.every import every
from webhookd.runtime.outage import Outage
from webhookd.taskset import TaskDefinition, TaskSet
from webhookd.taskset.file import may_name_files

log = structlog.get_logger(__name__)

SLICE_SECONDS = 1.0
WAIT_MOST_SECONDS = 1.0
CANCEL_POLL_SECONDS = 0.5
WRITE_OFF_SECONDS = 10.0

_FINAL = (End.SUCCEEDED, End.FAILED, End.CANCELLED)


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
        now_ms: Callable[[], int],
        new_span_id: Callable[[], str],
        files: RunFiles | None = None,
        on_start: Sequence[Callable[[RunStarted], None]] = (),
        listeners: Sequence[Callable[[RunEnded], None]] = (),
    ) -> None:
        self._tasks = tasks
        self._runner = runner
        self._task_set = task_set
        self._files = files
        self._lease = lease
        self._alarm = alarm
        self._ring = ring
        self._now_ms = now_ms
        self._new_span_id = new_span_id
        self._on_start = tuple(on_start)
        self._writer = RunWriter(
            tasks=tasks,
            lease=lease,
            alarm=alarm,
            now_ms=now_ms,
            listeners=listeners,
        )
        self._running: dict[tuple[str, int], ActiveRun] = {}
        self._backlog: deque[ActiveRun] = deque()
        self._ahead = ClaimAhead()
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
        outage = Outage("cancellations", "the database")
        await every(CANCEL_POLL_SECONDS, self._pass_on_cancellations, outage=outage)

    async def _pass_on_cancellations(self) -> None:
        if not self._running:
            return
        wanted = set(await self._tasks.cancel_requests(self._lease.id))
        for run in self._running.values():
            if run.task.id in wanted:
                run.cancel.set()

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
        if self._idle_claim:
            return 0
        if self._alone:
            return 0 if self._running else 1
        ahead = self._ahead.ahead(asyncio.get_running_loop().time())
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
        run = ActiveRun(
            task=task,
            session_id=self._lease.id,
            host=self._lease.host,
            pid=self._lease.pid,
            started_ms=self._now_ms(),
            deadline=now + WAIT_MOST_SECONDS,
        )
        self._running[task.id, task.token] = run
        if self._stopping:
            self._hand_back(run)
            return
        if self._free_slots > 0:
            self._start(run)
            return
        if not self._backlog:
            asyncio.get_running_loop().call_at(run.deadline, self._return_late)
        self._backlog.append(run)

    def _start(self, run: ActiveRun) -> None:
        run.started_ms = self._now_ms()
        run.starting = True
        self._starting += 1
        self._work_on(run, self._run(run))

    def _work_on(self, run: ActiveRun, work: Coroutine[Any, Any, None]) -> None:
        run.work = asyncio.get_running_loop().create_task(work, name=run.task.id)
        # A task that is cancelled before its first step runs none of its own code.
        run.work.add_done_callback(lambda ended: self._forget(run, ended))

    def _forget(self, run: ActiveRun, ended: asyncio.Task[None]) -> None:
        self._has_started(run)
        self._running.pop((run.task.id, run.task.token), None)
        self._changed.set()
        if not ended.cancelled() and (error := ended.exception()) is not None:
            log.error("run_not_written", task=run.task.id, exc_info=error)

    def _has_started(self, run: ActiveRun) -> None:
        self._starting -= run.starting
        run.starting = False

    def _start_waiting(self) -> None:
        while self._backlog and self._free_slots > 0:
            self._start(self._backlog.popleft())

    def _return_late(self) -> None:
        """Hand back what has waited behind slower tasks for too long."""
        loop = asyncio.get_running_loop()
        while self._backlog and self._backlog[0].deadline <= loop.time():
            self._ahead.forget()
            self._hand_back(self._backlog.popleft())
        if self._backlog:
            loop.call_at(self._backlog[0].deadline, self._return_late)

    def _hand_back(self, run: ActiveRun) -> None:
        self._work_on(run, self._finish(run, Interrupted()))

    async def _finish(self, run: ActiveRun, outcome: Outcome) -> None:
        """Write the end of a try."""
        task = run.task
        definition = self._task_set[task.type]
        try:
            end = ending(run, definition, outcome, self._now_ms())
            if self._files is not None and run.has_folder and end.end in _FINAL:
                stored = await self._files.store(task)
                if isinstance(stored, tuple):
                    end = replace(end, files=stored)
                else:
                    end = ending(run, definition, stored, self._now_ms())
            await self._writer.end(run, end)
        finally:
            if definition.concurrency is not None:
                self._ring(task.queue)

    async def _run(self, run: ActiveRun) -> None:
        task = run.task
        definition = self._task_set[task.type]
        if self._on_start:
            run.span_id = self._new_span_id()
            fact = run.started()
            for tell in self._on_start:
                tell(fact)
        try:
            outcome = await self._outcome(run, definition)
            self._ahead.ended(asyncio.get_running_loop().time())
            self._changed.set()
            # The runner frees the slot with the outcome; writing it may take as long as the store needs.
            self._start_waiting()
            await self._finish(run, outcome)
        except asyncio.CancelledError:
            # The lease was lost: others run this task now, and nothing here may be written.
            self._writer.lost(run)
            raise
        finally:
            if self._files is not None and run.has_folder:
                await self._files.clear(task)

    async def _outcome(self, run: ActiveRun, definition: TaskDefinition) -> Outcome:
        """Bring the files of the input, then call the function."""
        task, raw_input = run.task, orjson.loads(run.task.input_json)
        if self._files is None:
            facts = facts_of(task)
        else:
            named = definition.files_named(raw_input) if may_name_files(task.input_json) else []
            facts = facts_of(
                task,
                folder=self._files.folder_name(task),
                inputs_brought=bool(named),
                max_file_bytes=self._files.max_bytes,
            )
            if named:
                run.gets_folder()
                missing = await self._files.bring(task, named)
                if missing is not None:
                    self._has_started(run)
                    return missing
        self._has_started(run)
        return await self._runner.run(
            definition,
            raw_input,
            facts=facts,
            log=run.log,
            cancel=run.cancel,
            on_progress=lambda percent, message: self._writer.progress(run, percent, message),
            on_attach=run.gets_folder,
        )

    def _drop_all(self) -> None:
        """The lease was lost: others run these tasks now, what they still do here counts for nothing."""
        for waiting in self._backlog:
            del self._running[waiting.task.id, waiting.task.token]
        self._backlog.clear()
        for run in self._running.values():
            if run.work is not None:
                run.work.cancel()


def _limit(definition: TaskDefinition) -> TypeLimit:
    return TypeLimit(
        type=definition.type,
        timeout_ms=int(definition.timeout_seconds * 1000),
        concurrency=definition.concurrency,
        rate_per_second=definition.rate_per_second,
    )
