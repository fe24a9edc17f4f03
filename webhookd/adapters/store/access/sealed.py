"""Which columns hold sealed text, and which encryption keys sealed it.

There are three kinds: signing secrets, endpoints' own headers, and the kept answers of `Idempotency-Key`s
(as long as they are remembered). `resealing` seals them again.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, NamedTuple

from sqlalchemy import Column, ColumnElement, Integer, Select, and_, bindparam, func, select, true, tuple_

from webhookd.adapters.store.access.idempotency import KeyRow, answer_columns, answer_field, sealed_answer
from webhookd.adapters.store.endpoints.endpoint_rows import EndpointRow
from webhookd.adapters.store.endpoints.endpoint_settings import HEADERS_FIELD
from webhookd.adapters.store.endpoints.secrets import SECRET_FIELD
from webhookd.adapters.store.schema import endpoints, idempotency, secrets
from webhookd.adapters.store.statement import Change, Count, Listing, Query, RowT, narrowed
from webhookd.adapters.store.tx import Tx
from webhookd.adapters.vault import Vault
from webhookd.core.records import SealedSecret

ROWS_A_STEP: Final = 200

# A sealed text begins with `v1.` and the eight hex digits of its key's id (`adapters.vault`).
_KEY_ID_AT, _KEY_ID_LENGTH = 4, 8


class _KeyId(NamedTuple):
    key_id: str


class Use(NamedTuple):
    """How many rows a key has sealed."""

    key_id: str
    n: int


class SealedKind(Generic[RowT]):
    """Rows with one sealed column, `sealed`; `name`s are those of `Unreadable`.

    `key` finds a row again and `order` walks them; `where` says which hold a sealed text, and `sealed_by`
    with which key; `again` returns the columns as they are to be; `whose` names a row to a person.
    """

    def __init__(
        self,
        row: type[RowT],
        *,
        name: str,
        sealed: Column[str],
        key: Sequence[Column[Any]],
        order: Sequence[Column[Any]],
        where: ColumnElement[bool],
        sealed_by: ColumnElement[str],
        key_ids: Callable[[Tx, int], Sequence[str]],
        again: Callable[[Vault, RowT], dict[str, str]],
        whose: Callable[[RowT], str],
    ) -> None:
        self.name, self.key_ids, self.again, self.whose = name, key_ids, again, whose
        older = and_(where, sealed_by != bindparam("newest"))
        self.count: Final = Query(
            Count, lambda _: select(func.count().label("n")).select_from(sealed.table).where(older)
        )
        self.uses: Final = Query(
            Use,
            lambda _: (
                select(sealed_by.label("key_id"), func.count().label("n")).where(older).group_by(sealed_by)
            ),
        )
        self._place = [column.name for column in order]
        self._same = [column.name for column in (*key, sealed)]
        place = tuple_(*(bindparam(f"after_{column.name}", type_=column.type) for column in order))

        def walk(_dialect: str, given: frozenset[str]) -> Select[Any]:
            statement = select(sealed.table).where(where, sealed_by == bindparam("key_id"))
            if f"after_{order[0].name}" in given:
                statement = statement.where(tuple_(*order) > place)
            return statement.order_by(*order).limit(bindparam("most", type_=Integer))

        self._walk = Listing(row, walk)
        same = [column == bindparam(f"old_{column.name}") for column in (*key, sealed)]
        changed: dict[str, Any] = {sealed.name: bindparam(f"new_{sealed.name}")}
        if isinstance(sealed_by, Column):
            changed[sealed_by.name] = bindparam(f"new_{sealed_by.name}")
        self._write = Change(lambda _: sealed.table.update().where(*same).values(changed))

    def sealed_with(self, tx: Tx, key_id: str, since_ms: int, after: RowT | None) -> list[RowT]:
        """Return the next rows that this key has sealed."""
        place = {f"after_{name}": getattr(after, name, None) for name in self._place}
        return tx.run(self._walk, key_id=key_id, since_ms=since_ms, most=ROWS_A_STEP, **place)

    def write(self, tx: Tx, fresh: Sequence[tuple[RowT, dict[str, str]]]) -> int:
        """Write what was sealed again, except where the row has changed or gone meanwhile."""
        changed = 0
        for row, values in fresh:
            old = {f"old_{name}": getattr(row, name) for name in self._same}
            changed += tx.run(self._write, **old, **{f"new_{name}": text for name, text in values.items()})
        return changed


def _key_id(column: ColumnElement[Any]) -> ColumnElement[str]:
    return func.substr(column, _KEY_ID_AT, _KEY_ID_LENGTH)


def _distinct(column: Column[Any]) -> Callable[[Tx, int], list[str]]:
    used = Query(
        _KeyId,
        lambda _: select(_key_id(column).label("key_id")).where(column.is_not(None)).distinct(),
    )
    return lambda tx, _since_ms: sorted(row.key_id for row in tx.run(used))


class _NextKey(NamedTuple):
    key_id: str | None


class _Latest(NamedTuple):
    ms: int | None


_NEXT_KEY: Final = Listing(
    _NextKey,
    lambda _, given: narrowed(
        select(func.min(idempotency.c.sealed_by).label("key_id")),
        given,
        after=idempotency.c.sealed_by > bindparam("after"),
    ),
)
LATEST_ANSWER: Final = Query(
    _Latest,
    lambda _: select(func.max(idempotency.c.created_ms).label("ms")).where(
        idempotency.c.sealed_by == bindparam("key_id")
    ),
)


def _hopped(tx: Tx, since_ms: int) -> list[str]:
    """Return the keys of the answers that are still remembered, each found by one look into the index."""
    found: list[str] = []
    key_id = tx.one(_NEXT_KEY).key_id
    while key_id is not None:
        latest_ms = tx.one(LATEST_ANSWER, key_id=key_id).ms
        if latest_ms is not None and latest_ms >= since_ms:
            found.append(key_id)
        key_id = tx.one(_NEXT_KEY, after=key_id).key_id
    return found


def _secret_again(vault: Vault, row: SealedSecret) -> dict[str, str]:
    where = {"partner": row.partner_id, "endpoint": row.endpoint_id, "field": SECRET_FIELD}
    return {"sealed": _again(vault, row.sealed, **where)}


def _headers_again(vault: Vault, row: EndpointRow) -> dict[str, str]:
    where = {"partner": row.partner_id, "endpoint": row.id, "field": HEADERS_FIELD}
    return {"headers_sealed": _again(vault, row.headers_sealed or "", **where)}


def _answer_again(vault: Vault, row: KeyRow) -> dict[str, str]:
    where = {"partner": row.partner_id, "endpoint": None, "field": answer_field(row.key)}
    return answer_columns(_again(vault, sealed_answer(row.outcome), **where))


def _again(vault: Vault, sealed: str, **where: Any) -> str:
    return vault.seal(vault.open(sealed, **where), **where)


KINDS: Final[tuple[SealedKind[Any], ...]] = (
    SealedKind(
        SealedSecret,
        name="secret",
        sealed=secrets.c.sealed,
        key=(secrets.c.id,),
        order=(secrets.c.id,),
        where=true(),
        sealed_by=_key_id(secrets.c.sealed),
        key_ids=_distinct(secrets.c.sealed),
        again=_secret_again,
        whose=lambda row: f"{row.id} of {row.endpoint_id or row.partner_id}",
    ),
    SealedKind(
        EndpointRow,
        name="headers",
        sealed=endpoints.c.headers_sealed,
        key=(endpoints.c.id,),
        order=(endpoints.c.id,),
        where=endpoints.c.headers_sealed.is_not(None),
        sealed_by=_key_id(endpoints.c.headers_sealed),
        key_ids=_distinct(endpoints.c.headers_sealed),
        again=_headers_again,
        whose=lambda row: row.id,
    ),
    SealedKind(
        KeyRow,
        name="answer",
        sealed=idempotency.c.outcome,
        key=(idempotency.c.partner_id, idempotency.c.key),
        order=(idempotency.c.created_ms, idempotency.c.partner_id, idempotency.c.key),
        where=and_(idempotency.c.sealed_by.is_not(None), idempotency.c.created_ms >= bindparam("since_ms")),
        sealed_by=idempotency.c.sealed_by,
        key_ids=_hopped,
        again=_answer_again,
        whose=lambda row: f"{row.key} of {row.partner_id}",
    ),
)


def sealed_key_ids(tx: Tx, *, answers_since_ms: int) -> set[str]:
    """Return the ids of all keys that something needs. Answers made before `answers_since_ms` count no more.

    Of the answers, of which there may be millions, only the ids are read, hopping through their index.
    """
    found: set[str] = set()
    for kind in KINDS:
        found.update(kind.key_ids(tx, answers_since_ms))
    return found
