"""Where something stands in a parsed JSON value."""

from collections.abc import Iterable
from typing import Any

Steps = tuple[int | str, ...]


def place_of(raw: Any, wanted: Any) -> Steps | None:
    """Return where in a parsed JSON value another stands first; None where it does not."""
    if raw == wanted and type(raw) is type(wanted):
        return ()
    inside: Iterable[tuple[int | str, Any]] = ()
    if isinstance(raw, dict):
        inside = raw.items()
    elif isinstance(raw, list):
        inside = enumerate(raw)
    for step, one in inside:
        below = place_of(one, wanted)
        if below is not None:
            return (step, *below)
    return None
