"""Reading the present rows of many tasks for many askers, a batch at a time.

Ten thousand clients that come back at once would otherwise each have a query of their own. Whoever asks
shares only a read that begins after the question: a waiter must be sure that its row is not older.
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Final

from webhookd.flows.watch.snapshots import Snapshot

READ_AT_ONCE: Final = 50
"""Rows in one read; with the largest results that is some 15 MB, which the shelf holds."""


class FreshReads:
    """Collects questions while a read is under way. Use it on one event loop."""

    def __init__(self, read: Callable[[list[str]], Awaitable[list[Snapshot]]]) -> None:
        self._read = read
        self._asked: dict[str, asyncio.Future[Snapshot | None]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def get(self, task_id: str) -> Snapshot | None:
        """Return the task as it is now; None where there is none. Raises what the read raises."""
        answer = self._asked.get(task_id)
        if answer is None:
            answer = self._asked[task_id] = asyncio.get_running_loop().create_future()
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._read_all(), name="watch-fresh")
        return await asyncio.shield(answer)

    async def _read_all(self) -> None:
        while self._asked:
            batch = {task_id: self._asked.pop(task_id) for task_id in list(islice(self._asked, READ_AT_ONCE))}
            try:
                found = {snapshot.task.id: snapshot for snapshot in await self._read(list(batch))}
            except Exception as error:  # noqa: BLE001 - it belongs to those who asked
                for answer in batch.values():
                    answer.set_exception(error)
                    answer.exception()  # they may all have gone
                continue
            for task_id, answer in batch.items():
                answer.set_result(found.get(task_id))
