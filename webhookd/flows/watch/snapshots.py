"""Tasks as they were just read and rendered, kept for as long as there is room.

A waiter's queue holds ids only. What it sends it takes from the shelf, so that ten thousand waiters for one
task share one row read and one rendering, and a waiter that reads slowly holds no memory.
"""

from dataclasses import dataclass
from typing import Final

import orjson

from webhookd.core.records import Task
from webhookd.core.render import task_document

SHELF_BYTES: Final = 16_777_216
"""Room for a whole batch of the largest tasks, so that each waits there until its waiters have run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A task at one version. `body` is its JSON, the same bytes for every waiter."""

    task: Task
    body: bytes


def snapshot_of(task: Task, *, base_url: str) -> Snapshot:
    """Render a task."""
    return Snapshot(task=task, body=orjson.dumps(task_document(task, base_url=base_url)))


class Shelf:
    """The newest snapshots, at most `max_bytes` of JSON; what was put longest ago goes first."""

    def __init__(self, max_bytes: int = SHELF_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._snapshots: dict[str, Snapshot] = {}

    def put(self, snapshot: Snapshot) -> None:
        """Keep a snapshot in the place of the task's last one, unless that one is newer."""
        if self.get(snapshot.task.id, version=snapshot.task.version + 1) is not None:
            return
        self._drop(snapshot.task.id)
        self._snapshots[snapshot.task.id] = snapshot
        self._bytes += len(snapshot.body)
        while self._bytes > self._max_bytes and len(self._snapshots) > 1:
            self._drop(next(iter(self._snapshots)))

    def get(self, task_id: str, *, version: int) -> Snapshot | None:
        """Return the task at this version or a later one; None where it is not (or no longer) here."""
        snapshot = self._snapshots.get(task_id)
        return snapshot if snapshot is not None and snapshot.task.version >= version else None

    def _drop(self, task_id: str) -> None:
        dropped = self._snapshots.pop(task_id, None)
        if dropped is not None:
            self._bytes -= len(dropped.body)
