"""Writing something however long the store is away."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from webhookd.core.errors import ServiceError

T = TypeVar("T")

_MIN_PAUSE_SECONDS: Final = 0.1
_MAX_PAUSE_SECONDS: Final = 2.0


async def persist(
    write: Callable[[], Awaitable[T]],
    *,
    held: Callable[[], bool],
    tell: Callable[[str], None],
) -> T | None:
    """Try until it is written; None: it failed, and what it is about is not `held` any more.

    `tell` hears why a try failed. What is no ServiceError is raised. Not tenacity's `AsyncRetrying`: to set
    one up takes 100 us and more, half of what a whole delivery does, also where nothing fails (measured).
    """
    pause_seconds = _MIN_PAUSE_SECONDS
    while True:
        try:
            return await write()
        except ServiceError as error:
            tell(error.detail)
        if not held():
            return None
        await asyncio.sleep(pause_seconds)
        pause_seconds = min(_MAX_PAUSE_SECONDS, pause_seconds * 2)
