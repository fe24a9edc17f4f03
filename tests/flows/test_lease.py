"""A lease is kept through whatever the store says: nothing stops its renewal for good."""

import asyncio
from typing import Any

from structlog.testing import capture_logs

from webhookd.core.errors import StoreFault, Unavailable
from webhookd.flows.lease import Lease


class Sessions:
    """Fails with what it is given, one renewal each; then renews."""

    def __init__(self, *faults: Exception) -> None:
        self._faults = list(faults)
        self.healed = asyncio.Event()
        self.seen: list[bool] = []
        self.lease: Lease | None = None

    async def begin(self, **_: Any) -> None:
        """It is begun."""

    async def renew(self, _session_id: str, _until_ms: int) -> bool:
        if self.lease is not None:
            self.seen.append(self.lease.renewed)
        if self._faults:
            raise self._faults.pop(0)
        self.healed.set()
        return True

    async def end(self, _session_id: str) -> None:
        """It is over."""


class Clock:
    """Stands still."""

    def now_ms(self) -> int:
        return 0

    async def sync(self) -> None:
        """It is right."""


async def test_lease_is_renewed_after_errors_of_every_kind_and_tells_that_it_was_not() -> None:
    sessions = Sessions(Unavailable("It is read-only."), StoreFault(reason="42P01"), Unavailable("Away."))
    lease = Lease(
        sessions, Clock(), new_id=lambda: "ses_1", kind="api", host="h", pid=1, detail={}, lease_seconds=0.01
    )
    sessions.lease = lease
    await lease.begin()
    with capture_logs() as logs:
        keeping = asyncio.create_task(lease.keep())
        async with asyncio.timeout(10):
            await sessions.healed.wait()
        await asyncio.sleep(0)
        keeping.cancel()
    assert [line["event"] for line in logs] == ["lease_not_renewed", "lease_renewed_again"]
    assert sessions.seen[:4] == [True, False, False, False]
    assert lease.renewed
