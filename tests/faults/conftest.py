"""Installations the fault tests share: started once per test process, hurt again and again, healed each time.

`site` is both of them: `up` on SQLite, and two APIs with three workers on PostgreSQL. A test that takes it
leaves it as it came: whatever it broke works again, and nothing is left to do. That is checked.
"""

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.faults.invariants import settled
from tests.faults.site import Site, postgres_site, sqlite_site
from tests.support.services import ServiceMissing
from webhookd.core.errors import SettingsError


@pytest.fixture(scope="session")
def up_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The one on SQLite, for the whole test process."""
    yield from _opened(sqlite_site, tmp_path_factory.mktemp("up"))


@pytest.fixture(scope="session")
def parts_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The one on PostgreSQL, for the whole test process."""
    yield from _opened(postgres_site, tmp_path_factory.mktemp("parts"))


@pytest.fixture
async def up(up_site: Site) -> AsyncIterator[Site]:
    """The one on SQLite."""
    yield up_site
    await _healed(up_site)


@pytest.fixture
async def parts(parts_site: Site) -> AsyncIterator[Site]:
    """The one on PostgreSQL."""
    yield parts_site
    await _healed(parts_site)


@pytest.fixture(params=["up", "parts"])
def site(request: pytest.FixtureRequest) -> Site:
    """One after the other."""
    found: Site = request.getfixturevalue(request.param)
    return found


def _opened(make: Callable[[Path], AbstractContextManager[Site]], folder: Path) -> Iterator[Site]:
    if sys.platform != "linux":
        pytest.skip("looks into /proc")
    try:
        with make(folder) as opened:
            yield opened
    except (ServiceMissing, SettingsError) as error:
        missing(error)


async def _healed(site: Site) -> None:
    site.heal()
    await site.installation.ready(tasks=2)
    await settled(site.installation)
