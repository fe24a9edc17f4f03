"""The executor over its ports: what it claims, starts, writes, hands back and forgets.

The store and the runner are stand-ins whose steps the test decides; lease, alarm and loop are real.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.services import until
from webhookd.core.errors import Unavailable
from webhookd.core.execution import Claim, ClaimTasks, End, Progress, Recorded, RunFacts, TaskEnd
from webhookd.core.facts import RunEnded
from webhookd.core.model import Priority
from webhookd.core.outcome import (
    CancelledByRequest,
    Crashed,
    Interrupted,
    Outcome,
    Raised,
    RetryLater,
    Succeeded,
)
from webhookd.core.records import ClaimedTask
from webhookd.core.run_log import RunLog
from webhookd.core.trace import TraceContext
from webhookd.flows.alarm import Alarm
from webhookd.flows.execute import Executor
from webhookd.flows.lease import Lease
from webhookd.runtime.cancel_request import CancelRequest
from webhookd.taskset import TaskContext, TaskDefinition, TaskSet

QUEUE = "default"
DONE = Succeeded(result_json=b"{}")
AWAY = Unavailable("It is away.", retry_after_seconds=1)

task_set = TaskSet()


@task_set.task("echo")
def echo(_ctx: TaskContext, given: dict[str, Any]) -> dict[str, Any]:
    return given


@task_set.task("one.at.a.time", concurrency=1)
def one_at_a_time(_ctx: TaskContext, given: dict[str, Any]) -> dict[str, Any]:
    return given


def claimed(task_id: str, *, suspect: bool = False, kind: str = "echo", attempt: int = 1) -> ClaimedTask:
    return ClaimedTask(
        id=task_id,
        partner_id="ptn_1",
        partner_name="acme",
        type=kind,
        priority=Priority.HIGH,
        metadata_json='{"order": "42"}',
        queue=QUEUE,
        version=2,
        attempt=attempt,
        budget_attempt=attempt,
        max_attempts=3,
        token=attempt,
        suspect=suspect,
        trace=TraceContext(trace_id="0" * 31 + "1", parent_id="", flags=1),
        input_json="{}",
        created_ms=0,
        claimed_ms=0,
        due_ms=0,
    )


@dataclass
class Store:
    """Gives out what waits, one claim after another; `answers` may hold a claim's answer back or lose it."""

    waiting: list[ClaimedTask] = field(default_factory=list)
    suspects: list[ClaimedTask] = field(default_factory=list)
    requests: list[ClaimTasks] = field(default_factory=list)
    holding: list[ClaimedTask] = field(default_factory=list)
    ends: list[TaskEnd] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    answer: asyncio.Event = field(default_factory=asyncio.Event)
    loses_answers: int = 0
    away: bool = False
    refused: int = 0

    def __post_init__(self) -> None:
        self.answer.set()

    @property
    def handed_back(self) -> set[str]:
        return {end.task.id for end in self.ends if end.end is End.HANDED_BACK}

    async def claim(self, request: ClaimTasks) -> Claim:
        self.requests.append(request)
        if self.suspects and request.idle:
            given = [self.suspects.pop(0)]
        else:
            given, self.waiting = self.waiting[: request.free], self.waiting[request.free :]
        self.holding.extend(given)
        await self.answer.wait()
        if self.loses_answers:
            self.loses_answers -= 1
            raise AWAY
        more = bool(self.waiting) or bool(self.suspects and request.idle)
        return Claim(
            tasks=tuple(given),
            again_ms=request.now_ms if more else None,
            suspect_waits=bool(self.suspects) and not request.idle,
        )

    async def held(self, session_id: str) -> list[ClaimedTask]:  # noqa: ARG002 - as the port has it
        return list(self.holding)

    async def record(self, end: TaskEnd) -> Recorded:
        if self.away:
            self.refused += 1
            raise AWAY
        self.ends.append(end)
        self.holding = [task for task in self.holding if task.id != end.task.id]
        return Recorded(lost=False)

    async def progress(self, report: Progress) -> bool:  # noqa: ARG002 - as the port has it
        return True

    async def cancel_requests(self, session_id: str) -> list[str]:  # noqa: ARG002 - as the port has it
        return self.cancelled


@dataclass
class Runner:
    """Runs until the test says how it ends; `quick` ones end by themselves."""

    slots: int = 2
    quick: bool = False
    started: dict[str, asyncio.Future[Outcome]] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    together: list[frozenset[str]] = field(default_factory=list)
    slow: set[str] = field(default_factory=set)
    facts: dict[str, RunFacts] = field(default_factory=dict)
    stopped: bool = False

    @property
    def free_slots(self) -> int:
        return self.slots - len(self.started)

    async def run(
        self,
        definition: TaskDefinition,  # noqa: ARG002 - as the port has it
        raw_input: Any,  # noqa: ARG002 - as the port has it
        *,
        facts: RunFacts,
        log: RunLog,
        cancel: CancelRequest,
        **_: Any,
    ) -> Outcome:
        task_id = facts.task_id
        self.facts[task_id] = facts
        log.add(f"{task_id} runs")
        assert self.free_slots > 0, "more at once than there are slots"
        ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.started[task_id] = ended
        self.order.append(task_id)
        self.together.append(frozenset(self.started))
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        cancel.listen(lambda: told.set_result(None))
        try:
            if self.quick:
                await asyncio.sleep(0.001)
                return DONE
            self.slow.add(task_id)
            waited: set[asyncio.Future[Any]] = {ended, told}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            return CancelledByRequest() if told.done() else ended.result()
        finally:
            cancel.ignore()
            del self.started[task_id]

    def end(self, task_id: str, outcome: Outcome = DONE) -> None:
        self.started[task_id].set_result(outcome)

    async def stop(self, grace_seconds: float) -> None:  # noqa: ARG002 - as the port has it
        self.stopped = True
        for ended in self.started.values():
            ended.set_result(Interrupted())


class Sessions:
    """A store of sessions that can say that the lease ran out."""

    holds = True

    async def begin(self, **_: Any) -> None:
        self.holds = True

    async def renew(self, session_id: str, lease_until_ms: int) -> bool:  # noqa: ARG002 - as the port has it
        return self.holds

    async def end(self, session_id: str) -> None:
        pass


class Clock:
    def now_ms(self) -> int:
        return 1_000

    async def sync(self) -> None:
        pass


@dataclass
class Rig:
    executor: Executor
    store: Store
    runner: Runner
    lease: Lease
    sessions: Sessions
    rung: list[str]
    facts: list[RunEnded]
    turns: list[asyncio.Task[None]] = field(default_factory=list)

    def turn(self) -> asyncio.Task[None]:
        """A permit came."""
        self.turns.append(asyncio.create_task(self.executor.turn(QUEUE)))
        return self.turns[-1]

    async def running(self, *task_ids: str) -> None:
        await until(lambda: set(self.runner.started) == set(task_ids), what=f"running: {task_ids}")

    async def written(self, count: int) -> list[TaskEnd]:
        await until(lambda: len(self.store.ends) >= count, what=f"{count} ends")
        return self.store.ends

    async def lose_lease(self) -> None:
        """Others took over what this process holds; its lease notices it when it renews next."""
        self.sessions.holds = False
        gone = self.lease.id
        await until(lambda: self.lease.id != gone and self.lease.alive, what="a new session")


@asynccontextmanager
async def rig(*, slots: int = 2, lease_seconds: float = 60.0) -> AsyncIterator[Rig]:
    store, runner, sessions = Store(), Runner(slots=slots), Sessions()
    rung: list[str] = []
    facts: list[RunEnded] = []
    numbers = iter(range(1_000))
    lease = Lease(
        sessions,
        Clock(),
        new_id=lambda: f"ses_{next(numbers)}",
        kind="tasks",
        host="test",
        pid=1,
        detail={},
        lease_seconds=lease_seconds,
    )
    alarm = Alarm(rung.append, Clock().now_ms)
    executor = Executor(
        tasks=store,
        runner=runner,
        task_set=task_set,
        lease=lease,
        alarm=alarm,
        ring=rung.append,
        now_ms=Clock().now_ms,
        new_span_id=lambda: "",
        listeners=(facts.append,),
    )
    await lease.begin()
    keeping = asyncio.create_task(lease.keep())
    built = Rig(executor, store, runner, lease, sessions, rung, facts)
    try:
        yield built
    finally:
        for waited in (keeping, *built.turns):
            waited.cancel()
        await asyncio.gather(keeping, *built.turns, return_exceptions=True)
        store.away = False
        await executor.stop(0)
        alarm.close()


async def test_it_claims_for_its_free_slots_and_for_more_as_they_free() -> None:
    async with rig() as r:
        r.store.waiting = [claimed(f"task_{n}") for n in range(3)]
        r.turn()
        await r.running("task_0", "task_1")
        assert [request.free for request in r.store.requests] == [2]

        r.runner.end("task_0")
        await r.running("task_1", "task_2")
        r.runner.end("task_1")
        r.runner.end("task_2")

        ends = await r.written(3)
        assert sorted(end.task.id for end in ends) == ["task_0", "task_1", "task_2"]
        assert {end.end for end in ends} == {End.SUCCEEDED}


async def test_an_end_has_its_worker_what_the_run_logged_and_what_it_raised() -> None:
    raised = Raised(type="ValueError", message="boom", traceback="Traceback …")
    async with rig() as r:
        r.store.waiting = [claimed("task_0", attempt=3)]
        r.turn()
        await r.running("task_0")
        r.runner.end("task_0", RetryLater(code="error", message="It failed.", raised=raised))
        [end] = await r.written(1)
        assert (end.host, end.pid, end.log, end.raised) == ("test", 1, ("task_0 runs",), raised)
        facts = r.runner.facts["task_0"]
        assert (facts.partner_name, facts.priority) == ("acme", "high")
        assert facts.metadata_json == '{"order": "42"}'
        assert (facts.attempt, facts.max_attempts, facts.last_attempt) == (3, 3, True)


async def test_a_full_process_rings_for_its_queue_when_its_slice_ends() -> None:
    async with rig(slots=1) as r:
        r.store.waiting = [claimed("task_0"), claimed("task_1")]
        await r.turn()
        assert r.rung == [QUEUE]
        assert list(r.runner.started) == ["task_0"]


async def test_a_task_whose_lease_was_lost_is_stopped_and_nothing_of_it_is_written() -> None:
    async with rig(slots=1, lease_seconds=0.6) as r:
        r.store.waiting = [claimed("task_0")]
        r.turn()
        await r.running("task_0")

        await r.lose_lease()

        await r.running()
        await until(lambda: r.facts, what="the fact")
        assert [fact.outcome for fact in r.facts] == ["lost"]
        assert r.store.ends == []
        await until(lambda: r.executor.running == 0, what="nothing held")


async def test_an_end_under_way_when_the_lease_is_lost_is_given_up() -> None:
    async with rig(slots=1, lease_seconds=0.6) as r:
        r.store.waiting = [claimed("task_0")]
        r.turn()
        await r.running("task_0")
        r.store.away = True
        r.runner.end("task_0")
        await until(lambda: r.store.refused > 0, what="a refused end")

        await r.lose_lease()
        r.store.away = False

        await until(lambda: r.executor.running == 0, what="nothing held")
        assert r.store.ends == []
        assert [fact.outcome for fact in r.facts] == ["lost"]


async def test_what_a_claim_of_a_lost_lease_brings_is_not_started() -> None:
    async with rig(slots=1, lease_seconds=0.6) as r:
        r.store.waiting = [claimed("task_0")]
        r.store.answer.clear()
        turn = r.turn()
        await until(lambda: r.store.requests, what="a claim under way")
        await r.lose_lease()
        r.store.answer.set()
        await turn
        assert r.runner.order == []
        await until(lambda: r.executor.running == 0, what="nothing held")


async def test_a_suspect_runs_with_nothing_beside_it() -> None:
    async with rig() as r:
        r.store.waiting = [claimed("task_0")]
        r.store.suspects = []
        r.turn()
        await r.running("task_0")
        r.store.suspects = [claimed("task_poison", suspect=True)]
        r.store.waiting = [claimed("task_1"), claimed("task_2")]
        r.turn()  # hears that a suspect waits: takes what it is given and then falls idle
        await until(lambda: len(r.store.requests) >= 2, what="the claim that hears of it")
        for task_id in list(r.runner.started):
            r.runner.end(task_id)
        while "task_poison" not in r.runner.started:
            r.turn()
            await asyncio.sleep(0.01)
            for task_id in set(r.runner.started) - {"task_poison"}:
                r.runner.end(task_id)
        r.turn()  # nor is anything claimed while it runs
        await asyncio.sleep(0.05)
        assert set(r.runner.started) == {"task_poison"}
        assert frozenset({"task_poison"}) in r.runner.together
        assert not any("task_poison" in beside and len(beside) > 1 for beside in r.runner.together)

        r.runner.end("task_poison", Crashed(detail="killed by signal 11"))
        await until(lambda: any(e.task.id == "task_poison" for e in r.store.ends), what="its end")
        (end,) = [e for e in r.store.ends if e.task.id == "task_poison"]
        assert (end.end, end.error_code) == (End.RETRY, "worker_crashed")


async def test_a_claim_that_may_bring_a_suspect_is_alone() -> None:
    async with rig() as r:
        r.store.suspects = [claimed("task_poison", suspect=True)]
        r.store.answer.clear()
        r.turn()
        await until(lambda: r.store.requests, what="the first claim")
        r.turn()
        await asyncio.sleep(0.05)
        assert [request.idle for request in r.store.requests] == [True]
        r.store.answer.set()
        await r.running("task_poison")


async def test_what_a_lost_answer_claimed_is_found_and_run_once() -> None:
    async with rig() as r:
        r.store.waiting = [claimed("task_0"), claimed("task_1")]
        r.store.loses_answers = 1
        with pytest.raises(Unavailable):
            await r.turn()
        assert r.runner.order == []

        r.turn()
        await r.running("task_0", "task_1")
        await r.turn()
        await r.turn()
        assert sorted(r.runner.order) == ["task_0", "task_1"]


async def test_nothing_is_looked_for_while_a_claim_is_on_its_way() -> None:
    """What it brings would be taken for lost, and run twice."""
    async with rig() as r:
        r.store.loses_answers = 1
        with pytest.raises(Unavailable):
            await r.turn()
        r.store.waiting = [claimed("task_0")]
        r.store.answer.clear()
        r.turn()
        await until(lambda: len(r.store.requests) == 2, what="a second claim under way")
        await r.turn()
        assert r.runner.order == []
        r.store.answer.set()
        await r.running("task_0")
        assert r.runner.order == ["task_0"]


async def test_short_tasks_are_claimed_ahead_and_go_back_unspent_behind_slow_ones() -> None:
    async with rig(slots=2) as r:
        r.runner.quick = True
        r.store.waiting = [claimed(f"task_{n:04}") for n in range(4_000)]
        while max((request.free for request in r.store.requests), default=0) <= 2 and r.store.waiting:
            r.turn()
            await asyncio.sleep(0.02)
        assert r.store.waiting, "it was to claim ahead before they had all run"

        r.runner.quick = False
        await until(
            lambda: len(r.runner.slow) == 2 and r.executor.running > 2,
            what="some behind two slow ones",
        )
        behind = {task.id for task in r.store.holding} - r.runner.slow
        await until(lambda: behind <= r.store.handed_back, what="them handed back")
        assert r.runner.slow.isdisjoint(r.store.handed_back)
        assert QUEUE in r.rung, "others must hear that there is work"


async def test_stop_hands_back_unspent_what_does_not_end_and_what_still_comes() -> None:
    async with rig(slots=1) as r:
        r.store.waiting = [claimed("task_0")]
        r.turn()
        await r.running("task_0")
        r.runner.slots = 2
        r.store.waiting = [claimed("task_1")]
        r.store.answer.clear()
        r.turn()
        await until(lambda: len(r.store.requests) == 2, what="a claim under way")

        stopping = asyncio.create_task(r.executor.stop(0))
        await until(lambda: r.runner.stopped, what="the runner is stopped")
        r.store.answer.set()
        await stopping

        ends = {end.task.id: end.end for end in await r.written(2)}
        assert ends == {"task_0": End.HANDED_BACK, "task_1": End.HANDED_BACK}
        assert r.runner.order == ["task_0"]
        await until(lambda: r.executor.running == 0, what="nothing held")


async def test_a_stopped_executor_claims_nothing() -> None:
    async with rig() as r:
        await r.executor.stop(0)
        r.store.waiting = [claimed("task_0")]
        await r.turn()
        assert r.store.requests == []


async def test_an_end_is_written_however_long_the_store_is_away() -> None:
    async with rig(slots=1) as r:
        r.store.waiting = [claimed("task_0")]
        r.turn()
        await r.running("task_0")
        r.store.away = True
        r.runner.end("task_0")
        await until(lambda: r.store.refused >= 2, what="two tries")
        assert r.executor.running == 1
        r.store.away = False
        (end,) = await r.written(1)
        assert end.end is End.SUCCEEDED


async def test_a_slot_is_free_while_an_end_waits_for_the_store() -> None:
    async with rig(slots=1) as r:
        r.store.waiting = [claimed("task_0")]
        r.turn()
        await r.running("task_0")
        r.store.away = True
        r.runner.end("task_0")
        await until(lambda: r.store.refused > 0, what="a refused end")
        r.store.waiting = [claimed("task_1")]
        r.turn()
        await r.running("task_1")


async def test_a_cancelled_task_is_told() -> None:
    async with rig() as r:
        r.store.waiting = [claimed("task_0"), claimed("task_1")]
        r.turn()
        await r.running("task_0", "task_1")
        watching = asyncio.create_task(r.executor.watch_cancellations())
        r.store.cancelled = ["task_1"]
        (end,) = await r.written(1)
        watching.cancel()
        assert (end.task.id, end.end) == ("task_1", End.CANCELLED)
        assert set(r.runner.started) == {"task_0"}


async def test_the_end_of_a_limited_type_rings_for_those_who_were_kept_from_it() -> None:
    async with rig() as r:
        r.store.waiting = [claimed("task_0", kind="one.at.a.time")]
        await r.turn()
        r.rung.clear()
        r.runner.end("task_0")
        await r.written(1)
        await until(lambda: QUEUE in r.rung, what="a ring")
