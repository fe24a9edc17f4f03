"""Enters task sets' lifespans on the loop that functions run on, and leaves them there at the end.

Both happen in one asyncio task, as context managers with task groups in them want it.
"""

import asyncio
import concurrent.futures
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Final

import structlog

from webhookd.core.errors import SettingsError
from webhookd.taskset.lifespan import Lifespan

log = structlog.get_logger(__name__)

LEAVE_SECONDS: Final = 5.0
"""How long leaving them may take: then the process ends all the same."""

States = Mapping[Lifespan | None, Any]


class HeldLifespans:
    """Lifespans on another thread's loop. `entered` has what each gave, or raises SettingsError."""

    def __init__(self, loop: asyncio.AbstractEventLoop, lifespans: Iterable[Lifespan]) -> None:
        self.entered: concurrent.futures.Future[States] = concurrent.futures.Future()
        self._lifespans = tuple(dict.fromkeys(lifespans))
        self._loop = loop
        self._leave = asyncio.Event()
        self._left = asyncio.run_coroutine_threadsafe(self._hold(), loop)

    def leave(self) -> "concurrent.futures.Future[None]":
        """Begin to leave; the future is done once they are left."""
        self._loop.call_soon_threadsafe(self._leave.set)
        return self._left

    async def _hold(self) -> None:
        states: dict[Lifespan | None, Any] = {}
        try:
            async with AsyncExitStack() as stack:
                for lifespan in self._lifespans:
                    states[lifespan] = await stack.enter_async_context(lifespan.enter())
                self.entered.set_result(states)
                await self._leave.wait()
        except BaseException as error:
            if not isinstance(error, asyncio.CancelledError):
                log.exception("lifespan_broken")
            if not self.entered.done():
                what = f"WEBHOOKD_TASKS: a lifespan could not be entered ({type(error).__name__})."
                self.entered.set_exception(SettingsError(what))
