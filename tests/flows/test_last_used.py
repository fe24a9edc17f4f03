"""Uses of keys are noted at once and told seldom."""

import asyncio
from collections.abc import Mapping

import pytest

from webhookd.core.api_keys import USE_EXACT_TO_MS
from webhookd.core.errors import Unavailable
from webhookd.flows.last_used import LastUsed

NOW = 1_790_000_000_000


class Kept:
    """What was told; fails as often as it is asked to."""

    def __init__(self, *, failures: int = 0) -> None:
        self.failures = failures
        self.told: list[dict[str, int]] = []
        self.well = asyncio.Event()

    async def __call__(self, used: Mapping[str, int]) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("It is read-only.")
        self.told.append(dict(used))
        self.well.set()


async def test_a_busy_key_is_told_once_a_minute() -> None:
    uses, kept = LastUsed(), Kept()
    for at_ms in range(NOW, NOW + 2 * USE_EXACT_TO_MS, 1_000):
        uses.used("key_a", at_ms)
        await uses.tell(kept)
    assert kept.told == [{"key_a": NOW}, {"key_a": NOW + USE_EXACT_TO_MS}]


async def test_keys_are_told_together() -> None:
    uses, kept = LastUsed(), Kept()
    uses.used("key_a", NOW)
    uses.used("key_b", NOW + 1)
    await uses.tell(kept)
    await uses.tell(kept)
    assert kept.told == [{"key_a": NOW, "key_b": NOW + 1}]


async def test_what_could_not_be_told_is_told_later_with_the_newest_time() -> None:
    uses, kept = LastUsed(), Kept(failures=2)
    for at_ms in (NOW, NOW + USE_EXACT_TO_MS):
        uses.used("key_a", at_ms)
        with pytest.raises(Unavailable):
            await uses.tell(kept)
    await uses.tell(kept)
    assert kept.told == [{"key_a": NOW + USE_EXACT_TO_MS}]


async def test_an_outage_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhookd.flows.last_used.TELL_SECONDS", 0.0)
    uses, kept = LastUsed(), Kept(failures=3)
    uses.used("key_a", NOW)
    telling = asyncio.create_task(uses.run(kept))
    async with asyncio.timeout(30):
        await kept.well.wait()
    telling.cancel()
    assert kept.told == [{"key_a": NOW}]
