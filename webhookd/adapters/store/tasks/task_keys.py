"""The Idempotency-Keys of submissions: whose they are, and what was answered under them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import BigInteger, bindparam, select, tuple_

from webhookd.adapters.store.rowset import insert_rows, named, rowset
from webhookd.adapters.store.schema import idempotency
from webhookd.adapters.store.statement import Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.submission import Submission


def as_sent(key: str | None) -> str | None:
    """Return an Idempotency-Key as it was sent: admins' are kept apart by a line before it."""
    return None if key is None else key.rpartition("\n")[2]


class TaskKey(NamedTuple):
    partner_id: str
    key: str


class _NewKey(NamedTuple):
    partner_id: str
    key: str
    fingerprint: str
    outcome: str
    created_ms: int


class _KeyRow(NamedTuple):
    partner_id: str
    key: str
    fingerprint: str
    outcome: str


def _take_keys(dialect: str) -> Any:
    insert = insert_rows(dialect, idempotency, "keys", _NewKey)
    # A key that is kept no longer is as good as a new one.
    return insert.on_conflict_do_update(
        index_elements=[idempotency.c.partner_id, idempotency.c.key],
        set_={
            "fingerprint": insert.excluded.fingerprint,
            "outcome": insert.excluded.outcome,
            "sealed_by": None,
            "created_ms": insert.excluded.created_ms,
        },
        where=idempotency.c.created_ms < bindparam("forgotten_ms", type_=BigInteger),
    ).returning(idempotency.c.partner_id, idempotency.c.key)


def _keys(dialect: str) -> Any:
    wanted = rowset(dialect, "keys", TaskKey)
    return select(*(idempotency.c[name] for name in _KeyRow._fields)).where(
        # By the index: a row of two is not found in a list by it on PostgreSQL.
        named(dialect, idempotency.c.partner_id, "partners"),
        named(dialect, idempotency.c.key, "names"),
        tuple_(idempotency.c.partner_id, idempotency.c.key).in_(select(wanted)),
    )


_TAKE_KEYS: Final = Query(TaskKey, _take_keys)
_KEYS: Final = Query(_KeyRow, _keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyClaim:
    fingerprint: str
    task_ids: tuple[str, ...]
    outcome: str
    owner: Submission | None


def claim_keys(tx: Tx, submissions: Sequence[Submission]) -> dict[TaskKey, KeyClaim]:
    """Write the keys that are new down; return what each of them stands for, and whose it is."""
    owners: dict[TaskKey, Submission] = {}
    for submission in submissions:
        if submission.key is not None:
            owners.setdefault(TaskKey(submission.partner_id, submission.key), submission)
    if not owners:
        return {}
    wanted = [
        _NewKey(*key, owner.fingerprint, _outcome(owner), owner.now_ms)
        for key, owner in sorted(owners.items(), key=lambda item: item[0])
    ]
    forgotten_ms = min(key.created_ms for key in wanted) - tx.policy.idempotency_keep_ms
    won = set(tx.run(_TAKE_KEYS, keys=wanted, forgotten_ms=forgotten_ms))
    known = {
        key: KeyClaim(
            fingerprint=owners[key].fingerprint,
            task_ids=tuple(task.id for task in owners[key].tasks),
            outcome=_outcome(owners[key]),
            owner=owners[key],
        )
        for key in won
    }
    lost = owners.keys() - won
    if lost:
        found = tx.run(
            _KEYS, keys=lost, partners=[key.partner_id for key in lost], names=[key.key for key in lost]
        )
        for row in found:
            known[TaskKey(row.partner_id, row.key)] = KeyClaim(
                fingerprint=row.fingerprint,
                task_ids=tuple(orjson.loads(row.outcome).get("tasks", ())),
                outcome=row.outcome,
                owner=None,
            )
    return known


def _outcome(submission: Submission) -> str:
    return orjson.dumps(
        {"tasks": [task.id for task in submission.tasks], "layout": submission.layout}
    ).decode()
