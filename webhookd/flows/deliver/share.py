"""How many sockets one kind of lane may hold together, and one partner of those."""

from webhookd.core.fairness import ROUNDING, partner_bound, partner_room


class Share:
    """A bounded number of attempts being sent: `take` one, `give_back` when its answer is here."""

    __slots__ = ("_most", "_pays", "_refill", "_told", "held", "taken")

    def __init__(self, most: int) -> None:
        self._most = max(1, most)
        self._refill = max(1, self._most // 8)
        self._told: set[str] = set()
        self._pays: bool | None = None  # `worth_a_claim` as it was found last; None: something has changed
        self.taken = 0
        self.held: dict[str, float] = {}
        """By partner, divided by its weight: attempts being sent, and what else counts (`burden`)."""

    @property
    def free(self) -> int:
        """How many more may be sent now."""
        return max(0, self._most - self.taken)

    @property
    def worth_a_claim(self) -> bool:
        """Tell whether a claim pays: so much is free for those who could not have more at the last one."""
        if self._pays is None:
            self._pays = self._worth_a_claim()
        return self._pays

    def _worth_a_claim(self) -> bool:
        free = self.free
        if not self._told:
            return free >= self._refill
        enough = max(1, min(self._refill, partner_bound(free) // 8))
        return free > 0 and any(
            partner_room(free, self.held.get(partner, 0.0)) >= enough for partner in self._told
        )

    @property
    def left_out(self) -> bool:
        """Tell whether the last claim left a partner out that has room by now."""
        return bool(self._told) and self.worth_a_claim

    def claiming(self) -> None:
        """A claim begins: note whom it leaves out, for they have all that a partner may have."""
        self._told = self._full()
        self._pays = None

    def claimed(self) -> None:
        """It has been served: note whom it gave all that a partner may have."""
        self._told |= self._full()
        self._pays = None

    def _full(self) -> set[str]:
        bound = partner_bound(self.free)
        return {partner for partner, held in self.held.items() if held > bound - ROUNDING}

    def take(self, partner_id: str, weight: float) -> None:
        """Count one more in."""
        self.taken += 1
        self.burden(partner_id, weight)

    def give_back(self, partner_id: str, weight: float) -> bool:
        """Count one out. True: with this one a claim pays again."""
        paid = self.worth_a_claim
        self.taken -= 1
        self.unburden(partner_id, weight)
        return self.worth_a_claim and not paid

    def burden(self, partner_id: str, weight: float) -> None:
        """Count one more against the partner, and nobody else."""
        self._pays = None
        self.held[partner_id] = self.held.get(partner_id, 0.0) + 1 / weight

    def unburden(self, partner_id: str, weight: float) -> None:
        """Count one less against the partner."""
        self._pays = None
        left = self.held[partner_id] - 1 / weight
        if left > ROUNDING:
            self.held[partner_id] = left
        else:
            del self.held[partner_id]
