"""Group commit and its failures: who is told what when a transaction does not go through."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from sqlalchemy import (
    Column,
    Float,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    cast,
    func,
    insert,
    select,
    text,
    update,
)

from tests.support.services import Databases, PostgresServer
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.statement import Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.errors import Conflict, SettingsError, Unavailable

sums = Table(
    "sums", MetaData(), Column("id", Integer, primary_key=True), Column("note", Text, nullable=False)
)

Batches = list[list[int]]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open database with one plain table."""
    opened = await Database.open(database_url)
    await opened.write(lambda tx: sums.create(tx.conn))
    yield opened
    await opened.close()


def _adding(batches: Batches) -> Callable[[Tx, Sequence[int]], list[int | Exception]]:
    """An operation that writes numbers; 13 breaks its batch, 7 is refused alone."""

    def add(tx: Tx, payloads: Sequence[int]) -> list[int | Exception]:
        batches.append(list(payloads))
        for number in payloads:
            if number != 7:
                tx.conn.execute(insert(sums), {"id": number, "note": "x"})
        if 13 in payloads:
            raise ValueError("13")
        return [Conflict("7") if number == 7 else number for number in payloads]

    return add


def _all(tx: Tx) -> list[int]:
    return list(tx.conn.execute(select(sums.c.id).order_by(sums.c.id)).scalars())


async def test_what_arrives_together_is_one_commit(database: Database) -> None:
    batches: Batches = []
    add = _adding(batches)

    results = await asyncio.gather(*(database.grouped(add, n) for n in range(100, 150)))

    assert results == list(range(100, 150))
    assert len(batches) == 1
    assert (database.figures.commits, database.figures.operations) == (1, 50)
    assert await database.read(_all) == list(range(100, 150))


async def test_a_batch_that_fails_is_halved_until_the_culprit_is_alone(database: Database) -> None:
    batches: Batches = []
    add = _adding(batches)

    results = await asyncio.gather(*(database.grouped(add, n) for n in range(20)), return_exceptions=True)

    assert isinstance(results[13], ValueError)
    assert isinstance(results[7], Conflict)
    others = [n for n in range(20) if n not in (7, 13)]
    assert [results[n] for n in others] == others
    assert await database.read(_all) == others
    assert [13] in batches
    assert len(batches) < 12, "halved, not one by one"


async def test_a_refusal_is_for_its_own_caller_only(database: Database) -> None:
    add = _adding([])

    results = await asyncio.gather(*(database.grouped(add, n) for n in (6, 7, 8)), return_exceptions=True)

    assert (results[0], results[2]) == (6, 8)
    assert isinstance(results[1], Conflict)


async def test_different_operations_share_a_commit_each_called_once(database: Database) -> None:
    one: Batches = []
    other: Batches = []
    operations = [_adding(one), _adding(other)]

    await asyncio.gather(*(database.grouped(operations[n % 2], n) for n in range(100, 110)))

    assert (len(one), len(other), database.figures.commits) == (1, 1, 1)


async def test_a_caller_that_goes_away_does_not_take_its_write_along(database: Database) -> None:
    add = _adding([])
    gone = asyncio.create_task(database.grouped(add, 1))
    stays = asyncio.create_task(database.grouped(add, 2))
    await asyncio.sleep(0)
    gone.cancel()

    assert await stays == 2
    with pytest.raises(asyncio.CancelledError):
        await gone
    single = asyncio.create_task(database.write(lambda tx: tx.conn.execute(insert(sums), _row(3))))
    await asyncio.sleep(0)
    single.cancel()
    await database.write(lambda tx: tx.conn.execute(insert(sums), _row(4)))
    assert await database.read(_all) == [1, 2, 3, 4]


def _row(number: int) -> dict[str, Any]:
    return {"id": number, "note": "x"}


async def test_closing_commits_what_waits_and_refuses_what_comes_later(database_url: str) -> None:
    database = await Database.open(database_url)
    await database.write(lambda tx: sums.create(tx.conn))
    waiting = [asyncio.create_task(database.grouped(_adding([]), n)) for n in (1, 2)]
    await asyncio.sleep(0)

    await database.close()

    assert [await one for one in waiting] == [1, 2]
    with pytest.raises(Unavailable):
        await database.grouped(_adding([]), 3)


async def test_a_failed_write_leaves_nothing_behind(database: Database) -> None:
    def write(tx: Tx) -> None:
        tx.conn.execute(insert(sums), _row(1))
        raise Conflict("no")

    with pytest.raises(Conflict):
        await database.write(write)
    assert await database.read(_all) == []


async def test_a_wrong_statement_is_a_defect_and_not_an_outage(database: Database) -> None:
    with pytest.raises(Exception, match="no_such_table") as caught:
        await database.read(lambda tx: tx.conn.execute(text("SELECT * FROM no_such_table")))
    assert not isinstance(caught.value, Unavailable)


async def test_a_reader_cannot_write_on_sqlite(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite:///{tmp_path / 'db'}")
    with pytest.raises(Exception, match="readonly"):
        await database.read(lambda tx: tx.conn.exec_driver_sql("CREATE TABLE more (n INTEGER)"))
    await database.close()


async def test_a_held_sqlite_lock_is_an_outage_for_the_whole_batch_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhookd.adapters.store.drivers.sqlite._BUSY_SECONDS", 0.2)
    database = await Database.open(f"sqlite:///{tmp_path / 'db'}")
    await database.write(lambda tx: sums.create(tx.conn))
    batches: Batches = []
    add = _adding(batches)
    holder = sqlite3.connect(tmp_path / "db", isolation_level=None)
    try:
        holder.execute("BEGIN IMMEDIATE")
        results = await asyncio.gather(*(database.grouped(add, n) for n in range(20)), return_exceptions=True)
    finally:
        holder.close()

    assert {type(result) for result in results} == {Unavailable}
    assert batches == [], "one wait for the lock, not one for each half"
    assert database.figures.failures == 1
    assert await database.grouped(add, 1) == 1, "it heals by itself"
    await database.close()


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "grouped"])
async def test_a_caller_waits_only_so_long_and_the_write_goes_on(tmp_path: Path, alone: bool) -> None:
    database = await Database.open(f"sqlite:///{tmp_path / 'db'}")
    await database.write(lambda tx: sums.create(tx.conn))
    database.patience_seconds = 0.1
    add = _adding([])
    holder = sqlite3.connect(tmp_path / "db", isolation_level=None)
    try:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="in time"):
            await (database.write(add, [1]) if alone else database.grouped(add, 1))
        assert database.write_error is not None
    finally:
        holder.close()

    database.patience_seconds = None
    await database.grouped(add, 2)
    assert await database.read(_all) == [1, 2], "its outcome was unknown, and it was written"
    assert database.write_error is None
    await database.close()


async def test_a_caller_waits_only_so_long_for_a_reading(database: Database) -> None:
    database.patience_seconds = 0.1
    over = threading.Event()

    def dawdle(tx: Tx) -> list[int]:
        if database.dialect == "sqlite":
            over.wait()
        else:
            tx.conn.execute(text("SELECT pg_sleep(60)"))
        return _all(tx)

    with pytest.raises(Unavailable, match="in time"):
        await database.read(dawdle)
    over.set()
    database.patience_seconds = 30  # the next one may need a new connection
    assert await database.read(_all) == []


class _Slept(NamedTuple):
    slept: str


_SLEEP: Final = Query(
    _Slept,
    lambda _: select(cast(func.pg_sleep(bindparam("seconds", type_=Float)), Text).label("slept")),
)


async def test_a_statement_without_an_answer_is_an_outage(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhookd.adapters.store.drivers.server._COMMAND_SECONDS", 0.5)
    database = await Database.open(postgres_url)
    with pytest.raises(Unavailable):
        await database.read(lambda tx: tx.run(_SLEEP, seconds=60.0))
    with pytest.raises(Unavailable):
        await database.write(lambda tx: tx.run(_SLEEP, seconds=60.0))
    await database.close()


async def test_an_answer_nobody_awaits_is_not_taken_for_another_statements(postgres_url: str) -> None:
    database = await Database.open(postgres_url)
    given_up = asyncio.ensure_future(database.read(lambda tx: tx.run(_SLEEP, seconds=60.0)))
    await asyncio.sleep(0.1)
    given_up.cancel()
    await asyncio.wait({given_up})
    for _ in range(3):
        assert len(await database.read(lambda tx: tx.run(_SLEEP, seconds=0.0))) == 1
    await database.close()


async def test_a_full_sqlite_file_is_an_outage_and_leaves_no_partial_rows(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite:///{tmp_path / 'db'}")
    await database.write(lambda tx: sums.create(tx.conn))

    def fill(tx: Tx, payloads: Sequence[int]) -> list[int | Exception]:
        tx.conn.exec_driver_sql("PRAGMA max_page_count=5")
        for number in payloads:
            tx.conn.execute(insert(sums), {"id": number, "note": "x" * 100_000})
        return list(payloads)

    with pytest.raises(Unavailable, match="full"):
        await database.grouped(fill, 1)
    assert await database.read(_all) == []
    assert "full" in str(database.write_error)
    await database.close()


async def test_a_lost_deadlock_is_tried_again(postgres_url: str) -> None:
    one = await Database.open(postgres_url, writes_apart=True)
    other = await Database.open(postgres_url, writes_apart=True)
    await one.write(lambda tx: sums.create(tx.conn))
    await one.write(lambda tx: tx.conn.execute(insert(sums), [_row(1), _row(2)]))
    meet = threading.Barrier(2)
    tries: list[str] = []

    def touching(name: str, order: tuple[int, int]) -> Callable[[Tx, Sequence[str]], list[Any]]:
        def touch(tx: Tx, payloads: Sequence[str]) -> list[Any]:
            tries.append(name)
            tx.conn.execute(update(sums).where(sums.c.id == order[0]).values(note=sums.c.note + name))
            if tries.count(name) == 1:
                meet.wait(10)
            tx.conn.execute(update(sums).where(sums.c.id == order[1]).values(note=sums.c.note + name))
            return list(payloads)

        return touch

    answers = await asyncio.gather(
        one.grouped(touching("a", (1, 2)), "first"), other.grouped(touching("b", (2, 1)), "second")
    )

    assert list(answers) == ["first", "second"]
    assert 3 <= len(tries) <= 4, "one of them gave way, at most twice"
    notes = await one.read(lambda tx: list(tx.conn.execute(select(sums.c.note)).scalars()))
    assert {"".join(sorted(note)) for note in notes} == {"abx"}
    await one.close()
    await other.close()


@pytest.mark.parametrize("writes_apart", [False, True])
async def test_a_postgresql_that_went_away_is_an_outage_and_heals_by_itself(
    crashable_postgres: PostgresServer, writes_apart: bool
) -> None:
    database = await Database.open(crashable_postgres.create_database(), writes_apart=writes_apart)
    await database.write(lambda tx: sums.create(tx.conn))
    add = _adding([])
    assert await database.grouped(add, 1) == 1

    crashable_postgres.stop("immediate")
    for attempt in (
        database.grouped(add, 2),
        database.read(_all),
        database.write(lambda tx: tx.conn.execute(insert(sums), _row(3))),
    ):
        with pytest.raises(Unavailable) as caught:
            await attempt
        assert caught.value.retry_after_seconds
    crashable_postgres.start()

    assert 1 in await database.read(_all), "no session of before costs a reader an answer"
    assert await database.grouped(add, 4) == 4
    await database.close()


async def test_closing_commits_what_waits_and_ends_the_writers_thread(postgres_url: str) -> None:
    others = set(threading.enumerate())
    database = await Database.open(postgres_url, writes_apart=True)
    (writer,) = [one for one in set(threading.enumerate()) - others if one.name == "postgresql-writer"]
    await database.write(lambda tx: sums.create(tx.conn))
    written = asyncio.gather(*(database.grouped(_adding([]), number) for number in range(5)))
    await asyncio.sleep(0)
    await database.close()

    assert await written == [0, 1, 2, 3, 4]
    assert not writer.is_alive()


async def test_a_postgresql_that_lets_nobody_in_is_an_outage(postgres: Databases) -> None:
    url = postgres.create_database()
    database = await Database.open(url)
    postgres.drop_database(url)

    for work in (_all, lambda tx: sums.create(tx.conn), _all):
        with pytest.raises(Unavailable):
            await database.write(work)
    with pytest.raises(Unavailable):
        await database.grouped(_adding([]), 1)
    await database.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://x/y", "not supported"),
        ("no url", "not a database URL"),
        ("sqlite://", "needs a file"),
        ("sqlite:////no/such/folder/db", "does not exist"),
        ("postgresql://postgres@127.0.0.1:1/x", "cannot open"),
    ],
)
async def test_a_url_that_cannot_work_is_named_with_its_setting(url: str, says: str) -> None:
    with pytest.raises(SettingsError, match="WEBHOOKD_DATABASE_URL") as caught:
        await Database.open(url)
    assert says in caught.value.detail


async def test_a_wrong_password_is_never_shown(postgres_url: str) -> None:
    address = postgres_url.split("@")[1].rsplit("/", 1)[0]
    with pytest.raises(SettingsError) as caught:
        await Database.open(f"postgresql://nobody:hunter2@{address}/no_such_database")
    assert "hunter2" not in caught.value.detail
