"""A task whose end is the test's to decide."""

from pathlib import Path
from typing import Any

from tests.support.services import until


class Held:
    """A task that runs until it is released, and tells which processes have started it."""

    def __init__(self, folder: Path) -> None:
        self._started = folder / "started"
        self._until = folder / "until"
        self.body: dict[str, Any] = {
            "type": "fault.hold",
            "input": {"started": str(self._started), "until": str(self._until)},
        }

    async def started(self, count: int) -> list[int]:
        """Wait until it was started so often; return the processes in order."""
        await until(lambda: len(self._pids()) >= count, what=f"start {count} of the task")
        return self._pids()

    def release(self) -> None:
        """Let it end, wherever it runs."""
        self._until.touch()

    def _pids(self) -> list[int]:
        return [int(line) for line in self._started.read_text().split()] if self._started.exists() else []
