"""How many idempotency keys a partner may have in memory, so that one partner cannot fill the table.

Counting is dear, so a process counts seldom: after each count it lets through a quarter of the room that was
left, uncounted. Far below the quota that is next to never; at the quota what is there is counted again every
RECOUNT_SECONDS. With n processes a partner may get past its quota by n / GRAIN of it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from webhookd.core.admission import KeyUse
from webhookd.core.errors import QuotaExceeded

GRAIN: Final = 1_000
RECOUNT_SECONDS: Final = 10
LONGEST_RETRY_SECONDS: Final = 3_600

Count = Callable[[str, int, int], Awaitable[KeyUse]]
"""Counts the keys of a partner since a time, up to a number."""
Knows = Callable[[str, str, int], Awaitable[bool]]
"""Whether a partner's key is in memory at this time."""


@dataclass(slots=True, kw_only=True)
class _Allowance:
    left: int
    full_until_ms: int = 0
    retry_seconds: int = 0
    counting: asyncio.Lock = field(default_factory=asyncio.Lock)


class KeyQuota:
    """The quota of each partner. `keep_ms` is how long a key is remembered. Use it on one event loop."""

    def __init__(self, *, count: Count, knows: Knows, max_keys: int, keep_ms: int) -> None:
        self._count = count
        self._knows = knows
        self._max_keys = max_keys
        self._keep_ms = keep_ms
        self._allowances: dict[str, _Allowance] = {}

    async def use(self, partner_id: str, key: str, *, now_ms: int) -> None:
        """Let a request with this key through. Raises QuotaExceeded where it is new and there is no room."""
        allowance = self._allowances.setdefault(partner_id, _Allowance(left=self._grain))
        async with allowance.counting:
            if allowance.left <= 0 and now_ms >= allowance.full_until_ms:
                await self._recount(partner_id, allowance, now_ms)
            if allowance.left > 0:
                allowance.left -= 1
                return
        if not await self._knows(partner_id, key, now_ms):
            raise QuotaExceeded(
                f"{self._max_keys:,} idempotency keys of this partner are remembered, which is the most; "
                "each is forgotten after some time.",
                retry_after_seconds=allowance.retry_seconds,
            )

    async def _recount(self, partner_id: str, allowance: _Allowance, now_ms: int) -> None:
        use = await self._count(partner_id, now_ms - self._keep_ms, self._max_keys)
        room = self._max_keys - use.count
        allowance.left = min(room, max(self._grain, room // 4))
        if room <= 0:
            allowance.full_until_ms = now_ms + RECOUNT_SECONDS * 1000
            oldest_ms = now_ms if use.oldest_ms is None else use.oldest_ms
            seconds = (oldest_ms + self._keep_ms - now_ms) // 1000 + 1
            allowance.retry_seconds = max(RECOUNT_SECONDS, min(LONGEST_RETRY_SECONDS, seconds))

    @property
    def _grain(self) -> int:
        return max(1, self._max_keys // GRAIN)
