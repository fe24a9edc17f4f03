"""What came of one HTTP attempt: the value the sender returns and the flows judge.

Holds only what the partner may see. Addresses and raw socket texts are left out on purpose: an
attempts log that tells "refused" from "unreachable" per address is a port scanner.
"""

from dataclasses import field
from typing import Literal

from webhookd.core.record import record

ErrorCode = Literal[
    "blocked",
    "dns",
    "connect",
    "tls_expired",
    "tls_self_signed",
    "tls_name",
    "tls_unknown_ca",
    "tls_other",
    "timeout",
    "closed",
    "reset",
    "header_too_large",
    "not_http",
    "protocol",
    "proxy",
]
"""Why there was no answer.

    blocked           the address rules refused the URL, or every address its name resolved to
    dns               the name did not resolve
    connect           no TCP connection
    tls_expired       the certificate's time is over, or has not come yet
    tls_self_signed   the certificate is signed by nobody but itself
    tls_name          the certificate is for another name
    tls_unknown_ca    the certificate is signed by an authority that is not trusted, or a link is missing
    tls_other         the certificate does not hold for another reason, or the handshake failed
    timeout           the deadline passed before the end of the response headers
    closed            the connection was closed before one byte of an answer
    reset             the connection was reset before the end of the response headers
    header_too_large  the response headers are over 64 KiB
    not_http          what came back was no HTTP
    protocol          what came back was not one HTTP/1 response, or it broke off before its headers ended
    proxy             our own egress proxy failed: nobody's attempt
"""


@record(frozen=True, slots=True, kw_only=True)
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


@record(frozen=True, slots=True, kw_only=True)
class Reply:
    """One attempt's outcome.

    Without `error` it is `status`. With `error` there was no answer that holds; `status` and `headers` are
    then what was read of one before it failed, if anything was. `resent` says the request was written
    twice: the receiver closed a kept connection before one byte of an answer.

    `headers` are the response's, names in lower case, decoded as latin-1 and capped at 16 KiB;
    `excerpt` is the first 16 KiB of the raw body (not decompressed), empty when it broke off early;
    `retry_after` is the header as it came.
    """

    status: int | None = None
    error: ErrorCode | None = None
    headers: tuple[tuple[str, str], ...] = ()
    excerpt: bytes = field(default=b"", repr=False)
    retry_after: str | None = None
    resent: bool = False
    timing: Timing
