"""This process's lease: one row renewed while the loop answers, which covers all the process holds."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

import structlog

from webhookd.core.errors import ServiceError

log = structlog.get_logger(__name__)

AGAIN_SECONDS: Final = 1.0
DOUBT_SECONDS: Final = 5.0
"""How long after a claim without an answer its commit may still show."""


class SessionRows(Protocol):
    """Where sessions are kept."""

    async def begin(
        self,
        *,
        session_id: str,
        kind: str,
        host: str,
        pid: int,
        detail: dict[str, Any],
        now_ms: int,
        lease_until_ms: int,
    ) -> None:
        """Write a new session."""
        ...

    async def renew(self, session_id: str, lease_until_ms: int) -> bool:
        """Prolong a lease. False: it had run out and what it held was taken over."""
        ...

    async def end(self, session_id: str) -> None:
        """Let a lease run out at once."""
        ...


class Clock(Protocol):
    """The store's clock, so that leases and due times hold whatever this machine's clock says."""

    def now_ms(self) -> int:
        """Return Unix milliseconds."""
        ...

    async def sync(self) -> None:
        """Compare with the store again."""
        ...


class Lease:
    """Holds the session `id`. A lost lease begins a new session and calls `on_lost`."""

    def __init__(
        self,
        sessions: SessionRows,
        clock: Clock,
        *,
        new_id: Callable[[], str],
        kind: str,
        host: str,
        pid: int,
        detail: dict[str, Any],
        lease_seconds: float,
    ) -> None:
        self._sessions = sessions
        self._clock = clock
        self._new_id = new_id
        self._kind = kind
        self.host = host
        self.pid = pid
        self._detail = detail
        self._lease_seconds = lease_seconds
        self._valid_until = 0.0
        self.renewed = True
        """Whether the last renewal was written. Where it was not, others cannot write theirs either."""
        self.id = new_id()
        self.on_lost: list[Callable[[], None]] = []

    @property
    def alive(self) -> bool:
        """Whether the lease certainly holds now; asked right before anything is sent."""
        return time.monotonic() < self._valid_until

    async def begin(self) -> None:
        """Start the session. Raises Unavailable."""
        await self._clock.sync()
        started = time.monotonic()
        now_ms = self._clock.now_ms()
        await self._sessions.begin(
            session_id=self.id,
            kind=self._kind,
            host=self.host,
            pid=self.pid,
            detail=self._detail,
            now_ms=now_ms,
            lease_until_ms=now_ms + int(self._lease_seconds * 1000),
        )
        self._valid_until = started + self._lease_seconds

    async def keep(self) -> None:
        """Renew until cancelled, three times a lease; sooner after a renewal that was not written."""
        while True:
            usual_seconds = self._lease_seconds / 3
            await asyncio.sleep(usual_seconds if self.renewed else min(AGAIN_SECONDS, usual_seconds))
            try:
                await self._renew()
            except ServiceError as error:
                if self.renewed:  # told once, however long it lasts
                    log.warning("lease_not_renewed", session=self.id, reason=error.detail)
                self.renewed = False
            else:
                if not self.renewed:
                    log.warning("lease_renewed_again", session=self.id)
                self.renewed = True

    async def end(self) -> None:
        """Give the lease up, so that others take over at once what is left."""
        self._valid_until = 0.0
        await self._sessions.end(self.id)

    async def _renew(self) -> None:
        await self._clock.sync()
        started = time.monotonic()
        until_ms = self._clock.now_ms() + int(self._lease_seconds * 1000)
        if await self._sessions.renew(self.id, until_ms):
            self._valid_until = started + self._lease_seconds
            return
        log.warning("lease_lost", session=self.id)
        self._valid_until = 0.0
        self.id = self._new_id()
        await self.begin()
        for tell in self.on_lost:
            tell()
