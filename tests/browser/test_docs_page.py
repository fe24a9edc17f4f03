"""`/docs` as a person opens it: in a real browser, under its own content security policy."""

from urllib.parse import urlsplit

import pytest

from tests.browser.chromium import Page
from webhookd.api.app import ROUTES


def opened(page: Page, service_url: str, fragment: str = "") -> Page:
    page.go(f"{service_url}/docs{fragment}")
    page.browser.wait_until(
        lambda: page.evaluate("document.querySelectorAll('.opblock').length > 0"), what="the calls"
    )
    return page


@pytest.fixture
def docs(page: Page, service_url: str) -> Page:
    """The page, opened."""
    page.resize(1280, 900)
    return opened(page, service_url)


def test_it_shows_every_call_without_a_complaint(docs: Page, service_url: str) -> None:
    shown = docs.evaluate(
        "[...document.querySelectorAll('.opblock-summary')].map(one => "
        "one.querySelector('.opblock-summary-method').textContent + ' ' +"
        "one.querySelector('.opblock-summary-path').textContent.replaceAll('\\u200b', ''))"
    )
    calls = {f"{row.method} {row.path}" for row in ROUTES}
    assert calls - set(shown) == set()
    assert docs.evaluate("getComputedStyle(document.querySelector('.opblock')).borderRadius") == "4px"
    assert docs.complaints == []
    [document] = [one for one in docs.answers if urlsplit(one.url).path == "/docs"]
    assert (document.status, document.kind) == (200, "text/html")


def test_it_asks_nobody_else_for_anything(docs: Page, service_url: str) -> None:
    asked = {url for url in docs.requests if not url.startswith("data:")}
    assert {url for url in asked if not url.startswith(f"{service_url}/")} == set()
    paths = {urlsplit(url).path for url in asked}
    assert paths == {
        "/docs",
        "/openapi.json",
        "/docs/swagger-ui.css",
        "/docs/swagger-ui-bundle.js",
        "/docs/start.js",
    }


def test_a_call_can_be_tried(page: Page, service_url: str) -> None:
    docs = opened(page, service_url, "#/Operations/checkHealth")
    docs.browser.wait_until(
        lambda: docs.evaluate("document.querySelector('.opblock.is-open .execute') !== null"), what="the call"
    )
    docs.click(".opblock.is-open .execute")
    answered = "document.querySelector('.opblock.is-open .live-responses-table .microlight')?.textContent"
    docs.browser.wait_until(lambda: docs.evaluate(answered), what="the answer")
    assert '"status": "ok"' in docs.evaluate(answered)
    # The browser's hints about form fields are the reader's own matter.
    assert [one for one in docs.complaints if not one.startswith("issue") or "SecurityPolicy" in one] == []


def test_the_policy_is_in_force(docs: Page) -> None:
    """So that the silence above means something: what is not allowed is noticed."""
    docs.evaluate("void document.body.insertAdjacentHTML('beforeend', '<style>body{color:red}</style>')")
    docs.browser.wait_until(lambda: docs.complaints, what="a complaint")
    assert any("Content Security Policy" in one or "ContentSecurityPolicy" in one for one in docs.complaints)
    assert docs.evaluate("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"
