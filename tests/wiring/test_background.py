"""What runs beside a process's work: it ends with the process, and the process with it."""

import asyncio

import pytest

from webhookd.wiring.process import background


async def test_context_that_loses_its_background_fails_with_it() -> None:
    async def fail() -> None:
        raise OSError("the lease keeper is gone")

    with pytest.raises(OSError, match="the lease keeper is gone"):
        async with background(fail()):
            await asyncio.sleep(60)


async def test_background_ends_with_its_context() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async with background(work()):
        await asyncio.sleep(0)
    assert ended.is_set()
