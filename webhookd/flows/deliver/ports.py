"""What the delivery engine needs of others: lanes, a sender, a vault."""

from collections.abc import Sequence
from typing import Any, Protocol

from webhookd.core.dispatch import AttemptDone, AttemptRecorded, ClaimDeliveries, DueDelivery, Handed, Turn
from webhookd.core.reply import Reply


class Lanes(Protocol):
    """Where deliveries are claimed and attempts written."""

    async def claim(self, request: ClaimDeliveries) -> Turn:
        """Claim due deliveries."""
        ...

    async def held(self, session_id: str, now_ms: int) -> list[DueDelivery]:
        """Return what a session holds and may send."""
        ...

    async def record(self, done: AttemptDone) -> AttemptRecorded:
        """Write what came of an attempt."""
        ...

    async def hand_back(self, handed: Handed) -> bool:
        """Give back an unsent delivery; its attempt is not used up."""
        ...


class Posts(Protocol):
    """What sends: `prepare` once per lane, `post` per attempt."""

    def prepare(self, url: str, *, owner: str) -> Any:
        """Take a canonical URL apart, for webhooks of the partner `owner`."""
        ...

    async def post(self, target: Any, *, headers: Sequence[tuple[str, str]], body: bytes) -> Reply:
        """Send one POST; the far side's faults come back in the answer."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Opens(Protocol):
    """What opens sealed secrets."""

    def open(self, sealed: str, *, partner: str, endpoint: str | None, field: str) -> bytes:
        """Return the plain bytes; raises where the text was sealed for another row."""
        ...
