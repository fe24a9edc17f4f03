"""The machine below the pages, in process: sessions, forms, policies, and what pages make of the API."""

import csv
import json
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import urlencode, urljoin

import httpx
import pytest

from tests.pages.persons import HTML, ORIGIN, Person, dead_letter, person
from tests.support.api_face import ADMIN_KEY, Face, task_types
from tests.support.seeds import answered, due, later, message_to
from webhookd.adapters.store.access.last_used import keep_last_used
from webhookd.adapters.store.upkeep.activity_spans import keep_activity
from webhookd.api.inside import Inside, Said
from webhookd.core.activity import SPANS_MS, ActivityKind
from webhookd.core.delivery import Delivered
from webhookd.core.endpoint_stats import Span
from webhookd.core.model import SCOPES
from webhookd.core.signing import SigningKey, signature_header
from webhookd.pages.audit import as_csv
from webhookd.pages.shown import pretty
from webhookd.taskset import TaskContext
from webhookd.wiring.api import with_pages

NAVIGATION = ("Now", "Tasks", "Endpoints", "Deliveries", "Dead letters", "Replays", "Partners", "Audit")


@pytest.fixture
async def admin(sqlite_face: Face) -> Person:
    """An admin who is logged in."""
    someone = await person(sqlite_face)
    assert (await someone.log_in(ADMIN_KEY)).status_code == 303
    return someone


async def test_whoever_is_not_logged_in_is_led_to_the_form_and_then_on(sqlite_face: Face) -> None:
    someone = await person(sqlite_face)
    led = await someone.open("dead-letters?kind=task")
    assert (led.status_code, led.headers["location"]) == (
        303,
        "../admin/log-in?next=dead-letters%3Fkind%3Dtask",
    )
    form = (await someone.open("log-in?next=dead-letters%3Fkind%3Dtask")).text
    assert form.count('type="password"') == 1
    answer = await someone.send(
        "log-in",
        {"key": ADMIN_KEY, "next": "dead-letters?kind=task"},
        seen="log-in",
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "../admin/dead-letters?kind=task")
    assert (await someone.open("dead-letters?kind=task")).status_code == 200


@pytest.mark.parametrize(
    "after", ["//evil.example", "https://evil.example", "/..//evil", "../portal/", "x\\y"]
)
async def test_logging_in_leads_nowhere_else(sqlite_face: Face, after: str) -> None:
    someone = await person(sqlite_face)
    answer = await someone.send("log-in", {"key": ADMIN_KEY, "next": after}, seen="log-in")
    assert answer.headers["location"] == "../admin/"


async def test_session_cookie_is_kept_from_scripts_and_other_sites(sqlite_face: Face) -> None:
    someone = await person(sqlite_face, base_url="https://webhookd.test")
    answer = await someone.send("log-in", {"key": ADMIN_KEY}, seen="log-in", origin="https://webhookd.test")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("webhookd_admin=")
    assert {"Path=/", "Max-Age=43200", "HttpOnly", "SameSite=Strict", "Secure"} <= set(cookie.split("; "))


async def test_cookie_that_was_there_before_is_never_taken_over(sqlite_face: Face) -> None:
    someone = await person(sqlite_face)
    someone.client.cookies.set("webhookd_admin", "chosen-by-somebody-else")
    answer = await someone.log_in(ADMIN_KEY)
    assert "chosen-by-somebody-else" not in answer.headers["set-cookie"]
    assert (await someone.open("dead-letters")).status_code == 200


@pytest.mark.parametrize(
    "other", ['theme={"dark":true}', "a[b]=c", "=", "lone", '"', "é=ü", "a=b=c; ;", "x=y,z w"]
)
async def test_cookies_of_other_services_of_this_host_hide_no_session(admin: Person, other: str) -> None:
    ours = f"webhookd_admin={admin.client.cookies['webhookd_admin']}"
    admin.client.cookies.clear()
    for sent in (f"{other}; {ours}", f"{ours}; {other}"):
        answer = await admin.client.get("/admin/dead-letters", headers={b"Cookie": sent.encode("latin-1")})
        assert answer.status_code == 200, sent


@pytest.mark.parametrize("text", ["[" * 50_000, '{"a":' * 900, '"\\ud800"', "1" * 5_000, "no JSON", ""])
def test_result_that_is_any_text_is_shown(text: str) -> None:
    assert pretty(text) == text
    assert pretty('{"a":["\\u00e9"]}') == '{\n  "a": [\n    "é"\n  ]\n}'


async def test_page_takes_any_query(admin: Person) -> None:
    for query in ("&".join(["a=b"] * 5_000), "&" * 5_000, "%", "a=%ff&b=%", "=", "state=%00"):
        answer = await admin.client.get(f"/admin/tasks?{query}")
        assert answer.status_code in (200, 422), query
        assert answer.headers["content-type"].startswith("text/html")
    assert (await admin.client.get("/admin/log-in?" + "&".join(["a=b"] * 5_000))).status_code == 200


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999", "1e30", "9007199254740993", "x", "0.5"])
async def test_what_is_no_number_is_refused_and_changes_nothing(
    sqlite_face: Face, admin: Person, value: str
) -> None:
    partner = await sqlite_face.partner()
    made = await partner.client.post("/v1/endpoints", json={"url": "https://hooks.partner.example/in"})
    before = (await partner.client.get(f"/v1/endpoints/{made.json()['id']}")).json()
    page = f"endpoints/{before['id']}"
    fields = {"url": before["url"], "events": "task.*", "max_attempts": value}

    answer = await admin.send(f"{page}/edit", fields, seen=page)

    assert answer.status_code == 422
    assert (await partner.client.get(f"/v1/endpoints/{before['id']}")).json() == before


async def test_what_is_refused_of_a_form_is_told_at_its_fields_and_the_rest_stays(
    sqlite_face: Face, admin: Person
) -> None:
    partner = await sqlite_face.partner()
    other = await sqlite_face.partner()
    scopes = {"scopes": ["keys:write", "tasks:read", "endpoints:write"]}
    key = (await sqlite_face.admin.post(f"/v1/partners/{other.id}/keys", json=scopes)).json()["key"]
    someone = await person(sqlite_face, "portal")
    await someone.log_in(key)
    made = await partner.client.post("/v1/endpoints", json={"url": "https://hooks.partner.example/in"})
    one = f"endpoints/{made.json()['id']}"
    url = "https://x.example/"
    wrong: list[tuple[Person, str, str, dict[str, str], set[str], str]] = [
        (
            admin,
            f"{one}/edit",
            f"{one}/edit",
            {"url": "x", "description": "kept <b>"},
            {"url"},
            "kept &lt;b&gt;",
        ),
        (
            admin,
            f"{one}/edit",
            f"{one}/edit",
            {"url": url, "base_seconds": "0.1", "factor": "0.2", "description": "kept"},
            {"base_seconds", "factor"},
            "kept",
        ),
        (admin, f"{one}/edit", f"{one}/edit", {"url": url, "events": "nope"}, {"events"}, "nope"),
        (admin, f"{one}/edit", f"{one}/edit", {"url": url, "rate_limit": "nan"}, {"rate_limit"}, url),
        (admin, "endpoints/new", "endpoints/new", {"url": url, "partner": "nobody"}, {"partner"}, url),
        (admin, f"{one}/rotate", one, {"go": "yes", "overlap_seconds": "-1"}, {"overlap_seconds"}, "-1"),
        (admin, "partners", "partners", {"name": " \x01"}, {"name"}, "New partner"),
        (
            admin,
            f"partners/{partner.id}",
            f"partners/{partner.id}",
            {"name": "kept", "weight": "0"},
            {"weight"},
            'value="kept"',
        ),
        (someone, "keys", "keys", {"name": "k" * 200}, {"name"}, "k" * 200),
        (someone, "keys/rotate", "keys", {"go": "yes", "secret": "whsec_x"}, {"secret"}, "whsec_x"),
        (someone, "endpoints/new", "endpoints/new", {"url": "ftp://kept"}, {"url"}, "ftp://kept"),
    ]
    for who, path, seen, fields, marked, kept in wrong:
        answer = await who.send(path, fields, seen=seen)
        assert answer.status_code == 422, (path, fields)
        assert set(re.findall(r'<input id="f-(\w+)"[^>]*aria-invalid', answer.text)) == marked, (path, fields)
        assert kept in answer.text, (path, fields)
        assert answer.text.count("<h1") == 1
    taken = {"name": (await sqlite_face.admin.get(f"/v1/partners/{other.id}")).json()["name"]}
    answer = await admin.send("partners", taken, seen="partners")
    assert (answer.status_code, answer.text.count("aria-invalid")) == (422, 1)


async def test_wrong_key_is_told_without_a_session(sqlite_face: Face) -> None:
    someone = await person(sqlite_face)
    answer = await someone.log_in("wha_wrong")
    assert answer.status_code == 422
    assert "wrong, expired or revoked" in answer.text
    assert "webhookd_admin" not in someone.client.cookies


@pytest.mark.parametrize("side", ["admin", "portal"])
@pytest.mark.parametrize("maker", ["partner", "admin"])
async def test_a_pages_token_begins_no_session(sqlite_face: Face, side: str, maker: str) -> None:
    partner = await sqlite_face.partner()
    task = (await partner.client.post("/v1/tasks", json={"type": "test.echo", "input": {"n": 1}})).json()
    client = partner.client if maker == "partner" else sqlite_face.admin
    token = (await client.post("/v1/tokens", json={"tasks": [task["id"]]})).json()["token"]
    someone = await person(sqlite_face, side)

    answer = await someone.log_in(token)

    assert answer.status_code == 422
    assert "wrong, expired or revoked" in answer.text
    assert not {"webhookd_admin", "webhookd_portal"} & set(someone.client.cookies)


async def test_session_ends_with_its_key(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    someone = await person(sqlite_face, "portal")
    await someone.log_in(partner.key)
    assert (await someone.open("dead-letters")).status_code == 200
    [key] = (await sqlite_face.admin.get(f"/v1/partners/{partner.id}/keys")).json()["data"]
    await sqlite_face.admin.delete(f"/v1/keys/{key['id']}")
    assert (await someone.open("dead-letters")).status_code == 303


async def test_session_of_a_suspended_partner_is_refused(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    someone = await person(sqlite_face, "portal")
    await someone.log_in(partner.key)
    await sqlite_face.admin.patch(f"/v1/partners/{partner.id}", json={"suspended": True})
    answer = await someone.open("dead-letters")
    assert answer.status_code == 403
    assert "suspended" in answer.text


async def test_session_of_the_operators_key_ends_when_that_is_another(
    sqlite_face: Face, admin: Person
) -> None:
    other = await person(sqlite_face, admin_key_hash=b"another")
    other.client.cookies = admin.client.cookies
    assert (await other.open("dead-letters")).status_code == 303


async def test_session_ends_after_twelve_hours(sqlite_face: Face, admin: Person) -> None:
    sqlite_face.clock.ahead_ms = 12 * 3_600_000 + 1
    assert (await admin.open("dead-letters")).status_code == 303


async def test_logging_out_ends_the_session_itself(sqlite_face: Face, admin: Person) -> None:
    kept = admin.client.cookies["webhookd_admin"]
    answer = await admin.send("log-out", {}, seen="dead-letters")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    admin.client.cookies.set("webhookd_admin", kept, domain="webhookd.test")
    assert (await admin.open("dead-letters")).status_code == 303


async def test_a_partners_session_is_none_of_an_admin(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    someone = await person(sqlite_face)
    answer = await someone.log_in(partner.key)
    assert answer.headers["location"] == "../portal/"
    token = someone.client.cookies["webhookd_portal"]
    someone.client.cookies.set("webhookd_admin", token)
    assert (await someone.open("dead-letters")).status_code == 303


@pytest.mark.parametrize(
    "origin", [None, "null", "https://evil.example", "http://webhookd.test.evil.example"]
)
async def test_form_of_another_site_is_refused(admin: Person, origin: str | None) -> None:
    answer = await admin.send("log-out", {}, seen="dead-letters", origin=origin)
    assert answer.status_code == 403
    assert (await admin.open("dead-letters")).status_code == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://hooks.example", 303),
        ("https://webhookd.test", 303),  # the host that was asked
        ("http://hooks.example", 403),
        ("https://hooks.example:8443", 403),
    ],
)
async def test_form_may_come_from_the_public_url_with_its_scheme(
    sqlite_face: Face, origin: str, status: int
) -> None:
    someone = await person(sqlite_face, base_url="https://hooks.example/base")
    answer = await someone.send("log-in", {"key": ADMIN_KEY}, seen="log-in", origin=origin)
    assert answer.status_code == status


@pytest.mark.parametrize("token", ["", "0" * 64, "ü"])
async def test_form_without_its_token_is_refused(admin: Person, token: str) -> None:
    answer = await admin.send("log-out", {"form_token": token}, seen="dead-letters")
    assert answer.status_code == 403
    assert (await admin.open("dead-letters")).status_code == 200


@pytest.mark.parametrize("path", ["log-out", "files"])
@pytest.mark.parametrize(
    "sent", [{}, {"data": {"name": "a"}}, {"json": {"form_token": ""}}, {"files": {"file": ("a", b"a")}}]
)
async def test_what_is_no_form_is_refused_as_one_without_its_token(
    admin: Person, path: str, sent: dict[str, Any]
) -> None:
    answer = await admin.client.post(f"/admin/{path}", headers={"Origin": ORIGIN}, **sent)
    assert answer.status_code == 403
    assert (await admin.open("dead-letters")).status_code == 200


async def test_logging_in_needs_a_form_of_ours_too(sqlite_face: Face) -> None:
    someone = await person(sqlite_face)
    bare = await someone.client.post("/admin/log-in", data={"key": ADMIN_KEY}, headers={"Origin": ORIGIN})
    foreign = await someone.send("log-in", {"key": ADMIN_KEY}, seen="log-in", origin="https://evil.example")
    assert (bare.status_code, foreign.status_code) == (403, 403)


async def test_form_without_a_session_does_nothing(sqlite_face: Face) -> None:
    someone = await person(sqlite_face)
    answer = await someone.client.post("/admin/dead-letters/discard", headers={"Origin": ORIGIN})
    assert answer.status_code == 303


async def test_nothing_inline_runs_and_nobody_frames_an_admins_page(admin: Person) -> None:
    answer = await admin.open("dead-letters")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-frame-options"] == "DENY"
    assert not re.search(r"<script(?! src=)|<style| style=| on[a-z]+=", answer.text)


async def test_portal_may_be_framed_by_whom_the_operator_names(sqlite_face: Face) -> None:
    transport = httpx.ASGITransport(with_pages(sqlite_face.parts, "https://app.example"))
    client = await sqlite_face.stack.enter_async_context(
        httpx.AsyncClient(transport=transport, base_url=ORIGIN)
    )
    portal, own = await client.get("/portal/log-in"), await client.get("/admin/log-in")
    assert "frame-ancestors 'self' https://app.example" in portal.headers["content-security-policy"]
    assert "x-frame-options" not in portal.headers
    assert "frame-ancestors 'none'" in own.headers["content-security-policy"]


async def test_link_lets_one_person_in_once_and_only_to_its_partner(sqlite_face: Face) -> None:
    mine, other = await sqlite_face.partner(), await sqlite_face.partner()
    foreign = await dead_letter(sqlite_face, other)
    own = await dead_letter(sqlite_face, mine)
    made = await sqlite_face.admin.post(f"/v1/partners/{mine.id}/portal-link")
    assert made.status_code == 201
    path = made.json()["url"]
    someone = await person(sqlite_face, "portal")
    previewed = await (await person(sqlite_face, "portal")).client.head(path)
    assert previewed.status_code == 204
    assert "webhookd_portal" not in previewed.headers.get("set-cookie", "")
    answer = await someone.client.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, "../portal/")
    shown = (await someone.open("dead-letters")).text
    assert own in shown
    assert foreign not in shown
    assert (await someone.open(f"deliveries/{foreign}")).status_code == 404
    again = await (await person(sqlite_face, "portal")).client.get(path)
    assert again.status_code == 410


async def test_link_is_over_after_its_time(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    made = (await partner.client.post("/v1/portal-link", json={"expires_in": 60})).json()
    sqlite_face.clock.ahead_ms = 60_001
    answer = await (await person(sqlite_face, "portal")).client.get(made["url"])
    assert answer.status_code == 410


async def test_link_ends_with_the_key_that_made_it(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    made = (await partner.client.post("/v1/portal-link")).json()
    [key] = (await sqlite_face.admin.get(f"/v1/partners/{partner.id}/keys")).json()["data"]
    await sqlite_face.admin.delete(f"/v1/keys/{key['id']}")
    answer = await (await person(sqlite_face, "portal")).client.get(made["url"])
    assert answer.status_code == 410


async def test_live_part_of_a_page_whose_session_ended_before_it_began_says_so(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    someone = await person(sqlite_face, "portal")
    await someone.log_in(partner.key)
    [key] = (await sqlite_face.admin.get(f"/v1/partners/{partner.id}/keys")).json()["data"]
    await sqlite_face.admin.delete(f"/v1/keys/{key['id']}")

    stream = await someone.client.get("/portal/replays", headers={"Accept": "text/event-stream"})

    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.text.startswith("event: over\n")
    page = await someone.open("replays")
    assert (page.status_code, page.headers["location"]) == (303, "../portal/log-in?next=replays")


async def test_link_followed_from_another_site_goes_on_by_a_page_of_ours(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    made = (await partner.client.post("/v1/portal-link")).json()
    someone = await person(sqlite_face, "portal")
    answer = await someone.client.get(made["url"], headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200
    assert 'http-equiv="refresh"' in answer.text
    assert (await someone.open("dead-letters")).status_code == 200


async def test_audit_names_the_key_and_that_it_was_by_a_link(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    letter = await dead_letter(sqlite_face, partner)
    made = (await partner.client.post("/v1/portal-link")).json()
    someone = await person(sqlite_face, "portal")
    await someone.client.get(made["url"])
    answer = await someone.send("dead-letters/replay", {"id": letter, "go": "yes"}, seen="dead-letters")
    assert answer.headers["location"].startswith(f"../../portal/deliveries/{letter}")
    entries = (await sqlite_face.admin.get(f"/v1/audit?partner={partner.id}")).json()["data"]
    [entry] = [one for one in entries if one["action"] == "dead-letter.replay"]
    [key] = (await sqlite_face.admin.get(f"/v1/partners/{partner.id}/keys")).json()["data"]
    assert (entry["actor"], entry["detail"]["via"]) == (key["name"], "link")


async def test_key_without_the_scope_is_refused_on_a_page_as_on_the_api(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    letter = await dead_letter(sqlite_face, partner)
    body = {"scopes": ["tasks:read"]}
    made = (await sqlite_face.admin.post(f"/v1/partners/{partner.id}/keys", json=body)).json()
    someone = await person(sqlite_face, "portal")
    await someone.log_in(made["key"])
    answer = await someone.send("dead-letters/replay", {"id": letter, "go": "yes"}, seen="dead-letters")
    assert answer.status_code == 403
    assert "deliveries:replay" in answer.text


async def test_reason_of_a_discard_stands_in_the_audit(sqlite_face: Face, admin: Person) -> None:
    letter = await dead_letter(sqlite_face, await sqlite_face.partner())
    fields = {"id": letter, "go": "yes", "why": "the order was cancelled"}
    await admin.send("dead-letters/discard", fields, seen="dead-letters")
    assert "the order was cancelled" in (await admin.open("audit?action=dead-letter.discard")).text


async def test_form_sent_twice_does_its_work_once(sqlite_face: Face, admin: Person) -> None:
    await dead_letter(sqlite_face, await sqlite_face.partner())
    fields = {"go": "yes", "kinds": "delivery", "once": "the-same"}
    first = await admin.send("dead-letters/replay", fields, seen="dead-letters")
    second = await admin.send("dead-letters/replay", fields, seen="dead-letters")
    assert first.headers["location"] == second.headers["location"]
    replays = (await sqlite_face.admin.get("/v1/replays")).json()["data"]
    assert len([one for one in replays if not one["dry_run"]]) == 1


SCRIPT = "<script>alert(1)</script>"


async def hostile(face: Face) -> tuple[Any, list[str]]:
    """A partner all of whose names, URLs, headers, metadata and errors are script; and its pages."""
    partner = await face.partner(name=f"{SCRIPT} & co")
    endpoint = (
        await partner.client.post(
            "/v1/endpoints",
            json={"url": "https://partner.example/hook", "description": SCRIPT, "headers": {"x-a": SCRIPT}},
        )
    ).json()
    task = (
        await partner.client.post(
            "/v1/tasks",
            json={"type": "test.echo", "input": {SCRIPT: SCRIPT}, "metadata": {SCRIPT: SCRIPT}},
        )
    ).json()
    letter = await dead_letter(face, partner, metadata={"order": SCRIPT})
    batch = (
        await partner.client.post(
            "/v1/batches", json={"tasks": [{"type": "test.echo"}], "metadata": {SCRIPT: SCRIPT}}
        )
    ).json()
    file = (
        await partner.client.post(
            "/v1/files",
            params={"name": SCRIPT.replace("/", "")},
            content=b"x",
            headers={"Content-Type": "text/html"},
        )
    ).json()

    def hurt(tx: Any) -> None:
        run = tx.conn.exec_driver_sql
        run(
            "UPDATE deliveries SET last_error = ?, url = ? WHERE id = ?",
            (SCRIPT, f"https://x.example/{SCRIPT}", letter),
        )
        run(
            "INSERT INTO attempts (delivery_id, number, at_ms, duration_us, status, error, headers, excerpt) "
            "VALUES (?, 1, 1, 1000, 500, ?, ?, ?)",
            (letter, SCRIPT, f'[["{SCRIPT}", "{SCRIPT}"]]', SCRIPT),
        )
        run(
            "UPDATE task_bodies SET error_code = ?, error_message = ?, result = ?",
            (SCRIPT, SCRIPT, f'"{SCRIPT}"'),
        )
        run(
            "INSERT INTO runs (task_id, token, attempt, started_ms, finished_ms, outcome, error_code, "
            "error_message, host, pid, log, raised) VALUES (?, 1, 1, 1, 2, 'failed', ?, ?, ?, 1, ?, ?)",
            (
                task["id"],
                SCRIPT,
                SCRIPT,
                SCRIPT,
                f'["{SCRIPT}"]',
                f'{{"type": "{SCRIPT}", "message": "{SCRIPT}", "traceback": "{SCRIPT}"}}',
            ),
        )

    await face.store.write(hurt)
    return partner, [
        "tasks",
        f"tasks/{task['id']}",
        f"tasks?metadata.a={SCRIPT}&type={SCRIPT}",
        f"tasks?q=nothing {SCRIPT}",
        f"traces/{task['trace_id']}",
        "batches",
        f"batches/{batch['id']}",
        "endpoints",
        "endpoints/new",
        f"endpoints/{endpoint['id']}",
        f"endpoints/{endpoint['id']}/edit",
        "deliveries",
        f"deliveries/{letter}",
        "dead-letters",
        "replays",
        "discards",
        "files",
        f"files/{file['id']}",
        "verify",
        f"nowhere/{SCRIPT}?a={SCRIPT}",
    ]


@pytest.mark.parametrize("side", ["admin", "portal"])
async def test_every_page_shows_what_partners_write_as_text(sqlite_face: Face, side: str) -> None:
    partner, paths = await hostile(sqlite_face)
    someone = await person(sqlite_face, side)
    await someone.log_in(ADMIN_KEY if side == "admin" else partner.key)
    own = ["now", "partners", f"partners/{partner.id}", "audit"] if side == "admin" else ["keys"]
    for path in (*paths, *own):
        answer = await someone.open(path)
        assert answer.status_code in (
            (404,) if "nowhere" in path else (200, 422) if "?" in path else (200,)
        ), path
        assert "<script>alert" not in answer.text, path
        assert answer.text.count("<h1>") == 1, path
        assert len(answer.content) < 100_000, path
        assert not re.search(r"<script(?! src=)|<style| style=|javascript:", answer.text), path


READS = ("tasks:read", "files:read")


def orders(page: str, text: str) -> tuple[set[str], set[str]]:
    """Where the forms of a page are sent, and where its links that look like buttons lead."""
    sent = set(re.findall(r'<form method="post" action="([^"]+)"', text))
    sent |= set(re.findall(r'formaction="([^"]+)"', text))
    led = set(re.findall(r'<a class="button[^"]*" href="([^"]+)"', text))
    base = f"/portal/{page}"
    return (
        {urljoin(base, unescape(one)) for one in sent if not one.endswith("log-out")},
        {urljoin(base, unescape(one)) for one in led},
    )


@pytest.mark.parametrize("scope", ["", *sorted(set(SCOPES) - set(READS))])
async def test_no_key_is_shown_a_button_that_it_may_not_use(sqlite_face: Face, scope: str) -> None:
    partner, paths = await hostile(sqlite_face)
    await dead_letter(sqlite_face, partner)
    replay = (await partner.client.post("/v1/replays", json={"all": True})).json()["id"]
    asleep = (await partner.client.post("/v1/endpoints", json={"url": "https://partner.example/z"})).json()
    await partner.client.post(f"/v1/endpoints/{asleep['id']}/disable")
    scopes = [*READS, scope] if scope else [*READS]
    body = {"name": "some", "scopes": scopes}
    made = (await sqlite_face.admin.post(f"/v1/partners/{partner.id}/keys", json=body)).json()
    someone = await person(sqlite_face, "portal")
    await someone.log_in(made["key"])
    more = [f"replays/{replay}", f"endpoints/{asleep['id']}", "keys"]
    sent: set[str] = set()
    led: set[str] = set()
    for path in (*paths, *more):
        answer = await someone.open(path)
        writes = path.endswith(("/new", "/edit"))
        assert answer.status_code != 403 or (writes and scope != "endpoints:write"), path
        if answer.status_code == 200:
            its = orders(path, answer.text)
            sent, led = sent | its[0], led | its[1]
    sent -= {"/portal/verify"}
    assert bool(sent) == bool(scope)
    for place in led:
        assert (await someone.client.get(place, headers=HTML)).status_code != 403, place
    for place in sorted(sent, key=lambda one: made["id"] in one):  # the end of its own key comes last
        answer = await someone.send(place.removeprefix("/portal/"), {"go": "yes"}, seen="verify")
        assert answer.status_code != 403, place


async def test_a_key_that_only_reads_is_refused_before_it_is_asked(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    endpoint = (await partner.client.post("/v1/endpoints", json={"url": "https://partner.example/z"})).json()
    body = {"scopes": [*READS]}
    made = (await sqlite_face.admin.post(f"/v1/partners/{partner.id}/keys", json=body)).json()
    someone = await person(sqlite_face, "portal")
    await someone.log_in(made["key"])
    one = f"endpoints/{endpoint['id']}"
    for path in ("endpoints/new", f"{one}/edit"):
        assert (await someone.open(path)).status_code == 403
    for path in (
        f"{one}/rotate",
        f"{one}/delete",
        "keys/rotate",
        "dead-letters/replay",
        "dead-letters/discard",
    ):
        answer = await someone.send(path, {"id": "dlv_1"}, seen="verify")
        assert answer.status_code == 403, path
        assert "The key lacks the scope" in answer.text


@pytest.mark.parametrize(("count", "says"), [(1, "1 TASK WILL RUN AGAIN"), (4, "4 TASKS WILL RUN AGAIN")])
async def test_replay_warns_of_the_tasks_that_will_run_again(
    sqlite_face: Face, admin: Person, count: int, says: str
) -> None:
    partner = await sqlite_face.partner()
    for _ in range(count):
        await partner.client.post("/v1/tasks", json={"type": "test.echo", "endpoints": []})

    def die(tx: Any) -> None:
        tx.conn.exec_driver_sql(
            "UPDATE tasks SET state = 'failed', dead_ms = created_ms, dead_reason = 'task_failed' "
            "WHERE partner_id = ?",
            (partner.id,),
        )

    await sqlite_face.store.write(die)
    for fields in ({"kind": "task"}, {}):
        asked = await admin.send(
            "dead-letters/replay", {"partner": partner.name, **fields}, seen="dead-letters"
        )
        assert says in asked.text
    letters = (await sqlite_face.admin.get(f"/v1/dead-letters?partner={partner.id}")).json()["data"]
    chosen = {"id": [letter["id"] for letter in letters]}
    assert says in (await admin.send("dead-letters/replay", chosen, seen="dead-letters")).text


async def test_every_page_stands_in_the_navigation(sqlite_face: Face, admin: Person) -> None:
    shown = (await admin.open("dead-letters")).text
    for name in NAVIGATION:
        assert f">{name}</a>" in shown


async def test_now_shows_the_endpoints_in_trouble(sqlite_face: Face, admin: Person) -> None:
    assert "None fails, and none is disabled." in (await admin.open("now")).text
    partner = await sqlite_face.partner()
    made = await partner.client.post("/v1/endpoints", json={"url": "https://example.com/asleep"})
    await partner.client.post(f"/v1/endpoints/{made.json()['id']}/disable")

    shown = (await admin.open("now")).text
    assert "https://example.com/asleep" in shown
    assert f"endpoints/{made.json()['id']}" in shown
    assert "https://example.com/asleep" in (await admin.open("endpoints?state=disabled")).text
    assert "https://example.com/asleep" not in (await admin.open("endpoints?state=enabled")).text


@pytest.mark.parametrize(("state", "move"), [("parked", "disable"), ("pending", "enable")])
async def test_what_waits_for_an_endpoint_leads_to_its_list(
    sqlite_face: Face, admin: Person, state: str, move: str
) -> None:
    partner = await sqlite_face.partner()
    made = (await partner.client.post("/v1/endpoints", json={"url": "https://partner.example/w"})).json()
    await partner.client.post(f"/v1/endpoints/{made['id']}/{move}")
    body = {"type": "test.echo", "endpoints": [made["id"]]}
    task = (await partner.client.post("/v1/tasks", json=body)).json()
    await partner.client.post(f"/v1/tasks/{task['id']}/cancel")

    listed = (await admin.open(f"endpoints?partner={partner.id}")).text
    assert f'deliveries?endpoint={made["id"]}&amp;state={state}">1</a>' in listed
    assert "<dt>Breaker</dt><dd>closed</dd>" in (await admin.open(f"endpoints/{made['id']}")).text


async def test_admins_see_whose_everything_is(sqlite_face: Face, admin: Person) -> None:
    partner = await sqlite_face.partner()
    endpoint = (await partner.client.post("/v1/endpoints", json={"url": "https://partner.example/w"})).json()
    letter = await dead_letter(sqlite_face, partner, endpoints=[endpoint["id"]])
    await partner.client.post("/v1/files?name=a", content=b"a")
    await partner.client.post("/v1/batches", json={"tasks": [{"type": "test.echo"}]})
    someone = await person(sqlite_face, "portal")
    await someone.log_in(partner.key)
    one = f"deliveries/{letter}"
    for path in ("tasks", "batches", "endpoints", "deliveries", "dead-letters", "files", one):
        link = f'partners/{partner.id}">{partner.name}</a>'
        assert link in (await admin.open(path)).text, path
        assert link not in (await someone.open(path)).text, path
    shown = (await admin.open("dead-letters")).text
    for head in ("Where and why", "Each"):
        [(cells, _)] = table_rows(shown, head)
        assert partner.name in cells


async def test_a_page_that_only_a_form_leads_to_says_so(admin: Person) -> None:
    answer = await admin.open("dead-letters/replay")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert "send the form from there" in answer.text


async def test_an_endpoint_has_charts_of_an_hour_and_a_day_or_a_week_and_its_last_attempts(
    sqlite_face: Face, admin: Person
) -> None:
    partner, store = await sqlite_face.partner(), sqlite_face.store
    made = (await partner.client.post("/v1/endpoints", json={"url": "https://partner.example/z"})).json()
    empty = (await admin.open(f"endpoints/{made['id']}")).text
    assert "Nothing was sent here yet." in empty
    assert "0 attempts in 1h" in empty
    row = await store.endpoints.get(made["id"], None)
    assert row is not None
    now_ms = sqlite_face.clock.now_ms()
    for verdict in (Delivered(), later(now_ms + 60_000)):
        await message_to(store, row.endpoint, now_ms=now_ms)
        (delivery,) = await due(store, now_ms)
        assert await answered(store, delivery, verdict, now_ms=now_ms)

    shown = (await admin.open(f"endpoints/{made['id']}")).text

    week = (await admin.open(f"endpoints/{made['id']}?window=7d")).text
    for page, windows in ((shown, ("1h", "24h")), (week, ("1h", "24h", "7d"))):
        for window in windows:
            assert f"2 attempts in {window}, 1 delivered, 1 failed; " in page
        assert len(re.findall(r'<svg class="chart"', page)) == len(windows)
    assert f'href="{made["id"]}?window=7d">A week</a>' in shown
    cards = dict(re.findall(r"<div><dt>([^<]+)</dt><dd>(.*?)</dd>", shown))
    assert cards["Delivered in 24h"].startswith("1 ")
    assert "<time" in cards["Last success"]
    assert "<time" in cards["Failing since"]
    attempts = table_rows(shown, "Last attempts")
    assert sorted(cells[1] for cells, _ in attempts) == ["200", "http_500"]
    for _, (link,) in attempts:
        assert (await admin.client.get(f"/admin/{link.removeprefix('../../admin/')}")).status_code == 200


@pytest.mark.parametrize("path", ["now", "endpoints", "endpoints/{endpoint}", "tasks/{task}"])
async def test_what_a_page_asks_for_does_not_wait_for_the_rest(
    sqlite_face: Face, admin: Person, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    partner = await sqlite_face.partner()
    for name in "ab":
        made = await partner.client.post("/v1/endpoints", json={"url": f"https://partner.example/{name}"})
    task = await partner.client.post("/v1/tasks", json={"type": "test.echo"})
    ask, under_way, most = Inside.ask, 0, 0

    async def counted(*args: Any, **more: Any) -> Said:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await ask(*args, **more)
        finally:
            under_way -= 1

    monkeypatch.setattr(Inside, "ask", counted)
    shown = await admin.open(path.format(endpoint=made.json()["id"], task=task.json()["id"]))
    assert shown.status_code == 200
    assert most > 1
    assert under_way == 0


async def test_now_says_of_an_enabled_endpoint_in_trouble_that_it_fails(
    sqlite_face: Face, admin: Person
) -> None:
    partner, store = await sqlite_face.partner(), sqlite_face.store
    made = (await partner.client.post("/v1/endpoints", json={"url": "https://partner.example/z"})).json()
    row = await store.endpoints.get(made["id"], None)
    assert row is not None
    now_ms = sqlite_face.clock.now_ms()
    await message_to(store, row.endpoint, now_ms=now_ms)
    (delivery,) = await due(store, now_ms)
    await answered(store, delivery, later(now_ms + 60_000), now_ms=now_ms)
    [(cells, _)] = table_rows((await admin.open("now")).text, "Endpoints in trouble")
    assert cells[:2] == ["failing", "https://partner.example/z"]


async def test_a_slow_rate_and_notes_of_the_audit_are_told_in_words(sqlite_face: Face, admin: Person) -> None:
    partner = await sqlite_face.partner()
    await dead_letter(sqlite_face, partner)
    body = {"filter": {"reason": "exhausted"}, "rate_per_second": 0.001}
    replay = (await partner.client.post("/v1/replays", json=body)).json()["id"]
    assert "0.001 a second" in (await admin.open(f"replays/{replay}")).text
    noted = (await admin.open(f"audit?target={replay}")).text
    assert "matched 1, dry run no, filter reason = exhausted</small>" in noted


async def test_words_of_a_timeline_stand_apart(sqlite_face: Face, admin: Person) -> None:
    partner = await sqlite_face.partner()
    letter = await dead_letter(sqlite_face, partner)
    [delivery] = (await partner.client.get("/v1/deliveries")).json()["data"]
    shown = (await admin.open(f"tasks/{delivery['task_id']}")).text
    entries = re.findall(
        r"<li>(.*?)</li>", shown.partition('class="timeline"')[2].partition("</ol>")[0], re.DOTALL
    )
    told = [" ".join(re.sub(r"<[^>]+>", "", entry).split()) for entry in entries]
    assert any("received test.echo" in entry for entry in told)
    assert any("queued in default " in f"{entry} " for entry in told)
    assert any(entry.endswith(f" {letter}") for entry in told)


async def test_now_draws_throughput_and_latency(sqlite_face: Face) -> None:
    admin = await person(sqlite_face)
    await admin.log_in(ADMIN_KEY)
    now_ms = sqlite_face.clock.now_ms()
    spans = [
        Span(at_ms=now_ms - now_ms % ms, length_ms=ms, attempts=12, delivered=9, times={40: 12})
        for ms in SPANS_MS
    ]
    await sqlite_face.store.write(keep_activity, ActivityKind.RUNS, spans)

    shown = (await admin.open("now?window=1h")).text

    assert "12 runs in 1h, 9 succeeded, 3 failed" in shown
    assert "0 attempts in 1h" in shown
    charts = re.findall(r'<svg class="chart"[^>]*role="img" aria-label="([^"]+)"', shown)
    assert len(charts) == 4
    assert all(unescape(label) in unescape(shown) for label in charts)
    assert 'aria-current="true" href="now?window=1h"' in shown
    assert 'aria-current="true" href="now?window=6h"' in (await admin.open("now?window=x")).text


def table_rows(shown: str, heading: str) -> list[tuple[list[str], list[str]]]:
    """The texts of the cells and the links of each row of the table below a heading."""
    table = shown.partition(f"<h2>{heading}")[2].partition("<tbody>")[2].partition("</tbody>")[0]
    return [
        (
            [
                unescape(re.sub(r"<[^>]+>", "", cell)).strip()
                for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL)
            ],
            [unescape(link) for link in re.findall(r'href="([^"]+)"', row)],
        )
        for row in table.split("</tr>")[:-1]
    ]


async def test_numbers_of_a_queue_lead_to_its_tasks(sqlite_face: Face, admin: Person) -> None:
    partner = await sqlite_face.partner()
    for body in ({"type": "test.order", "input": {"account": "A"}}, {"type": "test.echo"}):
        assert (await partner.client.post("/v1/tasks", json=body)).status_code == 202
    [default, orders] = table_rows((await admin.open("now")).text, "Queues")
    assert [row[0][:2] for row in (default, orders)] == [["default", "1"], ["orders", "1"]]
    waiting = orders[1][0]
    assert waiting == "tasks?state=queued&type=test.order"
    listed = (await admin.open(waiting)).text
    assert "test.order" in listed
    assert "test.echo</" not in listed.partition("<tbody>")[2]


async def test_numbers_of_a_queue_of_several_types_lead_to_the_tasks_of_each(sqlite_face: Face) -> None:
    several = task_types()

    @several.task("test.other")
    def other(ctx: TaskContext, input: dict[str, Any]) -> None:  # noqa: A002 - the contract's word
        raise NotImplementedError

    sqlite_face.parts = replace(sqlite_face.parts, task_types=several)
    admin = await person(sqlite_face)
    await admin.log_in(ADMIN_KEY)
    await (await sqlite_face.partner()).client.post("/v1/tasks", json={"type": "test.echo"})
    [(cells, links)] = table_rows((await admin.open("now")).text, "Queues")
    assert cells[0] == "default"
    assert cells[3] == "0"
    assert links == [f"tasks?state=queued&type={name}" for name in ("test.echo", "test.other")]
    shown = [(await admin.open(link)).text for link in links]
    assert ["No task matches." in page for page in shown] == [False, True]


async def test_now_leads_to_exactly_the_dead_letters_of_inline_callbacks(
    sqlite_face: Face, admin: Person
) -> None:
    partner, other = await sqlite_face.partner(), await sqlite_face.partner()
    made = (await partner.client.post("/v1/endpoints", json={"url": "https://partner.example/a"})).json()
    kept = await dead_letter(sqlite_face, partner, endpoints=[made["id"]])
    inline = {await dead_letter(sqlite_face, partner) for _ in range(2)}
    foreign = await dead_letter(sqlite_face, other)

    rows = table_rows((await admin.open("now")).text, "Dead letters")
    [links] = [links for cells, links in rows if cells[:3] == ["2", "inline callbacks", partner.name]]
    grouped = table_rows((await admin.open("dead-letters")).text, "Where and why")
    [more] = [links for cells, links in grouped if cells[:3] == ["2", "inline callbacks", partner.name]]

    for link in (links[0], more[0]):
        each = table_rows((await admin.open(link)).text, "Each")
        listed = {its_links[-1].partition("/")[2] for _, its_links in each}
        assert listed == inline
        assert not listed & {kept, foreign}
    asked = await admin.send(
        "dead-letters/replay", {"endpoint": "none", "partner": partner.id}, seen="dead-letters"
    )
    assert "2 deliveries" in asked.text


LISTS = ("tasks", "batches", "deliveries", "dead-letters", "audit")


@pytest.mark.parametrize("path", LISTS)
async def test_lists_take_dates_and_say_at_the_field_what_they_cannot_read(
    sqlite_face: Face, admin: Person, path: str
) -> None:
    partner = await sqlite_face.partner()
    await dead_letter(sqlite_face, partner)
    await partner.client.post("/v1/batches", json={"tasks": [{"type": "test.echo"}]})
    today = datetime.fromtimestamp(sqlite_face.clock.now_ms() / 1000, UTC)
    tomorrow = f"{today + timedelta(days=1):%Y-%m-%d}"
    before = f"{today - timedelta(minutes=2):%Y-%m-%dT%H:%M}"
    soon = f"{today + timedelta(hours=1):%Y-%m-%d %H:%M}"
    for since, until, some in (
        (before[:10], soon[:10], True),
        (before, soon, True),
        (soon, "", False),
        (tomorrow, "", False),
        ("", before, False),
    ):
        answer = await admin.open(f"{path}?{urlencode({'since': since, 'until': until})}")
        assert answer.status_code == 200
        assert ("<tbody>" in answer.text) is some, (since, until)
    for wrong in ("yesterday", "2026-02-30", "30.11.2026", "2026-11-30T25:00", "9999-12-31"):
        answer = await admin.open(f"{path}?{urlencode({'until': wrong})}")
        assert answer.status_code == 422, wrong
        field = answer.text.partition('<input id="f-until"')[2].partition("</div>")[0]
        assert f'value="{wrong}"' in field
        assert 'aria-invalid="true" autofocus' in field
        assert "Must be a date such as 2026-11-30" in field
        assert "Nothing is listed: correct the filter that is marked." in answer.text


async def test_what_the_api_refuses_of_a_filter_is_told_at_its_field(admin: Person) -> None:
    answer = await admin.open("dead-letters?reason=exhuasted&endpoint=ep_nope&kind=task")
    assert answer.status_code == 422
    for name, fault in (("reason", "did you mean exhausted?"), ("endpoint", "There is no such endpoint.")):
        assert fault in answer.text.partition(f'id="f-{name}"')[2].partition("</div>")[0]
    assert "The cursor" not in answer.text
    assert (await admin.open("dead-letters?cursor=x")).status_code in (200, 422)


async def test_an_unreadable_time_hides_no_other_fault_of_a_filter(admin: Person) -> None:
    answer = await admin.open("dead-letters?since=yesterday&until=2026-02-30&reason=exhuasted")
    assert answer.status_code == 422
    for name, fault in (
        ("since", "Must be a date such as 2026-11-30"),
        ("until", "Must be a date such as 2026-11-30"),
        ("reason", "did you mean exhausted?"),
    ):
        assert fault in answer.text.partition(f'id="f-{name}"')[2].partition("</div>")[0], name


async def test_partner_of_a_portals_list_is_refused_as_a_whole(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    someone = await person(sqlite_face, "portal")
    await someone.log_in(partner.key)
    answer = await someone.open("deliveries?partner=other")
    assert answer.status_code == 422
    assert "is not known here" in answer.text


async def test_dry_runs_of_dialogs_stand_apart_from_replays(sqlite_face: Face, admin: Person) -> None:
    partner = await sqlite_face.partner()
    await dead_letter(sqlite_face, partner)
    assert "No replays yet." in (await admin.open("replays")).text
    await admin.send("dead-letters/replay", {}, seen="dead-letters")
    shown = (await admin.open("replays")).text
    assert "No replays yet." in shown
    assert 'href="replays?dry_run=true">Dry runs</a>' in shown
    dry = (await admin.open("replays?dry_run=true")).text
    assert dry.count(">dry run</span>") == 2
    assert 'href="replays">Replays</a>' in dry


async def test_selected_dead_letters_are_replayed_at_a_rate_with_a_reason(
    sqlite_face: Face, admin: Person
) -> None:
    partner = await sqlite_face.partner()
    first, second, third = [await dead_letter(sqlite_face, partner) for _ in range(3)]
    asked = (await admin.send("dead-letters/replay", {"id": [first, second]}, seen="dead-letters")).text
    assert 'name="rate"' in asked
    assert 'name="why"' in asked
    form = {"go": "yes", "rate": "2", "why": "they mended it"}
    done = await admin.send("dead-letters/replay", {**form, "id": [first, second]}, seen="dead-letters")
    [replay] = (await sqlite_face.admin.get("/v1/replays")).json()["data"]
    assert done.headers["location"].endswith(f"replays/{replay['id']}?notice=replay-started")
    assert (replay["matched"], replay["rate_per_second"], replay["reason"]) == (2, 2, "they mended it")
    assert sorted(replay["filter"]["ids"]) == sorted([first, second])
    assert "kind = delivery, 2 selected" in (await admin.open(f"replays/{replay['id']}")).text

    alone = (await admin.send("dead-letters/replay", {"id": third}, seen="dead-letters")).text
    assert 'name="rate"' not in alone
    await admin.send("dead-letters/replay", {**form, "id": third}, seen="dead-letters")
    [entry] = (await sqlite_face.admin.get(f"/v1/audit?target={third}")).json()["data"]
    assert (entry["action"], entry["reason"]) == ("dead-letter.replay", "they mended it")


async def test_now_counts_dead_letters_by_endpoint_with_their_commonest_error(
    sqlite_face: Face, admin: Person
) -> None:
    partner, other = await sqlite_face.partner(), await sqlite_face.partner()
    made = [
        (await partner.client.post("/v1/endpoints", json={"url": f"https://partner.example/{one}"})).json()
        for one in "ab"
    ]
    for endpoint, errors in zip(made, (["http_500", "timeout", "timeout"], ["http_503"]), strict=True):
        for error in errors:
            await dead_letter(sqlite_face, partner, error, endpoints=[endpoint["id"]])
    await dead_letter(sqlite_face, other, "dns")
    await partner.client.delete(f"/v1/endpoints/{made[1]['id']}")

    shown = (await admin.open("now")).text

    assert "5 in all" in shown
    [first, *rest] = table_rows(shown, "Dead letters")
    assert first[0][:4] == ["3", "https://partner.example/a", "partner-1", "timeout"]
    assert first[1][0] == f"dead-letters?endpoint={made[0]['id']}"
    assert {tuple(cells[:4]) for cells, _ in rest} == {
        ("1", f"{made[1]['id']} deleted", "partner-1", "http_503"),
        ("1", "inline callbacks", "partner-2", "dns"),
    }
    for _, links in (first, *rest):
        for link in links:
            assert (await admin.open(link)).status_code == 200


async def test_now_adds_up_all_dead_letters_however_many_groups_there_are(
    sqlite_face: Face, admin: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhookd.pages.now.MOST_COUNTED", 2)
    partner = await sqlite_face.partner()
    for error in ("http_500", "http_500", "http_500", "timeout", "timeout", "dns", "tls_name"):
        await dead_letter(sqlite_face, partner, error)
    shown = (await admin.open("now")).text
    assert "7 in all" in shown
    [(cells, _)] = table_rows(shown, "Dead letters")
    assert cells[:4] == ["7", "inline callbacks", "partner-1", "http_500"]


async def test_now_lists_the_replays_under_way_however_many_came_later(
    sqlite_face: Face, admin: Person
) -> None:
    partner = await sqlite_face.partner()
    await dead_letter(sqlite_face, partner)
    kept = (await partner.client.post("/v1/replays", json={"all": True})).json()["id"]
    await partner.client.post(f"/v1/replays/{kept}/pause")
    for _ in range(21):
        over = (await partner.client.post("/v1/replays", json={"all": True})).json()["id"]
        await partner.client.post(f"/v1/replays/{over}/cancel")
    shown = (await admin.open("now")).text.partition("Replays running")[2]
    assert kept in shown
    assert over not in shown
    listed = (await admin.open("replays?state=paused")).text
    assert kept in listed
    assert over not in listed
    assert "None matches." in (await admin.open("replays?state=done")).text


async def test_now_says_so_where_nothing_was_done(admin: Person) -> None:
    assert "Nothing ran and nothing was sent in the last 6h." in (await admin.open("now")).text


async def test_audit_is_given_as_csv_without_formulas(sqlite_face: Face, admin: Person) -> None:
    await sqlite_face.partner(name="=1+1")
    answer = await admin.open("audit/csv?action=partner.create")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(answer.text.splitlines()))
    assert [row["action"] for row in rows] == ["partner.create"]
    assert as_csv([{**rows[0], "reason": "=cmd()", "detail": {}}]).splitlines()[1].count("'=cmd()") == 1


@pytest.mark.parametrize("side", ["admin", "portal"])
async def test_batch_is_looked_at_closed_and_cancelled(sqlite_face: Face, side: str) -> None:
    partner = await sqlite_face.partner()
    someone = await person(sqlite_face, side)
    await someone.log_in(ADMIN_KEY if side == "admin" else partner.key)
    body = {"tasks": [{"type": "test.echo"}] * 3, "metadata": {"campaign": "spring"}, "open": True}
    batch = (await partner.client.post("/v1/batches", json=body)).json()
    place = f"batches/{batch['id']}"

    listed = (await someone.open("batches?state=open")).text
    assert batch["id"] in listed
    assert "campaign spring" in listed
    assert batch["id"] not in (await someone.open("batches?state=completed")).text
    page = (await someone.open(place)).text
    assert "0 of 3 ended" in page
    assert f'href="../tasks?batch={batch["id"]}&amp;state=queued"' in page

    closed = await someone.send(f"{place}/close", {}, seen=place)
    assert closed.headers["location"] == f"../../../{side}/{place}?notice=batch-closed"
    page = (await someone.open(f"{place}?notice=batch-closed")).text
    assert "Closed. Its webhook is sent" in page
    assert f"{batch['id']}/close" not in page
    cancelled = await someone.send(f"{place}/cancel", {}, seen=place)
    assert cancelled.status_code == 303
    page = (await someone.open(place)).text
    assert "3 of 3 ended" in page
    assert "<form" not in page.partition('id="live"')[2].partition("<dl")[0]
    assert (await partner.client.get(f"/v1/batches/{batch['id']}")).json()["state"] == "cancelled"


async def test_batch_of_another_partner_is_not_found(sqlite_face: Face) -> None:
    owner, other = await sqlite_face.partner(), await sqlite_face.partner(name="other")
    batch = (
        await owner.client.post("/v1/batches", json={"tasks": [{"type": "test.echo"}], "open": True})
    ).json()
    someone = await person(sqlite_face, "portal")
    await someone.log_in(other.key)
    assert (await someone.open(f"batches/{batch['id']}")).status_code == 404
    sent = await someone.send(f"batches/{batch['id']}/cancel", {}, seen="batches")
    assert sent.status_code == 404
    assert (await owner.client.get(f"/v1/batches/{batch['id']}")).json()["state"] == "open"


async def test_partner_is_made_limited_suspended_and_given_a_link(sqlite_face: Face, admin: Person) -> None:
    made = await admin.send("partners", {"name": "acme"}, seen="partners")
    assert "whk_" in made.text
    [partner] = (await sqlite_face.admin.get("/v1/partners")).json()["data"]
    one = f"partners/{partner['id']}"
    fields = {"name": "acme", "weight": "3", "burst": "7", "task_types": "report.*"}
    assert (await admin.send(one, fields, seen=one)).status_code == 303
    assert (await admin.send(f"{one}/suspend", {}, seen=one)).status_code == 303
    changed = (await sqlite_face.admin.get(f"/v1/{one}")).json()
    assert (changed["weight"], changed["limits"]["burst"], changed["suspended"]) == (3, 7, True)
    await admin.send(f"{one}/unsuspend", {}, seen=one)
    link = await admin.send(f"{one}/link", {}, seen=one)
    assert "../../../portal/enter?token=" in link.text
    key = await admin.send(f"{one}/keys", {"name": "ci"}, seen=one)
    assert "whk_" in key.text


async def test_keys_of_a_partner_are_for_keys_that_may(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    someone = await person(sqlite_face, "portal")
    await someone.log_in(partner.key)
    assert "keys:write" in (await someone.open("keys")).text
    made = (
        await sqlite_face.admin.post(
            f"/v1/partners/{partner.id}/keys", json={"name": "boss", "scopes": ["keys:write", "tasks:read"]}
        )
    ).json()
    await someone.log_in(made["key"])
    shown = (await someone.open("keys")).text
    assert "boss" in shown
    [first] = [
        one["id"]
        for one in (await sqlite_face.admin.get(f"/v1/partners/{partner.id}/keys")).json()["data"]
        if one["id"] != made["id"]
    ]
    assert (await someone.send(f"keys/{first}/revoke", {}, seen="keys")).status_code == 303


async def test_keys_are_shown_with_their_last_use_which_pages_are_too(sqlite_face: Face) -> None:
    partner, admin = await sqlite_face.partner(), await person(sqlite_face)
    await admin.log_in(ADMIN_KEY)
    path = f"partners/{partner.id}"
    assert "<td>never</td>" in (await admin.open(path)).text
    [key] = (await sqlite_face.admin.get(f"/v1/partners/{partner.id}/keys")).json()["data"]
    link = (await sqlite_face.admin.post(f"/v1/partners/{partner.id}/portal-link")).json()["url"]
    told: list[str] = []

    async def keep(used: Mapping[str, int]) -> None:
        told.extend(used)
        await sqlite_face.store.write(keep_last_used, used)

    guest = await person(sqlite_face, "portal")
    await guest.client.get(link, headers=HTML)
    assert (await guest.open("endpoints")).status_code == 200
    await sqlite_face.parts.last_used.tell(keep)
    assert told == [], "neither a link nor the operator's own key is a use of a key"

    someone = await person(sqlite_face, "portal")
    await someone.log_in(partner.key)
    await sqlite_face.parts.last_used.tell(keep)
    sqlite_face.clock.ahead_ms += 120_000
    await someone.open("endpoints")
    await sqlite_face.parts.last_used.tell(keep)
    assert told == [key["id"], key["id"]]
    assert "<td>never</td>" not in (await admin.open(path)).text


async def test_endpoint_is_registered_changed_rotated_and_deleted(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    someone = await person(sqlite_face, "portal")
    await someone.log_in(partner.key)
    fields = {"url": "https://partner.example/in", "events": "task.* task.started", "max_attempts": "3"}
    made = await someone.send("endpoints/new", fields, seen="endpoints/new")
    assert "whsec_" in made.text
    [endpoint] = (await partner.client.get("/v1/endpoints")).json()["data"]
    assert (endpoint["events"], endpoint["retry"]["max_attempts"]) == (["task.*", "task.started"], 3)
    one = f"endpoints/{endpoint['id']}"
    await someone.send(
        f"{one}/edit", {**fields, "description": "new", "rate_limit": "2.5"}, seen=f"{one}/edit"
    )
    await someone.send(f"{one}/disable", {}, seen=one)
    changed = (await partner.client.get(f"/v1/{one}")).json()
    assert (changed["description"], changed["rate_limit"], changed["state"]) == ("new", 2.5, "disabled")
    await someone.send(f"{one}/enable", {}, seen=one)
    asked = await someone.send(f"{one}/rotate", {}, seen=one)
    assert "Overlap in seconds" in asked.text
    rotated = await someone.send(f"{one}/rotate", {"go": "yes", "overlap_seconds": "60"}, seen=one)
    assert "whsec_" in rotated.text
    assert "Both secrets sign" in rotated.text
    cut = await someone.send(f"{one}/rotate", {"go": "yes", "overlap_seconds": "0"}, seen=one)
    assert "this one alone signs" in cut.text
    assert "Both secrets sign" not in cut.text
    wrong = await someone.send(f"{one}/edit", {**fields, "url": "http://localhost/"}, seen=f"{one}/edit")
    assert wrong.status_code == 422
    assert 'aria-invalid="true"' in wrong.text
    assert "with a domain, such as hooks.partner.example.</small>" in wrong.text
    await someone.send(f"{one}/delete", {"go": "yes"}, seen=one)
    assert (await partner.client.get("/v1/endpoints")).json()["data"] == []


async def test_test_that_nothing_comes_back_of_holds_nobody_up(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    someone = await person(sqlite_face, "portal", max_wait_seconds=0.2)
    await someone.log_in(partner.key)
    endpoint = (await partner.client.post("/v1/endpoints", json={"url": "https://partner.example/x"})).json()
    one = f"endpoints/{endpoint['id']}"
    told = await someone.send(f"{one}/test", {}, seen=one)
    assert "nothing came back yet" in told.text


async def test_verification_is_explained_by_the_message_itself(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    letter = await dead_letter(sqlite_face, partner)
    delivery = (await partner.client.get(f"/v1/deliveries/{letter}")).json()
    message = (await partner.client.get(f"/v1/messages/{delivery['message_id']}")).json()
    sent_at = int(time.time()) - 60

    def attempt(tx: Any) -> None:
        tx.conn.exec_driver_sql(
            "INSERT INTO attempts (delivery_id, number, at_ms, duration_us, status, error, headers, excerpt) "
            "VALUES (?, 1, ?, 1000, 401, 'http_401', '[]', '')",
            (letter, sent_at * 1000),
        )

    await sqlite_face.store.write(attempt)
    headers = {
        "webhook-id": message["id"],
        "webhook-timestamp": str(sent_at),
        "webhook-signature": signature_header(
            message_id=message["id"],
            timestamp=sent_at,
            body=message["body"].encode(),
            secrets=[SigningKey.parse(partner.secret)],
        ),
    }
    someone = await person(sqlite_face, "portal")
    await someone.log_in(partner.key)

    async def told(secret: str, **more: str) -> str:
        pasted = {**headers, **more}
        fields = {
            "headers": "\r\n".join(f"{name}: {value}" for name, value in pasted.items()),
            "body": json.dumps(json.loads(message["body"])),
            "secret": secret,
        }
        page = (await someone.send("verify", fields, seen="verify")).text
        assert "re-encoded" in page
        assert secret not in page
        return page

    assert "The secret is the one that signed." in await told(partner.secret)
    late = await told(partner.secret, **{"webhook-timestamp": str(sent_at - 3_600)})
    assert "seconds behind our clock" in late
    assert "with another webhook-timestamp" in late
    assert "not one that signed" in await told("whsec_" + "A" * 44)


async def test_people_are_led_to_the_pages_and_programs_to_the_description(sqlite_face: Face) -> None:
    someone = await person(sqlite_face)
    people = await someone.client.get("/", headers=HTML)
    programs = await someone.client.get("/", headers={"Accept": "application/json"})
    assert (people.headers["location"], programs.headers["location"]) == ("admin/", "openapi.json")


async def test_unknown_pages_and_methods_are_told_as_pages(admin: Person) -> None:
    missing = await admin.open("nowhere/at/all")
    assert missing.status_code == 404
    assert "<h1>" in missing.text
    for path in ("partners/prt_x", "endpoints/ep_x", "tasks/task_x", "deliveries/dlv_x", "files/file_x"):
        assert (await admin.open(path)).status_code == 404, path
    wrong = await admin.client.delete("/admin/dead-letters")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD")


async def test_static_files_are_cached_for_good_under_their_mark(sqlite_face: Face) -> None:
    someone = await person(sqlite_face)
    page = (await someone.open("log-in")).text
    for link in re.findall(r'(?:href|src)="\.\./(pages/[^"]+)"', page):
        answer = await someone.client.get(f"/{link}")
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
