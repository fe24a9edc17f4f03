"""The database's clock as seen from here: what a slow reading says is not believed over a quick one."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from webhookd.adapters.store import clock as clock_module
from webhookd.adapters.store.clock import StoreClock

QUICK = (0.001, 0.001)


@dataclass
class Far:
    """A database whose clock is ahead, and time. `ways`: seconds there and back of each reading."""

    ahead_seconds: float = 3_600.0
    ways: list[tuple[float, float]] = field(default_factory=list)
    dialect: str = "postgresql"
    since_boot: float = 50.0

    def monotonic(self) -> float:
        return self.since_boot

    def time(self) -> float:
        return 1_790_000_000.0 + self.since_boot

    async def read(self, _: Any) -> float:
        there, back = self.ways.pop(0)
        self.since_boot += there
        seconds = self.time() + self.ahead_seconds
        self.since_boot += back
        return seconds

    def error_ms(self, clock: StoreClock) -> float:
        return abs(clock.now_ms() - (self.time() + self.ahead_seconds) * 1000)


def clock_of(far: Far, monkeypatch: pytest.MonkeyPatch) -> StoreClock:
    monkeypatch.setattr(clock_module, "time", far)
    return StoreClock(cast("Any", far))


@pytest.mark.parametrize("slow", [(1.0, 0.0), (0.0, 1.0)], ids=["there", "back"])
async def test_the_first_reading_which_connects_does_not_put_the_clock_off(
    slow: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    far = Far(ways=[slow, QUICK])
    clock = clock_of(far, monkeypatch)

    await clock.sync()

    assert far.error_ms(clock) <= 2


@pytest.mark.parametrize("slow", [(1.0, 0.0), (0.0, 1.0)], ids=["there", "back"])
async def test_a_later_slow_reading_does_not_either(
    slow: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    far = Far(ways=[QUICK, QUICK, slow])
    clock = clock_of(far, monkeypatch)
    await clock.sync()
    far.since_boot += 10

    await clock.sync()

    assert far.error_ms(clock) <= 8, "what it may have drifted in ten seconds, and a little"


@pytest.mark.parametrize("by_seconds", [-60.0, 60.0])
async def test_a_database_whose_clock_was_set_is_followed(
    by_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = Far(ways=[QUICK, QUICK, QUICK])
    clock = clock_of(far, monkeypatch)
    await clock.sync()

    far.ahead_seconds += by_seconds
    await clock.sync()

    assert far.error_ms(clock) <= 2
