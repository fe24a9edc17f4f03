"""This process's part in the metrics of all: counting, telling the others, asking for the totals."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from webhookd.adapters.metrics.tally import Tally, add
from webhookd.adapters.metrics.totals import MemoryTotals, SharedTotals
from webhookd.runtime.every import every

TELL_SECONDS: Final = 2.0

Figures = Callable[[], Mapping[tuple[str, ...], int]]
"""Totals since the start that somebody else keeps, by series."""


class Metrics:
    """Counts into `tally`, and tells while `run` runs. Use it on one event loop.

    While the broker is away increments are kept, and `totals` answers what was known last plus those.
    """

    def __init__(self, totals: SharedTotals | None = None, *, figures: Sequence[Figures] = ()) -> None:
        self.tally = Tally()
        self._totals = totals or MemoryTotals()
        self._figures = tuple(figures)
        self._figures_before: dict[tuple[str, ...], int] = {}
        self._untold: dict[str, int] = {}
        self._known: dict[str, int] = {}
        self._telling = asyncio.Lock()

    def add_figures(self, figures: Figures) -> None:
        """Take in the totals of one more."""
        self._figures = (*self._figures, figures)

    async def run(self) -> None:
        """Tell until cancelled."""
        await every(TELL_SECONDS, self.tell)

    async def tell(self) -> None:
        """Add what was counted to the totals of all."""
        async with self._telling:
            self._collect()
            if self._untold:
                self._untold = await self._totals.add(self._untold)

    async def totals(self) -> dict[str, int]:
        """Return the totals of all processes by field, this one's up to now."""
        await self.tell()
        known = await self._totals.read()
        if known is not None:
            self._known = known
        totals = dict(self._known)
        add(totals, self._untold)
        return totals

    def _collect(self) -> None:
        for figures in self._figures:
            for series, total in figures().items():
                self.tally.count(*series, by=total - self._figures_before.get(series, 0))
                self._figures_before[series] = total
        add(self._untold, self.tally.take())
