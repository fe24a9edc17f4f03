"""The SQL that the store sends, on a committed page per database: `statements/{sqlite,postgresql}.sql`.

A change of the store's code that is not meant to change what runs leaves both pages equal; where it is
meant, their diff shows what changed. A store test that sends a text which is not there fails. `make
statements` writes them anew from one whole run of the store tests.
"""

import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from textwrap import wrap
from types import FrameType
from typing import Any, Final

from sqlalchemy import Connection, Engine, event

from webhookd.adapters.store import __file__ as store_package
from webhookd.adapters.store.schema import metadata

PAGES: Final = Path(__file__).with_name("statements")
DIALECTS: Final = ("sqlite", "postgresql")
_STORE: Final = Path(store_package).parent
_NO_OPERATIONS: Final = tuple(str(_STORE / name) for name in ("drivers", "database.py", "migrate.py"))
_THE_WAY: Final = tuple(str(_STORE / name) for name in ("tx.py", "door.py"))
_LISTED: Final = re.compile(r"__\[POSTCOMPILE_\w+\]")
_TABLE: Final = re.compile(rf"\b(?:INTO|UPDATE|FROM|JOIN) ({'|'.join(metadata.tables)})\b")
_WIDTH: Final = 110


class Sent:
    """What the store has sent since `listen`, by dialect; `unknown` are those of them that are on no page."""

    def __init__(self) -> None:
        self.texts: dict[str, set[str]] = {dialect: set() for dialect in DIALECTS}
        self.unknown: dict[str, set[str]] = {dialect: set() for dialect in DIALECTS}
        self._pages = {dialect: read_page(dialect) for dialect in DIALECTS}
        self._plain: dict[str, str] = {}

    def listen(self) -> None:
        """Hear of every statement of this process."""
        event.listen(Engine, "before_cursor_execute", self._before)

    def stop(self) -> None:
        """Hear no more."""
        event.remove(Engine, "before_cursor_execute", self._before)

    def _before(
        self, conn: Connection, _cursor: object, statement: str, _values: object, context: Any, _many: bool
    ) -> None:
        raw = statement if context is None or context.compiled is None else context.compiled.string
        text = self._plain.get(raw)
        if text is None:
            text = self._plain[raw] = plain(raw)
        dialect = conn.dialect.name
        if text not in self.texts[dialect] and _is_an_operation(sys._getframe()):
            self.texts[dialect].add(text)
        page = self._pages[dialect]
        if page and text in self.texts[dialect] and text not in page:
            self.unknown[dialect].add(text)


def plain(text: str) -> str:
    """Return a statement in one line, lists of any length as one."""
    return " ".join(_LISTED.sub("…", text).split())


def read_page(dialect: str) -> set[str]:
    """Return the statements of a page."""
    path = PAGES / f"{dialect}.sql"
    if not path.exists():
        return set()
    lines = [line for line in path.read_text().splitlines() if not line.startswith("--")]
    return {plain(text) for text in "\n".join([*lines, ""]).split(";\n") if text.strip()}


def write_page(dialect: str, texts: Iterable[str]) -> None:
    """Write a page: by table, and there in the order of the alphabet."""
    by_table: defaultdict[str, list[str]] = defaultdict(list)
    for text in texts:
        found = _TABLE.search(text)
        by_table[found[1] if found else "no table"].append(text)
    parts = [f"-- What the store sends to {dialect}. Written by `make statements`."]
    for table in sorted(by_table):
        parts.append(f"-- {table}")
        parts += ["\n".join(wrap(text, _WIDTH, **_AS_IT_IS)) + ";" for text in sorted(by_table[table])]
    (PAGES / f"{dialect}.sql").write_text("\n\n".join(parts) + "\n")


_AS_IT_IS: Final[Any] = {"subsequent_indent": "    ", "break_long_words": False, "break_on_hyphens": False}


def _is_an_operation(frame: FrameType | None) -> bool:
    """Tell whether the nearest caller in the store is an operation (not a driver, nor a test's own SQL)."""
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(str(_STORE)) and name not in _THE_WAY:
            return not name.startswith(_NO_OPERATIONS)
        frame = frame.f_back
    return False
