"""The brake on guessing keys: so many wrong ones an address, then `429` until some time has passed.

A guess is taken before the key is checked and given back where the key proves right, so that guesses sent all
at once count like guesses sent one by one. Whoever finds no guess left while others of the same address are
still being checked waits for those: where they prove right, there is room again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from cachetools import LRUCache

from webhookd.core.errors import RateLimited, WebhookdError
from webhookd.core.rate import UNUSED, Rate, give_back, take

WRONG_KEYS: Final = Rate(per_second=1.0, burst=60)
"""How many wrong keys may come from one address."""

_MAX_ADDRESSES: Final = 10_000


@dataclass(slots=True)
class Guess:
    """A key on its way to be checked; whoever checks it says whether it was `right`."""

    right: bool = False


@dataclass(slots=True)
class _UnderCheck:
    """The guesses of one address that are being checked; `ended` is set when one of them is through."""

    count: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class GuessBrake:
    """The guesses that each address has left. Use it on one event loop."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._full_ms: LRUCache[str, float] = LRUCache(_MAX_ADDRESSES)
        self._checked: dict[str, _UnderCheck] = {}

    @asynccontextmanager
    async def guess(self, address: str) -> AsyncIterator[Guess]:
        """Take a guess for the block, which checks one key. Raises RateLimited where none is left.

        What the block raises of ours (the database is away) is no verdict, and costs no guess.
        """
        await self._take(address)
        checked = self._checked.setdefault(address, _UnderCheck())
        checked.count += 1
        guess = Guess()
        try:
            yield guess
        except WebhookdError:
            guess.right = True
            raise
        finally:
            if guess.right:
                self._full_ms[address] = give_back(self._full_ms.get(address, UNUSED), WRONG_KEYS, 1)
            checked.count -= 1
            checked.ended.set()
            checked.ended = asyncio.Event()
            if not checked.count:
                del self._checked[address]

    async def _take(self, address: str) -> None:
        while True:
            taken = take(self._full_ms.get(address, UNUSED), WRONG_KEYS, 1, now_ms=self._now_ms())
            if taken.granted:
                break
            checked = self._checked.get(address)
            if checked is None:
                raise RateLimited(
                    "Too many wrong keys came from this address.",
                    retry_after_seconds=taken.retry_seconds or taken.full_seconds,
                )
            await checked.ended.wait()
        self._full_ms[address] = taken.full_ms
