"""What the client commands put on the screen: JSON, tables, facts, and states in colour.

stdout gets the answer and nothing else, stderr the rest. What a stranger wrote is made harmless first.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

_COLOURS: Final[Mapping[str, str]] = {
    "succeeded": "green",
    "delivered": "green",
    "enabled": "green",
    "done": "green",
    "running": "cyan",
    "pending": "cyan",
    "queued": "blue",
    "scheduled": "blue",
    "parked": "yellow",
    "paused": "yellow",
    "suspended": "yellow",
    "failed": "red",
    "dead": "red",
    "disabled": "red",
}
_WIDE: Final = 1_000
_NOTHING: Final = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableColumn:
    """A column of a table: its title, and what of a row it shows. `right` is for numbers."""

    title: str
    show: Callable[[dict[str, Any]], object]
    right: bool = False


def column(
    title: str, shows: str | Callable[[dict[str, Any]], object] = "", *, right: bool = False
) -> TableColumn:
    """Return a column. `shows` makes a cell of a row, or names the field; left out, the title does."""
    cell = shows if callable(shows) else itemgetter(shows or title)
    return TableColumn(title=title, show=cell, right=right)


def console() -> Console:
    """Return the console of stdout. Where nobody looks (a pipe), lines are as long as they need to be."""
    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False, markup=False)


def error_console() -> Console:
    """Return the console of stderr, for progress."""
    return Console(stderr=True, highlight=False, markup=False)


def print_json(document: object) -> None:
    """Print exactly one JSON document."""
    print(json.dumps(document, indent=2))


def print_table(columns: Sequence[TableColumn], rows: Iterable[dict[str, Any]], *, none: str) -> None:
    """Print a table, or `none` on stderr where there are no rows."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for one in columns:
        table.add_column(one.title, justify="right" if one.right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(one.show(row)) for one in columns))
    if table.row_count:
        console().print(table)
    else:
        tell(none)


def print_listing(
    document: dict[str, Any], columns: Sequence[TableColumn], *, json_output: bool, none: str
) -> None:
    """Print what a listing answered, as JSON or as a table."""
    if json_output:
        print_json(document)
        return
    rows = document["data"]
    if any(isinstance(row.get("partner"), dict) for row in rows):  # an admin sees whose each is
        columns = (*columns[:1], column("partner", whose), *columns[1:])
    print_table(columns, rows, none=none)
    if document["next_cursor"] is not None:
        tell(f"There are more: --cursor {document['next_cursor']}, or a higher --limit.")


def whose(document: Mapping[str, Any]) -> str | None:
    """Return the name of the partner a thing is of, as an admin is told it."""
    partner = document.get("partner")
    return partner["name"] if isinstance(partner, dict) else None


def print_facts(facts: Mapping[str, object]) -> None:
    """Print a line a fact; what is None, empty text or an empty list or object is left out."""
    shown = {name: value for name, value in facts.items() if value not in (None, "", [], {}, ())}
    width = max(map(len, shown), default=0)
    out = console()
    for name, value in shown.items():
        out.print(Text.assemble((f"{name:<{width}}  ", "dim"), _cell(value)), soft_wrap=True)


def print_text(text: str) -> None:
    """Print lines of text that are part of the answer, as long as they are."""
    for line in text.splitlines():
        console().print(Text(printable(line)), soft_wrap=True)


def tell(line: str) -> None:
    """Say something that is not the answer."""
    print(printable(line), file=sys.stderr)


def when(text: str | None) -> str | None:
    """Return a time of the API for people: `2026-11-24 06:00:00Z`."""
    return None if text is None else f"{text[:10]} {text[11:19]}Z"


def duration(milliseconds: float) -> str:
    """Return a duration for people: `12 ms`, `3.4 s`, `5 min`, `2.1 h`, `3.2 d`."""
    for limit, unit, name in ((1_000, 1, "ms"), (120_000, 1_000, "s"), (7_200_000, 60_000, "min")):
        if milliseconds < limit:
            amount = milliseconds / unit
            return f"{amount:.1f} {name}" if amount < 10 and unit > 1 else f"{amount:.0f} {name}"
    hours = milliseconds / 3_600_000
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} d"


def state(word: str) -> Text:
    """Return a state in its colour."""
    return Text(printable(word), _COLOURS.get(word, ""))


def printable(text: str) -> str:
    """Make what a stranger sent harmless for a terminal."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def _cell(value: object) -> Text:
    if isinstance(value, Text):
        return value
    if value is None:
        return Text(_NOTHING, "dim")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return Text(printable(", ".join(value)) or _NOTHING)
    if isinstance(value, dict | list):
        return Text(printable(json.dumps(value, ensure_ascii=False)))
    if isinstance(value, float):
        return Text(f"{value:,.6g}")
    return Text(printable(f"{value:,}" if isinstance(value, int) else str(value)))
