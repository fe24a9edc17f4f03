"""`Idempotency-Key`s of every POST but task submissions (those are claimed by the intake, `submit`).

The key's row is written in the transaction of the effect, so an effect that is refused or rolled back
leaves its key unused. A concurrent repeat waits for the first: on SQLite for its turn to write, on
PostgreSQL on the unique row. What is kept of the answer is sealed, because it may show a secret once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import orjson
from sqlalchemy import and_, bindparam, select

from webhookd.adapters.store.database import Database
from webhookd.adapters.store.rowset import upsert
from webhookd.adapters.store.schema import idempotency
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tx import Tx
from webhookd.adapters.vault import Vault, key_id
from webhookd.core.errors import IdempotencyMismatch
from webhookd.core.submission import KnownKey

Effect = Callable[[Tx], bytes]
"""Does the writes of a request on the connection given, and returns the answer to keep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedRequest:
    """A request with a key. `owner` is a partner's id or the admins'; `fingerprint` hashes route and body."""

    owner: str
    key: str
    fingerprint: str
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The answer: just made, or (`replayed`) the one made when the key was first used."""

    answer: bytes
    replayed: bool


class KeyRow(NamedTuple):
    """A row of `idempotency`."""

    partner_id: str
    key: str
    fingerprint: str
    outcome: str
    sealed_by: str | None
    created_ms: int


class _Claimed(NamedTuple):
    key: str


_MINE: Final = and_(idempotency.c.partner_id == bindparam("owner"), idempotency.c.key == bindparam("of_key"))
_FORGET: Final = Change(
    lambda _: idempotency.delete().where(_MINE, idempotency.c.created_ms < bindparam("before_ms"))
)
_CLAIM: Final = Query(
    _Claimed,
    lambda dialect: (
        upsert(dialect)(idempotency)
        .values(
            partner_id=bindparam("partner_id"),
            key=bindparam("key"),
            fingerprint=bindparam("fingerprint"),
            outcome="{}",
            created_ms=bindparam("created_ms"),
        )
        .on_conflict_do_nothing()
        .returning(idempotency.c.key)
    ),
)
_KEPT: Final = Query(KeyRow, lambda _: select(idempotency).where(_MINE))
_KEEP: Final = Change(
    lambda _: (
        idempotency.update()
        .where(_MINE)
        .values(outcome=bindparam("outcome"), sealed_by=bindparam("sealed_by"))
    )
)
_REMEMBERED: Final = Query(
    KeyRow, lambda _: select(idempotency).where(_MINE, idempotency.c.created_ms >= bindparam("since_ms"))
)


class Idempotency:
    """Runs effects once per key. `keep_ms` is how long a key is remembered."""

    def __init__(self, db: Database, vault: Vault, *, keep_ms: int) -> None:
        self._db = db
        self._vault = vault
        self._keep_ms = keep_ms

    async def once(self, request: KeyedRequest | None, effect: Effect) -> Kept:
        """Run `effect` in a transaction, unless the key was used before.

        Without a key (`request` None) it always runs. Raises IdempotencyMismatch where the key stood
        for another request, and whatever `effect` raises; then nothing was written.
        """
        if request is None:
            return Kept(answer=await self._db.write(effect), replayed=False)
        return await self._db.write(self._once, request, effect)

    async def find(self, owner: str, key: str, now_ms: int) -> KnownKey | None:
        """Return what a key stands for, if it is still remembered."""
        return await self._db.read(self._find, owner, key, now_ms)

    def _once(self, tx: Tx, request: KeyedRequest, effect: Effect) -> Kept:
        mine = {"owner": request.owner, "of_key": request.key}
        tx.run(_FORGET, **mine, before_ms=request.now_ms - self._keep_ms)
        claimed = tx.run(
            _CLAIM,
            partner_id=request.owner,
            key=request.key,
            fingerprint=request.fingerprint,
            created_ms=request.now_ms,
        )
        if not claimed:
            return Kept(answer=self._answer_of(tx.one(_KEPT, **mine), request), replayed=True)
        answer = effect(tx)
        field = answer_field(request.key)
        sealed = self._vault.seal(answer, partner=request.owner, endpoint=None, field=field)
        tx.run(_KEEP, **mine, **answer_columns(sealed))
        return Kept(answer=answer, replayed=False)

    def _answer_of(self, row: KeyRow, request: KeyedRequest) -> bytes:
        if row.fingerprint != request.fingerprint:
            raise IdempotencyMismatch(
                "This Idempotency-Key was used before with another request; use a new key for a new request."
            )
        sealed = sealed_answer(row.outcome)
        return self._vault.open(sealed, partner=request.owner, endpoint=None, field=answer_field(request.key))

    def _find(self, tx: Tx, owner: str, key: str, now_ms: int) -> KnownKey | None:
        row = tx.first(_REMEMBERED, owner=owner, of_key=key, since_ms=now_ms - self._keep_ms)
        if row is None:
            return None
        task_ids = tuple(orjson.loads(row.outcome).get("tasks", ()))
        return KnownKey(fingerprint=row.fingerprint, task_ids=task_ids, outcome=row.outcome)


def answer_columns(sealed: str) -> dict[str, str]:
    """Return how a sealed answer is kept; `sealed_by` is there to find by index which keys are in use."""
    return {"outcome": orjson.dumps({"sealed": sealed}).decode(), "sealed_by": key_id(sealed)}


def sealed_answer(outcome: str) -> str:
    """Return the sealed text of a kept answer."""
    sealed: str = orjson.loads(outcome)["sealed"]
    return sealed


def answer_field(key: str) -> str:
    """Return the vault's name for the kept answer of a key."""
    return f"idempotency {key}"
