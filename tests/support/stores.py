"""A store on SQLite and on a real PostgreSQL, in turn, on a copy of what `webhookd migrate` made."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.seeds import NOW, SESSION, Woken, at
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Policy
from webhookd.adapters.vault import Vault, generate_key


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, as a URL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def woken() -> Woken:
    """Whom the store of this test woke."""
    return Woken()


@pytest.fixture
async def database(migrated_url: str, woken: Woken) -> AsyncIterator[Database]:
    """An open, migrated database."""
    opened = await Database.open(
        migrated_url, policy=Policy(session_id=SESSION), wake=woken.wake, writes_apart=True
    )
    yield opened
    await opened.close()


@pytest.fixture
async def store(database: Database) -> Store:
    """The store on it, as one process with a running lease sees it."""
    opened = Store(database, Vault([generate_key()]))
    at(opened, NOW)
    await opened.sessions.begin(
        session_id=SESSION,
        kind="deliver",
        host="test",
        pid=1,
        detail={},
        now_ms=NOW,
        lease_until_ms=10 * NOW,
    )
    return opened
