"""A page of another origin, as the guide has it, in a real browser: EventSource, WebSocket and fetch."""

import json
import re
from pathlib import Path

import httpx
import pytest

from tests.browser.chromium import Page
from tests.browser.elsewhere import Elsewhere, elsewhere
from tests.browser.scene import Partner
from tests.support.plain_http import http_client

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "show-a-task-on-a-page.md"


def shown(page: Page, name: str) -> str:
    """What stands in one of the page's outputs."""
    return str(page.evaluate(f"document.getElementById('{name}')?.textContent"))


@pytest.fixture
def caller(service_url: str, partner: Partner) -> httpx.Client:
    """The backend, with its key."""
    return http_client(service_url, partner.key)


def test_the_guides_page_shows_a_task_three_ways_and_its_file(
    page: Page, caller: httpx.Client, service_url: str, page_origin: Elsewhere
) -> None:
    with caller:
        body = {"type": "report.statement", "input": {"account": "A-1"}}
        task = caller.post("/v1/tasks", json=body).json()
        token = caller.post("/v1/tokens", json={"tasks": [task["id"]]}).json()["token"]
    told = json.dumps({"api": service_url, "task": task["id"], "token": token}).encode()
    found = re.search(r"```html\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert found is not None
    page_origin.pages |= {
        "/": ("text/html; charset=utf-8", found[1].encode()),
        "/token.json": ("application/json", told),
    }
    page.go(f"{page_origin.origin}/")
    for name in ("streamed", "pushed", "polled"):
        page.browser.wait_until(lambda name=name: shown(page, name) == "succeeded", what=name)
    page.browser.wait_until(lambda: page.evaluate("!document.getElementById('file').hidden"), what="the link")
    size = page.evaluate(
        "fetch(document.getElementById('file').href).then(a => a.arrayBuffer()).then(b => b.byteLength)"
    )
    assert size > 1_000
    assert [one for one in page.complaints if "favicon" not in one and not one.startswith("issue")] == []


def test_a_page_of_an_origin_that_is_not_named_may_not_call(page: Page, service_url: str) -> None:
    with elsewhere() as stranger:
        stranger.pages["/"] = ("text/html", b"<!doctype html><title>Evil</title>")
        page.go(f"{stranger.origin}/")
        asked = page.evaluate(
            f"fetch('{service_url}/healthz').then(a => a.status, error => error.constructor.name)"
        )
        assert asked == "TypeError"
