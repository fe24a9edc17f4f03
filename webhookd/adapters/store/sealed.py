"""Which columns hold sealed text, which encryption keys sealed it, and sealing it again with the newest.

There are three kinds: signing secrets, endpoints' own headers, and the kept answers of `Idempotency-Key`s
(as long as they are remembered). Sealing again goes row by row, each by compare-and-set, so that it can be
broken off, repeated, and done while the service runs.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Table, and_, func, select, true, tuple_

from webhookd.adapters.store.database import Database
from webhookd.adapters.store.endpoint_settings import HEADERS_FIELD
from webhookd.adapters.store.idempotency import answer_columns, answer_field, sealed_answer
from webhookd.adapters.store.schema import endpoints, idempotency, secrets
from webhookd.adapters.store.secrets import SECRET_FIELD
from webhookd.adapters.store.tx import Tx
from webhookd.adapters.vault import Vault
from webhookd.core.errors import WebhookdError

ROWS_A_STEP: Final = 200

# A sealed text begins with `v1.` and the eight hex digits of its key's id (`adapters.vault`).
_KEY_ID_AT, _KEY_ID_LENGTH = 4, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A row that does not open: of which kind (`secret`, `headers`, `answer`), whose, and why."""

    kind: str
    row: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one step did."""

    resealed: int
    unreadable: tuple[Unreadable, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """How many rows need a key. `answers_until_ms`: when the last of its answers is forgotten."""

    key_id: str
    secrets: int = 0
    headers: int = 0
    answers: int = 0
    answers_until_ms: int | None = None


def sealed_key_ids(tx: Tx, *, answers_since_ms: int) -> set[str]:
    """Return the ids of all keys that something needs. Answers made before `answers_since_ms` count no more.

    Of the answers, of which there may be millions, only the ids are read, hopping through their index.
    """
    found: set[str] = set()
    for kind in _kinds(answers_since_ms):
        found.update(kind.key_ids(tx))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """Rows with one sealed column. `name`s are those of `Unreadable`.

    `key` finds a row again and `order` walks them; `where` says which hold a sealed text; `again` returns
    the columns as they are to be; `whose` names a row to a person.
    """

    name: str
    table: Table
    key: tuple[ColumnElement[Any], ...]
    order: tuple[ColumnElement[Any], ...]
    column: ColumnElement[str]
    where: ColumnElement[bool]
    key_id: ColumnElement[str]
    key_ids: Callable[[Tx], Sequence[str]]
    again: Callable[[Vault, Row[Any]], dict[str, str]]
    whose: Callable[[Row[Any]], str]


class Resealing:
    """Seals again all that an older key has sealed. Answers made before `now_ms - keep_ms` are forgotten."""

    def __init__(self, db: Database, vault: Vault, *, now_ms: int, keep_ms: int) -> None:
        self._db = db
        self._vault = vault
        self._keep_ms = keep_ms
        self._kinds = _kinds(now_ms - keep_ms)

    async def left(self) -> int:
        """Return how many rows an older key has sealed."""
        return sum([await self._db.read(_count, kind, self._vault.newest_id) for kind in self._kinds])

    async def uses(self) -> list[KeyUse]:
        """Return what needs which key, the newest left out, by key id."""
        return await self._db.read(_uses, self._kinds, self._vault.newest_id, self._keep_ms)

    async def run(self) -> AsyncGenerator[Step, None]:
        """Go through all rows once, a small transaction a step. Raises Unavailable; then run it again."""
        for kind in self._kinds:
            for key_id in await self._db.read(kind.key_ids):
                if key_id != self._vault.newest_id:
                    async for step in self._run(kind, key_id):
                        yield step

    async def _run(self, kind: _Kind, key_id: str) -> AsyncGenerator[Step, None]:
        after: Row[Any] | None = None
        while rows := await self._db.read(_sealed_with, kind, key_id, after):
            after = rows[-1]
            fresh: list[tuple[Row[Any], dict[str, str]]] = []
            unreadable: list[Unreadable] = []
            for row in rows:
                try:
                    fresh.append((row, kind.again(self._vault, row)))
                except WebhookdError as error:
                    unreadable.append(Unreadable(kind=kind.name, row=kind.whose(row), reason=error.detail))
            resealed = await self._db.write(_replace, kind, fresh)
            yield Step(resealed=resealed, unreadable=tuple(unreadable))


def _kinds(answers_since_ms: int) -> tuple[_Kind, ...]:
    answers = and_(idempotency.c.sealed_by.is_not(None), idempotency.c.created_ms >= answers_since_ms)
    return (
        _Kind(
            name="secret",
            table=secrets,
            key=(secrets.c.id,),
            order=(secrets.c.id,),
            column=secrets.c.sealed,
            where=true(),
            key_id=_key_id(secrets.c.sealed),
            key_ids=lambda tx: _distinct(tx, secrets.c.sealed),
            again=_secret_again,
            whose=lambda row: f"{row.id} of {row.endpoint_id or row.partner_id}",
        ),
        _Kind(
            name="headers",
            table=endpoints,
            key=(endpoints.c.id,),
            order=(endpoints.c.id,),
            column=endpoints.c.headers_sealed,
            where=endpoints.c.headers_sealed.is_not(None),
            key_id=_key_id(endpoints.c.headers_sealed),
            key_ids=lambda tx: _distinct(tx, endpoints.c.headers_sealed),
            again=_headers_again,
            whose=lambda row: str(row.id),
        ),
        _Kind(
            name="answer",
            table=idempotency,
            key=(idempotency.c.partner_id, idempotency.c.key),
            order=(idempotency.c.created_ms, idempotency.c.partner_id, idempotency.c.key),
            column=idempotency.c.outcome,
            where=answers,
            key_id=idempotency.c.sealed_by,
            key_ids=lambda tx: _hopped(tx, answers_since_ms),
            again=_answer_again,
            whose=lambda row: f"{row.key} of {row.partner_id}",
        ),
    )


def _secret_again(vault: Vault, row: Row[Any]) -> dict[str, str]:
    where = {"partner": row.partner_id, "endpoint": row.endpoint_id, "field": SECRET_FIELD}
    return {"sealed": _again(vault, row.sealed, **where)}


def _headers_again(vault: Vault, row: Row[Any]) -> dict[str, str]:
    where = {"partner": row.partner_id, "endpoint": row.id, "field": HEADERS_FIELD}
    return {"headers_sealed": _again(vault, row.headers_sealed, **where)}


def _answer_again(vault: Vault, row: Row[Any]) -> dict[str, str]:
    where = {"partner": row.partner_id, "endpoint": None, "field": answer_field(row.key)}
    return answer_columns(_again(vault, sealed_answer(row.outcome), **where))


def _again(vault: Vault, sealed: str, **where: Any) -> str:
    return vault.seal(vault.open(sealed, **where), **where)


def _key_id(column: ColumnElement[Any]) -> ColumnElement[str]:
    return func.substr(column, _KEY_ID_AT, _KEY_ID_LENGTH)


def _distinct(tx: Tx, column: ColumnElement[Any]) -> list[str]:
    used = _key_id(column)
    found = tx.execute(select(used).where(column.is_not(None)).distinct())
    return sorted(row[0] for row in found)


def _hopped(tx: Tx, since_ms: int) -> list[str]:
    """Return the keys of the answers that are still remembered, each found by one look into the index."""
    used, made = idempotency.c.sealed_by, idempotency.c.created_ms
    found: list[str] = []
    first: str | None = tx.execute(select(func.min(used))).scalar()
    while first is not None:
        latest = tx.execute(select(func.max(made)).where(used == first)).scalar()
        if latest is not None and latest >= since_ms:
            found.append(first)
        first = tx.execute(select(func.min(used)).where(used > first)).scalar()
    return found


def _count(tx: Tx, kind: _Kind, newest_id: str) -> int:
    counted = select(func.count()).select_from(kind.table).where(kind.where, kind.key_id != newest_id)
    return int(tx.execute(counted).scalar_one())


def _uses(tx: Tx, kinds: Sequence[_Kind], newest_id: str, keep_ms: int) -> list[KeyUse]:
    found: dict[str, dict[str, int]] = {}
    for kind in kinds:
        used = (
            select(kind.key_id.label("key_id"), func.count().label("n"))
            .where(kind.where, kind.key_id != newest_id)
            .group_by(kind.key_id)
        )
        for row in tx.execute(used):
            found.setdefault(row.key_id, {})[kind.name] = row.n
    made = idempotency.c.created_ms
    uses = []
    for key_id, counts in sorted(found.items()):
        latest = tx.execute(select(func.max(made)).where(idempotency.c.sealed_by == key_id)).scalar()
        uses.append(
            KeyUse(
                key_id=key_id,
                secrets=counts.get("secret", 0),
                headers=counts.get("headers", 0),
                answers=counts.get("answer", 0),
                answers_until_ms=latest + keep_ms if latest is not None and "answer" in counts else None,
            )
        )
    return uses


def _sealed_with(tx: Tx, kind: _Kind, key_id: str, after: Row[Any] | None) -> Sequence[Row[Any]]:
    """Return the next rows that this key has sealed."""
    statement = select(kind.table).where(kind.where, kind.key_id == key_id)
    if after is not None:
        place = tuple(after._mapping[column.name] for column in kind.order)
        statement = statement.where(tuple_(*kind.order) > place)
    return tx.execute(statement.order_by(*kind.order).limit(ROWS_A_STEP)).all()


def _replace(tx: Tx, kind: _Kind, fresh: Sequence[tuple[Row[Any], dict[str, str]]]) -> int:
    """Write what was sealed again, except where the row has changed or gone meanwhile."""
    changed = 0
    for row, values in fresh:
        before = row._mapping
        same = [column == before[column.name] for column in (*kind.key, kind.column)]
        changed += tx.execute(kind.table.update().where(*same).values(values)).rowcount
    return changed
