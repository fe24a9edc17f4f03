"""How many idempotency keys a partner may have in memory, and how seldom they are counted."""

from dataclasses import dataclass, field

import pytest

from webhookd.core.admission import KeyUse
from webhookd.core.errors import QuotaExceeded
from webhookd.flows.key_quota import RECOUNT_SECONDS, KeyQuota

HOUR_MS = 3_600_000


@dataclass
class Table:
    """Where one partner's keys are remembered; those of other processes are put in by the tests."""

    keys: dict[str, int] = field(default_factory=dict)
    counts: int = 0

    async def count(self, _partner_id: str, since_ms: int, most: int) -> KeyUse:
        self.counts += 1
        kept = [at for at in self.keys.values() if at >= since_ms][:most]
        return KeyUse(count=len(kept), oldest_ms=min(kept, default=None))

    async def knows(self, _partner_id: str, key: str, _now_ms: int) -> bool:
        return key in self.keys

    def quota(self, max_keys: int) -> KeyQuota:
        return KeyQuota(count=self.count, knows=self.knows, max_keys=max_keys, keep_ms=24 * HOUR_MS)

    async def use(self, quota: KeyQuota, key: str, *, now_ms: int = 0) -> None:
        await quota.use("prt_1", key, now_ms=now_ms)
        self.keys.setdefault(key, now_ms)


async def test_exactly_so_many_keys_are_taken_by_one_process() -> None:
    table = Table()
    quota = table.quota(100)
    for number in range(100):
        await table.use(quota, f"k{number}")
    with pytest.raises(QuotaExceeded):
        await table.use(quota, "one more")
    await table.use(quota, "k7")


async def test_keys_are_counted_seldom_far_below_the_quota() -> None:
    table = Table()
    quota = table.quota(1_000_000)
    for number in range(2_000):
        await table.use(quota, f"k{number}")
    assert table.counts == 1


async def test_what_other_processes_take_is_seen_at_the_next_count() -> None:
    table = Table()
    quota = table.quota(100)
    await table.use(quota, "mine")
    table.keys |= {f"theirs {number}": 0 for number in range(99)}
    with pytest.raises(QuotaExceeded):
        await table.use(quota, "one more")


@pytest.mark.parametrize(("hours", "seconds"), [(0, 3_600), (23.5, 1_801), (24, RECOUNT_SECONDS)])
async def test_full_partner_is_told_when_the_oldest_key_is_forgotten(hours: float, seconds: int) -> None:
    table = Table(keys={"old": 0})
    quota = table.quota(1)
    now_ms = int(hours * HOUR_MS)
    await quota.use("prt_1", "uncounted", now_ms=now_ms)
    with pytest.raises(QuotaExceeded) as refused:
        await quota.use("prt_1", "counted", now_ms=now_ms)
    assert refused.value.retry_after_seconds == seconds


async def test_full_partner_is_counted_again_only_now_and_then() -> None:
    table = Table(keys={"old": 0})
    quota = table.quota(1)
    await quota.use("prt_1", "uncounted", now_ms=0)
    for _ in range(10):
        with pytest.raises(QuotaExceeded):
            await quota.use("prt_1", "more", now_ms=0)
    assert table.counts == 1
    table.keys.clear()
    await quota.use("prt_1", "more", now_ms=RECOUNT_SECONDS * 1000)
    assert table.counts == 2
