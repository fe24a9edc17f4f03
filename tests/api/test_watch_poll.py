"""Long polls and `Prefer: wait`, against a running API."""

import asyncio
import time
from typing import Any
from unittest.mock import AsyncMock

import httpx
import pytest

from tests.support.live_api import Live
from tests.support.services import ValkeyServer, until
from webhookd.adapters.store.database import Database
from webhookd.core.errors import Unavailable

both_databases = pytest.mark.parametrize("live", ["sqlite", "postgresql"], indirect=True)
impatient = pytest.mark.parametrize("live", [("sqlite", {"max_wait_seconds": 1.5})], indirect=True)


async def poll(http: httpx.AsyncClient, task_id: str, **query: Any) -> httpx.Response:
    return await http.get(f"/v1/tasks/{task_id}", params=query)


async def begun(*polls: "asyncio.Task[httpx.Response]") -> None:
    """Give requests the time to be held."""
    await asyncio.sleep(0.3)
    assert not any(one.done() for one in polls)


@both_databases
async def test_long_poll_answers_when_the_task_is_done(live: Live) -> None:
    partner = await live.partner()
    task = await partner.submit(input={"a": 1})
    waiting = asyncio.create_task(poll(partner.http, task["id"], wait=60))
    await begun(waiting)
    await live.hand.start(task["id"])
    await begun(waiting)  # without a version, only the end is news
    await live.hand.finish(task["id"], {"a": 1})
    answer = await waiting
    assert answer.status_code == 200
    assert answer.json()["state"] == "succeeded"
    assert answer.json()["result"] == {"a": 1}
    assert answer.json() == (await poll(partner.http, task["id"])).json()
    assert answer.headers["etag"] == (await poll(partner.http, task["id"])).headers["etag"]


async def test_long_poll_with_a_version_answers_with_the_next(live: Live) -> None:
    partner = await live.partner()
    task = await partner.submit()
    waiting = asyncio.create_task(poll(partner.http, task["id"], wait=60, version=task["version"]))
    await begun(waiting)
    await live.hand.start(task["id"])
    answer = (await waiting).json()
    assert answer["state"] == "running"
    assert answer["version"] == task["version"] + 1


async def test_long_poll_answers_at_once_where_there_is_news_already(live: Live) -> None:
    partner = await live.partner()
    task = await partner.submit()
    assert (await poll(partner.http, task["id"], wait=60, version=0)).json()["state"] == "queued"
    await live.hand.finish(task["id"])
    assert (await poll(partner.http, task["id"], wait=60)).json()["state"] == "succeeded"


async def test_long_poll_answers_with_the_present_state_at_the_time_out(live: Live) -> None:
    partner = await live.partner()
    task = await partner.submit()
    started = time.monotonic()
    answer = await poll(partner.http, task["id"], wait=1)
    assert time.monotonic() - started >= 0.9
    assert answer.status_code == 200
    assert answer.json() == task
    assert "retry-after" in answer.headers
    again = await partner.http.get(
        f"/v1/tasks/{task['id']}", params={"wait": 1}, headers={"If-None-Match": answer.headers["etag"]}
    )
    assert again.status_code == 304


async def test_wait_is_capped_and_wrong_values_are_refused(live: Live) -> None:
    partner = await live.partner()
    task = await partner.submit()
    await live.hand.finish(task["id"])
    assert (await poll(partner.http, task["id"], wait=10**9)).status_code == 200
    for query in ({"wait": "-1"}, {"wait": "soon"}, {"wait": ""}, {"version": "-1"}, {"version": "1.5"}):
        answer = await poll(partner.http, task["id"], **query)
        assert answer.status_code == 422, query
        assert answer.json()["errors"][0]["path"] == f"$.{next(iter(query))}"


async def test_foreign_and_unknown_tasks_are_not_found_however_long_one_waits(live: Live) -> None:
    partner, other = await live.partner(), await live.partner()
    task = await partner.submit()
    for task_id in (task["id"], "task_00000000000000000000000000"):
        answer = await poll(other.http, task_id, wait=60)
        assert answer.status_code == 404
        assert (await other.http.get(f"/v1/tasks/{task_id}/events")).status_code == 404
    assert (await poll(other.http, task["id"], wait=60)).json()["code"] == "not_found"


@both_databases
async def test_lost_signals_are_found_by_looking(live: Live) -> None:
    partner = await live.partner()
    task = await partner.submit()
    live.hand.tells = False
    waiting = asyncio.create_task(poll(partner.http, task["id"], wait=60))
    await begun(waiting)
    await live.hand.finish(task["id"])
    answer = await asyncio.wait_for(waiting, 30)
    assert answer.json()["state"] == "succeeded"


@pytest.mark.faults
async def test_waiters_are_told_while_the_broker_is_away(live: Live, valkey: ValkeyServer) -> None:
    partner = await live.partner()
    task = await partner.submit()
    waiting = asyncio.create_task(poll(partner.http, task["id"], wait=60))
    await begun(waiting)
    valkey.kill()
    await live.hand.finish(task["id"])
    assert (await asyncio.wait_for(waiting, 30)).json()["state"] == "succeeded"


async def test_all_who_wait_for_one_task_get_the_same_bytes(live: Live) -> None:
    partner = await live.partner()
    task = await partner.submit()
    polls = [asyncio.create_task(poll(partner.http, task["id"], wait=60)) for _ in range(50)]
    await begun(*polls)
    await live.hand.finish(task["id"], "x" * 1_000)
    answers = await asyncio.gather(*polls)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1


async def test_stopping_answers_long_polls_at_once_with_the_present_state(live: Live) -> None:
    partner = await live.partner()
    task = await partner.submit()
    waiting = asyncio.create_task(poll(partner.http, task["id"], wait=60))
    await begun(waiting)
    live.stop()
    answer = await asyncio.wait_for(waiting, 30)
    assert answer.status_code == 200
    assert answer.json()["state"] == "queued"
    await asyncio.wait_for(live.serving, 30)


async def test_revoked_key_is_not_told_what_it_waited_for(live: Live) -> None:
    partner = await live.partner()
    task = await partner.submit()
    waiting = asyncio.create_task(poll(partner.http, task["id"], wait=60))
    await begun(waiting)
    admin = await live.client("an-admin-key-of-the-tests")
    keys = (await admin.get(f"/v1/partners/{partner.id}/keys")).json()["data"]
    for key in keys:
        assert (await admin.delete(f"/v1/keys/{key['id']}")).status_code == 204
    assert (await asyncio.wait_for(waiting, 30)).status_code == 401


async def test_preferred_wait_answers_200_with_the_finished_task(live: Live) -> None:
    partner = await live.partner()
    waiting = asyncio.create_task(
        partner.http.post("/v1/tasks", json={"type": "demo.echo"}, headers={"Prefer": "wait=50"})
    )
    await begun(waiting)
    page = (await partner.http.get("/v1/tasks")).json()["data"]
    await live.hand.finish(page[0]["id"], 7)
    answer = await waiting
    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "wait=45"
    assert answer.json()["result"] == 7


@impatient
async def test_no_wait_is_longer_than_the_longest(live: Live) -> None:
    partner = await live.partner()
    task = await partner.submit()
    feed = await partner.http.get("/v1/messages")
    begun_at = time.monotonic()
    answers = await asyncio.gather(
        poll(partner.http, task["id"], wait=60),
        poll(partner.http, task["id"], wait=10**30, version=task["version"]),
        partner.http.get("/v1/messages", params={"wait": "60", "after": feed.json()["next_cursor"]}),
        partner.http.get("/v1/messages", params={"wait": "1e300"}),
        partner.http.post("/v1/tasks", json={"type": "demo.echo"}, headers={"Prefer": "wait=60"}),
        partner.http.post("/v1/tasks", json={"type": "demo.echo"}, headers={"Prefer": f"wait={10**30}"}),
    )
    assert time.monotonic() - begun_at < 30
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 202, 202]
    assert {answer.headers["preference-applied"] for answer in answers[4:]} == {"wait=1"}


async def test_preferred_wait_that_was_too_short_answers_202(live: Live) -> None:
    partner = await live.partner()
    for prefer, applied in (("wait=1", "wait=1"), ("respond-async, wait=0", "wait=0")):
        answer = await partner.http.post("/v1/tasks", json={"type": "demo.echo"}, headers={"Prefer": prefer})
        assert answer.status_code == 202
        assert answer.headers["preference-applied"] == applied
        assert answer.headers["location"] == f"/v1/tasks/{answer.json()['id']}"


@pytest.mark.parametrize("prefer", ["wait=", "wait=x", "wait=-1", "wait 5", "=,wait=5", "handling=strict"])
async def test_malformed_or_other_preferences_are_ignored(live: Live, prefer: str) -> None:
    partner = await live.partner()
    answer = await partner.http.post("/v1/tasks", json={"type": "demo.echo"}, headers={"Prefer": prefer})
    assert answer.status_code == 202
    assert "preference-applied" not in answer.headers


async def test_pull_feed_is_told_by_signals_and_without(live: Live) -> None:
    partner = await live.partner()
    cursor = ""
    for tells in (True, False):
        live.hand.tells = tells
        task = await partner.submit()
        query = {"wait": "60", **({"after": cursor} if cursor else {})}
        waiting = asyncio.create_task(partner.http.get("/v1/messages", params=query))
        await begun(waiting)
        await live.hand.finish(task["id"])
        page = (await asyncio.wait_for(waiting, 30)).json()
        assert [message["data"]["id"] for message in page["data"]] == [task["id"]]
        cursor = page["next_cursor"]


async def test_feed_tells_of_no_message_before_it_outlasts_a_loss_of_power(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    partner = await live.partner()
    refuse = AsyncMock(side_effect=Unavailable("The disk is away.", retry_after_seconds=2))
    monkeypatch.setattr(Database, "make_last", refuse)
    nothing = await partner.http.get("/v1/messages")
    assert (nothing.status_code, nothing.json()["data"]) == (200, [])
    await live.hand.finish((await partner.submit())["id"])
    assert (await partner.http.get("/v1/messages")).status_code == 503
    monkeypatch.undo()
    assert len((await partner.http.get("/v1/messages")).json()["data"]) == 1


async def test_waiter_who_hangs_up_is_forgotten(live: Live) -> None:
    partner = await live.partner()
    task = await partner.submit()
    with pytest.raises(httpx.ReadTimeout):
        await partner.http.get(f"/v1/tasks/{task['id']}", params={"wait": 60}, timeout=0.3)
    await until(lambda: len(live.watchers) == 0, what="the end of the wait")
