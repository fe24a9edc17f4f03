"""Sealing again with the newest key: all kinds of rows, while others write, broken off; what is in use."""

from contextlib import aclosing
from typing import Any

import pytest
from sqlalchemy import Connection, event, select

from tests.support.seeds import NOW, endpoint_of, partner
from webhookd.adapters.store.access import sealed
from webhookd.adapters.store.access.idempotency import Idempotency, KeyedRequest
from webhookd.adapters.store.access.resealing import KeyNeeds, Resealed, Resealing
from webhookd.adapters.store.access.sealed import sealed_key_ids
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.endpoints import secrets
from webhookd.adapters.store.endpoints.endpoint_settings import HEADERS_FIELD, create_endpoint
from webhookd.adapters.store.schema import endpoints, idempotency
from webhookd.adapters.store.schema import secrets as secrets_table
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Policy, Tx
from webhookd.adapters.vault import Vault, generate_key, key_id

DAY = 86_400_000
OLD, NEW, STRANGE = generate_key(), generate_key(), generate_key()
BEFORE, DURING, AFTER = Vault([OLD]), Vault([NEW, OLD]), Vault([NEW])
OLD_ID, NEW_ID = BEFORE.newest_id, AFTER.newest_id
STRANGE_ID = Vault([STRANGE]).newest_id


async def add_secret(database: Database, owner: str, vault: Vault, plain: str, **row: Any) -> str:
    """The id of a signing secret of the partner."""
    sealed_text = vault.seal(plain.encode(), partner=owner, endpoint=None, field=secrets.SECRET_FIELD)
    row = {"scheme": "v1", "sealed": sealed_text, "created_ms": NOW, **row}
    added = await database.write(lambda tx: secrets.add(tx, owner, None, **row))
    return added.id


async def add_headers(database: Database, owner: str, vault: Vault, plain: str) -> str:
    """The id of an endpoint with headers of its own."""
    made = endpoint_of(owner)
    text = vault.seal(plain.encode(), partner=owner, endpoint=made.id, field=HEADERS_FIELD)
    await database.write(create_endpoint, endpoint_of(owner, id=made.id, headers_sealed=text))
    return made.id


async def keep_answer(
    database: Database, owner: str, vault: Vault, key: str, plain: str, *, now_ms: int = NOW
) -> None:
    """An answer that is kept for an Idempotency-Key, as the API keeps it."""
    request = KeyedRequest(owner=owner, key=key, fingerprint="f", now_ms=now_ms)
    await Idempotency(database, vault, keep_ms=DAY).once(request, lambda _conn: plain.encode())


async def texts(database: Database) -> dict[str, str]:
    """Every sealed text by whose it is, as it stands in the database."""

    def read(tx: Tx) -> dict[str, str]:
        found = {row.id: row.sealed for row in tx.conn.execute(select(secrets_table))}
        with_headers = select(endpoints).where(endpoints.c.headers_sealed.is_not(None))
        found |= {row.id: row.headers_sealed for row in tx.conn.execute(with_headers)}
        return found | {row.key: row.outcome for row in tx.conn.execute(select(idempotency))}

    return await database.read(read)


def resealing(database: Database, vault: Vault = DURING, *, now_ms: int = NOW) -> Resealing:
    return Resealing(database, vault, now_ms=now_ms, keep_ms=DAY)


async def steps_of(one: Resealing) -> list[Resealed]:
    return [step async for step in one.run()]


async def in_use(database: Database, *, since_ms: int = NOW - DAY) -> set[str]:
    return await database.read(sealed_key_ids, answers_since_ms=since_ms)


async def test_all_three_kinds_are_sealed_with_the_newest_key_and_open_without_the_old(
    database: Database,
) -> None:
    owner = await partner(database)
    secret_id = await add_secret(database, owner, BEFORE, "whsec_one")
    endpoint_id = await add_headers(database, owner, BEFORE, '{"x-key": "two"}')
    await keep_answer(database, owner, BEFORE, "k-1", "three")
    assert await in_use(database) == {OLD_ID}
    again = resealing(database)
    assert await again.left() == 3

    steps = await steps_of(again)

    assert sum(step.resealed for step in steps) == 3
    assert await again.left() == 0
    assert await in_use(database) == {NEW_ID}
    found = await texts(database)
    assert AFTER.open(found[secret_id], partner=owner, endpoint=None, field="secret") == b"whsec_one"
    headers = AFTER.open(found[endpoint_id], partner=owner, endpoint=endpoint_id, field=HEADERS_FIELD)
    assert headers == b'{"x-key": "two"}'
    replayed = await Idempotency(database, AFTER, keep_ms=DAY).once(
        KeyedRequest(owner=owner, key="k-1", fingerprint="f", now_ms=NOW), lambda _conn: b"not again"
    )
    assert (replayed.answer, replayed.replayed) == (b"three", True)


async def test_what_the_newest_key_has_sealed_is_left_as_it_is(database: Database) -> None:
    owner = await partner(database)
    await add_secret(database, owner, AFTER, "whsec_one")
    await keep_answer(database, owner, AFTER, "k-1", "two")
    before = await texts(database)

    assert await steps_of(resealing(database)) == []

    assert await texts(database) == before


async def test_submissions_with_a_key_hold_no_seal_and_are_left_alone(store: Store) -> None:
    await store.db.write(
        lambda tx: tx.conn.execute(
            idempotency.insert(),
            {
                "partner_id": "prt_1",
                "key": "k",
                "fingerprint": "f",
                "outcome": '{"tasks":["task_1"],"layout":{"sealed":"v1.00000000.x"}}',
                "created_ms": NOW,
            },
        )
    )
    before = await texts(store.db)

    assert await in_use(store.db) == set()
    assert await steps_of(resealing(store.db)) == []
    assert await texts(store.db) == before


async def test_many_rows_take_many_steps_and_none_is_left_out(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed, "ROWS_A_STEP", 3)
    owner = await partner(database)
    for number in range(7):
        await add_secret(database, owner, BEFORE, f"whsec_{number}")
        # Several made in the same millisecond: the walk must not skip those.
        await keep_answer(database, owner, BEFORE, f"k-{number}", "answer", now_ms=NOW + number // 5)

    steps = await steps_of(resealing(database))

    assert [step.resealed for step in steps] == [3, 3, 1, 3, 3, 1]
    assert await in_use(database) == {NEW_ID}


async def test_one_broken_off_in_the_middle_goes_on_where_it_was(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed, "ROWS_A_STEP", 2)
    owner = await partner(database)
    for number in range(5):
        await add_secret(database, owner, BEFORE, f"whsec_{number}")
    again = resealing(database)

    async with aclosing(again.run()) as steps:
        await anext(steps)

    assert await again.left() == 3
    assert await in_use(database) == {OLD_ID, NEW_ID}
    assert sum(step.resealed for step in await steps_of(resealing(database))) == 3
    assert await again.left() == 0


async def test_a_row_changed_meanwhile_keeps_the_change(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await partner(database)
    changed_id = await add_secret(database, owner, BEFORE, "whsec_before")
    gone_id = await add_secret(database, owner, BEFORE, "whsec_gone")
    other_id = await add_secret(database, owner, BEFORE, "whsec_other")
    fresh = BEFORE.seal(b"whsec_after", partner=owner, endpoint=None, field="secret")
    table = secrets_table

    async def change() -> None:
        await database.write(
            lambda tx: tx.conn.execute(table.update().where(table.c.id == changed_id).values(sealed=fresh))
        )
        await database.write(lambda tx: tx.conn.execute(table.delete().where(table.c.id == gone_id)))

    async def read_and_change(work: Any, *arguments: Any) -> Any:
        rows = await Database.read(database, work, *arguments)
        if work.__name__ == "sealed_with" and rows:
            await change()
        return rows

    with monkeypatch.context() as patched:
        patched.setattr(database, "read", read_and_change)
        steps = await steps_of(resealing(database))

    assert sum(step.resealed for step in steps) == 1
    found = await texts(database)
    assert found[changed_id] == fresh
    assert gone_id not in found
    assert key_id(found[other_id]) == NEW_ID
    assert await resealing(database).left() == 1, "the next pass finds it"
    assert sum(step.resealed for step in await steps_of(resealing(database))) == 1
    opened = AFTER.open((await texts(database))[changed_id], partner=owner, endpoint=None, field="secret")
    assert opened == b"whsec_after"


async def test_rows_that_do_not_open_are_named_left_as_they_are_and_stop_nothing(database: Database) -> None:
    owner = await partner(database)
    damaged_id = await add_secret(database, owner, BEFORE, "whsec_damaged")
    elsewhere = BEFORE.seal(b"{}", partner="prt_other", endpoint="ep_other", field=HEADERS_FIELD)
    moved = endpoint_of(owner, headers_sealed=elsewhere)
    await database.write(create_endpoint, moved)
    await keep_answer(database, owner, Vault([STRANGE]), "k-strange", "lost")
    good_id = await add_secret(database, owner, BEFORE, "whsec_good")
    await database.write(_damage, damaged_id)
    before = await texts(database)

    steps = await steps_of(resealing(database))

    named = {(one.kind, one.row): one.reason for step in steps for one in step.unreadable}
    assert set(named) == {
        ("secret", f"{damaged_id} of {owner}"),
        ("headers", moved.id),
        ("answer", f"k-strange of {owner}"),
    }
    assert "damaged" in named["secret", f"{damaged_id} of {owner}"]
    assert STRANGE_ID in named["answer", f"k-strange of {owner}"]
    after = await texts(database)
    assert key_id(after.pop(good_id)) == NEW_ID
    del before[good_id]
    assert after == before


def _damage(tx: Tx, secret_id: str) -> None:
    table = secrets_table
    text: str = tx.conn.execute(select(table.c.sealed).where(table.c.id == secret_id)).scalar_one()
    at = text.rindex(".") + 1
    swapped = text[:at] + text[at : at + 20].swapcase() + text[at + 20 :]
    tx.conn.execute(table.update().where(table.c.id == secret_id).values(sealed=swapped))


async def test_forgotten_answers_need_no_key_and_the_others_tell_until_when(database: Database) -> None:
    owner = await partner(database)
    await keep_answer(database, owner, Vault([STRANGE]), "k-forgotten", "x", now_ms=NOW - DAY - 1)
    await keep_answer(database, owner, BEFORE, "k-first", "x", now_ms=NOW - 2_000)
    await keep_answer(database, owner, BEFORE, "k-last", "x", now_ms=NOW - 1_000)
    await add_secret(database, owner, BEFORE, "whsec_x")

    assert await in_use(database) == {OLD_ID}
    assert await resealing(database).uses() == [
        KeyNeeds(key_id=OLD_ID, secrets=1, answers=2, answers_until_ms=NOW - 1_000 + DAY)
    ]

    await steps_of(resealing(database))
    assert await resealing(database).uses() == []
    assert await in_use(database) == {NEW_ID}
    assert STRANGE_ID in (await texts(database))["k-forgotten"]


async def test_a_start_without_the_key_of_a_kept_answer_is_refused_until_it_is_forgotten(
    database: Database,
) -> None:
    owner = await partner(database)
    at_ms = Store(database, AFTER).clock.now_ms()
    await keep_answer(database, owner, BEFORE, "k-1", "x", now_ms=at_ms - 60_000)

    async def needed(keep_ms: int) -> set[str]:
        database.policy = Policy(idempotency_keep_ms=keep_ms)
        return await Store(database, AFTER).keys_in_use()

    assert await needed(DAY) == {OLD_ID}
    assert await needed(30_000) == set()


async def test_keys_in_use_are_found_without_reading_the_answers(database: Database) -> None:
    """There may be millions of them at every start of a process."""
    rows = [
        {
            "partner_id": "prt_1",
            "key": f"k-{number}",
            "fingerprint": "f",
            "outcome": "{}",
            "sealed_by": (OLD_ID, NEW_ID, None, None)[number % 4],
            "created_ms": NOW + number,
        }
        for number in range(4_000)
    ]
    await database.write(lambda tx: tx.conn.execute(idempotency.insert(), rows))
    await database.write(lambda tx: tx.conn.exec_driver_sql("ANALYZE"))

    assert await in_use(database) == {OLD_ID, NEW_ID}
    assert await database.read(_whole_scans) == []


def _whole_scans(tx: Tx) -> list[str]:
    """The lines of the plans of `sealed_key_ids` that read all of the answers."""
    sent: list[tuple[str, Any]] = []

    def note(_conn: Connection, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        sent.append((statement, parameters))

    event.listen(tx.conn, "before_cursor_execute", note)
    sealed_key_ids(tx, answers_since_ms=NOW)
    event.remove(tx.conn, "before_cursor_execute", note)
    asked = [one for one in sent if "idempotency" in one[0]]
    assert len(asked) == 5, "the first key, and of each of two: its latest answer and the next key"
    explain = "EXPLAIN QUERY PLAN " if tx.dialect == "sqlite" else "EXPLAIN "
    plans = [str(row) for one, given in asked for row in tx.conn.exec_driver_sql(explain + one, given)]
    return [line for line in plans if ("SCAN" in line and "INDEX" not in line) or "Seq Scan" in line]
