# ruff: noqa: S608 - the names in these statements are ours
"""The one box that finds, and what leads on from a page to what it has no room for."""

import re
from dataclasses import replace
from html import unescape
from typing import Any

import pytest

from tests.pages.persons import Person, dead_letter, person
from tests.support.api_face import ADMIN_KEY, Face
from webhookd.adapters.entropy import new_id
from webhookd.adapters.store.schema import metadata
from webhookd.core import ids
from webhookd.core.model import SCOPES


async def logged_in(face: Face) -> Person:
    """An admin at a browser."""
    someone = await person(face)
    await someone.log_in(ADMIN_KEY)
    return someone


async def one_of_each(face: Face) -> tuple[Any, dict[str, str]]:
    """A partner, and the id of one of each kind that has any, by the prefix."""
    partner = await face.partner()
    keys = f"/v1/partners/{partner.id}/keys"
    key = (await face.admin.post(keys, json={"scopes": [*SCOPES]})).json()
    client = await face.client(key["key"])
    worker = new_id(ids.SESSION, face.clock.now_ms())
    now_ms = face.clock.now_ms()
    await face.store.sessions.begin(
        session_id=worker,
        kind="deliver",
        host="h",
        pid=1,
        detail={},
        now_ms=now_ms,
        lease_until_ms=now_ms + 60_000,
    )
    letter = await dead_letter(face, partner)
    delivery = (await client.get(f"/v1/deliveries/{letter}")).json()
    every = {"filter": {}, "all": True}
    audited = (await face.admin.get("/v1/audit")).json()["data"]
    made = {
        path: (await client.post(f"/v1/{path}", **body)).json()["id"]
        for path, body in (
            ("batches", {"json": {"tasks": [{"type": "test.echo"}]}}),
            ("endpoints", {"json": {"url": "https://partner.example/box"}}),
            ("replays", {"json": every}),
            ("discards", {"json": {**every, "reason": "none"}}),
            ("files?name=a.txt", {"content": b"a"}),
        )
    }
    return replace(partner, key=key["key"], client=client), {
        ids.PARTNER: partner.id,
        ids.KEY: key["id"],
        ids.ENDPOINT: made["endpoints"],
        ids.TASK: delivery["task_id"],
        ids.MESSAGE: delivery["message_id"],
        ids.DELIVERY: letter,
        ids.REPLAY: made["replays"],
        ids.DISCARD: made["discards"],
        ids.SESSION: worker,
        ids.AUDIT: audited[0]["id"],
        ids.FILE: made["files?name=a.txt"],
        ids.BATCH: made["batches"],
    }


LEADS = {
    ids.PARTNER: ("partners/{id}", "keys"),
    ids.KEY: ("partners/{partner}", "keys"),
    ids.ENDPOINT: ("endpoints/{id}", "endpoints/{id}"),
    ids.TASK: ("tasks/{id}", "tasks/{id}"),
    ids.MESSAGE: ("tasks/{task}", "tasks/{task}"),
    ids.DELIVERY: ("deliveries/{id}", "deliveries/{id}"),
    ids.REPLAY: ("replays/{id}", "replays/{id}"),
    ids.DISCARD: ("discards/{id}", "discards/{id}"),
    ids.SESSION: ("now", ""),
    ids.AUDIT: ("audit?since=", ""),
    ids.FILE: ("files/{id}", "files/{id}"),
    ids.BATCH: ("batches/{id}", "batches/{id}"),
}
"""Where an id leads an admin, and a partner; empty: nowhere."""


def test_table_of_the_box_has_every_prefix_of_an_id() -> None:
    """But a secret's, which stands nowhere."""
    known = {value for name, value in vars(ids).items() if name.isupper() and isinstance(value, str)}
    assert {one for one in known if one.isalpha() and len(one) <= 5} - {ids.SECRET} == set(LEADS)


@pytest.mark.parametrize("side", ["admin", "portal"])
async def test_box_finds_whatever_has_an_id(sqlite_face: Face, side: str) -> None:
    partner, known = await one_of_each(sqlite_face)
    someone = await person(sqlite_face, side)
    await someone.log_in(ADMIN_KEY if side == "admin" else partner.key)
    for prefix, its_id in known.items():
        leads = LEADS[prefix][side == "portal"].format(id=its_id, partner=partner.id, task=known[ids.TASK])
        answer = await someone.open(f"tasks?q={its_id}")
        if not leads:
            assert "Nothing is known by" in answer.text, prefix
            continue
        assert answer.headers["location"].startswith(f"../{side}/{leads}"), prefix
        assert (await someone.open(answer.headers["location"].removeprefix(f"../{side}/"))).is_success


@pytest.mark.parametrize("side", ["admin", "portal"])
async def test_box_knows_no_id_that_is_unknown_or_anothers(sqlite_face: Face, side: str) -> None:
    _, foreign = await one_of_each(sqlite_face)
    someone = await person(sqlite_face, side)
    await someone.log_in(ADMIN_KEY if side == "admin" else (await sqlite_face.partner()).key)
    unknown = {prefix: its_id[:-6] + "zzzzzz" for prefix, its_id in foreign.items()}
    for its_id in [*unknown.values(), *(foreign.values() if side == "portal" else ())]:
        if side == "portal" and its_id.startswith(f"{ids.KEY}_"):
            continue  # a key that may not look at keys is led to their page, whatever it asks for
        assert "Nothing is known by" in (await someone.open(f"tasks?q={its_id}")).text, its_id


async def test_box_leads_from_an_admins_key_to_what_was_done_to_it(sqlite_face: Face) -> None:
    admin = await logged_in(sqlite_face)
    key_id = (await sqlite_face.admin.post("/v1/admin-keys", json={"name": "ann"})).json()["id"]
    answer = await admin.open(f"tasks?q={key_id}")
    assert answer.headers["location"] == f"../admin/audit?target={key_id}"


async def test_box_finds_traces_and_ids_of_others_in_metadata(sqlite_face: Face) -> None:
    admin = await logged_in(sqlite_face)
    partner = await sqlite_face.partner()
    theirs = f"ses_{26 * '0'}"
    body = {"type": "test.echo", "metadata": {"session": theirs}}
    task = (await partner.client.post("/v1/tasks", json=body)).json()
    for text in (task["trace_id"], f"00-{task['trace_id']}-b7ad6b7169203331-01", theirs):
        answer = await admin.open(f"tasks?q={text}")
        assert answer.headers.get("location") == f"../admin/tasks/{task['id']}", text
    assert "Nothing is known by" in (await admin.open("tasks?q=no+such+thing")).text


MANY = 120
NUMBERS = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY})"


async def test_task_with_many_runs_and_deliveries_leads_on_to_the_next_page(sqlite_face: Face) -> None:
    someone = await logged_in(sqlite_face)
    partner = await sqlite_face.partner()
    letter = await dead_letter(sqlite_face, partner)
    task_id = (await partner.client.get(f"/v1/deliveries/{letter}")).json()["task_id"]

    def multiply(tx: Any) -> None:
        columns = ", ".join(
            f'"{column.name}"' for column in metadata.tables["deliveries"].c if column.name != "id"
        )
        tx.conn.exec_driver_sql(
            f"{NUMBERS} INSERT INTO deliveries (id, {columns}) "
            f"SELECT printf('dlv_%026d', i), {columns} FROM n, deliveries WHERE id = ?",
            (letter,),
        )
        tx.conn.exec_driver_sql(
            f"{NUMBERS} INSERT INTO runs "
            "(task_id, token, attempt, started_ms, finished_ms, outcome, host, pid) "
            "SELECT ?, i, i, 0, 1, 'retried', 'h', 1 FROM n",
            (task_id,),
        )

    await sqlite_face.store.write(multiply)
    for label, each in (("Later runs", r"<h3>(\d+) "), ("Older deliveries", r"deliveries/(dlv_\w+)")):
        path, seen = f"tasks/{task_id}", set[str]()
        while path:
            page = (await someone.open(path)).text.partition("<h2>Runs</h2>")[2]
            seen |= set(re.findall(each, page))
            link = re.search(rf'rel="next" href="([^"]*)">{label}<', page)
            path = "" if link is None else "tasks/" + unescape(link[1])
        assert len(seen) == MANY + (label == "Older deliveries"), label
