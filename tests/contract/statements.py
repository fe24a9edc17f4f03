"""The SQL of the store, on a committed page per database: `statements/{sqlite,postgresql}.sql`.

Statements are constants (`adapters.store.statement`), so the pages are written from them, module by module in
the order of the code, without sending one. A listing stands there without any of the conditions that may be
left out, and with all. `make statements` writes the pages; a change of the code that is not meant to change
what runs leaves them equal, and where it is meant, their diff shows what changed.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import Any, Final

from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import asyncpg

from webhookd.adapters import store
from webhookd.adapters.store.statement import Amendment, Listing, SqlStatement, compile_element

PAGES: Final = Path(__file__).with_name("statements")
_POSTGRESQL: Final[Any] = asyncpg.dialect
DIALECTS: Final = {"sqlite": sqlite.dialect(), "postgresql": _POSTGRESQL()}
_WIDTH: Final = 110
_AS_IT_IS: Final[Any] = {"subsequent_indent": "    ", "break_long_words": False, "break_on_hyphens": False}


class _Every(frozenset[str]):
    """The names of all parameters that a statement could be given."""

    def __contains__(self, _name: object) -> bool:
        return True

    def __and__(self, others: Any) -> Any:
        return frozenset(others)


def named_statements() -> Iterator[tuple[str, str, SqlStatement]]:
    """Yield module, name and statement of every constant of the store."""
    seen: set[int] = set()
    for found in sorted(
        pkgutil.walk_packages(store.__path__, f"{store.__name__}."), key=lambda one: one.name
    ):
        module = importlib.import_module(found.name)
        short = found.name.removeprefix(f"{store.__name__}.")
        for name, value in vars(module).items():
            for inner, statement in _within(name, value):
                if id(statement) not in seen and not _is_imported(module, name, value):
                    seen.add(id(statement))
                    yield short, inner, statement


def texts(dialect: str, statement: SqlStatement) -> list[str]:
    """Return what a statement may be in a dialect, each in one line."""
    kinds: list[frozenset[str]] = [frozenset()]
    if isinstance(statement, Amendment):
        kinds = [_Every()]
    elif isinstance(statement, Listing):
        kinds = [frozenset(), _Every()]
    made = [compile_element(statement.build(dialect, given), DIALECTS[dialect]).text for given in kinds]
    return list(dict.fromkeys(" ".join(text.split()) for text in made))


def page(dialect: str) -> str:
    """Return the page of a dialect."""
    parts = [
        f"-- What the store sends to {dialect}. Written by `make statements` from `webhookd/adapters/store`."
    ]
    last = ""
    for module, name, statement in named_statements():
        if statement.only not in ("", dialect):
            continue
        if module != last:
            last = module
            parts.append(f"-- {module.replace('.', '/')}.py")
        parts += [
            "\n".join((f"-- {name}", *wrap(text, _WIDTH, **_AS_IT_IS))) + ";"
            for text in texts(dialect, statement)
        ]
    return "\n\n".join(parts) + "\n"


def _within(name: str, value: object) -> Iterator[tuple[str, SqlStatement]]:
    if isinstance(value, SqlStatement):
        yield name, value
    elif isinstance(value, tuple):
        for index, one in enumerate(value):
            yield from _within(f"{name}[{index}]", one)
    elif not isinstance(value, type) and type(value).__module__.startswith(store.__name__):
        for inner in getattr(value, "__dict__", {}) or getattr(value, "__slots__", ()):
            yield from _within(f"{name}.{inner.lstrip('_')}", getattr(value, inner, None))


def _is_imported(module: Any, name: str, value: object) -> bool:
    """Tell whether a module has it from another one, which says it."""
    for line in Path(module.__file__).read_text().splitlines():
        if line.startswith((f"{name}: Final", f"{name} = ")):
            return False
    return True


if __name__ == "__main__":
    for each in DIALECTS:
        (PAGES / f"{each}.sql").write_text(page(each))
