"""The site all tests here share, started once a test process. What is not installed skips (in CI: fails)."""

import sys
from collections.abc import Iterator

import pytest

from tests.conftest import missing
from tests.proxies.programs import PROGRAMS, Program
from tests.proxies.site import Door, ProxiedSite, proxied_site
from tests.support.services import Databases, ServiceMissing
from webhookd.core.errors import SettingsError


@pytest.fixture(scope="session")
def proxied(postgres: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxiedSite]:
    """Two APIs behind every proxy that is installed."""
    if sys.platform != "linux":
        pytest.skip("connects from several addresses of the loopback network")
    try:
        with proxied_site(tmp_path_factory.mktemp("proxied"), postgres, list(_installed())) as site:
            yield site
    except SettingsError as error:
        missing(error)


@pytest.fixture(params=[program.name for program in PROGRAMS])
def program(request: pytest.FixtureRequest) -> str:
    """Each proxy's name; skipped where it is missing."""
    [row] = [program for program in PROGRAMS if program.name == request.param]
    try:
        row.executable()
    except ServiceMissing as error:
        missing(error)
    return row.name


@pytest.fixture
def door(program: str, proxied: ProxiedSite) -> Door:
    """The proxy with the page's lines."""
    return proxied.doors[program]


def _installed() -> Iterator[Program]:
    for program in PROGRAMS:
        try:
            program.executable()
        except ServiceMissing:
            continue
        yield program
