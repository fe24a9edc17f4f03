"""What is known of the load, and how a submission meets it."""

import asyncio
from dataclasses import dataclass, field

import pytest

from tests.support.services import until
from webhookd.core.admission import UNKNOWN_DRAIN_SECONDS, BrokerStatus
from webhookd.core.errors import Unavailable
from webhookd.core.records import QueueDepth
from webhookd.flows import load
from webhookd.flows.load import RATE_WINDOW_SECONDS, LoadGauge


@dataclass
class Counters:
    """The store's counters, as a value."""

    queued: int = 0
    finished: int = 0
    end_meanwhile: int = 0
    away: bool = False
    reads: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def depths(self) -> list[QueueDepth]:
        self.reads += 1
        self.finished += self.end_meanwhile
        await self.gate.wait()
        if self.away:
            raise Unavailable("The database cannot be used just now.")
        return [
            QueueDepth(
                queue="q",
                queued=self.queued,
                scheduled=0,
                running=0,
                finished=self.finished,
                oldest_queued_ms=None,
                paused=False,
            )
        ]

    async def partner_queued(self) -> dict[str, int]:
        return {"prt_1": self.queued}


@dataclass
class World:
    """A gauge with its surroundings."""

    counters: Counters = field(default_factory=Counters)
    broker: BrokerStatus = field(
        default_factory=lambda: BrokerStatus(ok=True, used_memory_bytes=5, max_memory_bytes=0)
    )
    now: float = 0.0

    def __post_init__(self) -> None:
        self.counters.gate.set()

        async def look() -> BrokerStatus:
            return self.broker

        self.gauge = LoadGauge(
            self.counters,
            look_at_broker=look,
            free_disk_bytes=lambda: 77,
            monotonic=lambda: self.now,
        )


@pytest.fixture
async def world() -> World:
    return World()


async def test_what_came_in_since_counts_until_the_counters_have_it(world: World) -> None:
    await world.gauge.refresh()
    with world.gauge.entering("prt_1", 3):
        assert world.gauge.load_for("prt_1").partner_waiting == 3
        assert world.gauge.load_for("prt_2").partner_waiting == 0
        assert world.gauge.load_for("prt_2").waiting == 3
    assert world.gauge.load_for("prt_1").partner_waiting == 3
    world.counters.queued = 3
    await world.gauge.refresh()
    assert world.gauge.load_for("prt_1").partner_waiting == 3


async def test_what_failed_to_come_in_does_not_count(world: World) -> None:
    with pytest.raises(RuntimeError), world.gauge.entering("prt_1", 3):
        raise RuntimeError
    assert world.gauge.load_for("prt_1").waiting == 0


async def test_what_comes_in_during_a_reading_is_not_forgotten(world: World) -> None:
    with world.gauge.entering("prt_1", 1):
        pass
    world.counters.gate.clear()
    reading = asyncio.create_task(world.gauge.refresh())
    await until(lambda: world.counters.reads, what="a reading")
    with world.gauge.entering("prt_1", 1):
        pass
    assert world.gauge.load_for("prt_1").waiting == 2
    world.counters.queued = 1
    world.counters.gate.set()
    await reading
    assert world.gauge.load_for("prt_1").waiting == 2


async def test_readings_asked_for_together_are_one(world: World) -> None:
    await asyncio.gather(*(world.gauge.refresh() for _ in range(5)))
    assert world.counters.reads == 1


async def test_rate_is_what_ended_lately(world: World) -> None:
    assert world.gauge.ended_per_second() == 0.0
    for second in range(100):
        world.now, world.counters.finished = float(second), second * 10
        await world.gauge.refresh()
    assert world.gauge.ended_per_second() == pytest.approx(10)
    assert world.gauge.ended_per_second("q") == pytest.approx(10)
    assert world.gauge.ended_per_second("unknown") == 0.0
    world.now += RATE_WINDOW_SECONDS + 1
    await world.gauge.refresh()
    await world.gauge.refresh()
    assert world.gauge.ended_per_second() < 1


async def test_wait_is_what_the_queue_takes_to_drain(world: World) -> None:
    assert world.gauge.wait_seconds("q") == 1.0
    world.counters.queued = 40
    await world.gauge.refresh()
    assert world.gauge.wait_seconds("q") == UNKNOWN_DRAIN_SECONDS
    world.now, world.counters.finished = 1.0, 10
    await world.gauge.refresh()
    assert world.gauge.wait_seconds("q") == 4.0


async def test_database_is_away_when_it_fails_twice_running(world: World) -> None:
    world.counters.away = True
    await world.gauge.refresh()
    assert not world.gauge.load_for("prt_1").database_away
    await world.gauge.refresh()
    assert world.gauge.load_for("prt_1").database_away
    assert world.gauge.database_error
    world.counters.away = False
    await world.gauge.refresh()
    assert not world.gauge.load_for("prt_1").database_away
    assert world.gauge.database_error is None


async def test_broker_is_full_at_its_limit_and_without_one_never(world: World) -> None:
    await world.gauge.look()
    assert not world.gauge.load_for("prt_1").broker_full
    world.broker = BrokerStatus(ok=True, used_memory_bytes=5, max_memory_bytes=5)
    await world.gauge.look()
    assert world.gauge.load_for("prt_1").broker_full
    world.broker = BrokerStatus(ok=True, used_memory_bytes=None, max_memory_bytes=5)
    await world.gauge.look()
    assert not world.gauge.load_for("prt_1").broker_full


async def test_gauge_goes_on_after_a_failure(world: World) -> None:
    world.counters.away = True
    running = asyncio.create_task(world.gauge.run())
    await until(lambda: world.gauge.database_error is not None, what="the failure")
    world.counters.away = False
    await until(lambda: world.gauge.database_error is None, what="the recovery")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_gauge_rests_where_nothing_goes_on_until_something_comes_in(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "REFRESH_SECONDS", 0.001)
    monkeypatch.setattr(load, "REST_SECONDS", 3_600.0)
    running = asyncio.create_task(world.gauge.run())
    await until(lambda: world.counters.reads == 2, what="two readings alike")
    await asyncio.sleep(0.05)
    assert world.counters.reads == 2
    with world.gauge.entering("prt_1", 1):
        await until(lambda: world.counters.reads > 3, what="the readings that go on")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.parametrize("sign", ["queued", "end_meanwhile"])
async def test_gauge_does_not_rest_while_tasks_wait_or_end(
    sign: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "REFRESH_SECONDS", 0.001)
    monkeypatch.setattr(load, "REST_SECONDS", 3_600.0)
    setattr(world.counters, sign, 1)
    running = asyncio.create_task(world.gauge.run())
    await until(lambda: world.counters.reads > 5, what="many readings")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_nothing_looks_at_the_servers_any_more_once_run_has_ended(world: World) -> None:
    looks: list[str] = []

    async def look() -> BrokerStatus:
        looks.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            looks.append("ended")
        return world.broker

    gauge = LoadGauge(
        world.counters, look_at_broker=look, free_disk_bytes=lambda: 77, monotonic=lambda: world.now
    )
    running = asyncio.create_task(gauge.run())
    await until(lambda: looks, what="the look")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert looks == ["begun", "ended"]
