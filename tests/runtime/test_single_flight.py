"""One look for all who ask at the same time: who shares, who looks again, what a failure does."""

import asyncio
from math import inf

import pytest

from webhookd.runtime.single_flight import SingleFlight


class Scene:
    """Counts looks; each ends when `gate` is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.looks = 0
        self.error: Exception | None = None

    async def look(self) -> int:
        self.looks += 1
        number = self.looks
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return number


async def test_all_who_ask_while_it_is_under_way_share_a_look() -> None:
    scene, flight = Scene(), SingleFlight[str, int]()

    asked = [asyncio.create_task(flight.get("one", scene.look)) for _ in range(3)]
    other = asyncio.create_task(flight.get("other", scene.look))
    await asyncio.sleep(0)
    scene.gate.set()

    assert await asyncio.gather(*asked) == [1, 1, 1]
    assert await other == 2


async def test_who_asks_after_its_end_looks_again_unless_it_is_kept() -> None:
    scene, flight, kept = Scene(), SingleFlight[str, int](), SingleFlight[str, int](inf)
    scene.gate.set()

    assert [await flight.get("one", scene.look) for _ in range(2)] == [1, 2]
    assert [await kept.get("one", scene.look) for _ in range(2)] == [3, 3]


async def test_an_asker_who_goes_away_ends_it_for_nobody_else() -> None:
    scene, flight = Scene(), SingleFlight[str, int]()
    first, second = (asyncio.create_task(flight.get("one", scene.look)) for _ in range(2))
    await asyncio.sleep(0)

    first.cancel()
    await asyncio.wait({first})
    scene.gate.set()

    assert await second == 1


async def test_a_failure_is_raised_to_all_who_share_it_and_the_next_looks_again() -> None:
    scene, flight = Scene(), SingleFlight[str, int]()
    scene.error = LookupError("gone")
    scene.gate.set()

    shared = await asyncio.gather(*(flight.get("one", scene.look) for _ in range(2)), return_exceptions=True)
    assert shared == [scene.error, scene.error]

    scene.error = None
    assert await flight.get("one", scene.look) == 2


async def test_a_failure_that_nobody_waits_for_any_more_is_no_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene, flight = Scene(), SingleFlight[str, int]()
    asker = asyncio.create_task(flight.get("one", scene.look))
    await asyncio.sleep(0)
    asker.cancel()
    await asyncio.wait({asker})

    scene.error = LookupError("gone")
    scene.gate.set()
    with pytest.raises(LookupError):
        await flight.get("one", scene.look)
    del flight

    assert not caplog.records
