"""One child process kept running: started by exec, restarted with a growing pause, stopped in time.

The first process may be there already (`forerunner`).
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum

from webhookd.adapters.deathwatch import watched
from webhookd.adapters.forerunner import Forerunner
from webhookd.adapters.heartbeat import VARIABLE, Heartbeat, Left

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_SETTLED_SECONDS = 30.0
_SURELY_SILENT_SECONDS = 3.0
_GONE_SECONDS = 5.0

REPLACE_ME = 75
"""The exit code of a process that wants to be replaced at once: it could not go on, and has handed back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """One process to keep running. Higher stages are stopped, and gone, before lower ones are asked to.

    `env` is the child's whole environment, or None for ours. `stop_signal` asks it to end; after
    `stop_seconds` its process group is killed. `hurries`: the signal once more makes it end sooner.
    `lease_seconds`: it beats, and is killed when it is silent for so long; or earlier, when one of its
    functions has had more than its time, or it is to stop.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] | None = None
    stop_signal: int = signal.SIGTERM
    stop_seconds: float = 30.0
    lease_seconds: float | None = None
    stage: int = 0
    hurries: bool = False


class ChildFact(StrEnum):
    STARTED = "started"
    FROZEN = "frozen"  # its loop stands; it is killed now, and replaced at once
    DIED = "died"  # on its own; it will be started again after the pause
    STOPPED = "stopped"  # because we asked


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildEvent:
    """What happened to a child. `exit_code` is negative for a signal, None where the child is running or
    could not be started; `quick_deaths` counts its deaths in a row before it had settled (30 s)."""

    name: str
    fact: ChildFact
    pid: int | None
    exit_code: int | None = None
    quick_deaths: int = 0
    pause_seconds: float = 0.0
    silent_seconds: float | None = None


OnLeft = Callable[[Left], Awaitable[None]]


class Child:
    """One spec and the process that carries it at the moment."""

    def __init__(
        self,
        spec: ChildSpec,
        on_event: Callable[[ChildEvent], None],
        on_left: OnLeft,
        forerunner: Forerunner | None = None,
    ) -> None:
        self.spec = spec
        self.pid: int | None = None
        self.hurried = False
        self._on_event = on_event
        self._on_left = on_left
        self._forerunner = forerunner
        self._leaving: set[asyncio.Future[None]] = set()
        self._heartbeat = None if spec.lease_seconds is None else Heartbeat.shared()
        self._beats = 0
        self._silent_seconds = 0.0
        self._frozen = False
        self._stopping = asyncio.Event()
        self._task = asyncio.create_task(self._keep_running(), name=f"child {spec.name}")

    @property
    def has_begun(self) -> bool:
        """Whether the process has begun its session."""
        return self.pid is not None and self._heartbeat is not None and bool(self._heartbeat.session_id)

    async def stop(self) -> None:
        """Ask the process to end, wait, and kill its group if it does not."""
        if not self._stopping.is_set():
            self._stopping.set()
            if self.pid is not None:
                _send(self.pid, self.spec.stop_signal)
        await asyncio.wait({self._task}, timeout=self.spec.stop_seconds)
        self.kill()
        # Only a process that the kernel itself does not let go is still there after that.
        await asyncio.wait({self._task}, timeout=_GONE_SECONDS)
        self._task.cancel()

    def hurry(self) -> None:
        """Ask a process that stops, and can, to end sooner; once."""
        if self.spec.hurries and not self.hurried and self.pid is not None and self._stopping.is_set():
            self.hurried = True
            _send(self.pid, self.spec.stop_signal)

    def kill(self) -> None:
        """End the process and its group at once."""
        if self.pid is not None:
            _kill_group(self.pid)

    def look(self, now: float, passed_seconds: float) -> None:
        """Kill the process if its loop has stood for too long; `passed_seconds` since the last look."""
        lease_seconds, heartbeat = self.spec.lease_seconds, self._heartbeat
        if lease_seconds is None or heartbeat is None or self.pid is None or self._frozen:
            return
        beats = heartbeat.beats()
        if beats == 0 or beats != self._beats:
            self._beats, self._silent_seconds = beats, 0.0
            return
        self._silent_seconds += passed_seconds
        overrun = heartbeat.overrun(now)
        if overrun or self._stopping.is_set():
            lease_seconds = min(lease_seconds, _SURELY_SILENT_SECONDS)
        if self._silent_seconds < lease_seconds:
            return
        self._frozen = True
        if overrun:
            heartbeat.condemn(now)
        self._on_event(
            ChildEvent(
                name=self.spec.name,
                fact=ChildFact.FROZEN,
                pid=self.pid,
                silent_seconds=round(self._silent_seconds, 1),
            )
        )
        self.kill()

    async def _keep_running(self) -> None:
        try:
            await self._run_again_and_again()
        finally:
            if self._leaving:
                await asyncio.wait(self._leaving, timeout=_GONE_SECONDS)
            if self._heartbeat is not None:
                heartbeat, self._heartbeat = self._heartbeat, None
                heartbeat.close()

    async def _run_again_and_again(self) -> None:
        quick_deaths = 0
        while not self._stopping.is_set():
            started_at = time.monotonic()
            pid, exit_code = await self._run_once()
            event = ChildEvent(name=self.spec.name, fact=ChildFact.STOPPED, pid=pid, exit_code=exit_code)
            if self._stopping.is_set():
                self._on_event(event)
                break
            if self._frozen or exit_code == REPLACE_ME:
                self._on_event(replace(event, fact=ChildFact.DIED))
                continue
            settled = time.monotonic() - started_at >= _SETTLED_SECONDS
            quick_deaths = 1 if settled else quick_deaths + 1
            pause_seconds = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(quick_deaths - 1, 9))
            self._on_event(
                replace(event, fact=ChildFact.DIED, quick_deaths=quick_deaths, pause_seconds=pause_seconds)
            )
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_seconds)

    async def _run_once(self) -> tuple[int | None, int | None]:
        """Returns the process id and exit code, or twice None where it could not even be started."""
        self._frozen = False
        if self._heartbeat is not None:
            self._heartbeat.rest()
        try:
            process = await self._begun()
        except OSError:
            return None, None
        self.pid = process.pid
        self._on_event(ChildEvent(name=self.spec.name, fact=ChildFact.STARTED, pid=process.pid))
        if self._stopping.is_set():  # asked to stop while it was being started
            _send(process.pid, self.spec.stop_signal)
        exit_code = await process.wait()
        self.pid = None
        _kill_group(process.pid)  # whatever the dead child left running
        if self._heartbeat is not None and (left := self._heartbeat.left(time.monotonic())) is not None:
            telling = asyncio.ensure_future(self._on_left(left))
            self._leaving.add(telling)
            telling.add_done_callback(self._leaving.discard)
        return process.pid, exit_code

    async def _begun(self) -> Forerunner | asyncio.subprocess.Process:
        """Return the process, at work. Raises OSError where it cannot be started."""
        environment = os.environ if self.spec.env is None else self.spec.env
        page = None if self._heartbeat is None else self._heartbeat.file
        forerunner, self._forerunner = self._forerunner, None
        if forerunner is not None:
            forerunner.tell(environment, page)
            return forerunner
        return await asyncio.create_subprocess_exec(
            *watched(self.spec.argv),
            env=environment if page is None else {**environment, VARIABLE: str(page)},
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=() if page is None else (page,),
        )


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _kill_group(pid: int) -> None:
    # macOS says "not permitted" for a group of which only a zombie is left.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
