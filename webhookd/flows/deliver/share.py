"""How many sockets one kind of lane may hold together."""


class Share:
    """A bounded number of attempts being sent: `take` one, `give_back` when its answer is here."""

    __slots__ = ("_most", "_refill", "taken")

    def __init__(self, most: int) -> None:
        self._most = max(1, most)
        self._refill = max(1, self._most // 8)
        self.taken = 0

    @property
    def free(self) -> int:
        """How many more may be sent now."""
        return max(0, self._most - self.taken)

    @property
    def worth_a_claim(self) -> bool:
        """Tell whether so much is free that a claim pays."""
        return self.free >= self._refill

    def take(self) -> None:
        """Count one more in."""
        self.taken += 1

    def give_back(self) -> bool:
        """Count one out. True: with this one a claim pays again."""
        self.taken -= 1
        return self.free == self._refill
