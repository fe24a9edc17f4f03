"""The tables of addresses nobody may be sent to, and the verdict on one address at dialling.

Explicit tables, because `ipaddress.is_global` is no policy: on Python 3.11 it is true for Azure's
metadata address 168.63.129.16, Oracle's 192.0.0.192, multicast, NAT64 (64:ff9b::/96), 6to4 (2002::/16),
IPv4-compatible ::127.0.0.1, site-local fec0::/10 and 5f00::/16.

Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries and the RFCs beside each row;
the cloud providers' documentation for their metadata services.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from webhookd.core.egress.policy import EgressPolicy

STANDARD_PORTS: Final = frozenset({443, 8443})

_DENIED_IPV4: Final = (
    IPv4Network("0.0.0.0/8"),  # this network, RFC 791: on Linux 0.0.0.0 is this machine
    IPv4Network("10.0.0.0/8"),  # private, RFC 1918
    IPv4Network("100.64.0.0/10"),  # shared by carriers, RFC 6598; Alibaba Cloud's metadata 100.100.100.200
    IPv4Network("127.0.0.0/8"),  # loopback, RFC 1122
    IPv4Network("168.63.129.16/32"),  # Azure's platform address (WireServer): public by registry only
    IPv4Network("169.254.0.0/16"),  # link-local, RFC 3927; metadata of AWS, GCP, Azure, OpenStack
    IPv4Network("172.16.0.0/12"),  # private, RFC 1918
    IPv4Network("192.0.0.0/24"),  # protocol assignments, RFC 6890; Oracle Cloud's metadata 192.0.0.192
    IPv4Network("192.0.2.0/24"),  # documentation, RFC 5737
    IPv4Network("192.31.196.0/24"),  # AS112, RFC 7535
    IPv4Network("192.52.193.0/24"),  # AMT relays, RFC 7450
    IPv4Network("192.88.99.0/24"),  # 6to4 relays, RFC 7526
    IPv4Network("192.168.0.0/16"),  # private, RFC 1918
    IPv4Network("192.175.48.0/24"),  # AS112, RFC 7534
    IPv4Network("198.18.0.0/15"),  # benchmarking, RFC 2544
    IPv4Network("198.51.100.0/24"),  # documentation, RFC 5737
    IPv4Network("203.0.113.0/24"),  # documentation, RFC 5737
    IPv4Network("224.0.0.0/4"),  # multicast, RFC 5771
    IPv4Network("240.0.0.0/4"),  # reserved, RFC 1112, and broadcast, RFC 8190
)
# Everything outside 2000::/3 is denied without a row of its own: loopback, unique local, link- and
# site-local, multicast, IPv4-compatible, NAT64, SRv6, and whatever IANA gives out next.
_GLOBAL_IPV6: Final = IPv6Network("2000::/3")
_DENIED_IPV6: Final = (
    IPv6Network("2001::/23"),  # protocol assignments, RFC 2928: Teredo, ORCHID, benchmarking
    IPv6Network("2001:db8::/32"),  # documentation, RFC 3849
    IPv6Network("2002::/16"),  # 6to4, RFC 3056: an IPv4 address in disguise
    IPv6Network("2620:4f:8000::/48"),  # AS112, RFC 7534
    IPv6Network("3fff::/20"),  # documentation, RFC 9637
)

_METADATA: Final = (
    ip_address("169.254.169.254"),  # AWS, GCP, Azure, OpenStack, Oracle
    ip_address("169.254.170.2"),  # AWS, of containers
    ip_address("168.63.129.16"),  # Azure's platform
    ip_address("100.100.100.200"),  # Alibaba
    ip_address("192.0.0.192"),  # Oracle, older
    ip_address("fd00:ec2::254"),  # AWS over IPv6
)


def address_allowed(address: str, *, host: str, port: int, scheme: str, policy: EgressPolicy) -> bool:
    """Tell whether a socket to `address` may be made for the URL `scheme://host:port`.

    `address` is numeric text as a resolver gives it; `host` the canonical host it was resolved from
    (or the address itself). An IPv4-mapped IPv6 address is judged as the IPv4 address it reaches.
    An address with a scope id, or one that does not parse, is never allowed.
    """
    if "%" in address:
        return False
    try:
        parsed = unwrap(ip_address(address))
    except ValueError:
        return False
    if policy.allows_name(host, port) or policy.allows_address(parsed, port):
        return True
    return scheme == "https" and port in STANDARD_PORTS and is_public(parsed)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether the tables leave this (unwrapped) address on the public internet."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _DENIED_IPV4)
    return address in _GLOBAL_IPV6 and not any(address in network for network in _DENIED_IPV6)


def unwrap(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address inside an IPv4-mapped one (RFC 4291 section 2.5.5.2), else the address."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def denied_parts(network: IPv4Network | IPv6Network) -> list[IPv4Network | IPv6Network]:
    """Return which of the denied networks an exception for `network` opens; none where all is public."""
    if isinstance(network, IPv4Network):
        return [denied for denied in _DENIED_IPV4 if denied.overlaps(network)]
    if not network.subnet_of(_GLOBAL_IPV6):
        return [network]
    return [denied for denied in _DENIED_IPV6 if denied.overlaps(network)]


def reaches_metadata(network: IPv4Network | IPv6Network) -> bool:
    """Tell whether a cloud's metadata service, which hands out credentials, has an address in `network`."""
    return any(address in network for address in _METADATA)
