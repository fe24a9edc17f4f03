"""What lives as long as a process that runs tasks: clients and pools that functions find in `ctx.state`."""

import inspect
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

LifespanFunction = Callable[..., AbstractAsyncContextManager[Any]]


class Lifespan:
    """One task set's async context manager, not entered yet. Two are the same only where they are one."""

    def __init__(self, function: LifespanFunction, owner: Any) -> None:
        """Take the function, which is called with its task set, or with nothing where it takes nothing."""
        if not callable(function):
            raise TypeError(
                f"lifespan={function!r}: write it as: @asynccontextmanager async def lifespan(tasks)"
            )
        self._function = function
        self._owner = owner

    def enter(self) -> AbstractAsyncContextManager[Any]:
        """Return the context manager, made anew."""
        try:
            takes_owner = bool(inspect.signature(self._function).parameters)
        except ValueError:  # a callable written in C tells no signature
            takes_owner = True
        return self._function(self._owner) if takes_owner else self._function()
