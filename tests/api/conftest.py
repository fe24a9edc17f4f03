"""The HTTP face on either database; a running API for `test_watch_*` and what else looks at connections."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.api_face import face, sqlite_face
from tests.support.live_api import Live, live_api
from tests.support.services import ValkeyServer

__all__ = ["face", "live", "sqlite_face"]


@pytest.fixture(params=["sqlite"])
async def live(request: pytest.FixtureRequest, valkey: ValkeyServer, tmp_path: Path) -> AsyncIterator[Live]:
    """A running API; parametrise indirectly with "postgresql" for the other database.

    Or with a pair: the database, and other settings.
    """
    database, settings = request.param if isinstance(request.param, tuple) else (request.param, {})
    url = request.getfixturevalue(f"migrated_{database}_url")
    async with live_api(url, valkey, tmp_path, **settings) as running:
        yield running
