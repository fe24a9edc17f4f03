"""Keeping SQLite's log small: after a long reader has let go it is written back and cut off.

SQLite checkpoints by itself every 1,000 pages, as far as the oldest reader's snapshot allows, and begins the
log anew once nobody reads from it. Under steady reading that moment never comes, and the file keeps its peak.
"""

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import Any, Final

LOG_BYTES: Final = 32 * 1024 * 1024
"""More than this is cut off; SQLite itself begins anew at some 4 MiB."""
_WAIT_MS: Final = 50
_PAUSE_SECONDS: Final = 1.0


class LogBound:
    """Ask it after every commit. A log over `most_bytes` is cut off, unless somebody still reads from it.

    A try waits for readers of the log for 50 ms at most, and there is one a second.
    """

    def __init__(self, database: Path, *, most_bytes: int = LOG_BYTES) -> None:
        self._log = database.with_name(database.name + "-wal")
        self._most_bytes = most_bytes
        self._again_at = 0.0

    def committed(self, connection: Any) -> None:
        """Look at the log's size; `connection` is a sqlite3.Connection outside a transaction."""
        if time.monotonic() < self._again_at or self._size() <= self._most_bytes:
            return
        self._again_at = time.monotonic() + _PAUSE_SECONDS
        (usual_ms,) = connection.execute("PRAGMA busy_timeout").fetchone()
        connection.execute(f"PRAGMA busy_timeout={_WAIT_MS}")
        try:
            with contextlib.suppress(
                sqlite3.Error
            ):  # the commit stands; busy, or the disk is full: next time
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            connection.execute(f"PRAGMA busy_timeout={usual_ms}")

    def _size(self) -> int:
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0
