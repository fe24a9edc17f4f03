"""SQLite: what waits for the disk, who need not wait for it meanwhile, and a disk that refuses."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select

from tests.support.services import until
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.drivers import wal_sync
from webhookd.adapters.store.drivers.wal_sync import LogSync
from webhookd.adapters.store.tx import Tx, Wakes
from webhookd.core.errors import Unavailable

notes = Table("notes", MetaData(), Column("id", Integer, primary_key=True))


class Disk:
    """Stands between the store and the disk: counts syncs, holds them up, or refuses them."""

    def __init__(self) -> None:
        self.synced = 0
        self.waiting = 0
        self.refuses = False
        self.let_go = threading.Event()
        self.let_go.set()
        self._sync = wal_sync._sync

    def sync(self, file: int) -> None:
        self.waiting += 1
        self.let_go.wait()
        self.waiting -= 1
        if self.refuses:
            raise OSError(5, "Input/output error")
        self._sync(file)
        self.synced += 1


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk()
    monkeypatch.setattr(wal_sync, "_sync", disk.sync)
    yield disk
    disk.let_go.set()


@pytest.fixture
async def database(tmp_path: Path, disk: Disk) -> AsyncIterator[Database]:
    opened = await Database.open(f"sqlite:///{tmp_path / 'db'}")
    await opened.write(lambda tx: notes.create(tx.conn))
    disk.synced = 0
    yield opened
    disk.let_go.set()
    await opened.close()


def _note(tx: Tx, payloads: Sequence[bool]) -> list[bool | Exception]:
    """Write a row each; True tells somebody."""
    for told in payloads:
        tx.conn.execute(insert(notes), {})
        tx.told = tx.told or told
    return list(payloads)


def _rung(tx: Tx) -> None:
    tx.conn.execute(insert(notes), {})
    tx.wakes.ring("default")
    tx.wakes.changed("task_1", "ptr_1", 1)


def _count(tx: Tx) -> int:
    return tx.conn.execute(select(func.count()).select_from(notes)).scalar_one()


async def test_only_a_transaction_of_nothing_but_repeatable_writes_does_not_wait_for_the_disk(
    database: Database, disk: Disk
) -> None:
    await database.grouped(_note, False, repeatable=True)
    assert disk.synced == 0
    await asyncio.gather(
        database.grouped(_note, False, repeatable=True), database.grouped(_note, False, repeatable=False)
    )
    assert disk.synced == 1
    await database.grouped(_note, False)
    await database.write(_note, [False])
    assert disk.synced == 3


async def test_what_somebody_is_told_of_is_synced_even_so(database: Database, disk: Disk) -> None:
    await database.grouped(_note, True, repeatable=True)
    assert disk.synced == 1


async def test_what_was_read_is_made_to_last(database: Database, disk: Disk) -> None:
    await database.grouped(_note, False, repeatable=True)
    await database.make_last()
    assert disk.synced == 1


async def test_queues_are_rung_and_others_write_while_the_disk_is_waited_for(
    tmp_path: Path, database: Database, disk: Disk
) -> None:
    woken: list[Wakes] = []
    database._wake = woken.append
    disk.let_go.clear()
    writing = asyncio.ensure_future(database.write(_rung))
    await until(lambda: woken, what="the ring")
    assert (woken[0].queues, woken[0].tasks) == ({"default"}, [])
    assert not writing.done(), "nobody is answered before it lasts"
    other = await Database.open(f"sqlite:///{tmp_path / 'db'}")
    await other.grouped(_note, False, repeatable=True)
    assert await other.read(_count) == 2
    disk.let_go.set()
    await writing
    assert (woken[1].queues, len(woken[1].tasks)) == (set(), 1)
    assert len(woken) == 2
    await other.close()


async def test_what_the_disk_refuses_is_unavailable_and_the_next_write_goes_into_the_database(
    tmp_path: Path, database: Database, disk: Disk
) -> None:
    disk.refuses = True
    jobs = [database.grouped(_note, False) for _ in range(2)]
    for outcome in await asyncio.gather(*jobs, return_exceptions=True):
        assert isinstance(outcome, Unavailable)
    assert database.write_error is not None
    assert await database.read(_count) == 2, "nothing was tried twice"
    with pytest.raises(Unavailable):
        await database.write(_rung)
    disk.refuses = False
    said: list[str] = []
    driver: Any = database._driver
    driver._connection.connection.driver_connection.set_trace_callback(said.append)
    await database.grouped(_note, False)
    assert "wal_checkpoint(FULL)" in said[0]
    assert database.write_error is None
    await database.grouped(_note, False)
    assert sum("wal_checkpoint" in statement for statement in said) == 1


def test_log_that_cannot_be_written_to_the_database_takes_nothing_more(tmp_path: Path, disk: Disk) -> None:
    path = tmp_path / "db"
    log = LogSync(path)
    with (
        closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as writer,
        closing(sqlite3.connect(path, isolation_level=None)) as reader,
    ):
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE notes (id INTEGER)")
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM notes").fetchall()  # it holds the log back at what it sees
        writer.execute("INSERT INTO notes VALUES (1)")
        disk.refuses = True
        with pytest.raises(OSError, match="Input/output"):
            log.sync()
        with pytest.raises(OSError, match="could not be written"):
            log.begin(writer)
        reader.execute("ROLLBACK")
        log.begin(writer)
        log.close()


async def test_nothing_is_left_to_sync_where_nobody_has_the_database_open(tmp_path: Path, disk: Disk) -> None:
    wal_sync.sync_log(tmp_path / "db")
    assert disk.synced == 0
