"""The store under any order of events, against a model: the invariants of at-least-once delivery.

Two processes submit tasks and batches, claim, finish, freeze, crash, sweep, cancel, replay and deliver as it
happens. After every step what the store says is compared with what must hold; at the end everything drains.
"""

import asyncio
import itertools
import shutil
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Select, select

from tests.support.batching import add, all_batches, batch_of, completions, make, seen
from tests.support.seeds import NOW, at, endpoint, partner
from tests.support.sending import PAUSE_MS, answer, assert_in_flight_is_true, turn
from tests.support.services import Databases
from tests.support.work import (
    assert_counters_are_true,
    cancel,
    claim,
    finish,
    replay,
    session,
    submission_of,
    task_of,
)
from webhookd.adapters.store.deliveries.deliveries import cancel_delivery, replay_delivery
from webhookd.adapters.store.schema import deliveries, messages, tasks
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tasks.batch_moves import cancel_batch, close_batch
from webhookd.adapters.store.tx import Policy, Tx
from webhookd.adapters.vault import Vault, generate_key
from webhookd.core.batches import BatchCounts, NewBatch
from webhookd.core.dispatch import DueDelivery, Handed
from webhookd.core.errors import Conflict
from webhookd.core.execution import End
from webhookd.core.model import TASK_DONE, BatchState, DeliveryState, TaskState
from webhookd.core.records import ClaimedTask, Endpoint

R = TypeVar("R")
Pick = st.integers(min_value=0, max_value=1_000_000)
ENDED = {"delivered", "dead", "cancelled"}


class Process:
    """A worker as the model sees it: its session, and what it believes it holds."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.tasks: list[ClaimedTask] = []
        self.deliveries: list[DueDelivery] = []


class StoreMachine(RuleBasedStateMachine):
    """The rules. `new_database` gives the URL of a fresh, migrated database."""

    def __init__(self, new_database: Callable[[], str]) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.sessions = (f"ses_{n}" for n in itertools.count())
        self.now_ms = NOW
        self.accepted: dict[str, str] = {}
        self.batches: dict[str, NewBatch] = {}
        self.keys: dict[str, tuple[str, ...]] = {}
        self.targets: list[Endpoint] = []
        self.enabled: dict[str, bool] = {}
        self.processes: list[Process] = []
        # What a process that lost its lease still believes it holds.
        self.stale: list[tuple[str, ClaimedTask | DueDelivery]] = []
        self.hits: Counter[str] = Counter()
        self.bodies: dict[str, str] = {}
        self.good: set[str] = set()
        self.due: dict[str, int] = {}
        self.afresh: set[str] = set()
        self.store = self.run(self._open(new_database()))

    async def _open(self, url: str) -> Store:
        return await Store.open(url, Vault([generate_key()]), Policy(session_id="ses_shard"))

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        return self.runner.run(work)

    def teardown(self) -> None:
        try:
            self.run(self._drain())
        finally:
            self.run(self.store.close())
            self.runner.close()

    # -- rules ------------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        async def work() -> None:
            self.owners = [await partner(self.store.db, name) for name in ("one", "other")]
            for owner, more in (
                (self.owners[0], {"ordering": "fifo"}),
                (
                    self.owners[0],
                    {
                        "events": (
                            "task.*",
                            "task.started",
                            "batch.completed",
                            "delivery.dead",
                            "endpoint.disabled",
                        )
                    },
                ),
                (self.owners[1], {"retry_max_attempts": 2, "rate_limit": 1.0}),
            ):
                self.targets.append(await endpoint(self.store, owner, **more))
                self.enabled[self.targets[-1].id] = True
            for _ in range(2):
                self.processes.append(
                    Process(await session(self.store, next(self.sessions), lease_until_ms=10 * NOW))
                )

        self.run(work())

    @rule(ms=st.sampled_from((1, 500, PAUSE_MS)))
    def time_passes(self, ms: int) -> None:
        self.now_ms += ms

    @rule(
        who=Pick,
        count=st.integers(1, 3),
        wait_ms=st.sampled_from((0, 0, 500)),
        expires_ms=st.sampled_from((None, None, 600)),
        inline=st.booleans(),
        key=st.sampled_from((None, "a", "b")),
    )
    def submit(
        self, *, who: int, count: int, wait_ms: int, expires_ms: int | None, inline: bool, key: str | None
    ) -> None:
        owner = self.owners[who % 2]
        place: dict[str, Any] = {
            "callback_url": "https://x.example/h",
            "callback_origin": "https://x.example",
        }
        new = [
            task_of(
                owner,
                now_ms=self.now_ms,
                max_attempts=2,
                scheduled=wait_ms > 0,
                due_ms=self.now_ms + wait_ms,
                expires_ms=None if expires_ms is None else self.now_ms + expires_ms,
                **(place if inline else {}),
            )
            for _ in range(count)
        ]
        named = None if key is None else f"{owner}{key}"
        accepted = self.run(
            self.store.tasks.submit(submission_of(*new, key=named, fingerprint="same", now_ms=self.now_ms))
        )
        if named in self.keys:
            assert accepted.replayed
            assert accepted.task_ids == self.keys[named]
        else:
            assert not accepted.replayed
            self.accepted |= dict.fromkeys(accepted.task_ids, owner)
            if named is not None:
                self.keys[named] = accepted.task_ids

    @rule(who=Pick, count=st.integers(0, 3), opened=st.booleans())
    def make_batch(self, who: int, count: int, *, opened: bool) -> None:
        owner = self.owners[who % 2]
        state = BatchState.OPEN if opened or not count else BatchState.RUNNING
        batch = batch_of(owner, state=state, created_ms=self.now_ms)
        more = {"now_ms": self.now_ms, "max_attempts": 2}
        self.accepted |= dict.fromkeys(self.run(make(self.store, batch, count, **more)), owner)
        self.batches[batch.id] = batch

    @precondition(lambda self: self.batches)
    @rule(which=Pick, count=st.integers(1, 2))
    def add_to_batch(self, which: int, count: int) -> None:
        batch = self._batch(which)
        opened = self.run(seen(self.store, batch)).state is BatchState.OPEN
        try:
            added = self.run(add(self.store, batch, count))
        except Conflict:
            assert not opened
        else:
            assert opened
            self.accepted |= dict.fromkeys(added.task_ids, batch.partner_id)

    @precondition(lambda self: self.batches)
    @rule(which=Pick, cancels=st.booleans())
    def close_batch(self, which: int, *, cancels: bool) -> None:
        batch = self._batch(which)
        at(self.store, self.now_ms)
        before = self.run(seen(self.store, batch))
        change = cancel_batch if cancels else close_batch
        first = self.run(self.store.write(change, batch.id, batch.partner_id))
        again = self.run(self.store.write(change, batch.id, batch.partner_id))
        assert first is not None
        assert again is not None
        assert not again.changed, "what is closed or cancelled twice stays as it is"
        assert first.changed or before.done or before.closed_ms is not None

    def _batch(self, which: int) -> NewBatch:
        return list(self.batches.values())[which % len(self.batches)]

    @rule(who=Pick, free=st.integers(1, 4))
    def claim_tasks(self, who: int, free: int) -> None:
        process = self.processes[who % 2]
        idle = not process.tasks
        claimed = self.run(
            claim(self.store, free, by=process.session_id, idle=idle, now_ms=self.now_ms)
        ).tasks
        suspects = [task for task in claimed if task.suspect]
        assert not suspects or (idle and len(claimed) == 1), "a suspect runs alone"
        assert len(claimed) <= free
        process.tasks += claimed

    @precondition(lambda self: any(p.tasks for p in self.processes))
    @rule(which=Pick, end=st.sampled_from(list(End)))
    def finish_task(self, which: int, end: End) -> None:
        process = next(p for p in (self.processes[which % 2], self.processes[1 - which % 2]) if p.tasks)
        task = process.tasks.pop(which % len(process.tasks))
        due_ms = self.now_ms + 100
        recorded = self.run(
            finish(self.store, task, end, by=process.session_id, now_ms=self.now_ms, due_ms=due_ms)
        )
        assert not recorded.lost, "I5: whoever holds it may write"

    @rule(who=Pick, thaws=st.booleans())
    def lose_lease(self, who: int, thaws: bool) -> None:
        process = self.processes[who % 2]
        self.run(self.store.sessions.end(process.session_id))
        self.run(self._rescue())
        if thaws:
            self.stale += [(process.session_id, task) for task in process.tasks]
            self.stale += [(process.session_id, delivery) for delivery in process.deliveries]
        new = self.run(session(self.store, next(self.sessions), lease_until_ms=10 * NOW))
        self.processes[who % 2] = Process(new)

    @precondition(lambda self: self.stale)
    @rule(which=Pick)
    def write_stale(self, which: int) -> None:
        by, held = self.stale.pop(which % len(self.stale))
        if isinstance(held, ClaimedTask):
            lost = self.run(finish(self.store, held, by=by, now_ms=self.now_ms)).lost
        else:
            self._hit(held)
            lost = self.run(answer(self.store, held, 200, now_ms=self.now_ms, by=by)).lost
            self.good.add(held.id)
        assert lost, "I5: a stale token writes nothing"

    @rule()
    def sweep(self) -> None:
        self.run(self._sweep())

    @precondition(lambda self: self.accepted)
    @rule(which=Pick)
    def cancel_task(self, which: int) -> None:
        task_id = list(self.accepted)[which % len(self.accepted)]
        before = self.run(self.store.tasks.get(task_id, None))
        cancelled = self.run(cancel(self.store, task_id, now_ms=self.now_ms))
        assert before is not None
        assert cancelled is not None
        assert cancelled.was_done == before.done
        if before.state in (TaskState.SCHEDULED, TaskState.QUEUED):
            assert cancelled.task.state is TaskState.CANCELLED

    @precondition(lambda self: self.accepted)
    @rule(which=Pick)
    def replay_task(self, which: int) -> None:
        task_id = list(self.accepted)[which % len(self.accepted)]
        first = self.run(replay(self.store, task_id, now_ms=self.now_ms))
        again = self.run(replay(self.store, task_id, now_ms=self.now_ms))
        assert again is None, "I10: while it waits, a repeat is no second replay"
        assert first is None or first.state is TaskState.QUEUED

    @rule(who=Pick, free=st.integers(1, 6))
    def claim_deliveries(self, who: int, free: int) -> None:
        process = self.processes[who % 2]
        for delivery in self.run(turn(self.store, self.now_ms, free=free, by=process.session_id)).deliveries:
            lane = delivery.target.endpoint_id
            assert lane is None or self.enabled[lane], "I6: nothing is sent after its endpoint was disabled"
            assert self.now_ms >= self.due.get(delivery.id, 0), "I6: nothing is sent before its due time"
            assert self.bodies.setdefault(delivery.message_id, delivery.body) == delivery.body, (
                "I3: same bytes"
            )
            process.deliveries.append(delivery)

    @precondition(lambda self: any(p.deliveries for p in self.processes))
    @rule(which=Pick, status=st.sampled_from((200, 200, 500, 410, 0, -1)))
    def answer_delivery(self, which: int, status: int) -> None:
        process = next(p for p in (self.processes[which % 2], self.processes[1 - which % 2]) if p.deliveries)
        delivery = process.deliveries.pop(which % len(process.deliveries))
        now_ms, by = self.now_ms, process.session_id
        if status == -1:
            handed = Handed(delivery=delivery, session_id=by, now_ms=now_ms)
            assert self.run(self.store.lanes.hand_back(handed))
            return
        if status == 0:
            recorded = self.run(answer(self.store, delivery, error="proxy", now_ms=now_ms, by=by))
        else:
            self._hit(delivery)
            if status == 200:
                self.good.add(delivery.id)
            recorded = self.run(answer(self.store, delivery, status, now_ms=now_ms, by=by))
            if status == 500 and delivery.id not in self.afresh:
                self.due[delivery.id] = now_ms + PAUSE_MS
            self.afresh.discard(delivery.id)
            if status == 410 and delivery.target.endpoint_id is not None:
                self.enabled[delivery.target.endpoint_id] = False
        assert not recorded.lost, "I5: whoever holds it may write"

    @rule(which=Pick, on=st.booleans())
    def turn_endpoint(self, which: int, on: bool) -> None:
        target = self.targets[which % len(self.targets)]
        states = self.store.endpoints.states
        self.run(self.store.db.write(states.enable if on else states.disable, target.id, None, self.now_ms))
        self.run(self.store.endpoints.settle(target.id, self.now_ms))
        self.enabled[target.id] = on
        if on:
            # Released deliveries are due at once, whatever pause they were parked in.
            self.due.clear()

    @rule(which=Pick, again=st.booleans())
    def change_delivery(self, which: int, again: bool) -> None:
        known = self.run(self.store.db.read(lambda tx: tx.conn.execute(select(deliveries)).all()))
        if not known:
            return
        row = sorted(known, key=lambda row: row.id)[which % len(known)]
        if not again:
            moved = self.run(self.store.db.write(cancel_delivery, row.id, None, self.now_ms))
            assert moved is not None
            assert moved.changed == (row.state in ("pending", "parked"))
            return
        moved = self.run(self.store.db.write(replay_delivery, row.id, None, self.now_ms))
        repeat = self.run(self.store.db.write(replay_delivery, row.id, None, self.now_ms))
        assert moved is not None
        assert repeat is not None
        waits = row.state == "pending" and row.session_id is None  # it may be due now instead of later
        assert moved.changed == (row.state in ENDED) or waits, "I10: a second replay works after an end"
        assert repeat.delivery == moved.delivery, "I10: while it is pending a repeat is the same replay"
        if moved.changed:
            self.due.pop(row.id, None)
            if row.session_id is not None:
                self.afresh.add(row.id)

    # -- what must hold ---------------------------------------------------------------------------

    @invariant()
    def accepted_tasks_are_there(self) -> None:
        if not self.accepted:
            return
        found = self.run(self.store.tasks.get_many(self.accepted))
        assert [task.id for task in found] == list(self.accepted), "I1"

    @invariant()
    def hits_are_on_record(self) -> None:
        if not self.hits:
            return
        wanted = select(deliveries.c.id, deliveries.c.attempts).where(deliveries.c.id.in_(list(self.hits)))
        rows = self.run(self.store.db.read(lambda tx: tx.conn.execute(wanted).all()))
        assert all(self.hits[row.id] <= row.attempts for row in rows), "I4"

    @invariant()
    def counts_are_true(self) -> None:
        self.run(assert_counters_are_true(self.store))
        self.run(assert_in_flight_is_true(self.store))

    @invariant()
    def batches_end_once(self) -> None:
        if not self.batches:
            return
        told, true, messages_of = self.run(self.store.db.read(all_batches, self.batches))
        for batch in told:
            assert batch.counts == true.get(batch.id, BatchCounts()), "its counts are true"
            assert messages_of[batch.id] == int(batch.done), "I11"
            assert batch.done or batch.state is BatchState.OPEN or batch.counts.left, "I11: it has ended"

    def _hit(self, delivery: DueDelivery) -> None:
        self.hits[delivery.id] += 1

    async def _rescue(self) -> None:
        while await self.store.sweeps.rescue(self.now_ms):
            pass

    async def _sweep(self) -> None:
        await self._rescue()
        await self.store.sweeps.fall_due(self.now_ms)
        await self.store.sweeps.expire(self.now_ms)
        await self.store.sweeps.overdue(self.now_ms)
        await self.store.sweeps.heal(self.now_ms)
        await self.store.endpoints.settle_strays(self.now_ms)
        at(self.store, self.now_ms)
        while await self.store.sweeps.cancel_batches():
            pass

    async def _drain(self) -> None:
        """Faults end: both processes are replaced, everything runs well. I2 must come true."""
        if not self.processes:
            return
        for process in self.processes:
            await self.store.sessions.end(process.session_id)
        worker = await session(self.store, next(self.sessions), lease_until_ms=10 * NOW)
        at(self.store, self.now_ms)
        for batch in self.batches.values():
            await self.store.write(close_batch, batch.id, batch.partner_id)
        for _ in range(400):
            await self._sweep()
            claimed = (await claim(self.store, 10, by=worker, idle=True, now_ms=self.now_ms)).tasks
            for task in claimed:
                await finish(self.store, task, by=worker, now_ms=self.now_ms)
            sent = (await turn(self.store, self.now_ms, by=worker)).deliveries
            for delivery in sent:
                self.hits[delivery.id] += 1
                self.good.add(delivery.id)
                assert not (await answer(self.store, delivery, 200, now_ms=self.now_ms, by=worker)).lost
            waiting = await self.store.sweeps.waiting()
            if not waiting.queues and waiting.next_task_ms is None and waiting.next_lane_ms is None:
                break
            self.now_ms += 1_000
        await self._assert_drained()

    async def _assert_drained(self) -> None:
        states = {task.id: task.state for task in await self.store.tasks.get_many(self.accepted)}
        assert set(states) == set(self.accepted), "I1"
        assert set(states.values()) <= TASK_DONE, "I2: every task ends"
        rows = await self.store.db.read(lambda tx: tx.conn.execute(select(deliveries)).all())
        for row in rows:
            assert row.session_id is None, "I2: nothing is left under way"
            assert row.state in {*ENDED, DeliveryState.PARKED.value}, f"I2: {row.id} is {row.state}"
            assert row.state != "delivered" or row.id in self.good, "I3: delivered means received"
            assert self.hits[row.id] <= row.attempts, "I4"
        for batch in self.batches.values():
            assert (await seen(self.store, batch)).done, "I11: every closed batch ends"
            assert len(await completions(self.store, batch)) == 1, "I11"
        held = select(tasks.c.id).where(tasks.c.session_id.is_not(None))
        assert not await self.store.db.read(lambda tx: tx.conn.execute(held).all())
        for owner in self.owners:
            wanted = select(messages.c.seq).where(messages.c.partner_id == owner).order_by(messages.c.seq)
            feed = await self.store.db.read(_numbers, wanted)
            assert feed == list(range(1, len(feed) + 1)), "the feed has no gaps"
        await assert_counters_are_true(self.store)
        await assert_in_flight_is_true(self.store)


def _numbers(tx: Tx, wanted: Select[int]) -> list[int]:
    return list(tx.conn.execute(wanted).scalars())


def _check(new_database: Callable[[], str], *, examples: int) -> None:
    run_state_machine_as_test(
        lambda: StoreMachine(new_database),  # type: ignore[arg-type]  # any maker of machines will do
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )


@pytest.mark.slow
def test_the_invariants_hold_on_sqlite(migrated_sqlite: Path, tmp_path: Path) -> None:
    numbers: Iterator[int] = itertools.count()

    def new_database() -> str:
        path = tmp_path / f"{next(numbers)}.db"
        shutil.copy(migrated_sqlite, path)
        return f"sqlite:///{path}"

    _check(new_database, examples=10)


@pytest.mark.slow
def test_the_invariants_hold_on_postgresql(postgres: Databases) -> None:
    made: list[str] = []

    def new_database() -> str:
        made.append(postgres.create_migrated_database())
        return made[-1]

    try:
        _check(new_database, examples=3)
    finally:
        for url in made:
            postgres.drop_database(url)
