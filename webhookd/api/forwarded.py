"""What proxies write of those before them: `X-Forwarded-For`, and `Forwarded` (RFC 7239).

Both are read from the right, where the nearest proxy writes: what stands further left may be a caller's
invention (a quote that is never closed, say) and must not change how the rest is read. Whom to believe is
`client_address`' business.
"""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import islice
from typing import Final

Address = IPv4Address | IPv6Address

MOST_HOPS: Final = 32
LONGEST_ELEMENT: Final = 256

_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# What has a colon or brackets must be quoted (RFC 7239 section 4). Many write it bare, and mean the same.
_VALUE: Final = r'[^\s",;=\\]+|"(?:[^"\\]|\\.)*"'
_PAIR: Final = re.compile(rf"({_TOKEN})=({_VALUE})")
_ELEMENT: Final = re.compile(rf"{_TOKEN}=(?:{_VALUE})(?:;[ \t]*(?:{_TOKEN}=(?:{_VALUE}))?)*")
_ADDRESS: Final = re.compile(
    r"\[(?P<bracketed>[0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|(?P<with_port>[0-9.]+):[0-9]{1,5}|(?P<bare>[0-9A-Fa-f:.]+)"
)
_EMPTY: Final = " \t"


def x_forwarded_for(header: str) -> Iterator[Address | None]:
    """Yield each hop from the right; None for one that says no address."""
    for element in islice(reversed(header.split(",")), MOST_HOPS):
        if hop := element.strip(_EMPTY):
            yield parse_address(hop)


def forwarded(header: str) -> Iterator[Address | None]:
    """Yield each hop from the right; None for one that says no address (`unknown`, `_hidden`, malformed)."""
    end = len(header)
    for _ in range(MOST_HOPS):
        start, pairs = _last_element(header, end)
        if pairs is not None:
            named = [value for name, value in pairs if name.lower() == "for"]
            yield parse_address(_unquoted(named[0])) if len(named) == 1 else None
        if start == 0:
            return
        end = start - 1


def parse_address(text: str) -> Address | None:
    """Return the address in `text`, which may have a port; an IPv6 one may be in brackets."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        return None
    try:
        address = ip_address(match[match.lastgroup or 0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _last_element(header: str, end: int) -> tuple[int, list[tuple[str, str]] | None]:
    """Return where the last element before `end` begins, and its pairs: none if malformed, None if empty.

    It is the shortest one that is well-formed: a comma may stand in a quoted string, but what follows that
    comma is then no element, since a quote inside of the string is escaped.
    """
    comma = end
    while True:
        comma = header.rfind(",", max(0, end - LONGEST_ELEMENT), comma)
        element = header[comma + 1 : end].strip(_EMPTY)
        if not element:
            return comma + 1, None
        if len(element) <= LONGEST_ELEMENT and _ELEMENT.fullmatch(element):
            return comma + 1, _PAIR.findall(element)
        if comma < 0:
            return 0, []


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
