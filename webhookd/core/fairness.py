"""Who goes next: start-time fair queueing over anything that waits in line.

Each contender has a virtual time that advances by `1 / weight` for every unit it is served; the one
with the smallest goes first. A contender that was idle starts at the clock of the queue, so that it
neither saves up turns nor has to catch up (Goyal, Vin and Cheng, "Start-time Fair Queuing", 1996).
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

T = TypeVar("T")

ROUNDING: Final = 1e-6
PARTNERS_PART: Final = 3
"""One partner may hold three times as much as is free: alone 3/4 of a pool, two of them 3/7 each."""


def partner_bound(free: int) -> int:
    """Return how much of a shared pool one partner may hold while `free` of it is left.

    The bound moves with what is free (Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory
    Packet Switches", 1998): however many partners fill the pool, and however long they hold on to it, a
    part is left for whoever comes next. What is compared with it is divided by the partner's weight.
    """
    return max(1, PARTNERS_PART * free)


def partner_room(free: int, held: float) -> int:
    """Return how many more a partner that holds `held` may take before it reaches its bound."""
    if not free or held > partner_bound(free) - ROUNDING:
        return 0
    return max(1, int(PARTNERS_PART * free - held) // (PARTNERS_PART + 1))


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
