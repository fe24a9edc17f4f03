"""When a sweep may take back what others hold: not before they had time to renew their leases."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from tests.support.services import until
from webhookd.core.errors import Unavailable
from webhookd.core.records import Waiting
from webhookd.core.submission import REST_SECONDS
from webhookd.flows import sweep
from webhookd.flows.alarm import Alarm
from webhookd.flows.sweep import STIRRED_SECONDS, Sweeper

LEASE_SECONDS = 15.0


@dataclass
class Clock:
    """The monotonic clock, set by hand."""

    now: float = 1_000.0

    def monotonic(self) -> float:
        return self.now


NOTHING_WAITS = Waiting(
    queues=frozenset(), next_task_ms=None, next_expiry_ms=None, next_lane_ms=None, next_lease_ms=None
)
ONE_LEASE_RAN_OUT = replace(NOTHING_WAITS, next_lease_ms=0)


@dataclass
class Store:
    """Counts what is taken back; `away` and `slow_seconds` are its troubles."""

    clock: Clock
    away: bool = False
    read_only: bool = False
    slow_seconds: float = 0.0
    found: Waiting = ONE_LEASE_RAN_OUT
    taken_back: int = 0
    looks: int = 0

    async def waiting(self) -> Waiting:
        self.clock.now += self.slow_seconds
        self.looks += 1
        if self.away:
            raise Unavailable("It is away.", retry_after_seconds=1)
        return self.found

    async def rescue(self, _now_ms: int) -> bool:
        self.taken_back += 1
        return False

    async def fall_due(self, _now_ms: int) -> bool:
        return False

    expire = fall_due

    async def heal(self, _now_ms: int) -> None:
        """Nothing is wrong."""

    overdue = heal


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(sweep, "time", made)
    return made


@pytest.fixture
def store(clock: Clock) -> Store:
    return Store(clock)


@pytest.fixture
def sweeper(store: Store) -> Sweeper:
    ring: Callable[[str], None] = lambda _queue: None  # noqa: E731 - nobody is to be woken
    return Sweeper(
        repairs=store,
        alarm=Alarm(ring, lambda: 0),
        ring=ring,
        now_ms=lambda: 1,
        every_seconds=1.0,
        lease_seconds=LEASE_SECONDS,
        is_written=lambda: not store.read_only,
    )


async def test_lease_that_ran_out_is_taken_back_at_once(sweeper: Sweeper, store: Store) -> None:
    await sweeper.sweep()
    assert store.taken_back == 1


@pytest.mark.parametrize("trouble", ["away", "read-only", "slow"])
async def test_after_an_outage_leases_count_once_there_was_time_to_renew_them(
    trouble: str, sweeper: Sweeper, store: Store, clock: Clock
) -> None:
    if trouble == "away":
        store.away = True
        with pytest.raises(Unavailable):
            await sweeper.sweep()
        store.away = False
    elif trouble == "read-only":
        store.read_only = True
        await sweeper.sweep()
        clock.now += 10 * LEASE_SECONDS
        await sweeper.sweep()
        store.read_only = False
    else:
        store.slow_seconds = LEASE_SECONDS
    await sweeper.sweep()
    store.slow_seconds = 0
    clock.now += LEASE_SECONDS - 0.1
    await sweeper.sweep()
    assert store.taken_back == 0
    clock.now += 0.2
    await sweeper.sweep()
    assert store.taken_back == 1


async def test_where_nothing_goes_on_it_sweeps_less_often(
    sweeper: Sweeper, store: Store, clock: Clock
) -> None:
    store.found = NOTHING_WAITS
    assert await sweeper.sweep() == 1.0
    clock.now += STIRRED_SECONDS
    assert await sweeper.sweep() == REST_SECONDS
    sweeper.stir()
    assert await sweeper.sweep() == 1.0


@pytest.mark.parametrize(
    "due",
    [
        replace(NOTHING_WAITS, next_task_ms=3_001),
        replace(NOTHING_WAITS, next_expiry_ms=3_001),
        replace(NOTHING_WAITS, next_lease_ms=3_001),
    ],
    ids=["task", "expiry", "lease"],
)
async def test_at_rest_it_comes_in_time_for_what_is_known_to_fall_due(
    due: Waiting, sweeper: Sweeper, store: Store, clock: Clock
) -> None:
    clock.now += STIRRED_SECONDS
    store.found = due
    assert await sweeper.sweep() == 3.0


async def test_it_does_not_rest_while_tasks_wait(sweeper: Sweeper, store: Store, clock: Clock) -> None:
    clock.now += STIRRED_SECONDS
    store.found = replace(NOTHING_WAITS, queues=frozenset({"default"}))
    assert await sweeper.sweep() == 1.0


@pytest.mark.parametrize("sign", ["stir", "ring"])
async def test_a_sign_of_work_ends_the_rest(sign: str, sweeper: Sweeper, store: Store, clock: Clock) -> None:
    store.found = NOTHING_WAITS
    clock.now += STIRRED_SECONDS
    async with running(sweeper):
        await until(lambda: store.looks == 1, what="the first sweep")
        await asyncio.sleep(0)
        getattr(sweeper, sign)()
        await until(lambda: store.looks == 2, what="the next sweep", seconds=REST_SECONDS / 2)


@asynccontextmanager
async def running(sweeper: Sweeper) -> AsyncIterator[None]:
    work = asyncio.create_task(sweeper.run())
    try:
        yield
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
