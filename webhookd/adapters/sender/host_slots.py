"""How many exchanges one host has at a time, whoever's webhooks they carry.

The connector pools by host *and* partner, so its own limit a host would be a limit a partner.
"""

import asyncio


class _Host:
    """The slots of one host, and how many hold one or wait for one."""

    __slots__ = ("free", "users")

    def __init__(self, limit: int) -> None:
        self.free = asyncio.Semaphore(limit)
        self.users = 0


class HostSlots:
    """At most `limit` at a time of each host; use it on one event loop."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._hosts: dict[bytes, _Host] = {}

    def one(self, host: bytes) -> "_Slot":
        """Hold one slot of a host for an `async with` block, as soon as there is one."""
        return _Slot(self, host)

    async def take(self, host: bytes) -> None:
        """Take a slot as soon as there is one; whoever is cancelled has none."""
        slots = self._hosts.get(host)
        if slots is None:
            slots = self._hosts[host] = _Host(self._limit)
        slots.users += 1
        try:
            await slots.free.acquire()
        except BaseException:
            self._leave(host, slots)
            raise

    def give_back(self, host: bytes) -> None:
        """Give a slot back that was taken."""
        slots = self._hosts[host]
        slots.free.release()
        self._leave(host, slots)

    def _leave(self, host: bytes, slots: _Host) -> None:
        slots.users -= 1
        if not slots.users:
            del self._hosts[host]


class _Slot:
    """A class, since a generator as a context manager costs five times as much, once a delivery."""

    __slots__ = ("_host", "_slots")

    def __init__(self, slots: HostSlots, host: bytes) -> None:
        self._slots = slots
        self._host = host

    async def __aenter__(self) -> None:
        await self._slots.take(self._host)

    async def __aexit__(self, *_: object) -> None:
        self._slots.give_back(self._host)
