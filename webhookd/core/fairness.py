"""Who goes next: start-time fair queueing over anything that waits in line.

Each contender has a virtual time that advances by `1 / weight` for every unit it is served; the one
with the smallest goes first. A contender that was idle starts at the clock of the queue, so that it
neither saves up turns nor has to catch up (Goyal, Vin and Cheng, "Start-time Fair Queuing", 1996).
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender(Generic[T]):
    """One in line, with what it waits for in its own order; served in proportion to `weight` (> 0)."""

    id: str
    vtime: float
    weight: float
    waiting: Sequence[T]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealt(Generic[T]):
    """What is served now, in order, and the virtual times and clock afterwards."""

    items: tuple[T, ...]
    vtimes: dict[str, float]
    clock: float


def deal(
    contenders: Iterable[Contender[T]], *, slots: int, clock: float, admit: Callable[[T], bool]
) -> Dealt[T]:
    """Serve up to `slots` items, one at a time, always to the contender with the least virtual time.

    `admit` is asked once per item, in order, and may refuse it (a limit is reached): it is passed over.
    The clock is the largest virtual start time served, and never goes back.
    """
    line = [(max(c.vtime, clock), c.id, c, iter(c.waiting)) for c in contenders]
    heapq.heapify(line)
    items: list[T] = []
    vtimes: dict[str, float] = {}
    while line and len(items) < slots:
        vtime, identity, contender, waiting = line[0]
        item = next((item for item in waiting if admit(item)), None)
        if item is None:
            heapq.heappop(line)
            continue
        items.append(item)
        clock = max(clock, vtime)
        vtimes[identity] = vtime + 1.0 / contender.weight
        heapq.heapreplace(line, (vtimes[identity], identity, contender, waiting))
    return Dealt(items=tuple(items), vtimes=vtimes, clock=clock)
