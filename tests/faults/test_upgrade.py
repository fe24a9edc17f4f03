"""An upgrade as docs/how-to/upgrade.md has it: migrate while everything serves, then restart one by one."""

import asyncio
import itertools
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import inspect

from tests.faults.invariants import looking_into, settled, verify
from tests.faults.load import Load, partner_under_load
from tests.faults.site import Site
from tests.support.installation import Parts
from tests.support.services import ValkeyServer
from webhookd.adapters.store.migrate import current_revision, migrations_folder, newest_revision
from webhookd.adapters.store.tx import Tx

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.long]

NEXT = f"{int(newest_revision()) + 1:04}"
MIGRATION = f'''
"""What a next release may want: a column, an index on a busy table, and a table."""

import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "{NEXT}", "{newest_revision()}", None, None


def upgrade():
    op.add_column("tasks", sa.Column("next_note", sa.Text))
    op.create_index("ix_deliveries_next", "deliveries", ["created_ms"])
    op.create_table("next_things", sa.Column("id", sa.Text, primary_key=True))
'''


@pytest.fixture
def installation(parts_site: Site, tmp_path: Path) -> Iterator[Parts]:
    """One of its own, whose schema may move on."""
    assert parts_site.postgres is not None
    with ExitStack() as stack:
        valkey = stack.enter_context(ValkeyServer(tmp_path / "valkey"))
        url = parts_site.postgres.create_database()
        stack.callback(parts_site.postgres.drop_database, url)
        parts = Parts(tmp_path / "parts", database_url=url, broker_url=valkey.url, apis=2)
        stack.callback(parts.end)
        yield parts


async def test_upgrade_under_load_has_no_downtime(installation: Parts, tmp_path: Path) -> None:
    next_release = {"FAULT_MIGRATIONS": str(_next_release(tmp_path))}
    await installation.start()
    async with partner_under_load(installation, "upgraded") as (load, receiver):
        stopping = asyncio.Event()
        submitting = asyncio.create_task(_submit_until(stopping, load))
        await asyncio.sleep(1)
        await asyncio.to_thread(installation.migrate, **next_release)
        served = len(load.accepted)
        async with looking_into(installation) as database:
            assert await database.read(current_revision) == NEXT
            assert "next_note" in await database.read(_columns_of_tasks)
        await asyncio.sleep(1)
        assert len(load.accepted) > served, "the old release goes on on the new schema"
        for name, options in (("worker-1", ("--processes", "2")), ("api-1", ()), ("api-2", ())):
            installation.more[name] = next_release
            assert await installation.let_go(name) == 0
            installation.keep(name, *options)
            await installation.ready(tasks=2)
        stopping.set()
        await submitting
        await settled(installation)
        await verify(installation, [load], receiver.hits)
        assert set(load.answers) == {202}
    assert await installation.stop() == 0


def _next_release(folder: Path) -> Path:
    """Copy the migrations and add one."""
    migrations = folder / "migrations"
    shutil.copytree(migrations_folder(), migrations)
    (migrations / "versions" / f"{NEXT}_next.py").write_text(MIGRATION)
    return migrations


def _columns_of_tasks(tx: Tx) -> set[str]:
    return {column["name"] for column in inspect(tx.conn).get_columns("tasks")}


async def _submit_until(stopping: asyncio.Event, load: Load) -> None:
    numbers = itertools.count()
    while not stopping.is_set():
        await load.submit_many([next(numbers) for _ in range(5)], over_seconds=0.3)
