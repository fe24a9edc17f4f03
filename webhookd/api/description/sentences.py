"""What a field means: the string below it in its class."""

import ast
import inspect
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any, Final

from typing_extensions import get_original_bases

_NONE: Final[Mapping[str, str]] = {}


def sentences(kind: type[Any]) -> Mapping[str, str]:
    """Return the sentences of a class's fields by name, inherited ones too.

    The source is read for it; where there is none, as in a frozen program, nothing is known.
    """
    found: dict[str, str] = {}
    for base in reversed([kind, *_bases(kind)]):
        module = inspect.getmodule(base)
        if module is not None:
            found |= _of_module(module).get(base.__name__, _NONE)
    return found


def _bases(kind: type[Any]) -> list[type[Any]]:
    """A TypedDict forgets its bases but for `__orig_bases__`; a model has them all."""
    if not issubclass(kind, dict):
        return list(kind.__mro__[1:])
    above = [base for base in get_original_bases(kind) if isinstance(base, type)]
    return [*above, *(one for base in above for one in _bases(base))]


@cache
def _of_module(module: ModuleType) -> Mapping[str, Mapping[str, str]]:
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError):
        return {}
    return {one.name: dict(_fields(one)) for one in tree.body if isinstance(one, ast.ClassDef)}


def _fields(kind: ast.ClassDef) -> list[tuple[str, str]]:
    found = []
    for field, below in zip(kind.body, kind.body[1:], strict=False):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found.append((name, inspect.cleandoc(text).replace("\n", " ")))
    return found
