"""Event loops for tests that ask for more than one: `pytest.mark.asyncio(loop_factories=[...])`.

And the HTTP face on either database, for `test_api_*`; a running API for `test_watch_*`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from tests.integration.api_face import Face, open_face
from tests.integration.live_api import Live, live_api
from tests.services import ValkeyServer


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Offer uvloop, which production runs on, beside asyncio's own loop; asyncio alone unless asked."""
    marker = item.get_closest_marker("asyncio")
    if marker is not None and "loop_factories" in marker.kwargs:
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


@pytest.fixture
async def face(migrated_url: str) -> AsyncIterator[Face]:
    """The HTTP application on SQLite and on PostgreSQL."""
    async with open_face(migrated_url) as opened:
        yield opened


@pytest.fixture
async def sqlite_face(migrated_sqlite_url: str) -> AsyncIterator[Face]:
    """The same on SQLite alone, for what ends before any database is asked."""
    async with open_face(migrated_sqlite_url) as opened:
        yield opened


@pytest.fixture(params=["sqlite"])
async def live(request: pytest.FixtureRequest, valkey: ValkeyServer, tmp_path: Path) -> AsyncIterator[Live]:
    """A running API; parametrise indirectly with "postgresql" for the other database.

    Or with a pair: the database, and other settings.
    """
    database, settings = request.param if isinstance(request.param, tuple) else (request.param, {})
    url = request.getfixturevalue(f"migrated_{database}_url")
    async with live_api(url, valkey, tmp_path, **settings) as running:
        yield running
