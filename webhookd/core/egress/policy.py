"""What the operator lets through the guard: `WEBHOOKD_EGRESS_ALLOW`, parsed once at start.

    entry       := network [":" port] | name [":" port]
    network     := IPv4 address or CIDR | IPv6 address or CIDR, in brackets where a port follows
    name        := host name, or "*." and a domain: every name below it, not the domain itself

An entry without a port is good for every port. Either kind allows plaintext `http` too.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_interface, ip_network
from typing import Final

from webhookd.core.egress.names import canonical_name
from webhookd.core.errors import SettingsError

_SETTING: Final = "WEBHOOKD_EGRESS_ALLOW"
_BRACKETED: Final = re.compile(r"\[([^]]*)\](?::(.*))?")
_MAPPED: Final = IPv6Network("::ffff:0:0/96")


LOOPBACK: Final = "127.0.0.0/8,::1/128"


def allowing_loopback(setting: str) -> str:
    """Return the setting with this machine let through as well: what `up --dev` runs with."""
    return ",".join(filter(None, (setting, LOOPBACK)))


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRule:
    """Addresses that may be called, on one port or on all (`None`)."""

    network: IPv4Network | IPv6Network
    port: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRule:
    """A host name that may be called whatever it resolves to; `below` for the names under a domain."""

    name: str
    below: bool
    port: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressPolicy:
    """The operator's exceptions to the address rules; an empty policy has none."""

    networks: tuple[NetworkRule, ...] = ()
    names: tuple[NameRule, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "EgressPolicy":
        """Read a comma-separated list of entries; blanks around and empty entries are ignored.

        Raises:
            SettingsError: names the setting, the entry and the fix.
        """
        networks: list[NetworkRule] = []
        names: list[NameRule] = []
        for entry in filter(None, (part.strip() for part in text.split(","))):
            try:
                rule = _parse_entry(entry)
            except ValueError as fault:
                raise SettingsError(f"{_SETTING}: {entry!r}: {fault}") from None
            if isinstance(rule, NetworkRule):
                networks.append(rule)
            else:
                names.append(rule)
        return cls(networks=tuple(networks), names=tuple(names))

    def allows_name(self, host: str, port: int) -> bool:
        """Tell whether an entry names this canonical host, so that whatever it resolves to may be called."""
        return any(
            rule.port in (None, port)
            and (host.endswith("." + rule.name) if rule.below else host == rule.name)
            for rule in self.names
        )

    def allows_address(self, address: IPv4Address | IPv6Address, port: int) -> bool:
        """Tell whether a network entry covers this address."""
        return any(rule.port in (None, port) and address in rule.network for rule in self.networks)

    def may_allow_port(self, port: int) -> bool:
        """Tell whether a name could resolve into some network entry good for this port."""
        return any(rule.port in (None, port) for rule in self.networks)


def _parse_entry(entry: str) -> NetworkRule | NameRule:
    if "://" in entry:
        raise ValueError("write the host or network without http://; an entry allows both schemes.")
    if entry.startswith("["):
        bracketed = _BRACKETED.fullmatch(entry)
        if bracketed is None:
            raise ValueError("write an IPv6 network with a port as [fd00::/8]:8080.")
        network, port = bracketed.groups()
        return NetworkRule(network=_network(network), port=None if port is None else _port(port))
    if "/" in entry:
        # After the prefix length a colon can only begin a port, so fd00::/8:8080 is unambiguous too.
        address, _, rest = entry.partition("/")
        prefix, colon, port = rest.partition(":")
        return NetworkRule(network=_network(f"{address}/{prefix}"), port=_port(port) if colon else None)
    if entry.count(":") > 1:
        return NetworkRule(network=_network(entry), port=None)
    host, colon, port_text = entry.partition(":")
    port_number = _port(port_text) if colon else None
    if re.fullmatch(r"[0-9.]+", host):
        return NetworkRule(network=_network(host), port=port_number)
    below = host.startswith("*.")
    if "*" in host.removeprefix("*."):
        raise ValueError("a star stands only for a whole first label: write *.corp.example.")
    return NameRule(name=canonical_name(host.removeprefix("*.")), below=below, port=port_number)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError("not a network: write 10.0.0.0/8, 10.1.2.3 or fd00::/8.") from None
    if network.network_address != ip_interface(text).ip:
        raise ValueError(f"bits are set to the right of the prefix: write {network}.")
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        # Mapped addresses are unwrapped before they are judged: this entry would silently do nothing.
        raise ValueError("these are IPv4 addresses in IPv6 clothes: write the IPv4 network.")
    return network


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ValueError("the port must be a number from 1 to 65535.")
    return int(text)
