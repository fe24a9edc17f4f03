"""Every page, light and dark, with what an outage leaves: fit for all, and sound."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.browser import axe
from tests.browser.chromium import Browser, Page
from tests.browser.pictures import shown
from tests.browser.scene import Partner, Service, complaints, log_in, new_partner, receiving

_FAILING: Final = {"/orders": 500, "/refunds": 503, "/stock": 401}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """What last night left: dead letters of three endpoints, one delivery and one task of them."""

    partner: Partner
    endpoint: str
    delivery: str
    task: str
    batch: str
    key: str


@pytest.fixture(scope="module")
def outage(service: Service) -> Iterator[Outage]:
    """Last night."""
    partner = new_partner(service, name="n" * 100)
    with receiving() as receiver:
        receiver.status = dict(_FAILING)
        receiver.bodies = dict.fromkeys(_FAILING, '{"error": "relation \\"orders\\" does not exist"}')
        endpoints = [partner.endpoint(receiver.url + path, description=path[1:]) for path in _FAILING]
        good = partner.endpoint(receiver.url + "/audit", description="audit")
        tasks = [_task(number, endpoints[number % 3], good) for number in range(9)]
        partner.call("POST", "/v1/tasks/batch", {"tasks": tasks})
        letters = partner.dead_letters(9, limit="9")
        batch = {"tasks": [_task(9, good)], "metadata": {"campaign": "spring"}, "open": True}
        yield Outage(
            partner=partner,
            endpoint=endpoints[0],
            delivery=letters[0]["id"],
            task=letters[0]["task_id"],
            batch=partner.call("POST", "/v1/batches", batch)["id"],
            key=partner.key,
        )


def _task(number: int, *endpoints: str) -> dict[str, Any]:
    metadata = {"order": str(number)}
    return {"type": "demo.echo", "input": {"n": number}, "endpoints": [*endpoints], "metadata": metadata}


@pytest.fixture(scope="module")
def admin(browser: Browser, service: Service) -> Iterator[Page]:
    """A tab in which an admin is logged in."""
    page = browser.page(alone=True)
    page.resize(1280, 860)
    log_in(page, service)
    yield page
    assert complaints(page) == []


@pytest.fixture(scope="module")
def portal(browser: Browser, service: Service, outage: Outage) -> Iterator[Page]:
    """A tab in which the partner is logged in."""
    page = browser.page(alone=True)
    page.resize(1280, 860)
    log_in(page, service, outage.key, side="portal")
    yield page
    assert complaints(page) == []


def paths(outage: Outage) -> dict[str, str]:
    """Every page of both sides, by a name."""
    return {
        "tasks": "tasks",
        "task": f"tasks/{outage.task}",
        "batches": "batches",
        "batch": f"batches/{outage.batch}",
        "endpoints": "endpoints",
        "endpoint": f"endpoints/{outage.endpoint}",
        "endpoint-new": "endpoints/new",
        "endpoint-edit": f"endpoints/{outage.endpoint}/edit",
        "deliveries": "deliveries",
        "delivery": f"deliveries/{outage.delivery}",
        "dead-letters": "dead-letters",
        "replays": "replays",
        "discards": "discards",
        "files": "files",
        "verify": "verify",
        "nowhere": "nowhere",
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_keeps_anybody_out(
    admin: Page, portal: Page, service: Service, outage: Outage, scheme: str
) -> None:
    script = axe.source()
    own = {"now": "now", "partners": "partners", "partner": f"partners/{outage.partner.id}", "audit": "audit"}
    sides = (
        ("admin", admin, {**own, **paths(outage)}),
        ("portal", portal, {"keys": "keys", **paths(outage)} if scheme == "light" else {"keys": "keys"}),
    )
    found = {}
    for side, page, pages in sides:
        shown(page, scheme)
        for path in pages.values():
            page.go(f"{service.url}/{side}/{path}")
            if faults := axe.faults(page, script):
                found[f"{side}/{path}"] = faults
        page.complaints = [one for one in page.complaints if "/nowhere" not in one]
    assert found == {}


def test_dialog_keeps_nobody_out(admin: Page, service: Service, outage: Outage) -> None:
    script = axe.source()
    admin.go(f"{service.url}/admin/dead-letters?partner={outage.partner.id}")
    for name in ("Replay", "Discard"):
        admin.press("button", name)
        admin.see("dialog", name)
        assert axe.faults(admin, script) == []
        admin.key("Escape", 27)
        admin.wait_for("document.querySelector('dialog') === null")


@pytest.mark.parametrize("width", [360, 1280])
def test_no_page_is_wider_than_its_window(admin: Page, service: Service, outage: Outage, width: int) -> None:
    admin.resize(width, 800)
    wide = {}
    for path in (*paths(outage).values(), "now", "partners", f"partners/{outage.partner.id}", "audit"):
        admin.go(f"{service.url}/admin/{path}")
        over = admin.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        if over > 0:
            wide[path] = over
    admin.resize(1280, 860)
    admin.complaints = [one for one in admin.complaints if "/nowhere" not in one]
    assert wide == {}
