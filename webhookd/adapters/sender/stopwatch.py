"""Where the time of one attempt went: marks taken while dialling and reading, told as a `Timing`.

The marks are set by the resolver, the socket factory and the connection themselves; aiohttp's own
`TraceConfig` would say the same for 73 µs a request.
"""

from time import perf_counter_ns

from webhookd.core.reply import Timing


class Stopwatch:
    """Marks of one attempt in nanoseconds of the performance counter; 0 is "not yet"."""

    __slots__ = (
        "asked_ns",
        "connecting_ns",
        "first_byte_ns",
        "proxied",
        "resolved_ns",
        "resolving_ns",
        "secured_ns",
        "started_ns",
        "wired_ns",
        "wires",
    )

    def __init__(self) -> None:
        self.started_ns = perf_counter_ns()
        self.resolving_ns = self.resolved_ns = 0
        self.connecting_ns = self.wired_ns = self.secured_ns = 0
        self.asked_ns = self.first_byte_ns = 0
        self.proxied = False
        """The sockets of this attempt lead to the egress proxy."""
        self.wires = 0
        """How many connections came about; through a proxy the second one is the tunnel."""

    @property
    def reaching_proxy(self) -> bool:
        """Tell whether the attempt got no further than towards the egress proxy."""
        return self.proxied and not self.wires and not self.asked_ns

    def wire(self) -> None:
        """Mark that a TCP connection (or a tunnel) stands; TLS, if any, begins now."""
        self.wired_ns = perf_counter_ns()
        self.secured_ns = 0
        self.wires += 1

    def secure(self) -> None:
        """Mark that the connection is ready for use, TLS included."""
        self.secured_ns = perf_counter_ns()

    def ask(self) -> None:
        """Mark that the request was written."""
        self.asked_ns = perf_counter_ns()

    def first_byte(self) -> None:
        """Mark that the first byte of the response came."""
        self.first_byte_ns = perf_counter_ns()

    def timing(self, *, tls: bool) -> Timing:
        """Sum the marks up as of now."""
        now = perf_counter_ns()
        return Timing(
            dns_us=_between(self.resolving_ns, self.resolved_ns or now),
            connect_us=_between(self.connecting_ns, self.wired_ns or now),
            tls_us=_between(self.wired_ns, self.secured_ns or now) if tls else None,
            first_byte_us=_between(self.asked_ns, self.first_byte_ns) if self.first_byte_ns else None,
            total_us=(now - self.started_ns) // 1000,
        )


def _between(start_ns: int, end_ns: int) -> int | None:
    return max(end_ns - start_ns, 0) // 1000 if start_ns else None
