"""A browser and a running service for all tests here. A missing browser skips them, and fails them in CI."""

import os
from collections.abc import Iterator

import pytest

from tests.browser.chromium import Browser, BrowserMissing, Page, find, running
from tests.command_line import environment, started


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser a test process."""
    try:
        find()
    except BrowserMissing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    with running(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture
def page(browser: Browser) -> Page:
    """A tab of the test's own."""
    return browser.page()


@pytest.fixture(scope="session")
def service_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a `webhookd up` answers."""
    folder = tmp_path_factory.mktemp("service")
    with started("up", "--port", "0", cwd=folder, env=environment()) as up:
        yield up.wait_for("webhookd is up at").split()[-1]
        up.send(15)
        assert up.wait() == 0
