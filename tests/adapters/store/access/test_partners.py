"""Partners, their keys and secrets, idempotency keys and the audit log, on both databases."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from tests.adapters.store.access.holders import added, key_of, partner_named
from webhookd.adapters.store.access import api_keys, audit, partners
from webhookd.adapters.store.access.idempotency import Effect, KeyedRequest
from webhookd.adapters.store.access.last_used import keep_last_used
from webhookd.adapters.store.endpoints import secrets
from webhookd.adapters.store.schema import idempotency
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Tx
from webhookd.core.api_keys import USE_EXACT_TO_MS
from webhookd.core.errors import Conflict, IdempotencyMismatch
from webhookd.core.records import Bounds, Limits

NOW = 1_790_000_000_000


async def test_last_use_of_a_key_is_kept_to_a_minute(store: Store) -> None:
    one, other = key_of((await added(store)).id), key_of(None)
    for key in (one, other):
        await store.db.write(api_keys.add_key, key)

    async def kept() -> list[int | None]:
        keys = [await store.db.read(api_keys.read_key, key.id) for key in (one, other)]
        return [key.last_used_ms for key in keys if key is not None]

    assert await kept() == [None, None]
    await store.write(keep_last_used, {one.id: NOW, "key_unknown": NOW})
    assert await kept() == [NOW, None]
    await store.write(keep_last_used, {one.id: NOW + USE_EXACT_TO_MS - 1, other.id: NOW})
    assert await kept() == [NOW, NOW], "a process that asks sooner, or late, writes nothing"
    await store.write(keep_last_used, {one.id: NOW - 1})
    await store.write(keep_last_used, {other.id: NOW + USE_EXACT_TO_MS})
    assert await kept() == [NOW, NOW + USE_EXACT_TO_MS]


async def test_partner_comes_back_as_it_was(store: Store) -> None:
    partner = await added(store)
    assert await store.partners.get(partner.id) == partner
    assert await store.partners.get("prt_unknown") is None


async def test_name_belongs_to_one(store: Store) -> None:
    await added(store)
    with pytest.raises(Conflict):
        await added(store)
    other = await added(store, "other")
    with pytest.raises(Conflict):
        await store.db.write(partners.change_partner, other.id, {"name": "acme"})
    assert await store.partners.get(other.id) == other


async def test_partner_changes_only_in_what_may_change(store: Store) -> None:
    partner = await added(store)
    changes = {"weight": 9, "burst": 3, "rate_per_second": None, "suspended_ms": NOW}
    changed = await store.db.write(partners.change_partner, partner.id, changes)
    limits = Limits(rate_per_second=None, burst=3, max_queued=7)
    assert changed == replace(partner, weight=9, limits=limits, suspended=True)
    assert await store.db.write(partners.change_partner, "prt_unknown", changes) is None
    changed = await store.db.write(partners.change_partner, partner.id, {"task_types": None})
    assert changed is not None
    assert changed.task_types == ()
    with pytest.raises(ValueError, match="created_ms"):
        await store.db.write(partners.change_partner, partner.id, {"created_ms": 1})


async def test_partners_are_paged_newest_first(store: Store) -> None:
    made = [await added(store, f"p{n}", NOW + n) for n in range(5)]
    first, cursor = await store.partners.list(Bounds(limit=3))
    rest, end = await store.partners.list(Bounds(limit=3, cursor=cursor))
    assert first + rest == made[::-1]
    assert end is None


async def test_key_is_found_with_its_partner(store: Store) -> None:
    partner = await added(store)
    key, admin_key = key_of(partner.id), key_of(None)
    for one in (key, admin_key):
        await store.db.write(api_keys.add_key, one)
    assert await store.keys.find(key.id) == api_keys.Credential(key=key, partner=partner)
    assert await store.keys.find(admin_key.id) == api_keys.Credential(key=admin_key, partner=None)
    assert await store.keys.find("key_unknown") is None
    assert await store.keys.list(partner.id, Bounds()) == ([key], None)
    assert await store.keys.list(None, Bounds()) == ([admin_key], None)


async def test_key_is_revoked_for_good(store: Store) -> None:
    partner = await added(store)
    key = key_of(partner.id)
    await store.db.write(api_keys.add_key, key)
    revoked = await store.db.write(api_keys.revoke_key, key.id, now_ms=NOW + 1)
    assert revoked == replace(key, revoked_ms=NOW + 1)
    assert await store.db.write(api_keys.revoke_key, key.id, now_ms=NOW + 2) == revoked
    assert await store.db.write(api_keys.revoke_key, "key_unknown", now_ms=NOW) is None


async def test_keys_are_paged(store: Store) -> None:
    partner = await added(store)
    keys = [key_of(partner.id, NOW + n) for n in range(3)]
    for key in keys:
        await store.db.write(api_keys.add_key, key)
    first, cursor = await store.keys.list(partner.id, Bounds(limit=2))
    rest, end = await store.keys.list(partner.id, Bounds(limit=2, cursor=cursor))
    assert first + rest == keys[::-1]
    assert end is None


async def test_replaced_secret_signs_until_it_expires_and_is_never_prolonged(store: Store) -> None:
    partner = await added(store)

    def rotate(tx: Tx, sealed: str, now_ms: int, overlap_ms: int) -> None:
        secrets.expire_current(tx, partner.id, None, expires_ms=now_ms + overlap_ms)
        secrets.add(tx, partner.id, None, scheme="v1", sealed=sealed, created_ms=now_ms)

    async def live(now_ms: int) -> list[str]:
        found = await store.db.read(secrets.live, partner.id, [None], now_ms=now_ms)
        return [secret.sealed for secret in found]

    await store.db.write(rotate, "first", NOW, 0)
    await store.db.write(rotate, "second", NOW + 10, 100)
    await store.db.write(rotate, "third", NOW + 20, 1_000)
    assert await live(NOW + 20) == ["third", "second", "first"]
    assert await live(NOW + 110) == ["third", "second"]
    assert await live(NOW + 1_020) == ["third"]


async def test_secrets_of_one_scheme_are_replaced_alone(store: Store) -> None:
    partner = await added(store)

    def write(tx: Tx) -> int:
        secrets.add(tx, partner.id, None, scheme="v1", sealed="s1", created_ms=NOW)
        secrets.add(tx, partner.id, None, scheme="v1a", sealed="s1a", created_ms=NOW)
        return secrets.expire_current(tx, partner.id, None, expires_ms=NOW, scheme="v1a")

    assert await store.db.write(write) == 1
    left = await store.db.read(secrets.live, partner.id, [None, "ep_x"], now_ms=NOW)
    assert [(secret.scheme, secret.expires_ms) for secret in left] == [("v1", None)]


def request_for(
    key: str = "k", fingerprint: str = "f", *, owner: str = "prt_1", now_ms: int = NOW
) -> KeyedRequest:
    return KeyedRequest(owner=owner, key=key, fingerprint=fingerprint, now_ms=now_ms)


def answering(answer: bytes) -> Effect:
    """An effect that writes nothing."""

    def effect(tx: Tx) -> bytes:
        return answer

    return effect


async def test_effect_runs_once_a_key(store: Store) -> None:
    ran: list[int] = []

    def effect(tx: Tx) -> bytes:
        ran.append(len(ran))
        return b"answer %d" % len(ran)

    first = await store.idempotency.once(request_for(), effect)
    again = await store.idempotency.once(request_for(), effect)
    other = await store.idempotency.once(request_for(owner="prt_2"), effect)
    assert (first.answer, first.replayed) == (b"answer 1", False)
    assert (again.answer, again.replayed) == (b"answer 1", True)
    assert (other.answer, other.replayed) == (b"answer 2", False)
    assert [(await store.idempotency.once(None, effect)).answer for _ in range(2)] == [
        b"answer 3",
        b"answer 4",
    ]
    with pytest.raises(IdempotencyMismatch):
        await store.idempotency.once(request_for(fingerprint="g"), effect)


async def test_concurrent_repeats_wait_for_the_first(store: Store) -> None:
    def effect(tx: Tx) -> bytes:
        partner = partner_named("once")
        partners.add_partner(tx, partner)
        return partner.id.encode()

    kept = await asyncio.gather(*(store.idempotency.once(request_for(), effect) for _ in range(10)))
    assert len({one.answer for one in kept}) == 1
    assert sum(not one.replayed for one in kept) == 1


async def test_effect_that_fails_leaves_neither_rows_nor_key(store: Store) -> None:
    partner = partner_named("undone")

    def effect(tx: Tx) -> bytes:
        partners.add_partner(tx, partner)
        raise Conflict("No.")

    with pytest.raises(Conflict):
        await store.idempotency.once(request_for(), effect)
    assert await store.partners.get(partner.id) is None
    kept = await store.idempotency.once(request_for(), answering(b"x"))
    assert not kept.replayed


async def test_key_is_forgotten_when_its_time_is_over(store: Store) -> None:
    await store.idempotency.once(request_for(), answering(b"1"))
    day_ms = 86_400_000
    at_the_end = await store.idempotency.once(request_for(now_ms=NOW + day_ms), answering(b"2"))
    assert at_the_end.replayed
    assert await store.idempotency.find("prt_1", "k", now_ms=NOW + day_ms) is not None
    assert await store.idempotency.find("prt_1", "k", now_ms=NOW + day_ms + 1) is None
    later = await store.idempotency.once(request_for("k", "g", now_ms=NOW + day_ms + 1), answering(b"3"))
    assert (later.answer, later.replayed) == (b"3", False)


async def test_kept_answer_is_sealed(store: Store) -> None:
    await store.idempotency.once(request_for(), answering(b"planted-secret"))

    def outcomes(tx: Tx) -> list[Any]:
        return [row.outcome for row in tx.conn.execute(select(idempotency))]

    [outcome] = await store.db.read(outcomes)
    assert "planted" not in outcome


async def test_audit_is_paged_newest_first_and_found_by_each_filter(store: Store) -> None:
    def write(tx: Tx, actor: str, action: str, partner_id: str | None, now_ms: int) -> None:
        audit.add(
            tx,
            actor=actor,
            key_id=f"key_{actor}" if "@" not in actor else None,
            address="192.0.2.7",
            action=action,
            target=f"{action} of {partner_id}",
            partner_id=partner_id,
            now_ms=now_ms,
            detail={"weight": 2},
        )

    acts = [
        ("alice", "partner.change", "prt_1"),
        ("bob", "partner.change", None),
        ("alice", "queue.pause", "prt_2"),
        ("operator@here", "queue.pause", "prt_1"),
    ]
    for number, act in enumerate(acts):
        await store.db.write(write, *act, NOW + number * 1_000)

    async def found(page: Bounds | None = None, **wanted: Any) -> tuple[list[int], str | None]:
        entries, cursor = await store.read(audit.list_entries, audit.AuditFilter(**wanted), page or Bounds())
        return [(entry.at_ms - NOW) // 1_000 for entry in entries], cursor

    first, cursor = await found(Bounds(limit=3))
    rest, end = await found(Bounds(limit=3, cursor=cursor))
    assert (first, rest, end) == ([3, 2, 1], [0], None)
    for wanted, numbers in (
        ({"partner_id": "prt_1"}, [3, 0]),
        ({"actor": "alice"}, [2, 0]),
        ({"actor": "key_bob"}, [1]),
        ({"actor": "operator@here"}, [3]),
        ({"actor": "operator"}, []),
        ({"action": "queue.pause", "partner_id": "prt_2"}, [2]),
        ({"target": "partner.change of None"}, [1]),
        ({"since_ms": NOW + 1_000, "until_ms": NOW + 3_000}, [2, 1]),
    ):
        assert await found(**wanted) == (numbers, None), wanted
    entries, _ = await store.read(audit.list_entries, audit.AuditFilter(), Bounds(limit=2))
    assert [(one.key_id, one.address, one.detail) for one in entries] == [
        (None, "192.0.2.7", {"weight": 2}),
        ("key_alice", "192.0.2.7", {"weight": 2}),
    ]
