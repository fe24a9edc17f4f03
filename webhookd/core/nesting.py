"""How deep JSON may be nested, in what comes in and in what functions return.

Parsers of receivers stop at 100 (Ruby's `JSON.parse` by default, PHP's `json_decode` at 512), and a message
puts a result two levels below its top: what is bounded here can be read everywhere.
"""

from typing import Any, Final

MAX_DEPTH: Final = 64


def too_deep(value: Any) -> bool:
    """Tell whether parsed JSON has containers more than MAX_DEPTH levels deep. Looks level by level."""
    level, depth = [value], 0
    while level:
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict | list):
                if depth == MAX_DEPTH:
                    return True
                below.extend(item.values() if isinstance(item, dict) else item)
        level, depth = below, depth + 1
    return False
