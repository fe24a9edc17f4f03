"""Sending one webhook: the guarded way out of the house.

    sender     one POST under one deadline, told as an `Answer`
    transport  httpx's face: `httpx.Request` in, `httpx.Response` out, over guarded connections
    connector  the pool: aiohttp's, with our guard and our connections in it
    wire       one connection, silent unless asked
    exchange   reading one response within limits
    head       a head that the strict parser refuses, read as far as that is safe
    guard      which address a socket is made for, checked where it is made
    lookups    host names to addresses, in threads that cannot starve each other
    faults     what went wrong, as httpx exceptions and as the codes a partner is told
    stopwatch  where the time of an attempt went

aiohttp dials, speaks TLS, tunnels through the proxy and pools connections; llhttp (in httptools)
parses the response. Neither `aiohttp.ClientSession` nor `httpx.AsyncClient` is involved, so there
are no cookies, redirects, environment proxies, default headers or decompression to switch off.
"""

import webhookd.runtime.lean_httpx  # noqa: F401 - before httpx

# isort: split
from webhookd.adapters.sender.build import build_sender
from webhookd.adapters.sender.sender import Sender, Target
from webhookd.adapters.sender.transport import GuardedTransport

__all__ = ["GuardedTransport", "Sender", "Target", "build_sender"]
