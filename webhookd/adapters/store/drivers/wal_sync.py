"""Waiting for the disk: what is committed is in SQLite's log, and lasts once that is synced.

SQLite itself would do it inside the commit (`synchronous=FULL`), while all other writers wait. Here it is
done after it: whoever has promised something waits, and others write meanwhile.
"""

import errno
import os
from pathlib import Path
from typing import Any, Final

_sync: Final = getattr(os, "fdatasync", os.fsync)


def sync_log(database: Path) -> None:
    """Return once all that is committed outlasts a loss of power. Raises OSError.

    For who reads: a writer has a LogSync.
    """
    try:
        file = os.open(_log_of(database), os.O_RDONLY)
    except FileNotFoundError:  # whoever was the last to close it has put all of it into the database
        return
    try:
        _sync(file)
    finally:
        os.close(file)


class LogSync:
    """Syncs the log of one writer: `sync` after the commit, `begin` before the next one. For one thread.

    The file is kept open as long as the writer is: only so does every writer hear of an error of the disk.
    """

    def __init__(self, database: Path) -> None:
        self._path = _log_of(database)
        self._file: int | None = None
        self._in_doubt = False

    def begin(self, connection: Any) -> None:
        """After a sync that failed, have the log's pages written to the database itself, or raise OSError.

        What the disk did not take may count as written all the same, and a later sync would then succeed
        without it: what follows it in the log would be lost with it. `connection` is a sqlite3.Connection
        outside a transaction.
        """
        if self._in_doubt:
            busy, pages, written = connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
            if busy or pages != written:
                raise OSError(errno.EIO, "the log could not be written")
            self._in_doubt = False

    def sync(self) -> None:
        """Return once all that is committed outlasts a loss of power. Raises OSError."""
        if self._file is None:
            self._file = os.open(self._path, os.O_RDONLY)
        try:
            _sync(self._file)
        except OSError:
            self._in_doubt = True
            raise

    def close(self) -> None:
        """Let go of the file; the log may be another one once nobody has the database open."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _log_of(database: Path) -> Path:
    return database.with_name(database.name + "-wal")
