"""`/docs` as a person opens it: in a real browser, under its own content security policy."""

from urllib.parse import urlsplit

import pytest

from tests.browser.chromium import Page
from webhookd.api.app import ROUTES


@pytest.fixture
def docs(page: Page, service_url: str) -> Page:
    """The page, opened."""
    page.resize(1280, 900)
    page.go(f"{service_url}/docs")
    return page


def test_it_shows_every_call_with_its_style_and_without_a_complaint(docs: Page, service_url: str) -> None:
    assert docs.evaluate("document.title").startswith("webhookd")
    shown = set(docs.evaluate("[...document.querySelectorAll('article > p')].map(p => p.textContent)"))
    calls = {f"{row.method} {row.path}" for row in ROUTES}
    assert calls - {" ".join(text.split()) for text in shown} == set()
    # The policy lets in exactly one style; were its hash wrong, the page would be a bare list.
    assert docs.evaluate("getComputedStyle(document.body).display") == "grid"
    assert docs.evaluate("document.querySelector('nav').getBoundingClientRect().width > 100")
    assert docs.complaints == []
    [document] = [one for one in docs.answers if urlsplit(one.url).path == "/docs"]
    assert (document.status, document.kind) == (200, "text/html")


def test_it_asks_nobody_else_for_anything(docs: Page, service_url: str) -> None:
    asked = {url for url in docs.requests if not url.startswith("data:")}
    assert asked == {f"{service_url}/docs"}


def test_every_link_leads_somewhere(docs: Page, service_url: str) -> None:
    links = docs.evaluate("[...document.links].map(a => a.getAttribute('href'))")
    assert len(links) > 50
    inside = {link for link in links if link.startswith("#")}
    assert {
        link for link in inside if not docs.evaluate(f"document.getElementById('{link[1:]}') !== null")
    } == set()
    assert set(links) - inside == {"openapi.json"}
    docs.go(f"{service_url}/openapi.json")
    assert (docs.answers[-1].status, docs.answers[-1].kind) == (200, "application/json")


def test_a_click_in_the_contents_brings_the_call_into_view(docs: Page) -> None:
    target = docs.evaluate("document.querySelector('nav ul:last-of-type li:last-child a').hash")
    docs.click(f"nav a[href='{target}']")
    docs.browser.wait_until(lambda: docs.evaluate("location.hash") == target, what="the click")
    top = docs.evaluate(f"document.querySelector('{target}').getBoundingClientRect().top")
    assert -1 <= top < 900
    assert docs.evaluate("window.scrollY") > 0


def test_examples_open(docs: Page) -> None:
    assert not docs.evaluate("document.querySelector('details pre').checkVisibility()")
    docs.click("details summary")
    docs.browser.wait_until(
        lambda: docs.evaluate("document.querySelector('details pre').checkVisibility()"), what="the example"
    )


@pytest.mark.parametrize("width", [320, 768, 1920])
def test_it_fits_the_window(docs: Page, width: int) -> None:
    docs.resize(width, 700)
    assert docs.evaluate("document.scrollingElement.scrollWidth") <= width


def test_the_policy_is_in_force(docs: Page) -> None:
    """So that the silence above means something: what is not allowed is noticed."""
    docs.evaluate("void document.body.insertAdjacentHTML('beforeend', '<style>body{color:red}</style>')")
    docs.browser.wait_until(lambda: docs.complaints, what="a complaint")
    assert any("Content Security Policy" in one or "ContentSecurityPolicy" in one for one in docs.complaints)
    assert docs.evaluate("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"
