"""How long what waits will wait, and how many workers there should be: decided from figures.

`wait_seconds` is the one estimate; callers are told it, and both answers about workers go by it.
`desired_workers` is for autoscalers elsewhere, about one queue. `Autoscaler` is for this machine: up at
once, where every slot is busy and the wait is long; down only after a calm while. Carrying it out is
`cli.autoscale`'s business.
"""

import re
from dataclasses import dataclass
from math import ceil
from typing import Final

LOOK_SECONDS: Final = 2.0
TARGET_WAIT_SECONDS: Final = 10.0
"""An estimated wait longer than this asks for more workers."""
MOST_WORKERS: Final = 1_000
STUCK_SECONDS: Final = 2.0
"""Where nothing has ended yet, so that nothing can be estimated: this long a wait asks for more."""
CALM_SECONDS: Final = 30.0
"""Fewer workers must have been enough for so long before one goes."""


def wait_seconds(count: int, ended_per_second: float) -> float | None:
    """Return how long so many tasks take to end at this rate; None where no rate is known."""
    return count / ended_per_second if ended_per_second > 0 else None


def desired_workers(*, queued: int, running: int, ended_per_second: float, workers: int, slots: int) -> int:
    """Return how many worker processes, as fast as those there, would empty it in TARGET_WAIT_SECONDS.

    Never fewer than it takes to hold what runs, or a long task would be stopped with its worker, wait, bring
    a worker up and be stopped again. One where something waits and no rate is known yet; none where nothing
    is left. `slots` are the tasks that all `workers` together run at a time.
    """
    busy = _holding(running, workers=workers, slots=slots)
    wait = wait_seconds(queued, ended_per_second)
    if not queued:
        return busy if wait is None else max(busy, min(workers, 1))
    if wait is None or not workers:
        return max(1, workers)
    return min(MOST_WORKERS, max(1, busy, _emptying(wait, workers=workers)))


def _holding(running: int, *, workers: int, slots: int) -> int:
    """Return how many workers have as many slots."""
    return ceil(running * workers / slots) if slots else 0


def _emptying(wait: float, *, workers: int) -> int:
    """Return how many workers bring the wait down to TARGET_WAIT_SECONDS."""
    return ceil(workers * wait / TARGET_WAIT_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRange:
    """How many task worker processes, at least and at most."""

    least: int
    most: int

    @classmethod
    def parse(cls, text: str) -> "WorkerRange":
        """Read `MIN..MAX`, or a single number. Raises ValueError with a sentence."""
        match = re.fullmatch(r"([0-9]{1,4})(?:\.\.([0-9]{1,4}))?", text.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a number or a range such as 1..4")
        least, most = int(match[1]), int(match[2] or match[1])
        if not 1 <= least <= most:
            raise ValueError(f"{text!r} must begin at 1 or more and end no lower than it begins")
        return cls(least=least, most=most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The tasks' state at one moment, over all queues that are not paused.

    `processes` are the task workers that serve, wherever they run, and `slots` the tasks all of them
    can run at a time. `ended_per_second` is 0.0 where nothing ended lately.
    """

    at_seconds: float
    waiting: int
    oldest_seconds: float
    running: int
    processes: int
    slots: int
    ended_per_second: float


class Autoscaler:
    """Remembers since when fewer workers would have done."""

    def __init__(self, bounds: WorkerRange) -> None:
        self._bounds = bounds
        self._calm_since: float | None = None
        self._calm_most = 0

    def target(self, reading: Reading, current: int) -> int:
        """Return how many workers this machine should run, when it is to run `current` now."""
        elsewhere = max(0, reading.processes - current)
        wanted = min(self._bounds.most, max(self._bounds.least, _needed(reading) - elsewhere))
        if wanted >= current:
            self._calm_since = None
            # Those just started do not count yet: deciding on their behalf would overshoot.
            return current if reading.processes < current else wanted
        if self._calm_since is None:
            self._calm_since, self._calm_most = reading.at_seconds, wanted
        self._calm_most = max(self._calm_most, wanted)
        if reading.at_seconds - self._calm_since < CALM_SECONDS:
            return current
        self._calm_since = None
        return self._calm_most


def _needed(reading: Reading) -> int:
    """Return how many processes, everywhere, would do."""
    if not reading.processes or not reading.slots:
        return 0
    busy = _holding(reading.running, workers=reading.processes, slots=reading.slots)
    if not reading.waiting:
        return busy
    if reading.running < reading.slots:
        return min(reading.processes, busy + 1)  # what waits is about to be claimed, or held by a limit
    wait = wait_seconds(reading.waiting, reading.ended_per_second)
    if wait is None:
        return reading.processes * (2 if reading.oldest_seconds >= STUCK_SECONDS else 1)
    return max(reading.processes, _emptying(wait, workers=reading.processes))
