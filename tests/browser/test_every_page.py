"""Every page, light and dark, with what an outage leaves: fit for all, sound, and as the docs show it.

`WEBHOOKD_TEST_WRITE_SCREENSHOTS=yes` makes the pictures of the docs anew, from 500 dead letters.
"""

import base64
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image

from tests.browser import axe, last_night
from tests.browser.chromium import Browser, Page
from tests.browser.scene import Partner, Service, complaints, log_in, new_partner, receiving, until_true

PICTURES: Final = Path(__file__).parents[2] / "docs" / "images"
WRITES: Final = "WEBHOOKD_TEST_WRITE_SCREENSHOTS" in os.environ
DEAD: Final = 500
LARGEST_PICTURE: Final = 150_000
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
    partner = new_partner(service)
    with receiving() as receiver:
        receiver.status = dict(_FAILING)
        receiver.bodies = dict.fromkeys(_FAILING, '{"error": "relation \\"orders\\" does not exist"}')
        endpoints = [partner.endpoint(receiver.url + path, description=path[1:]) for path in _FAILING]
        good = partner.endpoint(receiver.url + "/audit", description="audit")
        if WRITES:
            _last_night(partner, endpoints)
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


def _last_night(partner: Partner, endpoints: list[str]) -> None:
    """Leave some hundred dead letters of each endpoint, of the hours before."""
    for endpoint in endpoints:
        partner.call("POST", f"/v1/endpoints/{endpoint}/disable")
    tasks = [_task(number, endpoints[number**2 % 3 or number % 2 * 2]) for number in range(DEAD)]
    partner.call("POST", "/v1/tasks/batch", {"tasks": tasks})
    parked = "/v1/deliveries?state=parked&limit=500"
    until_true(lambda: len(partner.call("GET", parked)["data"]) == DEAD)
    last_night.write(partner.service.folder, dict(zip(endpoints, _FAILING.values(), strict=True)))
    for endpoint in endpoints:
        partner.call("POST", f"/v1/endpoints/{endpoint}/enable")


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
    """Every page of both sides, by the name of its picture."""
    return {
        "tasks": "tasks",
        "task": f"tasks/{outage.task}",
        "batches": "batches",
        "batch": f"batches/{outage.batch}",
        "endpoints": "endpoints",
        "endpoint": f"endpoints/{outage.endpoint}?window=1h",
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


def shown(page: Page, scheme: str) -> None:
    """Have the page in light or dark."""
    page.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])


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


def picture(page: Page, name: str) -> bytes:
    """Take a picture of what is shown, small enough for the docs; keep it where that is wanted."""
    taken = page.tell("Page.captureScreenshot", format="png")["data"]
    image = Image.open(io.BytesIO(base64.b64decode(taken))).convert("RGB").quantize(160)
    small = io.BytesIO()
    image.save(small, "png", optimize=True)
    if WRITES:
        PICTURES.mkdir(exist_ok=True)
        (PICTURES / f"{name}.png").write_bytes(small.getvalue())
    return small.getvalue()


def test_admins_minute_is_as_the_docs_show_it(admin: Page, service: Service, outage: Outage) -> None:
    sizes = {}
    for scheme in ("light", "dark"):
        shown(admin, scheme)
        for name, path in (
            ("now", "now"),
            ("dead-letters", "dead-letters"),
            ("delivery", paths(outage)["delivery"]),
        ):
            admin.go(f"{service.url}/admin/{path}")
            sizes[f"{name}-{scheme}"] = len(picture(admin, f"{name}-{scheme}"))
    shown(admin, "light")
    admin.go(f"{service.url}/admin/dead-letters?endpoint={outage.endpoint}")
    admin.press("button", "Replay")
    admin.see("dialog", "Replay")
    sizes["replay"] = len(picture(admin, "replay"))
    admin.go(f"{service.url}/admin/endpoints/{outage.endpoint}?window=1h")
    sizes["endpoint"] = len(picture(admin, "endpoint"))
    assert {name: size for name, size in sizes.items() if size > LARGEST_PICTURE} == {}
