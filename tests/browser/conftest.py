"""A browser and a running service for all tests here. A missing browser skips them, and fails them in CI."""

import os
from collections.abc import Iterator

import pytest

from tests.browser.chromium import Browser, BrowserMissing, Page, find, running
from tests.browser.elsewhere import Elsewhere, elsewhere
from tests.browser.scene import ADMIN_KEY, Partner, Receiver, Service, new_partner, receiving
from tests.support.command_line import environment, serving, url_of


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


@pytest.fixture(autouse=True)
def tabs_of_its_own(browser: Browser) -> Iterator[None]:
    """Close the tabs that a test has opened; those of its module stay."""
    before = browser.pages()
    yield
    for session in browser.pages() - before:
        browser.close(session)


@pytest.fixture
def page(browser: Browser) -> Page:
    """A tab of the test's own."""
    return browser.page()


@pytest.fixture(scope="session")
def page_origin() -> Iterator[Elsewhere]:
    """Another origin, whose pages may call the service."""
    with elsewhere() as place:
        yield place


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, page_origin: Elsewhere) -> Iterator[Service]:
    """A `webhookd up` that retries quickly and may call this machine."""
    folder = tmp_path_factory.mktemp("service")
    settings = {
        "WEBHOOKD_ADMIN_KEY": ADMIN_KEY,
        "WEBHOOKD_CORS_ORIGINS": page_origin.origin,
        "WEBHOOKD_RETRY_BASE_SECONDS": "0.05",
        "WEBHOOKD_RETRY_CAP_SECONDS": "0.1",
        "WEBHOOKD_RETRY_MAX_ATTEMPTS": "2",
    }
    with serving("--dev", cwd=folder, env=environment(**settings)) as up:
        yield Service(url=url_of(up), link=up.wait_for("log in once").split()[-1], folder=folder)


@pytest.fixture(scope="session")
def service_url(service: Service) -> str:
    """Where it answers."""
    return service.url


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of the test's own."""
    with receiving() as opened:
        yield opened


@pytest.fixture
def partner(service: Service) -> Partner:
    """A partner of the test's own."""
    return new_partner(service)
