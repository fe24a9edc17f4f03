"""What came of one HTTP attempt: the value the sender returns and the flows judge.

Holds only what the partner may see. Addresses and raw socket texts are left out on purpose: an
attempts log that tells "refused" from "unreachable" per address is a port scanner.
"""

from dataclasses import dataclass, field
from typing import Literal

ErrorCode = Literal["blocked", "dns", "connect", "tls", "timeout", "protocol", "proxy"]
"""Why there was no answer.

    blocked    the address rules refused the URL, or every address its name resolved to
    dns        the name did not resolve
    connect    no TCP connection
    tls        the handshake failed or the certificate does not hold
    timeout    the deadline passed before the end of the response headers
    protocol   what came back was not one HTTP/1 response, or the connection broke before its head ended
    proxy      our own egress proxy failed: nobody's attempt
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long the attempt took and where, in microseconds.

    `dns_us`, `connect_us` and `tls_us` are `None` where that step did not happen (a connection was
    reused, the host is an address, plain http) or did not begin; a step cut short by the deadline
    counts up to it. `first_byte_us` runs from the request being written to the first byte back.
    `total_us` covers everything, the body excerpt too.
    """

    dns_us: int | None = None
    connect_us: int | None = None
    tls_us: int | None = None
    first_byte_us: int | None = None
    total_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One attempt's outcome: exactly one of `status` and `error` is set.

    `headers` are the response's, names in lower case, decoded as latin-1 and capped at 16 KiB;
    `excerpt` is the first 16 KiB of the raw body (not decompressed), empty when it broke off early;
    `retry_after` is the header as it came.
    """

    status: int | None = None
    error: ErrorCode | None = None
    headers: tuple[tuple[str, str], ...] = ()
    excerpt: bytes = field(default=b"", repr=False)
    retry_after: str | None = None
    timing: Timing
