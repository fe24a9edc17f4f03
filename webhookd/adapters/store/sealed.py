"""Which columns hold sealed text, which encryption keys sealed it, and sealing it again with the newest.

There are three kinds: signing secrets, endpoints' own headers, and the kept answers of `Idempotency-Key`s
(only while they are remembered). Sealing again goes row by row, each by compare-and-set, so that it can be
broken off, repeated, and done while the service runs.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import ColumnElement, Connection, Row, Select, Table, and_, func, or_, select, true

from webhookd.adapters.store.database import Database
from webhookd.adapters.store.endpoint_settings import HEADERS_FIELD
from webhookd.adapters.store.idempotency import answer_field
from webhookd.adapters.store.schema import endpoints, idempotency, secrets
from webhookd.adapters.store.secrets import SECRET_FIELD
from webhookd.adapters.vault import Vault
from webhookd.core.errors import WebhookdError

ROWS_A_STEP: Final = 200

_SEALED = (secrets.c.sealed, endpoints.c.headers_sealed)
# A sealed text begins with `v1.` and the eight hex digits of its key's id (`adapters.vault`).
_KEY_ID_AT, _KEY_ID_LENGTH = 4, 8
# The kept answer is the JSON text `{"sealed":"v1.…"}` (`idempotency`).
_ANSWER_HEAD: Final = '{"sealed":"'


def sealed_key_ids(conn: Connection) -> set[str]:
    """Return the ids of all keys that secrets and headers need.

    Kept answers are left out: there may be millions of them, and they are gone after a day.
    """
    found: set[str] = set()
    for column in _SEALED:
        used = _key_id(column)
        found |= {row[0] for row in conn.execute(select(used).where(column.is_not(None)).distinct())}
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one step did: rows sealed again, and the ids of those that did not open."""

    resealed: int
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """Rows with one sealed column. `key` orders them; `where` says which may hold a sealed text."""

    table: Table
    key: tuple[ColumnElement[Any], ...]
    column: ColumnElement[Any]
    where: ColumnElement[bool]
    key_id: ColumnElement[str]
    again: Callable[[Vault, Row[Any]], str]


class Resealing:
    """Seals again all that an older key has sealed. Answers before `answers_since_ms` are forgotten."""

    def __init__(self, db: Database, vault: Vault, *, answers_since_ms: int) -> None:
        self._db = db
        self._vault = vault
        self._kinds = _kinds(answers_since_ms)

    async def left(self) -> int:
        """Return how many rows an older key has sealed."""
        return sum([await self._db.read(_count, kind, self._vault.newest_id) for kind in self._kinds])

    async def run(self) -> AsyncIterator[Step]:
        """Go through all rows once, a small transaction a step. Raises Unavailable; then run it again."""
        for kind in self._kinds:
            after: Row[Any] | None = None
            while rows := await self._db.read(_old, kind, self._vault.newest_id, after):
                after = rows[-1]
                fresh, unreadable = self._sealed_again(kind, rows)
                resealed = await self._db.write(_replace, kind, fresh)
                yield Step(resealed=resealed, unreadable=unreadable)

    def _sealed_again(
        self, kind: _Kind, rows: Sequence[Row[Any]]
    ) -> tuple[list[tuple[Row[Any], str]], tuple[str, ...]]:
        fresh: list[tuple[Row[Any], str]] = []
        unreadable: list[str] = []
        for row in rows:
            try:
                fresh.append((row, kind.again(self._vault, row)))
            except WebhookdError:
                unreadable.append(" ".join(str(row._mapping[column.name]) for column in kind.key))
        return fresh, tuple(unreadable)


def _kinds(answers_since_ms: int) -> tuple[_Kind, ...]:
    return (
        _Kind(
            table=secrets,
            key=(secrets.c.id,),
            column=secrets.c.sealed,
            where=true(),
            key_id=_key_id(secrets.c.sealed),
            again=lambda vault, row: _again(
                vault, row.sealed, partner=row.partner_id, endpoint=row.endpoint_id, field=SECRET_FIELD
            ),
        ),
        _Kind(
            table=endpoints,
            key=(endpoints.c.id,),
            column=endpoints.c.headers_sealed,
            where=endpoints.c.headers_sealed.is_not(None),
            key_id=_key_id(endpoints.c.headers_sealed),
            again=lambda vault, row: _again(
                vault, row.headers_sealed, partner=row.partner_id, endpoint=row.id, field=HEADERS_FIELD
            ),
        ),
        _Kind(
            table=idempotency,
            key=(idempotency.c.partner_id, idempotency.c.key),
            column=idempotency.c.outcome,
            where=and_(
                idempotency.c.created_ms >= answers_since_ms,
                func.substr(idempotency.c.outcome, 1, len(_ANSWER_HEAD)) == _ANSWER_HEAD,
            ),
            key_id=_key_id(idempotency.c.outcome, skip=len(_ANSWER_HEAD)),
            again=_answer_again,
        ),
    )


def _again(vault: Vault, sealed: str, **where: Any) -> str:
    return vault.seal(vault.open(sealed, **where), **where)


def _answer_again(vault: Vault, row: Row[Any]) -> str:
    where = {"partner": row.partner_id, "endpoint": None, "field": answer_field(row.key)}
    return orjson.dumps({"sealed": _again(vault, orjson.loads(row.outcome)["sealed"], **where)}).decode()


def _key_id(column: ColumnElement[Any], *, skip: int = 0) -> ColumnElement[str]:
    return func.substr(column, skip + _KEY_ID_AT, _KEY_ID_LENGTH)


def _sealed_by_older(kind: _Kind, newest_id: str) -> ColumnElement[bool]:
    return and_(kind.where, kind.key_id != newest_id)


def _count(conn: Connection, kind: _Kind, newest_id: str) -> int:
    counted = select(func.count()).select_from(kind.table).where(_sealed_by_older(kind, newest_id))
    return int(conn.execute(counted).scalar_one())


def _old(conn: Connection, kind: _Kind, newest_id: str, after: Row[Any] | None) -> Sequence[Row[Any]]:
    """Return the next rows in the order of their keys."""
    statement: Select[Any] = select(kind.table).where(_sealed_by_older(kind, newest_id))
    if after is not None:
        statement = statement.where(_follows(kind, after))
    return conn.execute(statement.order_by(*kind.key).limit(ROWS_A_STEP)).all()


def _follows(kind: _Kind, after: Row[Any]) -> ColumnElement[bool]:
    """Compare keys of one or two columns; written out, because SQLite indexes it better than a tuple."""
    first, *rest = kind.key
    at = after._mapping
    if not rest:
        return first > at[first.name]
    second = rest[0]
    return or_(
        first > at[first.name],
        and_(first == at[first.name], second > at[second.name]),
    )


def _replace(conn: Connection, kind: _Kind, fresh: Sequence[tuple[Row[Any], str]]) -> int:
    """Write what was sealed again, except where the row has changed or gone meanwhile."""
    name = kind.column.name
    changed = 0
    for row, sealed in fresh:
        here = [column == row._mapping[column.name] for column in kind.key]
        here.append(kind.column == row._mapping[name])
        changed += conn.execute(kind.table.update().where(*here).values({name: sealed})).rowcount
    return changed
