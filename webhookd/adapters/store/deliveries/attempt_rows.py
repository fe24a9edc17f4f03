"""The rows of attempts, and the attempts they stand for."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import orjson

from webhookd.adapters.store.insert import Insert
from webhookd.adapters.store.rows import filled
from webhookd.adapters.store.schema import attempts
from webhookd.core.records import Attempt, AttemptMade


class AttemptMadeRow(NamedTuple):
    """A row of `attempts` without what was answered."""

    delivery_id: str
    number: int
    at_ms: int
    duration_us: int
    dns_us: int | None
    connect_us: int | None
    tls_us: int | None
    first_byte_us: int | None
    status: int | None
    error: str | None
    resent: bool | None


class AnsweredRow(NamedTuple):
    """What was answered."""

    headers: str
    excerpt: str


class AttemptRow(NamedTuple):
    """A row of `attempts`, whole."""

    made: AttemptMadeRow
    answered: AnsweredRow


MADE: Final = tuple(attempts.c[name] for name in AttemptMadeRow._fields)
WHOLE: Final = (*MADE, *(attempts.c[name] for name in AnsweredRow._fields))
"""The columns of these rows, to be selected."""

LOG_ATTEMPTS: Final = Insert(
    attempts, Attempt, or_nothing=True, headers=lambda attempt: orjson.dumps(attempt.headers).decode()
)


def attempt_made_from(row: AttemptMadeRow) -> AttemptMade:
    """Return the attempt of a row that has nothing of the answer."""
    return filled(AttemptMade, row, resent=bool(row.resent))


def attempt_from(row: AttemptRow) -> Attempt:
    """Return the attempt of a row."""
    headers: Iterable[Sequence[str]] = orjson.loads(row.answered.headers)
    return filled(
        Attempt,
        row.made,
        resent=bool(row.made.resent),
        headers=tuple((name, value) for name, value in headers),
        excerpt=row.answered.excerpt,
    )
