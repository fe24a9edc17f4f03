"""How values look on a page: times, ids, states, sizes. Everything that came from outside is escaped here."""

import json
from datetime import UTC, datetime
from typing import Any, Final

from markupsafe import Markup

from webhookd.core.ids import looks_like_id
from webhookd.core.times import parse_rfc3339

NOTHING: Final = "\u2013"

_STEPS: Final = ((60, "s"), (3_600, "min"), (86_400, "h"), (float("inf"), "d"))
_SECONDS: Final = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}
_SIZES: Final = ("B", "KiB", "MiB", "GiB", "TiB")
MEANINGS: Final = {
    "delivered": "good",
    "succeeded": "good",
    "completed": "good",
    "done": "good",
    "enabled": "good",
    "ok": "good",
    "dead": "bad",
    "failed": "bad",
    "disabled": "bad",
    "suspended": "bad",
    "revoked": "bad",
    "open": "bad",
    "pending": "busy",
    "running": "busy",
    "queued": "busy",
    "half_open": "busy",
    "scheduled": "idle",
    "parked": "warn",
    "paused": "warn",
    "degraded": "warn",
    "cancelled": "idle",
    "expired": "idle",
    "closed": "idle",
}
"""What a state means to whoever looks; its word always stands beside the colour."""


def when(at: str | None, now_ms: int) -> str:
    """Return a time as people say it, the exact one on hover."""
    if not at:
        return NOTHING
    seconds = (parse_rfc3339(at) - now_ms) / 1000
    exact = at.replace("T", " ").replace("Z", " UTC")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(at, exact, spoken(seconds))


def spoken(seconds: float) -> str:
    """Return `3 min ago`, `in 2 h`, `just now`."""
    if -1 < seconds < 1:
        return "just now"
    text = span(abs(seconds))
    return f"in {text}" if seconds > 0 else f"{text} ago"


def span(seconds: float | None) -> str:
    """Return a length of time in its largest unit."""
    if seconds is None:
        return NOTHING
    if 0 < seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    unit = next(unit for most, unit in _STEPS if seconds < most)
    return f"{int(seconds // _SECONDS[unit])} {unit}"


def clock(at: str) -> str:
    """Return a time of day in UTC."""
    return datetime.fromtimestamp(parse_rfc3339(at) / 1000, UTC).strftime("%H:%M:%S")


def ident(text: str | None) -> str:
    """Return an id: short to the eye, whole to whoever copies, searches or listens."""
    if not text:
        return NOTHING
    short = "id short" if looks_like_id(text) else "id"
    return Markup('<code class="{}" title="{}">{}</code>').format(short, text, text)


def state(word: str | None, text: str | None = None) -> str:
    """Return a state as a word with its colour."""
    if not word:
        return NOTHING
    return Markup('<span class="state {}">{}</span>').format(MEANINGS.get(word, "idle"), text or word)


def number(value: float | None) -> str:
    """Return a number with thin groups of thousands."""
    if value is None:
        return NOTHING
    if 0 < abs(value) < 0.01:
        return f"{value:.2g}"
    if value != int(value):
        return f"{value:,.2f}".rstrip("0").rstrip(".")
    return f"{int(value):,}"


def ms(value: float | None) -> str:
    """Return milliseconds, from a thousand on as seconds."""
    if value is None:
        return NOTHING
    if value >= 1000:
        return f"{value / 1000:.2f} s" if value < 10_000 else span(value / 1000)
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.1f} ms"


def size(value: int | None) -> str:
    """Return a number of bytes."""
    if value is None:
        return NOTHING
    amount = float(value)
    for unit in _SIZES:
        if amount < 1024 or unit == _SIZES[-1]:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return NOTHING


def pretty(value: Any) -> str:
    """Return JSON for reading. A text that is JSON is laid out; any other stays as it is.

    So does one that is JSON, and nested deeper than we can read, or with half of a surrogate pair.
    """
    if not isinstance(value, str):
        return json.dumps(value, indent=2, ensure_ascii=False)
    try:
        laid_out = json.dumps(json.loads(value), indent=2, ensure_ascii=False)
        laid_out.encode()
    except (ValueError, RecursionError):
        return value
    return laid_out


def said(value: Any) -> str:
    """Return a value of a note in words: `yes`, `no`, names with commas between."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else NOTHING if value is None else str(value)


def plural(count: float, one: str, many: str = "") -> str:
    """Return `1 task`, `4 tasks`."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"
