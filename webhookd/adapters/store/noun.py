"""A noun of the store is a list of operations; each says how it runs: as a read, a write, or grouped."""

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

from webhookd.adapters.store.database import Database, Operation
from webhookd.adapters.store.tx import Tx

P = ParamSpec("P")
R = TypeVar("R")
Payload = TypeVar("Payload")


class Noun:
    """Operations on one database. A method takes what its operation takes after `tx`."""

    def __init__(self, db: Database) -> None:
        self.db = db


def reads(work: Callable[Concatenate[Tx, P], R]) -> Callable[Concatenate[Noun, P], Coroutine[Any, Any, R]]:
    """Return `work` as a method that reads."""

    @functools.wraps(work)
    def method(self: Noun, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        return self.db.read(work, *args, **kwargs)

    return method


def writes(work: Callable[Concatenate[Tx, P], R]) -> Callable[Concatenate[Noun, P], Coroutine[Any, Any, R]]:
    """Return `work` as a method with a transaction of its own."""

    @functools.wraps(work)
    def method(self: Noun, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        return self.db.write(work, *args, **kwargs)

    return method


def groups(
    operation: Operation[Payload, R], *, repeatable: bool = False
) -> Callable[[Noun, Payload], Coroutine[Any, Any, R]]:
    """Return an operation as a method that shares its transaction; `repeatable` as in `Database.grouped`."""

    def method(self: Noun, payload: Payload, /) -> Coroutine[Any, Any, R]:
        return self.db.grouped(operation, payload, repeatable=repeatable)

    return method
