"""Keeps child processes running, and stops them in order.

A `Supervisor` owns the processes of one machine (`webhookd up`, `webhookd worker --processes`): it starts
them by exec, restarts what dies with a growing pause, adds and retires them while it runs, and at the end
stops stage after stage. It does not know what the processes are; who runs how many is decided elsewhere.

Each child leads a session of its own. So Ctrl-C in the terminal reaches the supervisor alone, which then
stops the children in order, and what a child leaves behind (processes of its own) goes with its group.
When the supervisor itself is killed, the kernel takes the children along (`deathwatch`).
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum

from webhookd.adapters.deathwatch import watched

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_SETTLED_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """One process to keep running. Higher stages are stopped, and gone, before lower ones are asked to.

    `env` is the child's whole environment, or None for ours. `stop_signal` asks it to end; after
    `stop_seconds` its process group is killed. `hurries`: the signal once more makes it end sooner.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] | None = None
    stop_signal: int = signal.SIGTERM
    stop_seconds: float = 30.0
    stage: int = 0
    hurries: bool = False


class ChildFact(StrEnum):
    STARTED = "started"
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


class Supervisor:
    """Runs `specs` until `stop()`; must be used on one event loop, in the main thread.

    `on_event` is called on the loop with each `ChildEvent` and must not block.
    """

    def __init__(self, specs: Iterable[ChildSpec] = (), *, on_event: Callable[[ChildEvent], None]) -> None:
        self._waiting = sorted(specs, key=lambda spec: spec.stage)
        self._on_event = on_event
        self._children: dict[str, _Child] = {}
        self._stop = asyncio.Event()
        self._running = False

    @property
    def pids(self) -> dict[str, int]:
        """The processes alive now, by name."""
        return {name: child.pid for name, child in self._children.items() if child.pid is not None}

    def add(self, spec: ChildSpec) -> None:
        """Start one more child now, or at `run()` if that has not begun.

        Raises `ValueError` when a child of that name is there already.
        """
        if spec.name in self._children or any(spec.name == other.name for other in self._waiting):
            raise ValueError(f"a child named {spec.name!r} is already there")
        if not self._running:
            self._waiting.append(spec)
        elif not self._stop.is_set():
            self._children[spec.name] = _Child(spec, self._on_event)

    async def retire(self, name: str) -> None:
        """Stop one child gracefully and forget it; returns when it is gone. Unknown names are ignored."""
        if (child := self._children.get(name)) is not None:
            await child.stop()
            self._children.pop(name, None)

    def stop(self) -> None:
        """Ask `run()` to stop all children, in order. The second call kills them instead of waiting."""
        if self._stop.is_set():
            for child in self._children.values():
                child.kill()
        self._stop.set()

    @property
    def can_hurry(self) -> bool:
        """Whether `hurry` would do anything now or, while nothing stops yet, later."""
        children = self._children.values()
        return any(child.spec.hurries and child.pid and not child.hurried for child in children)

    def hurry(self) -> None:
        """Ask those that can to end sooner, once."""
        for child in self._children.values():
            child.hurry()

    async def run(self) -> None:
        """Start the children, keep them running until `stop()` or cancellation, then stop them all."""
        self._running = True
        try:
            while self._waiting:
                self.add(self._waiting.pop(0))
            await self._stop.wait()
        finally:
            self._stop.set()
            await asyncio.shield(self._stop_all())

    async def _stop_all(self) -> None:
        while self._children:
            last = max(child.spec.stage for child in self._children.values())
            stage = [name for name, child in self._children.items() if child.spec.stage == last]
            await asyncio.gather(*(self.retire(name) for name in stage))


class _Child:
    """One spec and the process that carries it at the moment."""

    def __init__(self, spec: ChildSpec, on_event: Callable[[ChildEvent], None]) -> None:
        self.spec = spec
        self.pid: int | None = None
        self.hurried = False
        self._on_event = on_event
        self._stopping = asyncio.Event()
        self._task = asyncio.create_task(self._keep_running(), name=f"child {spec.name}")

    async def stop(self) -> None:
        """Ask the process to end, wait, and kill its group if it does not."""
        if not self._stopping.is_set():
            self._stopping.set()
            if self.pid is not None:
                _send(self.pid, self.spec.stop_signal)
        await asyncio.wait({self._task}, timeout=self.spec.stop_seconds)
        self.kill()
        await self._task

    def hurry(self) -> None:
        if self.spec.hurries and not self.hurried and self.pid is not None and self._stopping.is_set():
            self.hurried = True
            _send(self.pid, self.spec.stop_signal)

    def kill(self) -> None:
        if self.pid is not None:
            _kill_group(self.pid)

    async def _keep_running(self) -> None:
        quick_deaths = 0
        while not self._stopping.is_set():
            started_at = time.monotonic()
            pid, exit_code = await self._run_once()
            event = ChildEvent(name=self.spec.name, fact=ChildFact.STOPPED, pid=pid, exit_code=exit_code)
            if self._stopping.is_set():
                self._on_event(event)
                break
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
        try:
            process = await asyncio.create_subprocess_exec(
                *watched(self.spec.argv),
                env=self.spec.env,
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            return None, None
        self.pid = process.pid
        self._on_event(ChildEvent(name=self.spec.name, fact=ChildFact.STARTED, pid=process.pid))
        if self._stopping.is_set():  # asked to stop while it was being started
            _send(process.pid, self.spec.stop_signal)
        exit_code = await process.wait()
        self.pid = None
        _kill_group(process.pid)  # whatever the dead child left running
        return process.pid, exit_code


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _kill_group(pid: int) -> None:
    # macOS says "not permitted" for a group of which only a zombie is left.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
