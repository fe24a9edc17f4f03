"""The address guard, where sockets are made.

aiohttp asks a resolver for the addresses of a name, then a socket factory for each socket it dials;
for a host that is an address it skips the resolver. The guard is both. The resolver looks a name up
once, judges every answer and hands on only what may be dialled; the factory judges again the very
address the socket is for. Nothing is resolved after it was judged, so DNS rebinding finds no gap.

Which attempt a dialling belongs to travels in a context variable: aiohttp passes neither the scheme
nor anything of ours to either hook, and dials several addresses in tasks of its own.
"""

import socket
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import chain, zip_longest
from time import perf_counter_ns
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from webhookd.adapters.sender.lookups import Lookups
from webhookd.adapters.sender.stopwatch import Stopwatch
from webhookd.core.egress import EgressPolicy, address_allowed
from webhookd.core.facts import AddressesRefused

MAX_DIALLED_ADDRESSES: Final = 4


class AddressBlocked(OSError):
    """Raised in place of a connection to an address that may not be called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialling:
    """The host, port and scheme sockets are wanted for; `exempt` when it is the egress proxy."""

    host: str
    port: int
    scheme: str
    exempt: bool


dialling: ContextVar[tuple[Dialling, Stopwatch]] = ContextVar("webhookd_dialling")


class Guard(AbstractResolver):
    """The resolver and the socket factory of a connector."""

    def __init__(
        self,
        policy: EgressPolicy,
        lookups: Lookups,
        on_security_event: Callable[[AddressesRefused], None] | None,
    ) -> None:
        self._policy = policy
        self._lookups = lookups
        self._on_security_event = on_security_event

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002  # aiohttp's signature
    ) -> list[ResolveResult]:
        """Return at most four allowed addresses of the host this attempt dials.

        Raises:
            AddressBlocked: the name resolves, but to nothing that may be called.
            OSError: it does not resolve.
        """
        wanted, stopwatch = dialling.get()
        if host != wanted.host:
            raise AddressBlocked("a look-up of a host that is not being dialled")
        stopwatch.resolving_ns = perf_counter_ns()
        addresses = await self._lookups.addresses(host)
        stopwatch.resolved_ns = perf_counter_ns()
        allowed = [address for address in addresses if self._allowed(address, wanted)]
        if len(allowed) < len(addresses):
            self._report(wanted, refused=[a for a in addresses if a not in allowed], dialled=allowed)
            if not allowed:
                raise AddressBlocked("every address of the host is refused")
        if not allowed:
            raise OSError("the host has no address")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in _pick(allowed)
        ]

    def make_socket(self, addr_info: aiohttp.AddrInfoType) -> socket.socket:
        """Make the socket for one address, if it may be dialled.

        Raises:
            AddressBlocked: it may not.
        """
        family, kind, protocol, _, sockaddr = addr_info
        wanted, stopwatch = dialling.get()
        address = str(sockaddr[0])
        if not self._allowed(address, wanted):
            self._report(wanted, refused=[address], dialled=[])
            raise AddressBlocked("the address is refused")
        stopwatch.connecting_ns = stopwatch.connecting_ns or perf_counter_ns()
        return socket.socket(family, kind, protocol)

    async def close(self) -> None:
        """Nothing to close: look-ups under way end by themselves, unheard."""

    def _allowed(self, address: str, wanted: Dialling) -> bool:
        return wanted.exempt or address_allowed(
            address, host=wanted.host, port=wanted.port, scheme=wanted.scheme, policy=self._policy
        )

    def _report(self, wanted: Dialling, *, refused: Sequence[str], dialled: Sequence[str]) -> None:
        if self._on_security_event is not None:
            self._on_security_event(
                AddressesRefused(
                    host=wanted.host, port=wanted.port, refused=tuple(refused), dialled=tuple(dialled)
                )
            )


def _pick(addresses: Sequence[str]) -> list[str]:
    """Return at most four, the families in turn, so that a long list of one does not hide the other."""
    first = [a for a in addresses if (":" in a) == (":" in addresses[0])]
    second = [a for a in addresses if a not in first]
    in_turn = [a for a in chain.from_iterable(zip_longest(first, second)) if a is not None]
    return in_turn[:MAX_DIALLED_ADDRESSES]
