"""Working replays off: paced, a bounded batch at a time, from whichever process gets there first.

How many may go is `core.replay.allowance`; the store takes the step in one transaction and refuses it to a
process that saw an older state. So a replay survives every restart, and needs no leader.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from webhookd.core.model import ReplayState
from webhookd.core.rate import Starts
from webhookd.core.replay import Advanced, Replay, allowance

BATCH: Final = 200
"""Dead letters a transaction puts back at most: its locks are held for some ten milliseconds."""


Running = Callable[[], Awaitable[list[Replay]]]
"""Answers the replays that are under way, oldest first."""
Advance = Callable[[Replay, Starts, int, int], Awaitable[Advanced | None]]
"""Puts so many dead letters back to work, at a time; None where the replay is no longer as it was seen."""


class ReplayFlow:
    """Takes a step of every running replay. Call `step` about once a second."""

    def __init__(self, running: Running, advance: Advance) -> None:
        self._running = running
        self._advance = advance

    async def step(self, now_ms: int) -> int:
        """Replay what is due by rate; return how many dead letters went back to work."""
        total = 0
        for replay in await self._running():
            total += await self._work_off(replay, now_ms)
        return total

    async def _work_off(self, replay: Replay, now_ms: int) -> int:
        total = 0
        while replay.state is ReplayState.RUNNING:
            allowed = allowance(replay, now_ms=now_ms)
            if allowed.count == 0:
                break
            advanced = await self._advance(replay, allowed, min(allowed.count, BATCH), now_ms)
            if advanced is None:
                break
            replay = advanced.replay
            total += advanced.replayed
        return total
