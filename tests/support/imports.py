"""How the processes of `pytest -n` compile each test module once between them.

All collect all tests. In a fresh clone each would rewrite and compile every module for itself, at the same
time as the others. So each imports some of its own first, and finds what the others have compiled when it
comes to theirs.
"""

import importlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

_ROOT: Final = Path(__file__).parents[2]


def import_some(arguments: Iterable[str], *, first: int, every: int) -> None:
    """Import one module in `every` of those that pytest's arguments name, from number `first` on.

    What cannot be imported is said when it is collected.
    """
    named = [_ROOT / argument.partition("::")[0] for argument in arguments]
    found = sorted(
        {file for path in named for file in (path.rglob("test_*.py") if path.is_dir() else [path])}
    )
    for file in found[first::every]:
        with suppress(Exception, pytest.skip.Exception):
            importlib.import_module(".".join(file.relative_to(_ROOT).with_suffix("").parts))
