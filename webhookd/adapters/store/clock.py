"""One clock for leases and due times: the database's, as seen from here.

PostgreSQL is shared by machines whose clocks differ, so its own clock is read now and then and carried
forward on this machine's monotonic clock, which no clock change touches. SQLite is one machine, and
its clock is the machine's.
"""

import time
from typing import Final, NamedTuple

from sqlalchemy import Float, column, text

from webhookd.adapters.store.database import Database
from webhookd.adapters.store.statement import Query
from webhookd.adapters.store.tx import Tx

_DRIFT: Final = 0.0005
"""How far two clocks drift apart, in seconds a second: as fast as one that is being set may run."""


class StoreClock:
    """`now_ms` costs no query; `sync` compares with the database again.

    A reading says between which bounds the database's clock is from ours: it was read after we asked and
    before we heard. Readings that took long say little, so their bounds are laid upon those known before.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._offset_seconds = time.time() - time.monotonic()
        self._bounds: tuple[float, float] | None = None
        self._read_at = 0.0

    def now_ms(self) -> int:
        """Return Unix milliseconds."""
        return int((time.monotonic() + self._offset_seconds) * 1000)

    async def sync(self) -> None:
        """Read the database's clock: off by half the quickest round trip at most. Raises Unavailable."""
        if self._db.dialect == "sqlite":
            self._offset_seconds = time.time() - time.monotonic()
            return
        if self._bounds is None:
            await self._read()  # this one may have had to connect
        await self._read()

    async def _read(self) -> None:
        started = time.monotonic()
        seconds = await self._db.read(read_clock)
        ended = time.monotonic()
        low, high = seconds - ended, seconds - started
        if self._bounds is not None:
            drift = (ended - self._read_at) * _DRIFT
            both = max(low, self._bounds[0] - drift), min(high, self._bounds[1] + drift)
            if both[0] <= both[1]:  # or else a clock was set since
                low, high = both
        self._bounds, self._read_at = (low, high), ended
        self._offset_seconds = (low + high) / 2


class _Clock(NamedTuple):
    seconds: float


_CLOCK: Final = Query(
    _Clock,
    lambda _: text("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS float8)").columns(
        column("seconds", Float)
    ),
)


def read_clock(tx: Tx) -> float:
    """Return the Unix seconds of PostgreSQL's clock."""
    return tx.one(_CLOCK).seconds
