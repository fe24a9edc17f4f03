"""Whose address a request came from, for the brake on guessing keys and for the audit log.

Only proxies the operator trusts are believed. Of what they say the address is the last one that no trusted
proxy has; at a hop that says none, the one after it, which a trusted proxy has, is the best that is known.
`X-Forwarded-For` is read or, only where that is missing, `Forwarded`: most proxies write the first, and pass
on whatever a caller puts into the second.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

from webhookd.api.forwarded import Address, forwarded, parse_address, x_forwarded_for
from webhookd.core.errors import SettingsError

Network = IPv4Network | IPv6Network
UNKNOWN: Final = "unknown"
# One household or host is given a /64 (RFC 6177): counting single IPv6 addresses would brake nobody.
_IPV6_PREFIX: Final = 64


# The same few connect again and again. What headers say is not kept: its length is the caller's choice.
_peer_address: Final = lru_cache(maxsize=1_024)(parse_address)


def parse_proxies(entries: Sequence[str]) -> tuple[Network, ...]:
    """Read WEBHOOKD_TRUSTED_PROXIES. Raises SettingsError."""
    networks = []
    for entry in entries:
        try:
            networks.append(ip_network(entry))
        except ValueError:
            raise SettingsError(
                f"WEBHOOKD_TRUSTED_PROXIES: {entry!r} is not an address or a network such as 10.0.0.0/8."
            ) from None
    return tuple(networks)


def client_address(peer: str | None, headers: Mapping[bytes, bytes], trusted: Sequence[Network]) -> str:
    """Return the caller's address, or network for IPv6; UNKNOWN where there is none (a unix socket)."""
    address = caller_address(peer, headers, trusted)
    if address is None:
        return UNKNOWN
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _IPV6_PREFIX), strict=False))
    return str(address)


def caller_address(
    peer: str | None, headers: Mapping[bytes, bytes], trusted: Sequence[Network]
) -> Address | None:
    """Return the caller's address; None where there is none (a unix socket)."""
    address = None if peer is None else _peer_address(peer)
    if address is not None and _is_trusted(address, trusted):
        if (header := headers.get(b"x-forwarded-for")) is not None:
            hops = x_forwarded_for(header.decode("latin-1"))
        else:
            hops = forwarded(headers.get(b"forwarded", b"").decode("latin-1"))
        for hop in hops:
            if hop is None:
                break
            address = hop
            if not _is_trusted(address, trusted):
                break
    return address


def is_trusted(peer: str | None, trusted: Sequence[Network]) -> bool:
    """Whether a connection comes from one of the operator's proxies."""
    address = None if peer is None else _peer_address(peer)
    return address is not None and _is_trusted(address, trusted)


def _is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)
