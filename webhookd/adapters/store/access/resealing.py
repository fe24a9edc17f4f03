"""Sealing again with the newest key what older ones have sealed.

It goes row by row, each by compare-and-set, so that it can be broken off, repeated, and done while the
service runs. What is sealed, and by which key, is in `sealed`.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from webhookd.adapters.store.access.sealed import KINDS, LATEST_ANSWER, SealedKind
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.statement import RowT
from webhookd.adapters.store.tx import Tx
from webhookd.adapters.vault import Vault
from webhookd.core.errors import WebhookdError


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A row that does not open: of which kind (`secret`, `headers`, `answer`), whose, and why."""

    kind: str
    row: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resealed:
    """What one step did."""

    resealed: int
    unreadable: tuple[Unreadable, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyNeeds:
    """How many rows need a key. `answers_until_ms`: when the last of its answers is forgotten."""

    key_id: str
    secrets: int = 0
    headers: int = 0
    answers: int = 0
    answers_until_ms: int | None = None


class Resealing:
    """Seals again all that an older key has sealed. Answers made before `now_ms - keep_ms` are forgotten."""

    def __init__(self, db: Database, vault: Vault, *, now_ms: int, keep_ms: int) -> None:
        self._db = db
        self._vault = vault
        self._keep_ms = keep_ms
        self._since_ms = now_ms - keep_ms

    async def left(self) -> int:
        """Return how many rows an older key has sealed."""
        return await self._db.read(_left, self._vault.newest_id, self._since_ms)

    async def uses(self) -> list[KeyNeeds]:
        """Return what needs which key, the newest left out, by key id."""
        return await self._db.read(_uses, self._vault.newest_id, self._since_ms, self._keep_ms)

    async def run(self) -> AsyncGenerator[Resealed, None]:
        """Go through all rows once, a small transaction a step. Raises Unavailable; then run it again."""
        for kind in KINDS:
            for key_id in await self._db.read(kind.key_ids, self._since_ms):
                if key_id != self._vault.newest_id:
                    async for step in self._run(kind, key_id):
                        yield step

    async def _run(self, kind: SealedKind[RowT], key_id: str) -> AsyncGenerator[Resealed, None]:
        after: RowT | None = None
        while rows := await self._db.read(kind.sealed_with, key_id, self._since_ms, after):
            after = rows[-1]
            fresh: list[tuple[RowT, dict[str, str]]] = []
            unreadable: list[Unreadable] = []
            for row in rows:
                try:
                    fresh.append((row, kind.again(self._vault, row)))
                except WebhookdError as error:
                    unreadable.append(Unreadable(kind=kind.name, row=kind.whose(row), reason=error.detail))
            resealed = await self._db.write(kind.write, fresh)
            yield Resealed(resealed=resealed, unreadable=tuple(unreadable))


def _left(tx: Tx, newest_id: str, since_ms: int) -> int:
    return sum(tx.one(kind.count, newest=newest_id, since_ms=since_ms).n for kind in KINDS)


def _uses(tx: Tx, newest_id: str, since_ms: int, keep_ms: int) -> list[KeyNeeds]:
    found: dict[str, dict[str, int]] = {}
    for kind in KINDS:
        for row in tx.run(kind.uses, newest=newest_id, since_ms=since_ms):
            found.setdefault(row.key_id, {})[kind.name] = row.n
    uses = []
    for key_id, counts in sorted(found.items()):
        latest_ms = tx.one(LATEST_ANSWER, key_id=key_id).ms
        answers = counts.get("answer", 0)
        uses.append(
            KeyNeeds(
                key_id=key_id,
                secrets=counts.get("secret", 0),
                headers=counts.get("headers", 0),
                answers=answers,
                answers_until_ms=latest_ms + keep_ms if latest_ms is not None and answers else None,
            )
        )
    return uses
