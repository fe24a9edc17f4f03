"""Which pages may call from a browser: cross-origin resource sharing (Fetch Standard, section 3.2).

Only the origins of WEBHOOKD_CORS_ORIGINS are told anything, and nobody is ever told that cookies may be
sent: the API takes none.
"""

from collections.abc import Mapping
from typing import Final

from webhookd.api.answers import Headers

ANY: Final = "*"
_PREFLIGHT_SECONDS: Final = b"600"
_METHODS: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_MAY_SEND: Final = (
    b"Authorization, Cache-Control, Content-Type, Idempotency-Key, If-None-Match, If-Range, Last-Event-ID, "
    b"Prefer, Range, traceparent, tracestate"
)
_MAY_READ: Final = (
    b"Content-Disposition, Content-Range, ETag, Idempotency-Replayed, Location, Preference-Applied, "
    b"RateLimit, RateLimit-Policy, Retry-After, traceparent"
)
_VARY: Final = (b"vary", b"Origin")


def cors_headers(origins: frozenset[str], method: str, headers: Mapping[bytes, bytes]) -> Headers:
    """Return what an answer says to the browser; nothing to a page that may not call."""
    origin = headers.get(b"origin", b"")
    if ANY not in origins and origin.decode("latin-1") not in origins:
        return [_VARY]
    if not origin:
        return [_VARY]
    told: Headers = [_VARY, (b"access-control-allow-origin", origin)]
    if method == "OPTIONS" and b"access-control-request-method" in headers:
        return [
            *told,
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _MAY_SEND),
            (b"access-control-max-age", _PREFLIGHT_SECONDS),
        ]
    return [*told, (b"access-control-expose-headers", _MAY_READ)]
