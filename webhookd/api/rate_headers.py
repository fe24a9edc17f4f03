"""`RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers), on every answer to a partner.

`q` is the burst and `w` the seconds in which it fills up again, so that `q / w` is the rate; `r` is
what may be taken at once now, `t` the seconds until all of it may. One item for each bucket that the call
takes from, and `tasks` where it takes from none.
"""

from collections.abc import Sequence
from math import ceil

from webhookd.api.answers import Headers
from webhookd.core.records import Partner
from webhookd.flows.rates import PartnerRates, RateKind


def rate_headers(rates: PartnerRates, partner: Partner, buckets: Sequence[RateKind], now_ms: int) -> Headers:
    """Return both headers as they stand."""
    policies, states = [], []
    for bucket in buckets or (RateKind.TASKS,):
        rate = rates.rate(bucket, partner)
        left = rates.look(bucket, partner, now_ms=now_ms)
        policies.append(f'"{bucket}";q={rate.burst};w={max(1, ceil(rate.burst / rate.per_second))}')
        states.append(f'"{bucket}";r={left.remaining};t={ceil(left.full_seconds)}')
    return [
        (b"ratelimit-policy", ", ".join(policies).encode()),
        (b"ratelimit", ", ".join(states).encode()),
    ]
