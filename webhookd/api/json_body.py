"""Strict JSON in: RFC 8259 as I-JSON (RFC 7493) narrows it, and what a 64-bit world can hold.

Refused with MalformedJson: what is not JSON or not UTF-8, NaN and Infinity, duplicate names, nesting
over MAX_DEPTH, lone surrogates, NUL even escaped, integers beyond 64 bits, numbers that overflow.
Reading the bytes off the connection is `body`; what fields mean is the wire models'.
"""

import json
import re
from typing import Any, Final

import orjson

from webhookd.core.errors import MalformedJson
from webhookd.core.nesting import MAX_DEPTH

INTEGERS: Final = range(-(2**63), 2**64)
"""What orjson can write back, and every common language can read in one of its two 64-bit kinds."""

# orjson refuses most of it in one pass; it quietly keeps the last of duplicate names and turns
# integers beyond 64 bits into floats, so these two are looked at again.
_LONG_INTEGER: Final = re.compile(rb"[0-9]{19}")
_ESCAPED_NUL: Final = b"\\u0000"


def parse_json(body: bytes) -> Any:
    """Return the value of a JSON text. Raises MalformedJson with a sentence that says what is wrong."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedJson(f"The body is not JSON: {error}.") from None
    deep = body.count(b"[") + body.count(b"{") > MAX_DEPTH
    if deep or _ESCAPED_NUL in body:
        _inspect(value)
    decoder = _WITH_INTEGERS if _LONG_INTEGER.search(body) else _WITH_PAIRS
    decoder.decode(body.decode())
    return value


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
    if len({name for name, _ in pairs}) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise MalformedJson(f"The name '{twice[:100]}' stands twice in one object.")


def _holdable(digits: str) -> None:
    # 20 digits and a sign are the longest that can be in range; `int` of more is quadratic.
    if len(digits) > 20 or int(digits) not in INTEGERS:
        raise MalformedJson("The body contains an integer that does not fit into 64 bits.")


_WITH_PAIRS: Final = json.JSONDecoder(object_pairs_hook=_unique)
_WITH_INTEGERS: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_holdable)
