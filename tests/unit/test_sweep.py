"""When a sweep may take back what others hold: not before they had time to renew their leases."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from webhookd.core.errors import Unavailable
from webhookd.core.records import TaskSignal
from webhookd.flows import sweep
from webhookd.flows.alarm import Alarm
from webhookd.flows.sweep import Sweeper

LEASE_SECONDS = 15.0


@dataclass
class Clock:
    """The monotonic clock, set by hand."""

    now: float = 1_000.0

    def monotonic(self) -> float:
        return self.now


@dataclass(frozen=True)
class Nothing:
    """What a repair changed."""

    signals: tuple[TaskSignal, ...] = ()
    queues: frozenset[str] = frozenset()
    more: bool = False


@dataclass(frozen=True)
class Waiting:
    """One lease has run out."""

    queues: frozenset[str] = frozenset()
    next_task_ms: int | None = None
    next_expiry_ms: int | None = None
    next_lane_ms: int | None = None
    next_lease_ms: int | None = 0


@dataclass
class Store:
    """Counts what is taken back; `away` and `slow_seconds` are its troubles."""

    clock: Clock
    away: bool = False
    read_only: bool = False
    slow_seconds: float = 0.0
    taken_back: int = 0

    async def waiting(self) -> Waiting:
        self.clock.now += self.slow_seconds
        if self.away:
            raise Unavailable("It is away.", retry_after_seconds=1)
        return Waiting()

    async def take_back(self, _now_ms: int) -> Nothing:
        self.taken_back += 1
        return Nothing()

    async def fall_due(self, _now_ms: int) -> Nothing:
        return Nothing()

    expire = overdue = fall_due

    async def heal(self, _now_ms: int) -> None:
        """Nothing is wrong."""


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
        publish=lambda _signals: None,
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
