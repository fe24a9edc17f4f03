"""Host names to addresses, in threads that cannot starve each other.

`getaddrinfo` blocks, cannot be cancelled, and waits half a minute and longer for a name server that
swallows questions. So:

- one look-up per name at a time: whoever asks meanwhile shares it, so a black-hole name costs one
  thread however many deliveries wait for it, and whoever's deadline passes just walks away;
- threads are bounded, and a quarter of them is kept for names that have answered before: a flood of
  new black-hole names delays other new names at worst, never the endpoints that work;
- a name loses that privilege when somebody had to walk away from its look-up;
- a thread is started per look-up and is a daemon: one that hangs holds up neither a pool nor the exit.

Nothing is cached: connections are kept alive, so look-ups are rare, and every dialling judges the
answer it is about to use.
"""

import asyncio
import errno
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from cachetools import LRUCache

Resolve = Callable[[str], Sequence[str]]
"""A blocking look-up: a host name to numeric addresses; raises OSError when there are none."""

Outcome = Sequence[str] | OSError

_REMEMBERED_NAMES: Final = 4096


def system_addresses(host: str) -> list[str]:
    """Ask the system's resolver (`getaddrinfo`): hosts file, DNS, whatever nsswitch says."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(_numeric(sockaddr) for *_, sockaddr in found))


def _numeric(sockaddr: tuple[object, ...]) -> str:
    """Return the address of a socket address, with its scope id if it has one, so that the guard sees it."""
    address = str(sockaddr[0])
    scoped = len(sockaddr) == 4 and sockaddr[3] and "%" not in address
    return f"{address}%{sockaddr[3]}" if scoped else address


class Lookups:
    """Look-ups of one event loop, at most `threads` at once."""

    def __init__(self, resolve: Resolve = system_addresses, *, threads: int) -> None:
        self._resolve = resolve
        self._threads = threads
        self._strangers_limit = threads - threads // 4
        self._running = 0
        self._waiters: dict[str, set[asyncio.Future[Outcome]]] = {}
        # Names waiting for a thread, oldest first; dicts because their waiters may leave.
        self._friends: dict[str, None] = {}
        self._strangers: dict[str, None] = {}
        self._answered: LRUCache[str, None] = LRUCache(_REMEMBERED_NAMES)

    async def addresses(self, host: str) -> Sequence[str]:
        """Return the numeric addresses of a host name.

        Raises:
            OSError: when the name does not resolve.
        """
        # Faults are handed over as results: nobody may be left to retrieve an exception.
        waiter: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        if host in self._waiters:
            self._waiters[host].add(waiter)
        else:
            self._waiters[host] = {waiter}
            (self._friends if host in self._answered else self._strangers)[host] = None
            self._start()
        try:
            outcome = await waiter
        except asyncio.CancelledError:
            self._walk_away(host, waiter)
            raise
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    def _walk_away(self, host: str, waiter: asyncio.Future[Outcome]) -> None:
        self._answered.pop(host, None)
        waiters = self._waiters.get(host, set())
        waiters.discard(waiter)
        if not waiters and (host in self._friends or host in self._strangers):
            self._friends.pop(host, None)
            self._strangers.pop(host, None)
            del self._waiters[host]

    def _start(self) -> None:
        """Give free threads to the names that wait for one."""
        while self._running < self._threads:
            if self._friends:
                queue = self._friends
            elif self._strangers and self._running < self._strangers_limit:
                queue = self._strangers
            else:
                return
            host = next(iter(queue))
            del queue[host]
            self._running += 1
            thread = threading.Thread(
                target=self._look_up,
                args=(host, asyncio.get_running_loop()),
                name="webhookd-lookup",
                daemon=True,
            )
            try:
                thread.start()
            except RuntimeError:  # this machine has no threads left: not the name's fault
                self._tell(host, OSError(errno.EAGAIN, "no thread for a look-up"))

    def _look_up(self, host: str, loop: asyncio.AbstractEventLoop) -> None:
        """Run in a thread of its own."""
        outcome: Outcome
        try:
            outcome = self._resolve(host)
        except OSError as fault:
            outcome = fault
        except Exception as fault:  # noqa: BLE001  # a name it cannot encode, or worse: the waiters must hear of it
            outcome = OSError(str(fault))
        with suppress(RuntimeError):  # the loop has closed in the meantime
            loop.call_soon_threadsafe(self._landed, host, outcome)

    def _landed(self, host: str, outcome: Outcome) -> None:
        self._tell(host, outcome)
        self._start()

    def _tell(self, host: str, outcome: Outcome) -> None:
        self._running -= 1
        waiters = self._waiters.pop(host)
        if waiters and not isinstance(outcome, OSError):
            self._remember(host)
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(outcome)

    def _remember(self, host: str) -> None:
        self._answered[host] = None
