"""Steps done again and again: what is told, what is outlasted, what ends them."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from webhookd.core.errors import Unavailable
from webhookd.runtime.every import every
from webhookd.runtime.outage import Outage

AWAY = Unavailable("It does not answer.")


class Enough(Exception):
    """The script is over."""


def scripted(*errors: Exception | None) -> Callable[[], Awaitable[None]]:
    """Return a step that raises these, one a call."""
    script = iter(errors)

    async def step() -> None:
        error = next(script)
        if error is not None:
            raise error

    return step


async def test_an_outage_is_told_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    step = scripted(AWAY, AWAY, None, None, AWAY, Enough())
    with pytest.raises(Enough):
        await every(0, step, outage=Outage("test", "the database"))
    told = [record.getMessage().split(" after")[0] for record in caplog.records]
    away = "test: the database is away (Unavailable: It does not answer.)"
    assert told == [away, "test: the database is back", away]


@pytest.mark.parametrize("error", [AWAY, ValueError("a defect")])
async def test_what_nobody_asked_to_outlast_ends_it(error: Exception) -> None:
    with pytest.raises(type(error)):
        await every(0, scripted(None, error))


async def test_a_defect_is_survived_where_that_is_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    third = asyncio.Event()
    step = scripted(ValueError("a defect"), AWAY, None)

    async def watched() -> None:
        await step()
        third.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(every(0, watched, survives_defects=True))
    await asyncio.wait_for(third.wait(), 5)
    running.cancel()
    await asyncio.wait([running])
    assert len(caplog.records) == 2
