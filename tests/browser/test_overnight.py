"""A page left open overnight: the browser's own clock is run ahead, so that a night takes moments."""

from typing import Any

import pytest

from tests.browser.chromium import Browser, Page
from tests.browser.scene import Partner, Service, log_in

HOUR_MS = 3_600_000
NIGHT_MS = 8 * HOUR_MS
MOST_AN_HOUR = 140
"""Half a minute at the shortest, once the pauses have grown; and those until then."""
ASKED = 60
EVENTS = 5_000
TOGGLES = 500

HIDDEN = """
window.isHidden = false;
Object.defineProperty(document, "hidden", { get: () => window.isHidden });
window.hide = (hidden) => {
  window.isHidden = hidden;
  document.dispatchEvent(new Event("visibilitychange"));
};
"""
STREAMS = """
window.streams = [];
window.EventSource = class extends EventTarget {
  static CLOSED = 2;
  constructor() {
    super();
    this.readyState = 1;
    window.streams.push(this);
  }
  close() {
    this.readyState = 2;
  }
};
"""
AWAY = """
window.asked = 0;
window.open = 0;
window.pauses = [];
const passes = window.setTimeout;
window.setTimeout = (then, ms) => {
  if (!(ms >= 1000)) return passes(then, ms);
  window.pauses.push(ms);
  return window.pauses.length < %d ? passes(then, 0) : 0;
};
window.EventSource = class extends EventTarget {
  static CLOSED = 2;
  constructor() {
    super();
    window.asked += 1;
    window.open += 1;
    this.readyState = %d;
    passes(() => this.dispatchEvent(new Event("error")), 0);
  }
  close() {
    window.open -= 1;
  }
};
"""
"""Nobody is there, and pauses of a second or more are over at once."""


@pytest.fixture
def page(browser: Browser, service: Service) -> Page:
    """A tab in which an admin is logged in, and which can be hidden."""
    tab = browser.page(alone=True)
    log_in(tab, service)
    tab.tell("Page.addScriptToEvaluateOnNewDocument", source=HIDDEN)
    return tab


def streams(page: Page, path: str) -> int:
    """How often the page's live part was asked for; the page itself is loaded once."""
    return sum(1 for url in page.requests if url.endswith(path)) - 1


def pass_time(page: Page, ms: int) -> None:
    """Let the page's clock run ahead; it waits for what the page asks for."""
    before = page.heard["Emulation.virtualTimeBudgetExpired"]
    page.tell("Emulation.setVirtualTimePolicy", policy="pauseIfNetworkFetchesPending", budget=ms)
    page.browser.wait_until(
        lambda: page.heard["Emulation.virtualTimeBudgetExpired"] > before, what="the time to pass"
    )


def counted(page: Page) -> dict[str, float]:
    """Return what the browser counts of the page, after what is unused is gone."""
    page.tell("HeapProfiler.collectGarbage")
    page.tell("Performance.enable")
    metrics: list[dict[str, Any]] = page.tell("Performance.getMetrics")["metrics"]
    return {one["name"]: one["value"] for one in metrics}


def test_hidden_page_asks_for_nothing_all_night(page: Page, service: Service) -> None:
    page.go(f"{service.url}/admin/tasks")
    page.browser.wait_until(lambda: streams(page, "/admin/tasks") == 1, what="the live part")
    page.evaluate("hide(true)")
    asked = len(page.requests)
    pass_time(page, NIGHT_MS)
    assert [url for url in page.requests[asked:] if "/pages/icon.svg" not in url] == []  # the browser's own
    page.tell("Emulation.setVirtualTimePolicy", policy="advance")
    page.evaluate("hide(false)")
    page.browser.wait_until(lambda: streams(page, "/admin/tasks") == 2, what="the live part again")


@pytest.mark.parametrize("state", [0, 2], ids=["nobody answers", "no stream"])
def test_page_whose_service_is_away_asks_less_and_less(page: Page, service: Service, state: int) -> None:
    page.tell("Page.addScriptToEvaluateOnNewDocument", source=AWAY % (ASKED, state))
    page.go(f"{service.url}/admin/tasks")
    page.wait_for(f"pauses.length === {ASKED}")
    pauses = page.evaluate("pauses")
    assert page.evaluate("asked") == ASKED
    assert page.evaluate("open") <= 1
    assert ASKED / sum(pauses) * HOUR_MS < MOST_AN_HOUR
    assert all(30_000 <= pause <= 90_000 for pause in pauses[5:])


def test_page_that_is_hidden_and_shown_again_has_one_stream(page: Page, service: Service) -> None:
    page.tell("Page.addScriptToEvaluateOnNewDocument", source=STREAMS)
    page.go(f"{service.url}/admin/tasks")
    page.evaluate(f"for (let n = 0; n < {TOGGLES}; n += 1) {{ hide(true); hide(false); hide(false); }}")
    assert page.evaluate("streams.filter((one) => one.readyState !== 2).length") == 1
    assert page.evaluate("streams.length") == TOGGLES + 1


def test_thousands_of_events_leave_no_more_than_one(page: Page, service: Service, partner: Partner) -> None:
    task = partner.echo()
    page.tell("Page.addScriptToEvaluateOnNewDocument", source=STREAMS)
    page.go(f"{service.url}/admin/tasks/{task}")
    page.evaluate(
        "window.part = document.getElementById('live').innerHTML;"
        "window.tell = (from, to) => { for (let n = from; n < to; n += 1) streams[0].dispatchEvent("
        "new MessageEvent('live', { data: `${part}<p>${n}<button data-copy='${n}'>Copy</button></p>` })); }"
    )
    page.evaluate("tell(0, 10)")
    few = counted(page)
    page.evaluate(f"tell(10, {EVENTS})")
    many = counted(page)
    assert page.evaluate("document.getElementById('live').textContent").count(str(EVENTS - 1)) == 1
    for name in ("Nodes", "JSEventListeners"):
        assert many[name] <= few[name] * 1.5, name
