"""The schema that migrations build: the one the program expects, built once, and never half."""

import asyncio
import contextlib
import sqlite3
import sys
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, inspect, text

from tests.support.seeds import partner
from tests.support.work import submission_of, task_of
from webhookd.adapters.store import migrate as migrating
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.migrate import current_revision, migrate, newest_revision
from webhookd.adapters.store.schema import lanes, metadata, task_bodies, task_tags
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tasks.task_listings import list_tasks
from webhookd.adapters.store.tx import Tx
from webhookd.adapters.store.upkeep.diagnostics import open_breakers
from webhookd.core.errors import SettingsError
from webhookd.core.listing import TaskFilter
from webhookd.core.metadata import metadata_tag
from webhookd.core.records import Bounds

MIGRATE = """
import asyncio, sys
from webhookd.adapters.store.migrate import migrate
print(asyncio.run(migrate(sys.argv[1])))
"""


def _differences(tx: Tx) -> list[Any]:
    context = MigrationContext.configure(tx.conn, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, metadata))


def _shape(tx: Tx) -> dict[str, Any]:
    """Everything the database says of itself: columns, keys, and indexes with their conditions."""
    known = inspect(tx.conn)
    shape: dict[str, Any] = {}
    for table in sorted(known.get_table_names()):
        if table == "alembic_version":
            continue
        indexes = {
            index["name"]: (index["column_names"], index["unique"], _condition(index))
            for index in known.get_indexes(table)
        }
        shape[table] = {
            "columns": [(c["name"], str(c["type"]), c["nullable"]) for c in known.get_columns(table)],
            "key": known.get_pk_constraint(table)["constrained_columns"],
            "foreign": sorted(str(f["constrained_columns"]) for f in known.get_foreign_keys(table)),
            "unique": sorted(str(u["column_names"]) for u in known.get_unique_constraints(table)),
            "indexes": indexes,
        }
    return shape


def _condition(index: Any) -> str | None:
    options = index.get("dialect_options", {})
    found = options.get("sqlite_where", options.get("postgresql_where"))
    return None if found is None else str(found)


async def test_a_migrated_database_is_what_the_program_expects(database: Database) -> None:
    assert await database.read(_differences) == []
    assert await database.read(current_revision) == newest_revision()


async def test_a_migrated_database_is_exactly_a_freshly_made_one(
    database: Database, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Autogenerate compares no index conditions, and the claims live by those."""
    if database.dialect == "sqlite":
        fresh = await Database.open(f"sqlite:///{tmp_path / 'fresh.db'}")
        await fresh.write(lambda tx: metadata.create_all(tx.conn))
        made = await fresh.read(_shape)
        await fresh.close()
    else:
        made = await database.write(_made_beside)

    assert await database.read(_shape) == made


def _made_beside(tx: Tx) -> dict[str, Any]:
    tx.conn.execute(text("CREATE SCHEMA beside"))
    tx.conn.execute(text("SET LOCAL search_path TO beside"))
    metadata.create_all(tx.conn)
    return _shape(tx)


async def test_migrating_twice_changes_nothing(database_url: str) -> None:
    assert await migrate(database_url) == (None, newest_revision())
    assert await migrate(database_url) == (newest_revision(), newest_revision())


async def test_processes_that_migrate_at_once_do_it_once(database_url: str) -> None:
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", MIGRATE, database_url, stdout=-1, stderr=-1
        )
        for _ in range(3)
    ]
    outputs = [await process.communicate() for process in started]

    assert [process.returncode for process in started] == [0, 0, 0], outputs
    befores = sorted(out.decode().strip() for out, _ in outputs)
    head = newest_revision()
    assert befores == sorted([str((None, head)), str((head, head)), str((head, head))])


async def test_a_database_of_a_newer_release_is_refused_and_left_alone(database_url: str) -> None:
    await migrate(database_url)
    database = await Database.open(database_url)
    newer = text("UPDATE alembic_version SET version_num = '9999_from_the_future'")
    await database.write(lambda tx: tx.conn.execute(newer))

    with pytest.raises(SettingsError, match="9999_from_the_future") as caught:
        await migrate(database_url)

    assert "newer release" in caught.value.detail
    assert await database.read(current_revision) == "9999_from_the_future"
    await database.close()


async def test_a_migration_that_fails_leaves_nothing_half_done(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = migrating._upgrade

    def fails_at_the_end(conn: Connection) -> Any:
        real(conn)
        raise OSError("the power went out")

    monkeypatch.setattr(migrating, "_upgrade", fails_at_the_end)
    with contextlib.suppress(SettingsError):
        await migrate(database_url)
    monkeypatch.undo()

    database = await Database.open(database_url)
    assert await database.read(lambda tx: inspect(tx.conn).get_table_names()) == []
    await database.close()
    assert await migrate(database_url) == (None, newest_revision())


async def test_until_when_a_breaker_is_open_is_taken_over_from_the_lanes_pace(database: Database) -> None:
    [file] = (migrating.migrations_folder() / "versions").glob("*_open_breakers.py")
    step = run_path(str(file))
    lane = {"partner_id": "prt", "fifo": False, "hold_ms": 0, "served_ms": 0, "in_flight": 0}
    lane |= {"cap": 1, "slow": False, "heard": False}

    def migrate_again(tx: Tx) -> list[str]:
        for lane_id, pace in (("ep_open", '{"open_until_ms":7}'), ("ep_shut", '{"open_until_ms":null}')):
            tx.conn.execute(lanes.insert().values(id=lane_id, pace=pace, **lane))
        with Operations.context(MigrationContext.configure(tx.conn)):
            step["downgrade"]()
            step["upgrade"]()
        return open_breakers(tx)

    assert await database.write(migrate_again) == ["ep_open"]


async def test_tasks_from_before_are_found_by_their_metadata_and_their_key(
    database: Database, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    [file] = (migrating.migrations_folder() / "versions").glob("*_tasks_from_before.py")
    step = run_path(str(file))
    monkeypatch.setitem(step["upgrade"].__globals__, "_ROWS_A_STEP", 2)
    owner, other = await partner(database), await partner(database, "other")
    mine = [task_of(owner, metadata_json=f'{{"order":"{number}","big":true}}') for number in range(5)]
    foreign, plain = task_of(other, metadata_json='{"order":"3"}'), task_of(owner)
    for task in (*mine, foreign, plain):
        await store.tasks.submit(submission_of(task, key=f"key of {task.id}"))

    def migrate_again(tx: Tx) -> None:
        tx.conn.execute(task_tags.delete().where(task_tags.c.task_id != mine[4].id))
        tx.conn.execute(task_bodies.update().values(idempotency_key=None))
        with Operations.context(MigrationContext.configure(tx.conn)):
            step["upgrade"]()

    await database.write(migrate_again)

    async def found(**wanted: Any) -> list[str]:
        tasks, _ = await store.read(list_tasks, owner, TaskFilter(**wanted), Bounds())
        return sorted(task.id for task in tasks)

    assert await found(tags=(metadata_tag("order", "3"),)) == [mine[3].id]
    assert await found(tags=(metadata_tag("big", "true"),)) == sorted(task.id for task in mine)
    assert await found(idempotency_key=f"key of {plain.id}") == [plain.id]
    assert await found(idempotency_key=f"key of {foreign.id}") == []


async def test_a_database_that_cannot_be_reached_is_named_with_its_setting() -> None:
    with pytest.raises(SettingsError, match="WEBHOOKD_DATABASE_URL") as caught:
        await migrate("postgresql://user:hunter2@127.0.0.1:1/x")
    assert "hunter2" not in caught.value.detail


async def test_migrating_makes_the_folder_of_an_sqlite_file(tmp_path: Path) -> None:
    await migrate(f"sqlite:///{tmp_path / 'new' / 'deep' / 'store.db'}")

    with contextlib.closing(sqlite3.connect(tmp_path / "new" / "deep" / "store.db")) as opened:
        assert opened.execute("PRAGMA journal_mode").fetchone() == ("wal",)
