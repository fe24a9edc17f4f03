"""Existing Dramatiq actors as task types: their function, and what their options say of limits and tries.

Nothing of Dramatiq runs then: no message, no middleware, no broker of the actor's. What it took from them
(time limit, tries, pauses) becomes the type's.
"""

import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pydantic import BaseModel, ConfigDict, Field, create_model

from webhookd.core.outcome import ERROR, PRIVATE
from webhookd.taskset.context import Fail, Retry, TaskContext

MAX_TRIES: Final = 100
MAX_SECONDS: Final = 7 * 24 * 3600.0

_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class DramatiqActor(Protocol):
    """What is read of a `dramatiq.Actor`. Dramatiq itself is not imported: whoever has an actor did so."""

    @property
    def fn(self) -> Callable[..., Any]:
        """Its function."""
        ...

    @property
    def actor_name(self) -> str:
        """Its name."""
        ...

    @property
    def queue_name(self) -> str:
        """Its queue."""
        ...

    @property
    def options(self) -> dict[str, Any]:
        """What it says of itself."""
        ...

    @property
    def broker(self) -> Any:
        """Its broker, whose middleware says the rest."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorTask:
    """What `TaskSet.task` is given for an actor. The input has a member for each of its parameters."""

    type: str
    function: Callable[..., Any]
    options: dict[str, Any]


def actor_task(actor: DramatiqActor) -> ActorTask:
    """Read an actor. Raises TypeError, saying why, where a JSON object cannot be its arguments."""
    # An async function is wrapped by Dramatiq in one that needs its event loop.
    inner = inspect.unwrap(actor.fn)
    written: Callable[..., Any] = inner if inspect.iscoroutinefunction(inner) else actor.fn
    arguments = _Arguments(actor.actor_name, written)
    return ActorTask(
        type=actor.actor_name,
        function=_function(arguments, written, tuple(_throws(actor))),
        options=_options(actor),
    )


def _options(actor: DramatiqActor) -> dict[str, Any]:
    """Return what the actor's options, else its broker's middleware, say of limits and tries."""
    options: dict[str, Any] = {"queue": actor.queue_name}
    limit_ms = _option(actor, "time_limit")
    if limit_ms is not None:
        options["timeout"] = min(MAX_SECONDS, limit_ms / 1000)
    if _option(actor, "retry_when") is None:
        retries = _option(actor, "max_retries")
        if retries is not None:
            options["max_attempts"] = min(MAX_TRIES, retries + 1)
    pause_ms = _option(actor, "min_backoff")
    if pause_ms is not None:
        options["retry_base_seconds"] = pause_ms / 1000
        options["retry_factor"] = 2.0
    return options


def _option(actor: DramatiqActor, name: str) -> Any:
    given = actor.options.get(name)
    if given is not None:
        return given
    return next((found for one in actor.broker.middleware if (found := getattr(one, name, None))), None)


def _throws(actor: DramatiqActor) -> list[type[BaseException]]:
    throws = actor.options.get("throws") or ()
    return list(throws) if isinstance(throws, tuple) else [throws]


class _Arguments:
    """The parameters of a function as a model, and the model's values as arguments.

    The model's fields have names of our own and the parameters' as aliases: a parameter may be called as
    no field of a model can.
    """

    def __init__(self, name: str, written: Callable[..., Any]) -> None:
        self._positional: list[str] = []
        self._named: dict[str, str] = {}
        hints = _hints(name, written)
        fields: dict[str, Any] = {}
        takes_more = False
        for parameter in inspect.signature(written).parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                takes_more = True
                continue
            if parameter.kind is parameter.VAR_POSITIONAL:
                raise TypeError(
                    f"actor {name!r}: *{parameter.name} has no name to be given by; write a function with "
                    "named parameters around it, and declare that one with @tasks.task"
                )
            field = f"arg{len(fields)}"
            required = parameter.default is parameter.empty
            fields[field] = (
                hints.get(parameter.name, Any),
                Field(
                    default=... if required else parameter.default,
                    alias=parameter.name,
                    title=parameter.name,
                ),
            )
            if parameter.kind in _POSITIONAL:
                self._positional.append(field)
            else:
                self._named[field] = parameter.name
        self.model: type[BaseModel] = create_model(
            name, __config__=ConfigDict(extra="allow" if takes_more else "forbid"), **fields
        )

    def of(self, given: BaseModel) -> tuple[list[Any], dict[str, Any]]:
        """Return positional and named arguments."""
        named = {name: getattr(given, field) for field, name in self._named.items()}
        return [getattr(given, field) for field in self._positional], named | (given.model_extra or {})


def _hints(name: str, written: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(written, include_extras=True)
    except NameError as error:
        raise TypeError(f"actor {name!r}: an annotation cannot be resolved ({error})") from None


def _function(
    arguments: _Arguments, written: Callable[..., Any], throws: tuple[type[BaseException], ...]
) -> Callable[..., Any]:
    """Return the actor's function with the signature of a task's."""
    run: Callable[..., Any]
    if inspect.iscoroutinefunction(written):

        async def run_async(_ctx: TaskContext, given: BaseModel) -> Any:
            positional, named = arguments.of(given)
            try:
                return await written(*positional, **named)
            except Exception as error:
                if (ours := _ours(error, throws)) is not None:
                    raise ours from error
                raise

        run = run_async
    else:

        def run_sync(_ctx: TaskContext, given: BaseModel) -> Any:
            positional, named = arguments.of(given)
            try:
                return written(*positional, **named)
            except Exception as error:
                if (ours := _ours(error, throws)) is not None:
                    raise ours from error
                raise

        run = run_sync
    run.__annotations__ = {"_ctx": TaskContext, "given": arguments.model}
    run.__doc__ = written.__doc__
    run.__module__ = written.__module__
    run.__qualname__ = written.__qualname__
    return run


def _ours(error: Exception, throws: tuple[type[BaseException], ...]) -> Fail | Retry | None:
    """Return what an exception of an actor means here: Dramatiq's `Retry` is ours, `throws` ends the task."""
    dramatiq_errors: Any = sys.modules.get("dramatiq.errors")
    if dramatiq_errors is not None and isinstance(error, dramatiq_errors.Retry):
        delay_ms: float | None = getattr(error, "delay", None)
        return Retry(after=None if delay_ms is None else delay_ms / 1000, message=str(error))
    if throws and isinstance(error, throws) and not isinstance(error, Fail):
        return Fail(ERROR, PRIVATE)
    return None
