"""What the databases' errors mean: whose fault, what callers are told, and whether to try again."""

import contextlib
import sqlite3
from collections.abc import Iterator

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from webhookd.core.errors import ServiceError, Unavailable, WebhookdError

_RETRY_SQLSTATES = frozenset({"40001", "40P01"})


@contextlib.contextmanager
def as_unavailable() -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, OSError, sqlite3.Error, TimeoutError) as error:
        public = public_error(error)
        if public is error:
            raise
        raise public from error


def public_error(error: BaseException) -> Exception:
    if isinstance(error, WebhookdError):
        return error
    if is_environmental(error):
        return Unavailable(environment_sentence(error), retry_after_seconds=2)
    return error if isinstance(error, Exception) else ServiceError(str(error))


def is_environmental(error: BaseException) -> bool:
    """Tell whether the machine failed rather than the statement: the same would fail again just now."""
    if isinstance(error, DBAPIError):
        return connection_lost(error) or _sqlite_environment(error.orig)
    return isinstance(error, OSError | TimeoutError | Unavailable) or _sqlite_environment(error)


def _sqlite_environment(error: object) -> bool:
    # SQLITE_ERROR (1) is what a wrong statement gives; busy, full, I/O and the rest are the machine's. So are
    # damage (CORRUPT) and another kind of file (NOTADB), which the driver raises as the parent class.
    if isinstance(error, sqlite3.OperationalError):
        return error.sqlite_errorcode & 0xFF != 1
    code = getattr(error, "sqlite_errorcode", 1)
    return isinstance(error, sqlite3.DatabaseError) and code & 0xFF in (11, 26)


def environment_sentence(error: BaseException) -> str:
    """Say what is wrong without saying where: the text reaches partners. SQLite's own words name no place."""
    origin = getattr(error, "orig", None) or error
    reason = str(origin) if isinstance(origin, sqlite3.Error) else "it does not answer"
    return f"The database cannot be used just now ({reason[:200]})."


def reason_of(error: BaseException) -> str:
    """Return the driver's own words in one line: for operators and logs only, they may name hosts."""
    origin = getattr(error.__cause__ or error, "orig", None) or error.__cause__ or error
    return (str(origin).splitlines() or [type(origin).__name__])[0][:300]


def connection_lost(error: BaseException) -> bool:
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None)
        return error.connection_invalidated or (
            isinstance(state, str) and state[:2] in {"08", "57", "53", "58"}
        )
    return isinstance(error, OSError | TimeoutError)


def lost_a_deadlock(error: BaseException) -> bool:
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _RETRY_SQLSTATES
