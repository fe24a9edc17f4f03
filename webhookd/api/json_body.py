"""Strict JSON in: RFC 8259 as I-JSON (RFC 7493) narrows it, and what a 64-bit world can hold.

Refused with MalformedJson: what is not JSON or not UTF-8, NaN and Infinity, duplicate names, nesting
over MAX_DEPTH, lone surrogates, NUL even escaped, integers beyond 64 bits, numbers that overflow.
Reading the bytes off the connection is `body`; what fields mean is the wire models'.

Every step is linear in the body, and a caller sizes the body: no membership in lists, no `count` within
a loop, no pattern that can fail late and begin again. What is LARGE is for a thread; there the interpreter
is held in no step for longer than a fraction of a second, which is what MOST_CONTAINERS and
MOST_NAMES see to: the parser lets nobody else run, and those are what it is slow at.
"""

import json
import re
from typing import Any, Final

import orjson

from webhookd.core.errors import MalformedJson, TooLarge
from webhookd.core.nesting import MAX_DEPTH

LARGE: Final = 262_144
"""Bytes of a body that is parsed in a thread (`body`)."""
MOST_CONTAINERS: Final = 250_000
"""Objects and arrays in one body: 33 bytes for each in the largest batch."""
MOST_NAMES: Final = 500_000
INTEGERS: Final = range(-(2**63), 2**64)
"""What orjson can write back, and every common language can read in one of its two 64-bit kinds."""

# orjson refuses most of it in one pass; it quietly keeps the last of duplicate names and turns
# integers beyond 64 bits into floats, so these two are looked at again.
_LONG_INTEGER: Final = re.compile(rb"[0-9]{19}")
_ESCAPED_NUL: Final = b"\\u0000"

# These match at every quote, whatever follows: a pattern that failed at the end of a body would be tried
# again from each quote on.
_STRING: Final = rb'"((?:[^"\\]++|\\.)*+)(?:"|\\?\Z)'
_STRINGS: Final = re.compile(_STRING, re.DOTALL)
_NAMES: Final = re.compile(_STRING + rb"[ \t\r\n]*+(:)?|([{}])", re.DOTALL)
_NUMBERS: Final = re.compile(_STRING + rb"|-?[0-9]++([.eE][0-9.eE+-]*+)?", re.DOTALL)


def parse_json(body: bytes) -> Any:
    """Return the value of a JSON text. Raises MalformedJson with a sentence that says what is wrong.

    Raises TooLarge where it has more than MOST_CONTAINERS objects and arrays, or MOST_NAMES names in them.
    """
    containers, names = _count(body)
    if containers > MOST_CONTAINERS or names > MOST_NAMES:
        containers, names = _count(_STRINGS.sub(b"", body))
        if containers > MOST_CONTAINERS or names > MOST_NAMES:
            raise TooLarge(
                f"The body has over {MOST_CONTAINERS:,} objects and arrays, or {MOST_NAMES:,} names in them."
            )
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedJson(f"The body is not JSON: {error}.") from None
    if containers > MAX_DEPTH or _ESCAPED_NUL in body:
        _inspect(value)
    has_long = _LONG_INTEGER.search(body) is not None
    if len(body) <= LARGE:
        (_WITH_INTEGERS if has_long else _WITH_PAIRS).decode(body.decode())
    else:
        _scan_names(body)
        if has_long:
            _scan_integers(body)
    return value


def _count(text: bytes) -> tuple[int, int]:
    """Return how many objects and arrays there are, and how many names, where no string has such signs."""
    return text.count(b"[") + text.count(b"{"), text.count(b":")


def _scan_names(body: bytes) -> None:
    """Find duplicate names in what is JSON: as the decoder below, but other threads get their turns."""
    outer: list[set[bytes]] = []
    names: set[bytes] = set()
    for match in _NAMES.finditer(body):
        kind = match.lastindex
        if kind == 2:
            name: bytes = match[1]
            if b"\\" in match[1]:
                name = orjson.loads(b'"%b"' % match[1]).encode()
            if name in names:
                raise _twice(name.decode())
            names.add(name)
        elif kind == 3:
            if match[3] == b"{":
                outer.append(names)
                names = set()
            else:
                names = outer.pop()


def _scan_integers(body: bytes) -> None:
    for match in _NUMBERS.finditer(body):
        if match[1] is None and match[2] is None and len(match[0]) >= 19:
            _holdable(match[0].decode())


def _inspect(value: Any) -> None:
    """Look into every container for depth and NUL, level by level."""
    level, depth = [value], 0
    while level:
        below: list[Any] = []
        for item in level:
            if isinstance(item, str):
                if "\x00" in item:
                    raise MalformedJson("The body contains a NUL character (\\u0000).")
            elif isinstance(item, dict | list):
                if depth == MAX_DEPTH:
                    raise MalformedJson(f"The body is nested more than {MAX_DEPTH} levels deep.")
                below.extend(item)
                if isinstance(item, dict):
                    below.extend(item.values())
        level, depth = below, depth + 1


def _unique(pairs: list[tuple[str, Any]]) -> None:
    names: set[str] = set()
    for name, _ in pairs:
        if name in names:
            raise _twice(name)
        names.add(name)


def _twice(name: str) -> MalformedJson:
    return MalformedJson(f"The name '{name[:100]}' stands twice in one object.")


def _holdable(digits: str) -> None:
    # 20 digits and a sign are the longest that can be in range; `int` of more is quadratic.
    if len(digits) > 20 or int(digits) not in INTEGERS:
        raise MalformedJson("The body contains an integer that does not fit into 64 bits.")


_WITH_PAIRS: Final = json.JSONDecoder(object_pairs_hook=_unique)
_WITH_INTEGERS: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_holdable)
