"""What the databases' errors mean: whose fault, what callers are told, and whether to try again.

No text of an error that a value could be in goes on: PostgreSQL repeats values in its DETAIL, and for wrong
data in the message itself, and a traceback would print the whole chain. So what leaves the store is an
error of ours, raised from none, with the place in the code but without the database's own exception.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from webhookd.core.errors import ServiceError, StoreFault, Unavailable, WebhookdError

_AGAIN: Final = frozenset({"40001", "40P01"})
_DEFECTS: Final = frozenset({"0A", "21", "22", "23", "24", "2F", "34", "38", "39", "3F", "42", "44", "P0"})
"""Classes of SQLSTATE that say the statement or a value is wrong (PostgreSQL's appendix A)."""
_ENVIRONMENTAL: Final = frozenset({"42501", "42P05"})
"""Of those classes and not ours: privileges taken away; a statement's name that a pooler mixed up."""
REFUSES_WRITES: Final = frozenset({"25006"})
"""The whole pool is of such connections: a role or a server turned read-only."""
_OF_THE_SESSION: Final = frozenset({"55P03", "57014", "25P03", "26000", "42P05", "42501"})
"""May come of what this session was begun with (a role's time-outs, say), and go with it."""


@contextlib.contextmanager
def as_ours() -> Iterator[None]:
    """Turn the database's errors into ours: Unavailable, or StoreFault where the statement is to blame."""
    try:
        yield
    except (SQLAlchemyError, OSError, sqlite3.Error, TimeoutError) as error:
        public = public_error(error)
        if public is error:
            raise
        raise public.with_traceback(error.__traceback__) from None


def public_error(error: BaseException) -> Exception:
    """Return what callers and logs may see of an error: never a value of a statement."""
    if isinstance(error, WebhookdError):
        return error
    if is_environmental(error):
        return Unavailable(environment_sentence(error), retry_after_seconds=2, reason=reason_of(error))
    if isinstance(error, SQLAlchemyError | sqlite3.Error):
        return StoreFault(reason=_defect(error))
    return error if isinstance(error, Exception) else ServiceError(str(error))


def is_environmental(error: BaseException) -> bool:
    """Tell whether the machine failed rather than the statement: the same would fail again just now."""
    if isinstance(error, DBAPIError):
        state = sqlstate(error)
        return (
            error.connection_invalidated
            or _sqlite_environment(error.orig)
            or (state is not None and (state in _ENVIRONMENTAL or state[:2] not in _DEFECTS))
            or is_worth_another_try(error)
        )
    return isinstance(error, OSError | TimeoutError | PoolTimeout | Unavailable) or _sqlite_environment(error)


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
    if isinstance(origin, sqlite3.Error):
        reason = str(origin)
    elif (state := sqlstate(error)) in REFUSES_WRITES:
        reason = "it is read-only"
    elif state == "42501":
        reason = "its rights were taken away"
    else:
        reason = "it does not answer"
    return f"The database cannot be used just now ({reason[:200]})."


def reason_of(error: BaseException) -> str:
    """Return the driver's own words in one line: for operators and logs only, they may name hosts."""
    if isinstance(error, Unavailable | StoreFault) and error.reason:
        return error.reason
    origin = getattr(error.__cause__ or error, "orig", None) or error.__cause__ or error
    return (str(origin).splitlines() or [type(origin).__name__])[0][:300]


def _defect(error: BaseException) -> str:
    """Say which statement failed, and how, without a value."""
    origin = getattr(error, "orig", None) or error
    state = sqlstate(error)
    cause = getattr(origin, "__cause__", None) or origin
    said = type(cause).__name__
    if state is not None:
        said += f" {state}"
    if isinstance(origin, sqlite3.Error) or (state is not None and state[:2] != "22"):
        said += f": {(str(cause).splitlines() or [''])[0][:300]}"
    statement = " ".join(str(getattr(error, "statement", None) or "").split())
    return f"{said} in {statement[:300]}" if statement else said


def sqlstate(error: BaseException) -> str | None:
    """Return PostgreSQL's code of an error; None for one that has none."""
    origin = getattr(error, "orig", None) or error
    for one in (origin, getattr(origin, "__cause__", None)):
        state = getattr(one, "sqlstate", None)
        if isinstance(state, str):
            return state
    return None


def is_of_the_session(error: BaseException) -> bool:
    """Tell whether a new session may not have what this one failed at."""
    return sqlstate(error) in _OF_THE_SESSION


def has_found_a_standby(error: BaseException) -> bool:
    """Tell whether the session takes no writes. It may have been begun before writing was allowed again."""
    return sqlstate(error) in REFUSES_WRITES


def is_worth_another_try(error: BaseException) -> bool:
    """Tell whether the same may succeed in a moment: a lost deadlock, or a plan that a migration outdated."""
    return isinstance(error, DBAPIError) and (
        sqlstate(error) in _AGAIN or type(error.orig).__name__ == "InvalidCachedStatementError"
    )
