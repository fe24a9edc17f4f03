"""Which tasks and partners somebody watches, as far as a process knows that changes tasks.

Of what nobody watches nobody is told. Whoever watches says so, at once and then every second; what was said
holds for LASTS_SECONDS. So what a watcher leaves behind when its process dies is soon forgotten, and a
process that begins, or whose broker was away, knows after a second. What a task became right before its
watcher was heard of was withheld, and is told now: the watcher may have read the row before. Whoever follows
a partner begins with what comes then. Times are seconds of a clock that never goes back.
"""

from collections.abc import Collection
from typing import Final

from webhookd.core.records import TaskSignal

EVERYTHING: Final = "*"
"""The name of whoever watches all there is."""
LASTS_SECONDS: Final = 5.0
WITHHELD_SECONDS: Final = 2.0
MOST_NAMES: Final = 20_000
"""More are as good as everything."""
MOST_WITHHELD: Final = 10_000
_NEVER: Final = float("-inf")


class Watched:
    """What is watched until when, and the newest signals that nobody was told."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._withheld: dict[str, tuple[float, TaskSignal]] = {}

    def told(self, signals: Collection[TaskSignal], now: float) -> list[TaskSignal]:
        """Return the signals that somebody is to be told, and withhold the others."""
        wanted = []
        for signal in signals:
            if self._is_watched(signal, now):
                wanted.append(signal)
            else:
                self._withhold(signal, now)
        return wanted

    def learn(self, names: Collection[str], now: float) -> list[TaskSignal]:
        """Note that these tasks, partners or EVERYTHING are watched; return what was withheld of tasks."""
        fresh = [name for name in names if self._until.get(name, _NEVER) < now]
        self._until.update(dict.fromkeys(names, now + LASTS_SECONDS))
        if not fresh:
            return []
        self._forget(now)
        withheld = [self._withheld.pop(name) for name in fresh if name in self._withheld]
        return [signal for at, signal in withheld if at >= now - WITHHELD_SECONDS]

    def _is_watched(self, signal: TaskSignal, now: float) -> bool:
        until = self._until
        return any(until.get(name, _NEVER) >= now for name in (signal.task_id, signal.partner_id, EVERYTHING))

    def _withhold(self, signal: TaskSignal, now: float) -> None:
        withheld = self._withheld
        known = withheld.pop(signal.task_id, None)
        withheld[signal.task_id] = (
            now,
            signal if known is None or known[1].version < signal.version else known[1],
        )
        while len(withheld) > MOST_WITHHELD or next(iter(withheld.values()))[0] < now - WITHHELD_SECONDS:
            del withheld[next(iter(withheld))]

    def _forget(self, now: float) -> None:
        """Drop what is watched no more; of too many names keep one that stands for all."""
        self._until = {name: until for name, until in self._until.items() if until >= now}
        if len(self._until) > MOST_NAMES:
            self._until = {EVERYTHING: now + LASTS_SECONDS}
