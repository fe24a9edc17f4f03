"""The sweep of files: rows past their time go, then bytes that no row names.

A write puts its bytes down before its row, so bytes without a row may be a write under way; they are spared
for an hour, by the clock of the file store and by that of the ids. A result's bytes are written when its
function has ended, and not before, so that hour is long.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final, Protocol

import structlog

from webhookd.core.files import StoredEntry
from webhookd.core.ids import made_ms
from webhookd.runtime.every import every
from webhookd.runtime.outage import Outage

log = structlog.get_logger(__name__)

SPARED_MS: Final = 3_600_000
LATE_SECONDS: Final = 60.0
ORPHANS_SECONDS: Final = 3_600.0


class SweptBytes(Protocol):
    """The file store."""

    def entries(self) -> AsyncIterator[Iterable[StoredEntry]]:
        """Yield what is there, some hundred at a time."""
        ...

    async def remove(self, keys: Sequence[str]) -> None:
        """Remove; what is not there is no error."""
        ...

    async def remove_unfinished(self, before_ms: int) -> int:
        """Remove what writes that were cut off have left; return how many."""
        ...


class SweptRows(Protocol):
    """The rows of files."""

    async def drop_late(self, now_ms: int, grace_ms: int) -> list[str]:
        """Delete rows past their time, some hundred at most; return the keys they named."""
        ...

    async def named(self, file_ids: Iterable[str]) -> set[str]:
        """Return the keys that the rows of these ids name."""
        ...


class FileSweeper:
    """Any number of processes may do this at once: each looks at the rows right before it removes bytes.

    It is no chore of the other sweep, which must not wait for a file store that is slow.
    """

    def __init__(self, *, rows: SweptRows, store: SweptBytes, now_ms: Callable[[], int]) -> None:
        self._rows = rows
        self._store = store
        self._now_ms = now_ms

    async def run(self) -> None:
        """Sweep until cancelled; a file store that is away is waited for."""
        async with asyncio.TaskGroup() as sweeps:
            for pause_seconds, sweep in (
                (LATE_SECONDS, self.drop_late),
                (ORPHANS_SECONDS, self.drop_orphans),
            ):
                outage = Outage("the sweep of files", "the database or the file store")
                sweeps.create_task(every(pause_seconds, sweep, outage=outage))

    async def drop_late(self) -> None:
        """Delete what is past its time."""
        while keys := await self._rows.drop_late(self._now_ms(), SPARED_MS):
            log.info("files_dropped", files=len(keys))
            await self._store.remove(keys)

    async def drop_orphans(self) -> None:
        """Remove bytes that no row names."""
        removed = await self._store.remove_unfinished(self._now_ms() - SPARED_MS)
        async for entries in self._store.entries():
            old = [entry.key for entry in entries if self._is_old(entry)]
            if not old:
                continue
            named = await self._rows.named({file_id_of(key) for key in old})
            orphans = [key for key in old if key not in named]
            await self._store.remove(orphans)
            removed += len(orphans)
        if removed:
            log.info("orphaned_files_removed", files=removed)

    def _is_old(self, entry: StoredEntry) -> bool:
        before_ms = self._now_ms() - SPARED_MS
        made = made_ms(file_id_of(entry.key))
        # What is not named like a file of ours is not ours to remove.
        return made is not None and made < before_ms and entry.modified_ms < before_ms


def file_id_of(key: str) -> str:
    """Return the id of the file whose bytes are under this key."""
    return key.partition(".")[0]
