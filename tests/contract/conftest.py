"""Every store test runs on SQLite and on a real PostgreSQL, on a copy of what `webhookd migrate` made."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.seeds import NOW, SESSION
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.store import Store, StoreOptions
from webhookd.adapters.vault import Vault, generate_key


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, as a URL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
async def database(migrated_url: str) -> AsyncIterator[Database]:
    """An open, migrated database."""
    opened = await Database.open(migrated_url, writes_apart=True)
    yield opened
    await opened.close()


@pytest.fixture
async def store(database: Database) -> Store:
    """The store on it, as one process with a running lease sees it."""
    opened = Store(database, Vault([generate_key()]), StoreOptions(session_id=SESSION))
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
