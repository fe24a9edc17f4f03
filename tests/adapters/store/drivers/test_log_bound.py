"""SQLite's log grows while somebody outside holds a snapshot, and is small again once they let go."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, insert

from tests.support.services import until
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.tx import Tx

notes = Table("notes", MetaData(), Column("id", Integer, primary_key=True), Column("note", Text))
BOUND = 1024 * 1024


def _write(tx: Tx, payloads: Sequence[int]) -> list[int | Exception]:
    for _ in payloads:
        tx.conn.execute(insert(notes), {"note": "x" * 100_000})
    return list(payloads)


async def test_log_is_cut_off_once_a_reader_from_outside_lets_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhookd.adapters.store.drivers.wal._PAUSE_SECONDS", 0.0)
    monkeypatch.setattr("webhookd.adapters.store.drivers.sqlite.LOG_BYTES", BOUND)
    path = tmp_path / "db"
    log = tmp_path / "db-wal"
    database = await Database.open(f"sqlite:///{path}")
    await database.write(lambda tx: notes.create(tx.conn))

    async def read_all_the_time() -> None:
        while True:
            await database.read(lambda tx: tx.conn.exec_driver_sql("SELECT count(*) FROM notes").scalar())

    reading = asyncio.create_task(read_all_the_time())
    with closing(sqlite3.connect(path, isolation_level=None)) as outside:
        outside.execute("BEGIN")
        outside.execute("SELECT count(*) FROM notes").fetchone()
        for number in range(60):
            await database.grouped(_write, number)  # each while the log is over its bound and held
        assert log.stat().st_size > 4 * BOUND
        outside.execute("ROLLBACK")

    async def small() -> bool:
        await database.write(lambda tx: tx.conn.execute(insert(notes), {"note": "x"}))
        return log.stat().st_size <= BOUND

    await until(small, what="the log cut off")
    reading.cancel()
    rows = await database.read(lambda tx: tx.conn.exec_driver_sql("SELECT count(*) FROM notes").scalar())
    assert rows is not None
    assert rows > 60
    await database.close()
