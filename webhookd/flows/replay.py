"""Working replays off: paced, a bounded batch at a time, from whichever process gets there first.

How many may go is `core.replay.allowance`; the store takes the step in one transaction and refuses it to a
process that saw an older state. So a replay survives every restart, and needs no leader.
"""

from typing import Final, Protocol

from webhookd.core.model import ReplayState
from webhookd.core.rate import Line
from webhookd.core.replay import Advanced, Replay, allowance

BATCH: Final = 200
"""Dead letters a transaction puts back at most: its locks are held for some ten milliseconds."""


class RunningReplays(Protocol):
    """Replays at rest."""

    async def running(self) -> list[Replay]:
        """Return the replays that are under way, oldest first."""
        ...

    async def advance(self, seen: Replay, allowed: Line, *, take: int, now_ms: int) -> Advanced | None:
        """Put the next `take` dead letters back to work; None where the replay is no longer as `seen`."""
        ...


class ReplayFlow:
    """Takes a step of every running replay. Call `step` about once a second."""

    def __init__(self, store: RunningReplays) -> None:
        self._store = store

    async def step(self, now_ms: int) -> int:
        """Replay what is due by rate; return how many dead letters went back to work."""
        total = 0
        for replay in await self._store.running():
            total += await self._work_off(replay, now_ms)
        return total

    async def _work_off(self, replay: Replay, now_ms: int) -> int:
        total = 0
        while replay.state is ReplayState.RUNNING:
            allowed = allowance(replay, now_ms=now_ms)
            if allowed.count == 0:
                break
            advanced = await self._store.advance(
                replay, allowed, take=min(allowed.count, BATCH), now_ms=now_ms
            )
            if advanced is None:
                break
            replay = advanced.replay
            total += advanced.replayed
        return total
