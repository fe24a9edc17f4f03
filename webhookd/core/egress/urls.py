"""The check of a callback URL at registration, and the one canonical form it is stored in.

A courtesy to the partner, who learns of a mistake at once; the control is at dialling. Parsed here,
once, by a grammar narrower than RFC 3986, because two parsers that disagree about a host are a hole:
what later stages see is only the URL rebuilt from the parts that were checked.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import quote

from webhookd.core.egress.addresses import STANDARD_PORTS, address_allowed, is_public, unwrap
from webhookd.core.egress.names import canonical_name
from webhookd.core.egress.policy import EgressPolicy
from webhookd.core.errors import UrlNotAllowed

MAX_URL_LENGTH: Final = 2048

_SHAPE: Final = re.compile(r"(https?)://([^/?#]*)([^?#]*)(?:\?([^#]*))?", re.ASCII | re.IGNORECASE)
_AUTHORITY: Final = re.compile(r"(\[[^]]*\]|[^:\[\]]*)(?::(.*))?")
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
# Special-use names that never mean a public host: RFC 6761, RFC 6762, and ICANN's reservation of .internal.
_LOCAL_SUFFIXES: Final = (".localhost", ".local", ".internal")
_LOOPBACK: Final = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
# What the WHATWG URL standard leaves as it is in a path and in a query; `%` so that escapes stay.
_PATH_SAFE: Final = "!$%&'()*+,/:;=@[]^|"
_QUERY_SAFE: Final = "!$%&()*+,/:;=?@[]^|`{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackUrl:
    """A URL that passed the check, taken apart.

    `url` is canonical: lower-case scheme and host, no default port, dot segments resolved, everything
    outside ASCII percent-encoded. `host` has no brackets; `origin` is `scheme://host[:port]` and
    names the receiver. `is_literal` says the host is an IP address.
    """

    url: str
    scheme: str
    host: str
    port: int
    origin: str
    is_literal: bool


def check_url(url: str, policy: EgressPolicy) -> CallbackUrl:
    """Parse a callback URL, refuse what could never be called, and return its canonical form.

    Never resolves a name. A name that is fine only if it resolves into an allowed network (plain
    `http`, or an unusual port) passes where some network entry could cover it; dialling decides.

    Raises:
        UrlNotAllowed: with a sentence that says what to change. It never repeats the URL, which
            may hold credentials.
    """
    if len(url) > MAX_URL_LENGTH:
        raise UrlNotAllowed(f"The URL is longer than {MAX_URL_LENGTH:,} characters.")
    if any(char <= " " or "\x7f" <= char <= "\xa0" or char == "\\" or char.isspace() for char in url):
        raise UrlNotAllowed("The URL must not contain spaces, control characters or backslashes.")
    if "#" in url:
        raise UrlNotAllowed("The URL must not have a fragment (#): it would never be sent.")
    shape = _SHAPE.fullmatch(url)
    if shape is None:
        raise UrlNotAllowed("The URL must begin with https:// and a host.")
    scheme, authority, path, query = shape.groups()
    scheme = scheme.lower()
    host, port, is_literal = _parse_authority(authority, scheme)
    if is_literal:
        _check_literal(host, port, scheme, policy)
    else:
        _check_name(host, port, scheme, policy)
    netloc = f"[{host}]" if ":" in host else host
    origin = f"{scheme}://{netloc}" if port == _DEFAULT_PORTS[scheme] else f"{scheme}://{netloc}:{port}"
    try:
        canonical = origin + quote(_resolve_dots(path), safe=_PATH_SAFE)
        if query is not None:
            canonical += "?" + quote(query, safe=_QUERY_SAFE)
    except UnicodeEncodeError:
        raise UrlNotAllowed("The URL must not contain lone surrogates.") from None
    if len(canonical) > MAX_URL_LENGTH:
        raise UrlNotAllowed(f"The URL is longer than {MAX_URL_LENGTH:,} characters once percent-encoded.")
    return CallbackUrl(
        url=canonical, scheme=scheme, host=host, port=port, origin=origin, is_literal=is_literal
    )


def relay_allowed(target: CallbackUrl, policy: EgressPolicy) -> bool:
    """Tell whether an egress proxy may be asked for this URL.

    The proxy resolves the name, out of our sight, so a network entry cannot vouch for it: only an
    address, an entry that names the host, or `https` on a standard port will do.
    """
    if target.is_literal:
        return address_allowed(
            target.host, host=target.host, port=target.port, scheme=target.scheme, policy=policy
        )
    if policy.allows_name(target.host, target.port):
        return True
    return target.scheme == "https" and target.port in STANDARD_PORTS and not _is_local(target.host)


def _parse_authority(authority: str, scheme: str) -> tuple[str, int, bool]:
    """Return (canonical host, port, is a literal)."""
    if "@" in authority:
        raise UrlNotAllowed("The URL must not contain a user name or password.")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None or not parts[1] or "%" in parts[1]:
        raise UrlNotAllowed("The host of the URL is not valid.")
    text, port_text = parts.groups()
    port = _DEFAULT_PORTS[scheme] if port_text is None else _parse_port(port_text)
    if text.startswith("["):
        try:
            # A mapped address is stored as the IPv4 address it reaches, so one receiver has one origin.
            return str(unwrap(IPv6Address(text[1:-1]))), port, True
        except ValueError:
            raise UrlNotAllowed("The IPv6 address in the URL is not valid.") from None
    try:
        return str(IPv4Address(text.removesuffix("."))), port, True
    except ValueError:
        pass
    try:
        return canonical_name(text), port, False
    except ValueError as fault:
        raise UrlNotAllowed(str(fault)) from None


def _parse_port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise UrlNotAllowed("The port of the URL must be a number from 1 to 65535.")
    return int(text)


def _check_literal(host: str, port: int, scheme: str, policy: EgressPolicy) -> None:
    address = ip_address(host)
    if policy.allows_address(address, port):
        return
    if not is_public(address):
        raise UrlNotAllowed("The address is not a public one, so it cannot be called.")
    _check_scheme_and_port(port, scheme)


def _check_name(host: str, port: int, scheme: str, policy: EgressPolicy) -> None:
    if policy.allows_name(host, port):
        return
    if host == "localhost" and any(policy.allows_address(address, port) for address in _LOOPBACK):
        return
    if _is_local(host):
        raise UrlNotAllowed("The host must be a public name with a domain, such as hooks.partner.example.")
    if not policy.may_allow_port(port):
        _check_scheme_and_port(port, scheme)


def _check_scheme_and_port(port: int, scheme: str) -> None:
    if scheme != "https":
        raise UrlNotAllowed("The URL must begin with https://.")
    if port not in STANDARD_PORTS:
        raise UrlNotAllowed("The port must be 443 or 8443.")


def _is_local(host: str) -> bool:
    return "." not in host or host.endswith(_LOCAL_SUFFIXES)


def _resolve_dots(path: str) -> str:
    """Return an absolute path without `.` and `..` segments (RFC 3986 section 5.2.4)."""
    output: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del output[-1:]
        elif segment != ".":
            output.append(segment)
    if segments and segments[-1] in {".", ".."}:
        output.append("")
    return "/" + "/".join(output)
