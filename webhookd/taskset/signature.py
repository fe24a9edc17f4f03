"""Reads the signature of a task function: what input it takes, and whether it is async."""

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticUserError

PLAIN_OBJECT_SCHEMA: Final[dict[str, Any]] = {"type": "object"}

_SHAPE = "write it as: def name(ctx: TaskContext, input: Model-or-dict)"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredInput:
    """What a function takes. `adapter` is None for a plain dict, which is passed on as it came."""

    adapter: TypeAdapter[Any] | None
    schema: dict[str, Any]
    is_async: bool


def input_of(type_name: str, function: object) -> DeclaredInput:
    """Read `function`. Raises TypeError, naming the type and the fix, where it cannot serve as a task."""
    subject = f"task type {type_name!r}"
    if not callable(function) or isinstance(function, type):
        raise TypeError(f"{subject}: {function!r} is not a function; {_SHAPE}")
    outer = _code(function)
    if inspect.isgeneratorfunction(outer) or inspect.isasyncgenfunction(outer):
        raise TypeError(
            f"{subject}: the function must return its result, not yield; use ctx.progress for steps"
        )
    annotation = _resolved(subject, inspect.unwrap(outer), _input_parameter(subject, function).annotation)
    adapter, schema = _adapter(subject, annotation)
    return DeclaredInput(adapter=adapter, schema=schema, is_async=inspect.iscoroutinefunction(outer))


def _code(function: Any) -> Any:
    """The function that is really called: beneath partials, and the `__call__` of a callable object.

    A `functools.wraps` wrapper stays: it decides whether the call is async, not what it wraps.
    """
    while isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) else type(function).__call__


def _input_parameter(subject: str, function: Callable[..., Any]) -> inspect.Parameter:
    parameters = list(inspect.signature(function).parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    others = [p for p in parameters if p not in positional[:2]]
    needs_more = any(p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in others)
    if len(positional) < 2 or needs_more:
        raise TypeError(f"{subject}: the function must take two positional parameters and no more; {_SHAPE}")
    return positional[1]


def _resolved(subject: str, written: Callable[..., Any], annotation: Any) -> Any:
    """The annotation as a type. Text (`from __future__ import annotations`) is looked up in the module.

    Only this one is resolved: what the return annotation names need not exist at run time.
    """
    if annotation is inspect.Parameter.empty:
        return dict
    holder = types.SimpleNamespace(__annotations__={"input": annotation})
    try:
        return typing.get_type_hints(holder, globalns=getattr(written, "__globals__", {}))["input"]
    except NameError as error:
        raise TypeError(
            f"{subject}: the annotation {annotation!r} cannot be resolved ({error}); define the input model "
            "at the top level of the module, and import it outside `if TYPE_CHECKING:`"
        ) from None


def _adapter(subject: str, annotation: Any) -> tuple[TypeAdapter[Any] | None, dict[str, Any]]:
    origin = typing.get_origin(annotation) or annotation
    arguments = typing.get_args(annotation)
    if origin in (dict, Mapping) and arguments in ((), (str, Any), (str, object)):
        return None, dict(PLAIN_OBJECT_SCHEMA)
    is_model = isinstance(origin, type) and issubclass(origin, BaseModel)
    if not (is_model or origin in (dict, Mapping)):
        raise TypeError(f"{subject}: the input is annotated {annotation!r}; use a pydantic model or dict")
    try:
        adapter = TypeAdapter(annotation)
        return adapter, adapter.json_schema()
    except PydanticUserError as error:
        first_line = str(error).partition("\n")[0]
        raise TypeError(f"{subject}: the input model has no JSON Schema: {first_line}") from error


def output_schema(type_name: str, output: Any) -> dict[str, Any] | None:
    """Return the JSON Schema of what a function returns, None for None. Raises TypeError: it has none."""
    if output is None:
        return None
    try:
        return TypeAdapter(output).json_schema(mode="serialization")
    except PydanticUserError as error:
        first_line = str(error).partition("\n")[0]
        raise TypeError(f"task type {type_name!r}: the output has no JSON Schema: {first_line}") from error
