"""`RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers), on every answer to a partner.

`q` is the burst and `w` the seconds in which it fills up again, so that `q / w` is the rate; `r` is
what may be submitted at once now, `t` the seconds until all of it may.
"""

from math import ceil

from webhookd.api.answers import Headers
from webhookd.core.records import Partner
from webhookd.flows.rates import PartnerRates


def rate_headers(rates: PartnerRates, partner: Partner, now_ms: int) -> Headers:
    """Return both headers as they stand."""
    rate, burst = rates.limits(partner)
    left = rates.take(partner, 0, now_ms=now_ms)
    return [
        (b"ratelimit-policy", b'"tasks";q=%d;w=%d' % (burst, max(1, ceil(burst / rate)))),
        (b"ratelimit", b'"tasks";r=%d;t=%d' % (left.remaining, ceil(left.full_seconds))),
    ]
