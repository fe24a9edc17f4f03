"""A process that is frozen inside a transaction, or out of reach, keeps its locks for a lease at most."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from tests.adapters.store.drivers import frozen
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.tx import Policy, Tx

_LEASE_SECONDS = 1.0


@asynccontextmanager
async def _other_process(url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that has locked a row, and stops itself inside its transaction."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", frozen.__name__, url, str(_LEASE_SECONDS)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


def _take(tx: Tx) -> None:
    tx.conn.execute(text("UPDATE seen SET who = 'another'"))


def _who(tx: Tx) -> str:
    who: str = tx.conn.execute(text("SELECT who FROM seen")).scalar_one()
    return who


async def test_what_a_frozen_process_has_locked_is_free_after_a_lease(postgres_url: str) -> None:
    database = await Database.open(postgres_url, policy=Policy(lease_seconds=_LEASE_SECONDS))
    await database.write(lambda tx: tx.conn.execute(text("CREATE TABLE seen AS SELECT 'nobody' AS who")))
    async with _other_process(postgres_url) as frozen_one:
        assert await _line(frozen_one) == "locked"

        await database.write(_take)

        os.kill(frozen_one.pid, signal.SIGCONT)
        assert await _line(frozen_one) == "Unavailable"
        assert await database.read(_who) == "another"

        assert frozen_one.stdin is not None
        frozen_one.stdin.write(b"\n")
        assert await _line(frozen_one) == "written"
        assert await database.read(_who) == "thawed"
    await database.close()


@pytest.mark.parametrize(("seconds", "told"), [(0.05, "1s"), (15.0, "15s"), (1e9, "2147483647ms")])
async def test_any_lease_is_told_to_the_server(postgres_url: str, seconds: float, told: str) -> None:
    database = await Database.open(postgres_url, policy=Policy(lease_seconds=seconds))
    asked = text("SELECT current_setting('idle_in_transaction_session_timeout')")
    assert await database.read(lambda tx: tx.conn.execute(asked).scalar_one()) == told
    await database.close()
