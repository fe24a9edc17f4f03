"""Where randomness comes from: the operating system, for everything that must not be guessed.

What is made of it (ids, keys, secrets, traces) is decided in `core`; only the bytes are read here.
"""

import base64
import os
import random

from webhookd.core import api_keys, ids, signing, trace


def new_id(prefix: str, now_ms: int) -> str:
    """Return a fresh id of the kind `prefix` (`ids.TASK`, …), ordered by `now_ms`."""
    return ids.make_id(prefix, now_ms=now_ms, entropy=os.urandom(ids.ENTROPY_BYTES))


def new_api_key(prefix: str, now_ms: int) -> api_keys.NewKey:
    """Return a fresh API key; `prefix` is `api_keys.PARTNER_PREFIX` or `ADMIN_PREFIX`."""
    return api_keys.make(prefix, now_ms=now_ms, entropy=os.urandom(api_keys.ENTROPY_BYTES))


def new_signing_secret(version: str) -> str:
    """Return the text of a fresh signing secret: `whsec_…` for v1, `whsk_…` for v1a."""
    return signing.generate(version, entropy=os.urandom(signing.SECRET_ENTROPY_BYTES))


def new_page_token() -> str:
    """Return 256 random bits for a cookie, a link or a form of the pages."""
    return base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()


def new_trace() -> trace.TraceContext:
    """Start a trace for a caller that brought none."""
    return trace.new(os.urandom(trace.TRACE_ENTROPY_BYTES))


def new_span_id() -> str:
    """Return 16 hex digits for `TraceContext.child`."""
    return os.urandom(trace.SPAN_ENTROPY_BYTES).hex()


def chance() -> float:
    """Return a number in [0, 1) to spread retries with; nobody gains by guessing it."""
    return random.random()  # noqa: S311 - jitter, not a secret
