"""The admin's minute and the partner's five, step by step after a night of 500 dead letters.

Each step has its picture in the docs (`pictures`). What a walk took in clicks, fields and seconds is printed.
"""

import json
import time
from collections.abc import Iterator

import pytest

from tests.browser.chromium import Browser, Page
from tests.browser.night import DEAD, Night, night
from tests.browser.pictures import both, picture, shown
from tests.browser.scene import complaints, log_in

PHONE = (390, 844)
DESK = (1280, 860)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """What the night left."""
    with night(tmp_path_factory.mktemp("night")) as one:
        yield one


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    """A tab with cookies of its own."""
    page = browser.page(alone=True)
    page.resize(*DESK)
    shown(page, "light")
    yield page
    assert complaints(page) == []


def live(page: Page, *told: str) -> None:
    """Wait until the live part of the page says this, without being asked again."""
    loaded = page.loaded
    for text in told:
        page.wait_for(f"document.getElementById('live').textContent.includes({json.dumps(text)})")
    assert page.loaded == loaded


def told(page: Page, selector: str = "main") -> str:
    """The text of a part of the page, with single blanks."""
    return " ".join(str(page.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")).split())


def test_an_admin_finds_why_they_died_and_replays_them_in_a_minute(tab: Page, left: Night) -> None:
    orders, refunds = left.endpoints["/orders"], left.endpoints["/refunds"]
    began = time.monotonic()
    log_in(tab, left.service)
    tab.heading("Now")
    live(tab, str(DEAD["/orders"]))
    both(tab, "now")
    tab.press("link", "Dead letters")
    tab.heading("Dead letters")
    both(tab, "dead-letters")
    tab.resize(*PHONE)
    tab.go(f"{left.service.url}/admin/dead-letters")
    picture(tab, "dead-letters-phone")
    tab.resize(*DESK)

    tab.press("link", str(DEAD["/orders"]))
    tab.wait_for(f"location.search.includes('{orders}') && document.readyState === 'complete'")
    assert "http_500" in told(tab)
    picture(tab, "replay-1-found")
    left.mended.add("/orders")
    tab.press("button", "Replay")
    tab.see("dialog", "Replay")
    assert f"{DEAD['/orders']} deliveries will be sent again" in told(tab, "dialog")
    tab.fill("textbox", "Why", "the migration was missing, deployed at 8:40")
    picture(tab, "replay-2-dry-run")
    tab.press("button", "Replay")
    tab.heading("Replay")
    live(tab, "done")
    tab.wait_for(
        f"document.querySelector('#live .cards').textContent.split('{DEAD['/orders']}').length === 4"
    )
    picture(tab, "replay-3-delivered")

    tab.press("link", "Dead letters")
    tab.heading("Dead letters")
    tab.press("link", str(DEAD["/refunds"]))
    tab.wait_for(f"location.search.includes('{refunds}') && document.readyState === 'complete'")
    tab.press("button", "Discard")
    tab.see("dialog", "Discard")
    assert f"{DEAD['/refunds']} dead letters" in told(tab, "dialog")
    tab.fill("textbox", "Reason", "refunded by hand during the outage")
    picture(tab, "discard")
    tab.press("button", "Discard")
    tab.heading("Discard")
    live(tab, "done")
    print(f"admin: {tab.clicks} clicks, {tab.fields} fields, {time.monotonic() - began:.1f} s")
    assert (left.dead("/orders"), left.dead("/refunds")) == (0, 0)
    assert tab.clicks <= 9


def test_a_partner_sees_why_its_receiver_failed_and_mends_it_in_five(tab: Page, left: Night) -> None:
    path = f"/v1/partners/{left.partner.id}/portal-link"
    link = left.service.call("POST", path)["url"]
    began = time.monotonic()
    tab.go(left.service.url + link)
    tab.heading("Endpoints")
    both(tab, "portal-endpoints")
    tab.press("link", f"{left.receiver.url}/stock")
    tab.heading("Endpoint")
    assert f"http_401 {DEAD['/stock']}" in told(tab)
    picture(tab, "portal-1-endpoint")
    left.partner.dead_letters(DEAD["/stock"], endpoint=left.endpoints["/stock"])
    # The newest of them on the page, which need not have died last.
    path = f"/v1/deliveries?endpoint={left.endpoints['/stock']}&state=dead&limit=1"
    [newest] = left.partner.call("GET", path)["data"]
    tab.press("link", newest["id"])
    tab.heading("Delivery")
    assert "No matching signature found" in told(tab)
    picture(tab, "portal-2-delivery")

    [headers, body] = [hit[1:] for hit in left.receiver.hits if hit[1]["webhook-id"] == newest["message_id"]][
        -1
    ]
    tab.press("link", "Verify")
    tab.heading("Verify")
    tab.fill("textbox", "Headers", "\n".join(f"{name}: {value}" for name, value in headers.items()))
    tab.fill("textbox", "Body", json.dumps(json.loads(body)))
    tab.fill("textbox", "Secret", left.secrets["/stock"])
    tab.press("button", "Verify")
    tab.see("region", "Result")
    assert "re-encoded" in told(tab, "section")
    picture(tab, "portal-3-verify")

    left.mended.add("/stock")
    tab.press("link", "Endpoints")
    tab.heading("Endpoints")
    tab.press("link", f"{left.receiver.url}/stock")
    tab.heading("Endpoint")
    tab.press("button", "Test")
    tab.see("dialog", "Test")
    assert told(tab, "dialog").startswith("Test200 after")
    picture(tab, "portal-4-test")
    tab.press("link", "Close")
    tab.press("link", str(DEAD["/stock"]))
    tab.heading("Dead letters")
    tab.press("button", "Replay")
    tab.see("dialog", "Replay")
    tab.press("button", "Replay")
    tab.heading("Replay")
    live(tab, "done")
    tab.wait_for(f"document.querySelector('#live .cards').textContent.split('{DEAD['/stock']}').length === 4")
    picture(tab, "portal-5-delivered")
    print(f"partner: {tab.clicks} clicks, {tab.fields} fields, {time.monotonic() - began:.1f} s")
    assert left.dead("/stock") == 0
    assert tab.clicks <= 13
