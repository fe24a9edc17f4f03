"""The table of answers, endpoints, dead letters and replays, from outside."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.blackbox.conftest import Partner
from tests.support.services import until
from webhookd.cli.receiver import Reaction, Receiver, bind, receiving


async def _make_endpoint(partner: Partner, url: str, **more: Any) -> dict[str, Any]:
    made = await partner.http.post("/v1/endpoints", json={"url": url, **more})
    assert made.status_code == 201, made.text
    document: dict[str, Any] = made.json()
    return document


async def _delivery(partner: Partner, state: str, **query: str) -> dict[str, Any]:
    """Return the one delivery of this partner in `state`, with its attempts, once it is there."""
    for _ in range(300):
        found = (await partner.http.get("/v1/deliveries", params={"state": state, **query})).json()["data"]
        if found:
            document: dict[str, Any] = (await partner.http.get(f"/v1/deliveries/{found[0]['id']}")).json()
            return document
        await asyncio.sleep(0.1)
    everything = (await partner.http.get("/v1/deliveries")).json()
    raise AssertionError(f"no delivery became {state}: {everything}")


@asynccontextmanager
async def _receiver(secret: str, **behaviour: Any) -> AsyncIterator[tuple[Receiver, str]]:
    app = Receiver(secrets=[secret], **behaviour)
    with bind("127.0.0.1", 0) as listener:
        async with receiving(app, listener) as url:
            yield app, url


async def test_failures_are_retried_with_the_same_id_and_bytes(partner: Partner) -> None:
    answers = [Reaction(status=500), Reaction(status=503, retry_after_seconds=1)]
    async with _receiver(partner.secret, first=answers) as (app, url):
        await partner.http.post("/v1/tasks", json={"type": "demo.echo", "callback_url": url})
        delivery = await _delivery(partner, "delivered")
        assert len({(hit.webhook_id, hit.body) for hit in app.hits}) == 1
        assert [hit.headers["webhook-attempt"] for hit in app.hits] == ["1", "2", "3"]
        assert app.hits[2].at - app.hits[1].at >= 0.99, "Retry-After is a floor"
        assert all(hit.verified for hit in app.hits)
    assert [one["status"] for one in delivery["attempts_log"]] == [500, 503, 200]
    assert delivery["attempts"] == 3


async def test_a_redirect_is_a_failure_and_is_not_followed(partner: Partner) -> None:
    async with _receiver(partner.secret, reply=Reaction(status=307)) as (app, url):
        await partner.http.post("/v1/tasks", json={"type": "demo.echo", "callback_url": url})
        delivery = await _delivery(partner, "dead")
        assert len(app.hits) == 3
    assert (delivery["dead_reason"], delivery["last_status"], delivery["last_error"]) == (
        "exhausted",
        307,
        "http_307",
    )


async def test_gone_disables_an_endpoint_and_parks_what_comes_after(partner: Partner) -> None:
    async with _receiver(partner.secret, reply=Reaction(status=410)) as (app, url):
        endpoint = await _make_endpoint(partner, url)
        await partner.http.post("/v1/tasks", json={"type": "demo.echo"})
        dead = await _delivery(partner, "dead")
        assert dead["dead_reason"] == "gone"
        seen = (await partner.http.get(f"/v1/endpoints/{endpoint['id']}")).json()
        assert (seen["state"], seen["disabled_reason"]) == ("disabled", "gone")
        await partner.http.post("/v1/tasks", json={"type": "demo.echo"})
        await _delivery(partner, "parked")
        app.trust(endpoint["secret"])
        app.reply = Reaction()
        enabled = await partner.http.post(f"/v1/endpoints/{endpoint['id']}/enable")
        assert enabled.status_code < 300, enabled.text
        await _delivery(partner, "delivered")
        assert app.hits[-1].verified


async def test_a_time_out_and_a_refused_connection_are_told_without_addresses(partner: Partner) -> None:
    async with _receiver(partner.secret, reply=Reaction(delay_seconds=3)) as (_, url):
        await partner.http.post("/v1/tasks", json={"type": "demo.echo", "callback_url": url})
        slow = await _delivery(partner, "dead")
    assert slow["last_error"] == "timeout"
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
    task = await partner.http.post(
        "/v1/tasks", json={"type": "demo.echo", "callback_url": f"http://127.0.0.1:{port}/"}
    )
    refused = await _delivery(partner, "dead", task=task.json()["id"])
    assert refused["last_error"] == "connect"
    assert all("127" not in (one["error"] or "") for one in refused["attempts_log"])


async def test_a_dead_letter_replays_with_the_same_id_and_bytes(partner: Partner) -> None:
    async with _receiver(partner.secret, reply=Reaction(status=500)) as (app, url):
        await partner.http.post("/v1/tasks", json={"type": "demo.echo", "callback_url": url})
        dead = await _delivery(partner, "dead")
        app.reply = Reaction()
        replayed = await partner.http.post(f"/v1/dead-letters/{dead['id']}/replay")
        assert replayed.status_code == 202, replayed.text
        delivered = await _delivery(partner, "delivered")
        assert delivered["id"] == dead["id"]
        assert len({(hit.webhook_id, hit.body) for hit in app.hits}) == 1
        assert app.hits[-1].headers["webhook-attempt"] == "4"
    assert (await partner.http.get("/v1/dead-letters")).json()["data"] == []


async def test_a_bulk_replay_delivers_everything(partner: Partner) -> None:
    async with _receiver(partner.secret, reply=Reaction(status=500)) as (app, url):
        tasks = [{"type": "demo.echo", "input": {"n": n}, "callback_url": url} for n in range(3)]
        await partner.http.post("/v1/tasks/batch", json={"tasks": tasks})
        await until_dead(partner, 3)  # nine failures: ten in a row would open the breaker
        app.reply = Reaction()
        dry = await partner.http.post("/v1/replays", json={"filter": {"kind": "delivery"}, "dry_run": True})
        assert (dry.status_code, dry.json()["matched"]) == (202, 3)
        made = await partner.http.post("/v1/replays", json={"filter": {"kind": "delivery"}})
        assert made.status_code == 202, made.text
        await until(lambda: sum(hit.status == 200 for hit in app.hits) >= 3, what="three deliveries")
        for _ in range(100):
            seen = (await partner.http.get(f"/v1/replays/{made.json()['id']}")).json()
            if seen["state"] != "running":
                break
            await asyncio.sleep(0.1)
        assert (seen["matched"], seen["replayed"]) == (3, 3)


async def until_dead(partner: Partner, count: int) -> None:
    """Wait for `count` dead letters."""
    for _ in range(300):
        if len((await partner.http.get("/v1/dead-letters")).json()["data"]) >= count:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"there were never {count} dead letters")


async def test_every_subscriber_gets_a_copy_signed_with_its_own_secret(partner: Partner) -> None:
    async with _receiver(partner.secret) as (one, one_url), _receiver(partner.secret) as (two, two_url):
        first = await _make_endpoint(partner, one_url)
        second = await _make_endpoint(partner, two_url, task_types=["demo.*"], signature=["v1", "v1a"])
        one._verifiers.clear()
        two._verifiers.clear()
        one.trust(first["secret"])
        two.trust(second["secret"])
        assert second["public_key"].startswith("whpk_")
        await partner.http.post("/v1/tasks", json={"type": "demo.echo"})
        await until(lambda: one.hits and two.hits, what="both copies")
        assert one.hits[0].verified
        assert two.hits[0].verified
        assert one.hits[0].body == two.hits[0].body
        schemes = [part.partition(",")[0] for part in two.hits[0].headers["webhook-signature"].split(" ")]
        assert schemes == ["v1", "v1a"]


async def test_a_rotated_secret_signs_beside_the_old_one(partner: Partner) -> None:
    async with _receiver(partner.secret) as (app, url):
        endpoint = await _make_endpoint(partner, url)
        rotated = await partner.http.post(
            f"/v1/endpoints/{endpoint['id']}/rotate-secret", json={"overlap_seconds": 3600}
        )
        assert rotated.status_code == 200, rotated.text
        assert rotated.json()["secret"] != endpoint["secret"]
        test = await partner.http.post(f"/v1/endpoints/{endpoint['id']}/test")
        assert test.status_code == 202, test.text
        await until(lambda: app.hits, what="the test webhook")
        assert json.loads(app.hits[0].body)["type"] == "webhookd.test"
        assert len(app.hits[0].headers["webhook-signature"].split(" ")) == 2
        for secret in (endpoint["secret"], rotated.json()["secret"]):
            checker = Receiver(secrets=[secret])
            assert checker._problem(app.hits[0].body, app.hits[0].headers) == ""


async def test_a_fifo_endpoint_is_served_in_order_through_failures(partner: Partner) -> None:
    async with _receiver(partner.secret, first=[Reaction(status=500)]) as (app, url):
        app.trust((await _make_endpoint(partner, url, ordering="fifo"))["secret"])
        for number in range(5):
            answer = await partner.http.post("/v1/tasks", json={"type": "demo.echo", "input": {"n": number}})
            await partner.http.get(f"/v1/tasks/{answer.json()['id']}", params={"wait": "20"})
        await until(lambda: len(app.hits) >= 6, what="all of them")
        numbers = [json.loads(hit.body)["data"]["result"]["n"] for hit in app.hits]
        assert numbers == [0, 0, 1, 2, 3, 4]


async def test_the_pull_feed_has_every_message_in_order(partner: Partner) -> None:
    ids = []
    for _ in range(3):
        answer = await partner.http.post("/v1/tasks", json={"type": "demo.echo"})
        await partner.http.get(f"/v1/tasks/{answer.json()['id']}", params={"wait": "20"})
        ids.append(answer.json()["id"])
    first = (await partner.http.get("/v1/messages", params={"limit": "2"})).json()
    rest = (await partner.http.get("/v1/messages", params={"after": first["next_cursor"]})).json()
    assert [one["data"]["id"] for one in [*first["data"], *rest["data"]]] == ids
