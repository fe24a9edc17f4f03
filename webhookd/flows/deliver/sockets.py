"""Who holds the sockets of a deliver worker: in all, slow lanes, and lanes nothing has come back from yet."""

import asyncio
from typing import Final

from webhookd.core.dispatch import DueDelivery
from webhookd.flows.deliver.share import Share

SLOW_PART: Final = 4
UNHEARD_PART: Final = 2
SLOW_AFTER_SECONDS: Final = 1.0
LOOK_FOR_SLOW_SECONDS: Final = 0.25


class Sockets:
    """Counts attempts in and out. One that takes over a second counts against its partner's slow ones too."""

    def __init__(self, connections: int) -> None:
        self.all = Share(connections)
        self.slow = Share(connections // SLOW_PART)
        self.unheard = Share(connections // UNHEARD_PART)
        self._quick: dict[str, tuple[DueDelivery, float]] = {}  # for less than a second so far
        self._hanging: dict[str, DueDelivery] = {}  # for longer, in a lane that is not slow
        self._look: asyncio.TimerHandle | None = None

    @property
    def hanging_lanes(self) -> frozenset[str]:
        """The lanes that something hangs in, and whose rows do not say yet that they are slow."""
        return frozenset(delivery.target.lane_id for delivery in self._hanging.values())

    def take(self, delivery: DueDelivery) -> None:
        """Count in an attempt that begins now."""
        for share in self._shares(delivery):
            share.take(delivery.target.partner_id, delivery.target.weight)
        if not delivery.target.slow:
            self._quick[delivery.id] = delivery, asyncio.get_running_loop().time() + SLOW_AFTER_SECONDS
            if self._look is None:
                self._look_for_slow()

    def give_back(self, delivery: DueDelivery) -> tuple[bool, bool]:
        """Count out an attempt whose answer is here.

        Returns whether with this one a claim pays again for the sockets, and whether it does for a share.
        """
        hung = self._hanging.pop(delivery.id, None) is not None
        if hung:
            self.slow.unburden(delivery.target.partner_id, delivery.target.weight)
        self._quick.pop(delivery.id, None)
        target = delivery.target
        pays, *shares_pay = [
            share.give_back(target.partner_id, target.weight) for share in self._shares(delivery)
        ]
        return pays, any(shares_pay) or (hung and self.slow.left_out)

    def claiming(self) -> None:
        """A claim begins."""
        for share in (self.all, self.slow, self.unheard):
            share.claiming()

    def claimed(self) -> bool:
        """A claim has been served, and its deliveries are counted in. True: one more pays at once."""
        for share in (self.all, self.slow, self.unheard):
            share.claimed()
        return any(share.left_out for share in (self.all, self.slow, self.unheard))

    def close(self) -> None:
        """Look for slow ones no more."""
        if self._look is not None:
            self._look.cancel()

    def _shares(self, delivery: DueDelivery) -> tuple[Share, ...]:
        if delivery.target.slow:
            return self.all, self.slow
        return (self.all,) if delivery.target.heard else (self.all, self.unheard)

    def _look_for_slow(self) -> None:
        loop = asyncio.get_running_loop()
        for delivery in [d for d, slow_from in self._quick.values() if slow_from <= loop.time()]:
            del self._quick[delivery.id]
            self._hanging[delivery.id] = delivery
            self.slow.burden(delivery.target.partner_id, delivery.target.weight)
        self._look = loop.call_later(LOOK_FOR_SLOW_SECONDS, self._look_for_slow) if self._quick else None
