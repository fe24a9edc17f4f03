"""Rows and the records they stand for, and lists of names as columns keep them."""

from collections.abc import Callable
from functools import cache
from types import UnionType
from typing import Any, TypeVar, cast, get_args, get_type_hints

import orjson

T = TypeVar("T")


def filled(kind: type[T], /, *sources: object, **said: Any) -> T:
    """Return a `kind` (a NamedTuple, a dataclass) of what sources have under the name and type of its fields.

    What is called or meant otherwise is `said`. Raises TypeError for a field that a source has with another
    type and nobody says.
    """
    return cast("T", _maker(cast("Any", kind), tuple(map(type, sources)), tuple(said))(*sources, **said))


@cache
def _maker(kind: type[Any], sources: tuple[type[Any], ...], said: tuple[str, ...]) -> Callable[..., Any]:
    """Return the function a person would write: `lambda _0, *, state: Task(state=state, id=_0.id, …)`.

    It is compiled once for each call of `filled`, as dataclasses make theirs: a loop over names takes a
    quarter more time. Of two sources that have a field the later one gives it.
    """
    wanted = get_type_hints(kind)
    given = {name: name for name in said}
    for place, source in reversed(list(enumerate(sources))):
        had = get_type_hints(source)
        fresh = [name for name in wanted if name in had and name not in given]
        differing = [name for name in fresh if not choices(had[name]) <= choices(wanted[name])]
        if differing:
            raise TypeError(f"{kind.__name__}: say {', '.join(differing)}")
        given |= {name: f"_{place}.{name}" for name in fresh}
    takes = [*(f"_{place}" for place in range(len(sources))), *(("*", *said) if said else ())]
    gives = (f"{name}={value}" for name, value in given.items())
    text = f"lambda {', '.join(takes)}: _made({', '.join(gives)})"
    return cast("Callable[..., Any]", eval(text, {"_made": kind}))  # noqa: S307 - names of fields, nobody's input


def choices(hint: Any) -> frozenset[Any]:
    """Return the types of which a field may be."""
    return frozenset(get_args(hint)) if isinstance(hint, UnionType) else frozenset((hint,))


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
