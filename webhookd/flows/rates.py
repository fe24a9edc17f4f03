"""Each partner's rate of tasks: one token bucket a partner, in this process.

Behind a balancer every API process keeps buckets of its own; a partner's calls are spread over them.
"""

from webhookd.core.rate import UNUSED, Rate, Taken, take
from webhookd.core.records import Partner


class PartnerRates:
    """The buckets. `rate` (tasks a second) and `burst` are for partners without limits of their own."""

    def __init__(self, *, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: dict[str, float] = {}

    def limits(self, partner: Partner) -> tuple[float, int]:
        """Return the partner's rate (tasks a second) and burst."""
        limits = partner.limits
        rate = self._rate if limits.rate_per_second is None else limits.rate_per_second
        burst = self._burst if limits.burst is None else limits.burst
        return rate, burst

    def take(self, partner: Partner, count: int, *, now_ms: int) -> Taken:
        """Take `count` tokens, all or none; 0 only looks."""
        rate, burst = self.limits(partner)
        bucket = Rate(per_second=rate, burst=burst)
        taken = take(self._buckets.get(partner.id, UNUSED), bucket, count, now_ms=now_ms)
        if count:
            self._buckets[partner.id] = taken.full_ms
        return taken
