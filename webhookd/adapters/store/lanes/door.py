"""Who may go through in one claim: the shares of the sockets, partner by partner, then the host's gate."""

from collections.abc import Mapping, Sequence
from typing import Final

from webhookd.adapters.store.lanes.picking import PickedLane
from webhookd.adapters.store.lanes.rows import LanePace, TakenShares
from webhookd.adapters.store.lanes.taking import WaitingRow
from webhookd.core.dispatch import ClaimDeliveries
from webhookd.core.fairness import ROUNDING, partner_bound
from webhookd.core.hosts import HostGate, host_of

HANGING_PAUSE_MS: Final = 250


class _Pool:
    """A share of the sockets while a claim deals it out: what is free, and what each partner holds."""

    def __init__(self, free: int, held: Mapping[str, float]) -> None:
        self.free = max(0, free)
        self._held = dict(held)

    @property
    def full(self) -> frozenset[str]:
        """The partners that hold all that one may hold."""
        bound = partner_bound(self.free)
        return frozenset(partner for partner, held in self._held.items() if held > bound - ROUNDING)

    def admits(self, partner_id: str) -> bool:
        return self.free > 0 and self._held.get(partner_id, 0.0) <= partner_bound(self.free) - ROUNDING

    def take(self, partner_id: str, weight: float) -> None:
        self.free -= 1
        self._held[partner_id] = self._held.get(partner_id, 0.0) + 1 / weight


class Shares:
    """The sockets, and the shares of slow lanes and of those nothing has come back from yet."""

    def __init__(self, request: ClaimDeliveries) -> None:
        self.sockets = _Pool(request.free, request.held)
        self.slow = _Pool(request.slow_free, request.slow_held)
        self.unheard = _Pool(request.unheard_free, request.unheard_held)
        self._hanging = request.hanging

    @property
    def taken(self) -> TakenShares:
        """Whose share is taken now."""
        return TakenShares(
            slow=not self.slow.free,
            unheard=not self.unheard.free,
            full=self.sockets.full,
            full_slow=self.slow.full,
            full_unheard=self.unheard.full,
        )

    def of(self, lane: PickedLane) -> list[_Pool]:
        """Return the shares a delivery of this lane takes from."""
        if lane.slow or lane.id in self._hanging:
            return [self.sockets, self.slow]
        return [self.sockets] if lane.heard else [self.sockets, self.unheard]


class LaneDoor:
    """Admits deliveries one by one; `refused` are the lanes to hold back, with the host that does it."""

    def __init__(
        self,
        request: ClaimDeliveries,
        picked: Sequence[PickedLane],
        paces: Mapping[str, LanePace],
        shares: Shares,
        gate: HostGate,
    ) -> None:
        self._now_ms, self._hanging = request.now_ms, request.hanging
        self._lanes = {row.id: row for row in picked}
        self._pools = {row.id: shares.of(row) for row in picked}
        self._proven = {row.id: row.heard and paces[row.id].pace.consecutive_failures == 0 for row in picked}
        self._gate = gate
        self.refused: dict[str, str | None] = {}

    def admits(self, delivery: WaitingRow) -> bool:
        """Tell whether this one may go now, and count it."""
        lane = self._lanes[delivery.lane_id]
        if lane.id in self.refused:
            return False
        if not all(pool.admits(lane.partner_id) for pool in self._pools[lane.id]):
            if lane.id in self._hanging:
                self.refused[lane.id] = None  # its row does not say that it is slow, so hold it for a moment
            return False
        host = host_of(delivery.url or lane.url or "")
        if not self._gate.admits(host, partner_id=lane.partner_id, proven=self._proven[lane.id]):
            self.refused[lane.id] = host
            return False
        for pool in self._pools[lane.id]:
            pool.take(lane.partner_id, lane.weight or 1.0)
        return True

    def hold_ms(self, lane_id: str) -> int:
        """Return when a refused lane is to be looked at again."""
        host = self.refused[lane_id]
        if host is None:
            return self._now_ms + HANGING_PAUSE_MS
        return self._gate.hold_ms(host, proven=self._proven[lane_id])
