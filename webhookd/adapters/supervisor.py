"""Keeps child processes running, and stops them in order.

A `Supervisor` owns the processes of one machine (`webhookd up`, `webhookd worker --processes`): it starts
them by exec, restarts what dies with a growing pause, adds and retires them while it runs, and at the end
stops stage after stage. It does not know what the processes are; who runs how many is decided elsewhere.

A frozen process is not a dead one, and worse: one whose event loop stands (an operator's function holds the
GIL) is killed with its group and replaced at once. `heartbeat` says how that is seen. No wait here is without
a deadline after which the group is killed.

Each child leads a session of its own. So Ctrl-C in the terminal reaches the supervisor alone, which then
stops the children in order, and what a child leaves behind (processes of its own) goes with its group.
When the supervisor itself is killed, the kernel takes the children along (`deathwatch`).
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

from webhookd.adapters.forerunner import Forerunner
from webhookd.adapters.heartbeat import Left
from webhookd.adapters.supervised import Child, ChildEvent, ChildSpec, OnLeft

_LOOK_SECONDS = 0.5


async def _leave_it(_left: Left) -> None:
    """What is left is found when its lease ends."""


class Supervisor:
    """Runs `specs` until `stop()`; must be used on one event loop, in the main thread.

    `on_event` is called on the loop with each `ChildEvent` and must not block. `on_left` is told what a dead
    process left, so that nobody waits for the end of its lease; it must not raise. `forerunners` are the
    first processes of the children of their names.
    """

    def __init__(
        self,
        specs: Iterable[ChildSpec] = (),
        *,
        on_event: Callable[[ChildEvent], None],
        on_left: OnLeft = _leave_it,
        forerunners: Mapping[str, Forerunner] | None = None,
    ) -> None:
        self._waiting = sorted(specs, key=lambda spec: spec.stage)
        self._on_event = on_event
        self._on_left = on_left
        self._forerunners = dict(forerunners or {})
        self._children: dict[str, Child] = {}
        self._stop = asyncio.Event()
        self._running = False

    @property
    def pids(self) -> dict[str, int]:
        """The processes alive now, by name."""
        return {name: child.pid for name, child in self._children.items() if child.pid is not None}

    @property
    def begun(self) -> set[str]:
        """The names of the processes that have begun their sessions."""
        return {name for name, child in self._children.items() if child.has_begun}

    def add(self, spec: ChildSpec) -> None:
        """Start one more child now, or at `run()` if that has not begun.

        Raises `ValueError` when a child of that name is there already.
        """
        if spec.name in self._children or any(spec.name == other.name for other in self._waiting):
            raise ValueError(f"a child named {spec.name!r} is already there")
        if not self._running:
            self._waiting.append(spec)
        elif not self._stop.is_set():
            forerunner = self._forerunners.pop(spec.name, None)
            self._children[spec.name] = Child(spec, self._on_event, self._on_left, forerunner)

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
        watch = asyncio.create_task(self._watch(), name="heartbeats")
        try:
            while self._waiting:
                self.add(self._waiting.pop(0))
            await self._stop.wait()
        finally:
            self._stop.set()
            await asyncio.shield(self._stop_all())
            while self._forerunners:
                self._forerunners.popitem()[1].dismiss()
            watch.cancel()

    async def _watch(self) -> None:
        """Look at the heartbeats. Time that we ourselves stood still (a suspended machine) is nobody's."""
        looked_at = time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            passed, looked_at = min(now - looked_at, 2 * _LOOK_SECONDS), now
            for child in tuple(self._children.values()):
                child.look(now, passed)

    async def _stop_all(self) -> None:
        while self._children:
            last = max(child.spec.stage for child in self._children.values())
            stage = [name for name, child in self._children.items() if child.spec.stage == last]
            await asyncio.gather(*(self.retire(name) for name in stage))
