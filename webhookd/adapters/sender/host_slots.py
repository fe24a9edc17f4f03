"""How many exchanges one host has at a time, whoever's webhooks they carry.

The connector pools by host *and* partner, so its own limit a host would be a limit a partner.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class _Slots:
    free: asyncio.Semaphore
    users: int = 0


class HostSlots:
    """At most `limit` at a time of each host; use it on one event loop."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._hosts: dict[bytes, _Slots] = {}

    @asynccontextmanager
    async def one(self, host: bytes) -> AsyncIterator[None]:
        """Hold one slot of a host for the block, as soon as there is one."""
        slots = self._hosts.get(host)
        if slots is None:
            slots = self._hosts[host] = _Slots(asyncio.Semaphore(self._limit))
        slots.users += 1
        try:
            async with slots.free:
                yield
        finally:
            slots.users -= 1
            if not slots.users:
                del self._hosts[host]
