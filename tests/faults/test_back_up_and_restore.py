"""A backup made under load, restored later, with the commands of docs/how-to/back-up-and-restore.md."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.faults.invariants import looking_into, settled
from tests.faults.load import Load, partner_under_load
from tests.faults.site import Site
from tests.support.installation import Installation, Up
from webhookd.adapters.broker.permits import permit
from webhookd.adapters.store.schema import messages
from webhookd.adapters.store.tx import Tx
from webhookd.cli.receiver import Hit

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.long]

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "back-up-and-restore.md"


async def test_restored_backup_does_again_what_it_does_not_know_and_nothing_else(
    site: Site, tmp_path: Path
) -> None:
    installation = site.installation
    async with partner_under_load(installation, "restored") as (load, receiver):
        submitting = asyncio.create_task(load.submit_many(range(60), over_seconds=2))
        await asyncio.sleep(1)
        known = load.ids
        await asyncio.to_thread(_back_up, site, tmp_path)
        await submitting
        await load.submit_many(range(60, 80))
        await settled(installation)
        before = list(receiver.hits)
        cursor = await _end_of_feed(installation, load)

        await installation.stop()
        await asyncio.to_thread(_restore, site, tmp_path)
        _leave_stale_permits(site)
        await installation.start()

        await settled(installation)
        again = Load(load.urls, load.key, load.callback_url)
        await again.submit_many(range(80))
        await settled(installation)
        assert known <= again.ids, "what was accepted before the backup is known by its key"
        bodies = await _bodies(installation)
        _check_hits(before, list(receiver.hits), bodies)
        delivered = {_task_of(hit) for hit in receiver.hits}
        assert again.ids <= delivered
        assert {_task_of(hit) for hit in before} >= load.ids
        async with installation.client(load.key) as client:
            refused = await client.get("/v1/messages", params={"after": cursor})
        assert refused.status_code == 422, "its number is given out again, for another message"


async def _end_of_feed(installation: Installation, load: Load) -> str:
    async with installation.client(load.key) as client:
        page = (await client.get("/v1/messages", params={"limit": 500})).json()
    assert page["data"]
    return str(page["next_cursor"])


def _back_up(site: Site, folder: Path) -> None:
    """As the page says, while everything runs."""
    if isinstance(site.installation, Up):
        script = folder / "backup.py"
        script.write_text(_block("python", "source.backup(target)"))
        source = site.installation.data_dir / "webhookd.db"
        subprocess.run([sys.executable, str(script), str(source), str(folder / "copy.db")], check=True)
    else:
        _run_postgres(site, folder, "pg_dump")


def _restore(site: Site, folder: Path) -> None:
    """As the page says, while nothing runs."""
    if isinstance(site.installation, Up):
        database = site.installation.data_dir / "webhookd.db"
        for suffix in ("-wal", "-shm"):
            database.with_name(database.name + suffix).unlink(missing_ok=True)
        (folder / "copy.db").replace(database)
    else:
        _run_postgres(site, folder, "pg_restore")


def _run_postgres(site: Site, folder: Path, program: str) -> None:
    assert site.postgres is not None
    [command] = [line for line in _block("sh", "pg_dump").splitlines() if line.startswith(program)]
    subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={
            "PATH": f"{site.postgres.programs}{os.pathsep}{os.environ['PATH']}",
            "WEBHOOKD_DATABASE_URL": site.installation.database_url,
        },
        check=True,
    )


def _block(language: str, word: str) -> str:
    """Return the page's block of code that has this word."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    [found] = [block for block in blocks if word in block]
    return str(found)


def _leave_stale_permits(site: Site) -> None:
    """Have the broker speak of work that is long done, or never was."""
    with site.valkey.client() as client:
        for queue in ("default", "deliver", "reports"):
            for _ in range(20):
                message = permit(queue)
                client.hset(f"webhookd:{queue}.msgs", message.message_id, message.encode())
                client.rpush(f"webhookd:{queue}", message.message_id)


async def _bodies(installation: Installation) -> dict[str, bytes]:
    def read(tx: Tx) -> dict[str, bytes]:
        return {row.id: row.body.encode() for row in tx.conn.execute(select(messages))}

    async with looking_into(installation) as database:
        return await database.read(read)


def _check_hits(before: list[Hit], hits: Iterable[Hit], bodies: dict[str, bytes]) -> None:
    first: dict[str, bytes] = {}
    for hit in hits:
        assert hit.verified, hit.problem
        assert first.setdefault(hit.webhook_id, hit.body) == hit.body, "other bytes under the same id"
    forgotten = {hit.webhook_id for hit in before} - set(bodies)
    assert set(first) - forgotten <= set(bodies)


def _task_of(hit: Hit) -> str:
    import json

    task_id: str = json.loads(hit.body)["data"]["id"]
    return task_id
