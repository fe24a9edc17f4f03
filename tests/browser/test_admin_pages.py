"""The admin's minute in a real browser: what died, why, and back on its way."""

from collections.abc import Iterator

import pytest
from standardwebhooks import Webhook

from tests.browser.chromium import Browser, Page
from tests.browser.scene import Partner, Receiver, Service, complaints, log_in


@pytest.fixture(scope="module")
def admin(browser: Browser, service: Service) -> Iterator[Page]:
    """A tab in which an admin is logged in."""
    page = browser.page()
    page.resize(1280, 900)
    log_in(page, service)
    yield page
    assert complaints(page) == []


def _dialog(page: Page, order: str) -> str:
    """Open the dialog of an order; return what it says."""
    page.press("button", order)
    page.see("dialog", order)
    return str(page.evaluate("document.querySelector('dialog').textContent"))


def _see_done(page: Page, order: str) -> None:
    """Give the order, and look on until it is done."""
    page.press("button", order)
    page.heading(order)
    page.wait_for("document.querySelector('#live .state').textContent === 'done'")


def test_link_of_up_logs_an_admin_in_once(browser: Browser, service: Service) -> None:
    page = browser.page(alone=True)
    page.go(service.link)
    page.wait_for("document.querySelector('nav') !== null")
    again = browser.page(alone=True)
    again.go(service.link)
    again.heading("This link is used or over")


def test_charts_of_now_draw_what_was_done_while_one_looks(
    admin: Page, service: Service, partner: Partner, receiver: Receiver
) -> None:
    admin.go(f"{service.url}/admin/now?window=1h")
    admin.heading("Now")
    receiver.status = {"/": 500}
    partner.echo(partner.endpoint(receiver.url))
    for drawn in ("rect.ok", "rect.no", "polyline.line", "polyline.half"):
        admin.wait_for(f"document.querySelector('figure svg.chart {drawn}') !== null")
    labels = admin.evaluate("[...document.querySelectorAll('figure svg.chart')].map(one => one.ariaLabel)")
    assert [label.split()[1] for label in labels[::2]] == ["runs", "attempts"]
    for label in labels:
        assert label in admin.evaluate("document.querySelector('main').textContent")


def test_dead_letter_is_found_by_its_endpoint_replayed_and_seen_delivered(
    admin: Page, service: Service, partner: Partner, receiver: Receiver
) -> None:
    receiver.status = {"/a": 500, "/b": 503}
    a, b = partner.endpoint(f"{receiver.url}/a"), partner.endpoint(f"{receiver.url}/b")
    for endpoint in (a, a, b):
        partner.echo(endpoint)
    partner.dead_letters(3)
    admin.go(f"{service.url}/admin/dead-letters?partner={partner.id}")
    admin.heading("Dead letters")
    groups = admin.evaluate(
        "[...document.querySelector('tbody').rows]"
        ".map(row => [0, 1, 3].map(at => row.cells[at].textContent.trim()).join(' '))"
    )
    assert groups == [f"2 {receiver.url}/a http_500", f"1 {receiver.url}/b http_503"]
    admin.press("link", "1")
    admin.wait_for(f"location.search.includes('{b}') && document.readyState === 'complete'")
    assert "http_503" in admin.evaluate("document.querySelector('tbody').textContent")
    receiver.status = {}
    [letter] = partner.dead_letters(1, endpoint=b)
    admin.press("checkbox", f"Select {letter['id']}")
    _dialog(admin, "Replay")
    admin.press("button", "Replay")
    admin.heading("Delivery")
    admin.wait_for("document.querySelector('#live .state').textContent === 'delivered'")


def test_all_that_match_are_replayed_after_a_dry_run(
    admin: Page, service: Service, partner: Partner, receiver: Receiver
) -> None:
    endpoint, _ = partner.let_die(receiver, 3)
    admin.go(f"{service.url}/admin/dead-letters?endpoint={endpoint}")
    assert "3 deliveries" in _dialog(admin, "Replay")
    _see_done(admin, "Replay")
    assert partner.call("GET", "/v1/dead-letters")["data"] == []


def test_several_that_are_selected_are_replayed_at_a_rate_with_a_reason(
    admin: Page, service: Service, partner: Partner, receiver: Receiver
) -> None:
    endpoint, [first, second, kept] = partner.let_die(receiver, 3)
    admin.go(f"{service.url}/admin/dead-letters?endpoint={endpoint}")
    for letter in (first, second):
        admin.press("checkbox", f"Select {letter['id']}")
    assert "2 deliveries" in _dialog(admin, "Replay")
    admin.fill("textbox", "Why", "they mended it")
    _see_done(admin, "Replay")
    told = admin.evaluate("document.querySelector('#live').textContent")
    assert "2 selected" in told
    assert "50 a second" in told
    assert "they mended it" in told
    assert partner.call("GET", "/v1/dead-letters")["data"] == [kept]


def test_a_list_is_filtered_by_dates_and_says_at_the_field_what_it_cannot_read(
    admin: Page, service: Service, partner: Partner
) -> None:
    partner.echo()
    admin.go(f"{service.url}/admin/tasks?partner={partner.id}")
    admin.fill("textbox", "Until", "last night")
    admin.press("button", "Filter")
    admin.wait_for("document.querySelector('[aria-invalid]') !== null")
    assert admin.evaluate("document.activeElement.value") == "last night"
    fault = (
        "document.getElementById(document.querySelector('[aria-invalid]').getAttribute('aria-describedby'))"
    )
    assert "Must be a date such as 2026-11-30" in admin.evaluate(f"{fault}.textContent")
    for until, rows in (("2026-01-01", 0), ("2999-12-31", 1), ("2026-01-01 06:00", 0)):
        admin.fill("textbox", "Until", until)
        admin.press("button", "Filter")
        admin.wait_for(f"new URLSearchParams(location.search).get('until') === '{until}'")
        admin.heading("Tasks")
        assert admin.evaluate("document.querySelectorAll('tbody tr').length") == rows
    # The one refusal that a browser notes as an error is the one that was meant.
    admin.complaints = [one for one in admin.complaints if "until=last" not in one]


def test_number_of_a_queue_of_several_types_opens_to_the_tasks_of_each(
    admin: Page, service: Service, partner: Partner
) -> None:
    service.call("POST", "/v1/queues/default/pause")
    try:
        task = partner.echo()
        admin.go(f"{service.url}/admin/now")
        admin.wait_for("document.querySelector('details.of summary') !== null")
        # By a script: the live part may be made anew between finding a node and clicking on it.
        admin.evaluate("document.querySelector('details.of summary').click()")
        opened = "details.of[open] a[href$='state=queued&type=demo.echo']"
        admin.wait_for(f"document.querySelector(`{opened}`)?.checkVisibility()")
        admin.evaluate(f"document.querySelector(`{opened}`).click()")
        admin.wait_for("location.search === '?state=queued&type=demo.echo'")
        admin.heading("Tasks")
        assert task in admin.evaluate("document.querySelector('tbody').textContent")
    finally:
        service.call("POST", "/v1/queues/default/resume")


def test_closing_a_dialog_does_nothing_and_gives_the_focus_back(
    admin: Page, service: Service, partner: Partner, receiver: Receiver
) -> None:
    endpoint, _ = partner.let_die(receiver, 1)
    admin.go(f"{service.url}/admin/dead-letters?endpoint={endpoint}")
    _dialog(admin, "Replay")
    admin.key("Escape", 27)
    admin.wait_for("document.querySelector('dialog') === null")
    assert admin.evaluate("document.activeElement.textContent") == "Replay"
    assert len(partner.dead_letters(1)) == 1


def test_selected_dead_letters_are_discarded(
    admin: Page, service: Service, partner: Partner, receiver: Receiver
) -> None:
    endpoint, [kept, gone] = partner.let_die(receiver, 2)
    admin.go(f"{service.url}/admin/dead-letters?endpoint={endpoint}")
    admin.press("checkbox", f"Select {gone['id']}")
    _dialog(admin, "Discard")
    admin.fill("textbox", "Reason", "the order was cancelled")
    admin.press("button", "Discard")
    admin.wait_for("document.querySelector('[role=status]') !== null")
    assert partner.call("GET", "/v1/dead-letters")["data"] == [kept]


def test_all_that_match_are_discarded_with_a_reason(
    admin: Page, service: Service, partner: Partner, receiver: Receiver
) -> None:
    endpoint, _ = partner.let_die(receiver, 2)
    admin.go(f"{service.url}/admin/dead-letters?endpoint={endpoint}")
    _dialog(admin, "Discard")
    admin.fill("textbox", "Reason", "the receiver is gone")
    _see_done(admin, "Discard")
    assert "the receiver is gone" in admin.evaluate("document.querySelector('main').textContent")
    assert partner.call("GET", "/v1/dead-letters")["data"] == []


def test_endpoint_is_tested_disabled_and_enabled(
    admin: Page, service: Service, partner: Partner, receiver: Receiver
) -> None:
    receiver.bodies = {"/": "thank you"}
    endpoint = partner.endpoint(receiver.url)
    admin.go(f"{service.url}/admin/endpoints")
    admin.heading("Endpoints")
    admin.press("link", f"{receiver.url}/")
    admin.heading("Endpoint")
    assert "thank you" in _dialog(admin, "Test")
    admin.press("link", "Close")
    admin.press("button", "Disable")
    admin.press("button", "Enable")
    admin.see("button", "Disable")
    assert partner.call("GET", f"/v1/endpoints/{endpoint}")["state"] == "enabled"


def test_rotated_secret_is_shown_once_and_both_sign(
    admin: Page, service: Service, partner: Partner, receiver: Receiver
) -> None:
    made = partner.call("POST", "/v1/endpoints", {"url": receiver.url})
    admin.go(f"{service.url}/admin/endpoints/{made['id']}")
    _dialog(admin, "Rotate")
    admin.press("button", "Rotate")
    admin.heading("Rotate")
    secret = admin.evaluate("document.getElementById('secret').textContent")
    partner.echo(made["id"])
    admin.browser.wait_until(lambda: receiver.hits, what="a webhook")
    [(_, headers, body)] = receiver.hits
    for one in (made["secret"], secret):
        Webhook(one).verify(body, headers)


def test_all_of_it_works_without_a_script(
    browser: Browser, service: Service, partner: Partner, receiver: Receiver
) -> None:
    endpoint, _ = partner.let_die(receiver, 1)
    page = browser.page(alone=True)
    page.tell("Emulation.setScriptExecutionDisabled", value=True)
    page.go(f"{service.url}/admin/log-in?next=dead-letters?endpoint={endpoint}")
    page.fill("textbox", "Key", "an-admin-key-of-the-browser-tests")
    page.press("button", "Log in")
    page.see("heading", "Dead letters")
    page.press("button", "Replay")
    page.see("heading", "Replay")
    page.press("button", "Replay")
    page.see("button", "Log out")
    page.browser.wait_until(
        lambda: partner.call("GET", "/v1/deliveries?state=delivered")["data"], what="the delivery"
    )


def test_what_only_a_script_can_do_is_not_shown_without_one(
    browser: Browser, service: Service, partner: Partner
) -> None:
    task = partner.echo()
    page = browser.page(alone=True)
    page.tell("Emulation.setScriptExecutionDisabled", value=True)
    page.go(f"{service.url}/admin/log-in?next=tasks/{task}")
    page.fill("textbox", "Key", "an-admin-key-of-the-browser-tests")
    page.press("button", "Log in")
    page.see("heading", "Task")
    assert page.named("button", "Copy id") == []


def test_copying_is_not_offered_where_the_browser_has_no_clipboard(
    browser: Browser, service: Service, partner: Partner
) -> None:
    task = partner.echo()
    page = browser.page(alone=True)
    plain_http = "Object.defineProperty(navigator, 'clipboard', { value: undefined })"
    page.tell("Page.addScriptToEvaluateOnNewDocument", source=plain_http)
    log_in(page, service)
    page.go(f"{service.url}/admin/tasks/{task}")
    page.heading("Task")
    assert page.named("button", "Copy id") == []
    assert complaints(page) == []


def test_portal_link_is_copied_with_the_origin_it_is_good_at(
    admin: Page, service: Service, partner: Partner
) -> None:
    admin.go(f"{service.url}/admin/partners/{partner.id}")
    admin.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    admin.press("button", "Portal link")
    admin.press("button", "Copy link")
    admin.wait_for(f"window.copied.startsWith('{service.url}/portal/enter?token=')")


def test_task_is_found_by_its_metadata_and_run_again(admin: Page, service: Service, partner: Partner) -> None:
    order = partner.id[-8:]
    task = partner.echo(metadata={"order": order})
    admin.go(f"{service.url}/admin/tasks")
    admin.fill("searchbox", "Find", f"order {order}")
    admin.press("button", "Find")
    admin.heading("Task")
    admin.press("button", "Run again")
    admin.wait_for(f"!location.href.includes('{task}') && document.readyState === 'complete'")
    admin.wait_for("document.querySelector('#live .state').textContent === 'succeeded'")
    assert task in admin.evaluate("document.querySelector('main').textContent")


ANSWERED_BY_A_PROXY = """
let tries = 0;
window.EventSource = class extends EventSource {
  constructor(url) {
    super((tries += 1) === 1 ? "/nowhere" : url);
  }
};
"""


def test_live_page_comes_back_from_an_answer_that_is_no_stream(
    browser: Browser, service: Service, partner: Partner
) -> None:
    """As a proxy gives one while the service restarts; a browser gives up there by itself."""
    page = browser.page(alone=True)
    log_in(page, service)
    page.tell("Page.addScriptToEvaluateOnNewDocument", source=ANSWERED_BY_A_PROXY)
    page.go(f"{service.url}/admin/tasks?partner={partner.id}&type=demo.echo")
    page.wait_for("document.querySelector('#live .empty') !== null")
    task_id = partner.echo()
    page.wait_for(f"document.querySelector('#live').textContent.includes('{task_id[-6:]}')")
