"""What the store sends is constants, and all of it stands on a page that people read."""

import ast
import gc
from pathlib import Path
from typing import Final

import pytest

from tests.contract.statements import DIALECTS, PAGES, named_statements, page
from webhookd.adapters.store import __file__ as store_package
from webhookd.adapters.store.statement import SqlStatement

_STORE: Final = Path(store_package).parent
_KNOW_SQLALCHEMY: Final = ("database.py", "door.py", "migrate.py", "tx.py", "drivers")
"""The way to the databases; everything else in the store is operations."""
_OF_ITS_RUNNING: Final = frozenset({"Connection", "CursorResult", "Engine", "Result", "Row", "RowMapping"})


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_statement_stands_on_its_page(dialect: str) -> None:
    written = (PAGES / f"{dialect}.sql").read_text()

    assert written == page(dialect), "run `make statements` and read the diff"


def test_every_statement_is_a_constant_of_a_module() -> None:
    named = {id(statement) for _, _, statement in named_statements()}
    made = {id(one) for one in gc.get_objects() if isinstance(one, SqlStatement)}

    assert not made - named


def _operations() -> list[Path]:
    files = (file.relative_to(_STORE) for file in _STORE.rglob("*.py"))
    return [file for file in files if file.parts[0] not in _KNOW_SQLALCHEMY]


@pytest.mark.parametrize("file", _operations(), ids=str)
def test_an_operation_touches_no_connection_and_no_row_of_sqlalchemy(file: Path) -> None:
    tree = ast.parse((_STORE / file).read_text())
    imported = {
        name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy")
        for name in node.names
    }
    touched = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}

    assert not imported & _OF_ITS_RUNNING
    assert "conn" not in touched
