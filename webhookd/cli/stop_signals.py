"""SIGTERM and Ctrl-C for commands that supervise processes."""

import asyncio
import signal
import sys
from typing import Final, Self

from webhookd.adapters.log_writer import LogWriter
from webhookd.adapters.supervisor import Supervisor

_SAME_SECONDS: Final = 0.2


class StopSignals:
    """The first SIGTERM, SIGINT or SIGHUP cancels the current task, which then ends things in order; the
    second one kills the processes of the supervisor, or makes those hurry that can: then the third one kills.
    Use it as a context, in the main thread.

    One that follows at once is taken for the same: `timeout` signals the process and then its group.
    """

    def __init__(self) -> None:
        self.came = False
        self._came_at = 0.0
        self._task: asyncio.Task[object] | None = None
        self._supervisor: Supervisor | None = None
        self._out = LogWriter(sys.stderr)
        self._heard = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
            self._heard.append(signal.SIGHUP)

    def supervises(self, supervisor: Supervisor) -> None:
        """Say whose processes the second signal kills."""
        self._supervisor = supervisor

    def say(self, sentence: str) -> None:
        """Write a line to stderr without waiting for its reader: a stop must not."""
        self._out.put(f"{sentence}\n".encode())

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        for number in self._heard:
            asyncio.get_running_loop().add_signal_handler(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number in self._heard:
            asyncio.get_running_loop().remove_signal_handler(number)

    def _receive(self) -> None:
        now = asyncio.get_running_loop().time()
        if self.came:
            if self._supervisor is None or now - self._came_at < _SAME_SECONDS:
                return
            if self._supervisor.can_hurry:
                self._supervisor.hurry()
                self._came_at = now
            else:
                self._supervisor.stop()
            return
        self.came, self._came_at = True, now
        drains = self._supervisor is not None and self._supervisor.can_hurry
        self.say(f"webhookd: stopping; once more to {'skip the drain' if drains else 'kill'}")
        if self._task is not None:
            self._task.cancel()
