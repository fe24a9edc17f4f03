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


class StoreClock:
    """`now_ms` costs no query; `sync` compares with the database again."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._offset_seconds = time.time() - time.monotonic()

    def now_ms(self) -> int:
        """Return Unix milliseconds."""
        return int((time.monotonic() + self._offset_seconds) * 1000)

    async def sync(self) -> None:
        """Read the database's clock. Half the round trip is the error. Raises Unavailable."""
        if self._db.dialect == "sqlite":
            self._offset_seconds = time.time() - time.monotonic()
            return
        started = time.monotonic()
        seconds = await self._db.read(read_clock)
        self._offset_seconds = seconds - (started + time.monotonic()) / 2


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
