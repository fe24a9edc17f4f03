"""An admin's night, from outside: find, send now, replay at a pace, discard, and who did it."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.blackbox.conftest import Partner, Service
from tests.support.services import until
from webhookd.cli.receiver import Reaction, Receiver, bind, receiving

HOURS_AWAY = {"max_attempts": 5, "base_seconds": 3600, "cap_seconds": 3600}
ONCE = {"max_attempts": 1}


@pytest.fixture
async def admin(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """An admin with a key of her own."""
    async with service.admin() as operator:
        made = await operator.post("/v1/admin-keys", json={"name": "mia on call"})
    assert made.status_code == 201, made.text
    async with service.client(made.json()["key"]) as client:
        yield client


@asynccontextmanager
async def endpoint(partner: Partner, status: int, **settings: Any) -> AsyncIterator[tuple[Receiver, str]]:
    """A receiver that answers so, and the id of its endpoint, which gets what names it."""
    app = Receiver(reply=Reaction(status=status))
    with bind("127.0.0.1", 0) as listener:
        async with receiving(app, listener) as url:
            body = {"url": url, "task_types": ["nobody.has.it"], **settings}
            made = (await partner.http.post("/v1/endpoints", json=body)).json()
            app.trust(made["secret"])
            yield app, made["id"]


async def send(partner: Partner, endpoint_id: str, count: int = 1) -> list[str]:
    """The ids of deliveries to the endpoint, on their way."""
    tasks = [{"type": "demo.echo", "endpoints": [endpoint_id]}] * count
    answer = await partner.http.post("/v1/tasks/batch", json={"tasks": tasks})
    assert {one["status"] for one in answer.json()["results"]} == {202}

    async def all_made() -> list[str] | None:
        query = {"endpoint": endpoint_id, "limit": "500"}
        listed = (await partner.http.get("/v1/deliveries", params=query)).json()["data"]
        return [one["id"] for one in listed] if len(listed) >= count else None

    made: list[str] = await seen(all_made, "the deliveries")
    return made


async def seen(look: Callable[[], Awaitable[Any]], what: str) -> Any:
    """What `look` returns, as soon as that is something."""
    found: list[Any] = []

    async def is_there() -> bool:
        found.append(await look())
        return bool(found[-1])

    await until(is_there, what=what, seconds=60)
    return found[-1]


async def looked(partner: Partner, delivery_id: str, **wanted: Any) -> dict[str, Any]:
    """The delivery, as soon as its fields are so."""

    async def look() -> dict[str, Any] | None:
        found: dict[str, Any] = (await partner.http.get(f"/v1/deliveries/{delivery_id}")).json()
        return found if wanted.items() <= found.items() else None

    result: dict[str, Any] = await seen(look, f"{delivery_id} {wanted}")
    return result


@pytest.mark.parametrize("how", ["delivery", "endpoint", "replay"])
async def test_what_waits_for_hours_is_sent_now(partner: Partner, how: str) -> None:
    async with endpoint(partner, 500, retry=HOURS_AWAY) as (app, endpoint_id):
        (delivery_id,) = await send(partner, endpoint_id)
        waiting = await looked(partner, delivery_id, attempts=1, in_flight=False)
        assert (waiting["state"], waiting["attempts_left"], waiting["max_attempts"]) == ("pending", 4, 5)
        assert waiting["next_attempt_at"] is not None

        app.reply = Reaction()
        if how == "delivery":
            answer = await partner.http.post(f"/v1/deliveries/{delivery_id}/replay")
        elif how == "endpoint":
            answer = await partner.http.post(f"/v1/endpoints/{endpoint_id}/retry")
            assert answer.json() == {"due": 1}
        else:
            body = {"filter": {"state": "pending", "endpoint": endpoint_id}}
            answer = await partner.http.post("/v1/replays", json=body)
            assert answer.json()["matched"] == 1
        assert answer.status_code == 202

        sent = await looked(partner, delivery_id, state="delivered")
        assert (sent["attempts"], sent["attempts_left"]) == (2, 3), "its budget as it was"
        assert len({(hit.webhook_id, hit.body) for hit in app.hits}) == 1


async def test_what_is_parked_is_not_sent_and_says_why(partner: Partner) -> None:
    async with endpoint(partner, 200) as (app, endpoint_id):
        await partner.http.post(f"/v1/endpoints/{endpoint_id}/disable")
        (delivery_id,) = await send(partner, endpoint_id)
        refused = await partner.http.post(f"/v1/deliveries/{delivery_id}/replay")
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
        assert "disabled" in refused.json()["detail"]
        await partner.http.post(f"/v1/endpoints/{endpoint_id}/enable")
        await looked(partner, delivery_id, state="delivered")
        assert len(app.hits) == 1


async def test_dead_letters_are_counted_replayed_at_a_pace_and_discarded_with_a_reason(
    partner: Partner, admin: httpx.AsyncClient
) -> None:
    async with (
        endpoint(partner, 500, retry=ONCE) as (back, back_id),
        endpoint(partner, 404, retry=ONCE) as (_, gone_id),
    ):
        await send(partner, back_id, 8)
        (superseded,) = await send(partner, gone_id)

        async def counted() -> dict[tuple[str, str, str], int] | None:
            query = {"partner": partner.id, "group_by": "endpoint,error"}
            groups = (await admin.get("/v1/dead-letters/summary", params=query)).json()["data"]
            found = {(one["partner"]["id"], one["endpoint"], one["error"]): one["count"] for one in groups}
            return found if sum(found.values()) == 9 else None

        assert await seen(counted, "nine dead letters") == {
            (partner.id, back_id, "http_500"): 8,
            (partner.id, gone_id, "http_404"): 1,
        }

        back.reply = Reaction()
        filter_ = {"endpoint": back_id, "status": "5xx"}
        dry = (await admin.post("/v1/replays", json={"filter": filter_, "dry_run": True})).json()
        assert (dry["matched"], dry["replayed"], dry["state"]) == (8, 0, "done")
        body = {"filter": filter_, "rate_per_second": 0.5, "reason": "renewed"}
        replay = (await admin.post("/v1/replays", json=body)).json()
        assert (replay["matched"], replay["started_by"], replay["reason"]) == (8, "mia on call", "renewed")
        paused = (await admin.post(f"/v1/replays/{replay['id']}/pause")).json()
        assert (paused["state"], paused["replayed"] < 8) == ("paused", True)
        await admin.patch(f"/v1/replays/{replay['id']}", json={"rate_per_second": 500})
        assert (await admin.post(f"/v1/replays/{replay['id']}/resume")).json()["state"] == "running"

        async def over() -> dict[str, Any] | None:
            now: dict[str, Any] = (await admin.get(f"/v1/replays/{replay['id']}")).json()
            return now if now["delivered"] == 8 else None

        ended = await seen(over, "the replay's end")
        assert (ended["state"], ended["replayed"], ended["failed_again"]) == ("done", 8, 0)
        assert set(Counter(hit.webhook_id for hit in back.hits).values()) == {2}

        body = {"filter": {"endpoint": gone_id}, "reason": "superseded"}
        discard = (await admin.post("/v1/discards", json=body)).json()

        async def struck() -> bool:
            now = (await admin.get(f"/v1/discards/{discard['id']}")).json()
            return bool(now["state"] == "done" and now["discarded"] == 1)

        await seen(struck, "the discard's end")
        assert (await admin.get("/v1/dead-letters", params={"partner": partner.id})).json()["data"] == []
        kept = (await admin.get(f"/v1/deliveries/{superseded}")).json()
        assert (kept["state"], kept["partner"]["id"]) == ("dead", partner.id)

        query = {"actor": "mia on call", "partner": partner.id}
        entries = (await admin.get("/v1/audit", params=query)).json()["data"]
        acts = [(one["action"], one["reason"]) for one in entries]
        assert acts[0] == ("discard.create", "superseded")
        assert ("replay.create", "renewed") in acts
        assert {one["address"] for one in entries} == {"127.0.0.1"}


async def test_a_replayed_delivery_has_a_budget_of_its_own_and_says_when_it_is_under_way(
    partner: Partner,
) -> None:
    async with endpoint(partner, 500, retry={"max_attempts": 2, "base_seconds": 1}) as (app, endpoint_id):
        (delivery_id,) = await send(partner, endpoint_id)
        dead = await looked(partner, delivery_id, state="dead")
        assert (dead["attempts"], dead["attempts_left"], dead["max_attempts"]) == (2, 0, 2)
        app.reply = Reaction(status=500, delay_seconds=1.5)
        assert (await partner.http.post(f"/v1/deliveries/{delivery_id}/replay")).status_code == 202
        under_way = await looked(partner, delivery_id, in_flight=True)
        assert (under_way["state"], under_way["next_attempt_at"]) == ("pending", None)
        again = await looked(partner, delivery_id, state="dead")
        assert (again["attempts"], again["attempts_left"], again["max_attempts"]) == (4, 0, 2)
        assert [one["number"] for one in again["attempts_log"]] == [1, 2, 3, 4]


async def test_a_test_message_is_sent_once_and_its_answer_is_shown(partner: Partner) -> None:
    async with endpoint(partner, 503, retry={"max_attempts": 3, "base_seconds": 1}) as (app, endpoint_id):
        path = f"/v1/endpoints/{endpoint_id}/test"
        answer = await partner.http.post(path, headers={"Prefer": "wait=30"})
        assert (answer.status_code, answer.headers["Preference-Applied"]) == (200, "wait=30")
        shown = answer.json()
        assert (shown["event"], shown["attempt"]["status"], shown["in_flight"]) == (
            "webhookd.test",
            503,
            False,
        )
        assert (shown["attempts_left"], shown["next_attempt_at"]) == (0, None)
        assert json.loads(app.hits[0].body)["data"]["id"] == endpoint_id
        assert (await partner.http.get("/v1/dead-letters")).json()["data"] == []
        at_once = await partner.http.post(path)
        assert (at_once.status_code, at_once.json()["state"]) == (202, "pending")
        await looked(partner, at_once.json()["id"], attempts=1, in_flight=False)
        assert len(app.hits) == 2


async def test_a_partner_is_told_no_exceptions_text_and_the_admin_all_of_it(
    partner: Partner, admin: httpx.AsyncClient
) -> None:
    body = {"type": "demo.fail", "input": {"times": 9}, "endpoints": []}
    task = (await partner.http.post("/v1/tasks", json=body, headers={"Prefer": "wait=40"})).json()
    assert (task["state"], task["error"]["code"]) == ("failed", "error")
    runs = (await admin.get(f"/v1/tasks/{task['id']}/runs")).json()["data"]
    assert [one["number"] for one in runs] == [1, 2, 3]
    for run in runs:
        assert "fails, as 9 are asked to" in run["exception"]["message"]
        assert "Traceback" in run["exception"]["traceback"]
        assert run["host"]
        assert run["pid"]
    told = (await partner.http.get(f"/v1/tasks/{task['id']}/runs")).text + json.dumps(task)
    assert "asked to" not in told
    letters = (await admin.get("/v1/dead-letters", params={"partner": partner.id})).json()["data"]
    assert [(one["kind"], one["id"], one["partner"]["id"]) for one in letters] == [
        ("task", task["id"], partner.id)
    ]


async def test_a_partner_submits_only_what_it_may(partner: Partner, admin: httpx.AsyncClient) -> None:
    allowed = {"task_types": ["report.*", "demo.echo"]}
    assert (await admin.patch(f"/v1/partners/{partner.id}", json=allowed)).status_code == 200

    async def offered() -> bool:
        listed = (await partner.http.get("/v1/task-types")).json()["data"]
        return [one["type"] for one in listed] == ["demo.echo", "report.statement"]

    await seen(offered, "the types it may submit")
    refused = await partner.http.post("/v1/tasks", json={"type": "csv.summary", "input": {"csv": "a"}})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
    (error,) = refused.json()["errors"]
    assert (error["path"], "known are demo.echo, report.statement" in error["message"]) == ("$.type", True)
    assert (await partner.http.post("/v1/tasks", json={"type": "demo.echo"})).status_code == 202
