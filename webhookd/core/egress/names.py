"""Host names in the one form the guard stores and compares: lower-case ASCII, no trailing dot.

What a name may be used for is decided elsewhere; here it is only spelt.
"""

import re
from typing import Final

import idna

# RFC 1123 section 2.1, plus the underscore: no host name has one, but receivers behind wildcard
# certificates do, and DNS carries it (RFC 2181 section 11).
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# The WHATWG URL standard's "ends in a number" test: what a resolver would take for an IPv4 address
# in one of inet_aton's disguises (decimal, hexadecimal, octal, short).
_NUMERIC: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")


def canonical_name(text: str) -> str:
    """Return a host name as lower-case ASCII (IDNA 2008 after UTS 46 mapping), one trailing dot removed.

    Raises:
        ValueError: with a sentence that says what is wrong with the name.
    """
    name = text.lower()
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except idna.IDNAError:
            raise ValueError("The host is not a valid internationalised domain name.") from None
    name = name.removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("The host is not a valid domain name.")
    if _NUMERIC.fullmatch(labels[-1]):
        raise ValueError("The host looks like an IP address but is not written as one, such as 203.0.113.7.")
    for label in labels:
        if label.startswith("xn--"):
            try:
                idna.ulabel(label)
            except idna.IDNAError:
                raise ValueError("The host is not a valid internationalised domain name.") from None
    return name
