"""Whose address a request came from, for the brake on guessing keys.

Only proxies the operator trusts are believed: the address is the last one in `X-Forwarded-For` that no
trusted proxy has.
"""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from webhookd.core.errors import SettingsError

Network = IPv4Network | IPv6Network
UNKNOWN: Final = "unknown"
# One household or host is given a /64 (RFC 6177): counting single IPv6 addresses would brake nobody.
_IPV6_PREFIX: Final = 64


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
    address = _parse(peer or "")
    if trusted and _is_trusted(address, trusted):
        for hop in reversed(headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")):
            before = _parse(hop.strip())
            if before is None:
                break
            address = before
            if not _is_trusted(address, trusted):
                break
    if address is None:
        return UNKNOWN
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _IPV6_PREFIX), strict=False))
    return str(address)


def _is_trusted(address: IPv4Address | IPv6Address | None, trusted: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in trusted)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
