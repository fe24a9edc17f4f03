"""The partner's five minutes in a real browser: its own things only, why its receiver failed, mending it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.chromium import Browser, Page
from tests.browser.scene import Partner, Receiver, Service, complaints, log_in, new_partner

_SCRIPT = "<img src=x onerror=alert(1)>"


@pytest.fixture
def portal(browser: Browser, service: Service, partner: Partner) -> Iterator[Page]:
    """A tab in which a person of the partner came in by a link."""
    page = browser.page(alone=True)
    page.resize(1280, 900)
    made = service.call("POST", f"/v1/partners/{partner.id}/portal-link")
    page.go(f"{service.url}{made['url']}")
    page.wait_for("document.querySelector('nav') !== null")
    yield page
    assert complaints(page) == []


def test_link_shows_a_partner_its_own_and_nothing_else(
    portal: Page, service: Service, partner: Partner
) -> None:
    other = new_partner(service)
    mine, foreign = partner.echo(endpoints=[]), other.echo(endpoints=[])
    portal.press("link", "Tasks")
    portal.heading("Tasks")
    shown = portal.evaluate("document.querySelector('main').textContent")
    assert mine in shown
    assert foreign not in shown
    names = portal.evaluate("[...document.querySelectorAll('nav a')].map(one => one.textContent)")
    assert not {"Now", "Partners", "Audit"} & set(names)


def test_receiver_that_failed_is_mended_and_what_died_is_sent_again(
    portal: Page, service: Service, partner: Partner, receiver: Receiver
) -> None:
    receiver.status, receiver.bodies = {"/": 500}, {"/": f"no such table {_SCRIPT}"}
    partner.echo(partner.endpoint(receiver.url))
    partner.dead_letters(1)
    portal.press("link", "Dead letters")
    portal.heading("Dead letters")
    [letter] = partner.dead_letters(1)
    portal.press("link", letter["id"])
    portal.heading("Delivery")
    assert f"no such table {_SCRIPT}" in portal.evaluate("document.querySelector('main').textContent")
    receiver.status = {}
    portal.press("button", "Replay")
    portal.wait_for("document.querySelector('#live .state').textContent === 'delivered'")


def test_file_is_uploaded_and_seen(portal: Page, partner: Partner, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_bytes(b"order,amount\n42,7\n")
    portal.press("link", "Files")
    portal.heading("Files")
    root = portal.tell("DOM.getDocument")["root"]["nodeId"]
    node = portal.tell("DOM.querySelector", nodeId=root, selector="input[type=file]")["nodeId"]
    portal.tell("DOM.setFileInputFiles", files=[str(file)], nodeId=node)
    portal.press("button", "Upload")
    portal.heading("File")
    assert "orders.csv" in portal.evaluate("document.querySelector('main').textContent")
    [stored] = partner.call("GET", "/v1/files")["data"]
    assert stored["size"] == file.stat().st_size


def test_failing_verification_is_explained(
    portal: Page, service: Service, partner: Partner, receiver: Receiver
) -> None:
    partner.echo(partner.endpoint(receiver.url))
    portal.browser.wait_until(lambda: receiver.hits, what="a webhook")
    [(_, headers, body)] = receiver.hits
    portal.press("link", "Verify")
    portal.heading("Verify")
    lines = "\n".join(f"{name}: {value}" for name, value in headers.items() if name.startswith("webhook-"))
    portal.fill("textbox", "Headers", lines)
    portal.fill("textbox", "Body", json.dumps(json.loads(body)))
    portal.press("button", "Verify")
    portal.see("region", "Result")
    told = portal.evaluate("document.querySelector('section').textContent")
    assert "re-encoded" in told


def test_partner_logs_in_with_its_key_by_keyboard_alone(
    browser: Browser, service: Service, partner: Partner
) -> None:
    page = browser.page(alone=True)
    page.go(f"{service.url}/portal/")
    page.heading("Log in")
    assert page.evaluate("document.activeElement.type") == "password"
    page.drawn()
    page.tell("Input.insertText", text=partner.key)
    page.key("Enter", 13, "\r")
    page.wait_for("document.querySelector('nav') !== null")
    page.drawn()
    page.key("Tab", 9)
    page.key("Enter", 13, "\r")
    page.wait_for("document.activeElement.id === 'main'")


def test_revoked_key_ends_the_session(browser: Browser, service: Service, partner: Partner) -> None:
    page = browser.page(alone=True)
    log_in(page, service, partner.key, side="portal")
    [key] = service.call("GET", f"/v1/partners/{partner.id}/keys")["data"]
    page.go(f"{service.url}/portal/replays")
    service.call("DELETE", f"/v1/keys/{key['id']}")
    page.heading("Log in")  # the live part of the page sees to it
