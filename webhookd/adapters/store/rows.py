"""Rows and the records they stand for, and lists of names as columns keep them."""

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from types import UnionType
from typing import Any, TypeVar, cast, get_args, get_type_hints

import orjson

T = TypeVar("T")


def filled(kind: type[T], /, *sources: object, **said: Any) -> T:
    """Return a `kind` (a NamedTuple, a dataclass) of what sources have under the name and type of its fields.

    What is called or meant otherwise is `said`. Raises TypeError for a field that a source has with another
    type and nobody says.
    """
    values: dict[str, Any] = {}
    for source in sources:
        names_, get, differing = _shared(cast("Any", kind), cast("Any", type(source)))
        if not differing <= said.keys():
            raise TypeError(f"{kind.__name__}: say {', '.join(sorted(differing - said.keys()))}")
        values.update(zip(names_, get(source), strict=False))
    values.update(said)
    return kind(**values)


@cache
def _shared(
    kind: type[Any], source: type[Any]
) -> tuple[tuple[str, ...], Callable[[object], tuple[Any, ...]], frozenset[str]]:
    """Return the names of the fields that both have, what reads them, and those whose types differ."""
    wanted, had = get_type_hints(kind), get_type_hints(source)
    both = [name for name in wanted if name in had]
    same = tuple(name for name in both if had[name] == wanted[name] or had[name] in _choices(wanted[name]))
    get = attrgetter(*same, *same[:1])  # with one name alone it would answer no tuple
    return same, get, frozenset(both) - set(same)


def _choices(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if isinstance(hint, UnionType) else ()


def names(text_or_none: str | None) -> tuple[str, ...]:
    """Return a stored JSON array of strings; NULL is empty."""
    return () if text_or_none is None else tuple(orjson.loads(text_or_none))


def names_json(values: tuple[str, ...]) -> str | None:
    """Return `values` for a column that stores a JSON array of strings; empty is NULL."""
    return orjson.dumps(values).decode() if values else None


def opt_names(text_or_none: str | None) -> tuple[str, ...] | None:
    """Return a stored JSON array of strings; NULL is None, which is not empty."""
    return None if text_or_none is None else names(text_or_none)


def opt_names_json(values: tuple[str, ...] | None) -> str | None:
    """Return `values` for a column that stores a JSON array of strings; None is NULL, empty is not."""
    return None if values is None else orjson.dumps(values).decode()
