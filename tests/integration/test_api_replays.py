"""Replays of many dead letters over HTTP, worked off by the replay flow."""

from typing import Any

import pytest

from tests.contract.seeds import dead_delivery, ended_task
from tests.integration.api_face import Face, PartnerFace
from webhookd.core.execution import End
from webhookd.core.records import Endpoint
from webhookd.core.times import to_rfc3339
from webhookd.flows.replay import ReplayFlow


async def endpoint(face: Face, partner: PartnerFace) -> Endpoint:
    answer = await partner.client.post(
        "/v1/endpoints", json={"url": "https://hooks.partner.example/in", "events": ["endpoint.disabled"]}
    )
    found = await face.store.endpoints.get(answer.json()["id"], None)
    assert found is not None
    return found.endpoint


async def dead(face: Face, target: Endpoint, count: int) -> list[str]:
    return [await dead_delivery(face.store, target, now_ms=face.clock.now_ms()) for _ in range(count)]


async def worked_off(face: Face, seconds: int) -> int:
    """What the workers do in so many seconds."""
    flow = ReplayFlow(face.store.replays)
    total = 0
    for _ in range(seconds):
        face.clock.ahead_ms += 1_000
        total += await flow.step(face.clock.now_ms())
    return total


async def test_a_replay_is_accepted_worked_off_at_its_rate_and_can_be_watched(face: Face) -> None:
    partner = await face.partner()
    await dead(face, await endpoint(face, partner), 6)

    answer = await partner.client.post("/v1/replays", json={"filter": {}, "rate_per_second": 2})

    assert answer.status_code == 202
    replay = answer.json()
    path = answer.headers["location"]
    assert path == f"/v1/replays/{replay['id']}"
    assert replay["id"].startswith("rpl_")
    assert {name: replay[name] for name in ("state", "matched", "replayed", "dry_run", "filter")} == {
        "state": "running",
        "matched": 6,
        "replayed": 0,
        "dry_run": False,
        "filter": {},
    }
    await worked_off(face, 1)
    half = (await partner.client.get(path)).json()
    assert half["state"] == "running"
    assert 0 < half["replayed"] < 6

    await worked_off(face, 4)
    done = (await partner.client.get(path)).json()
    assert (done["state"], done["replayed"]) == ("done", 6)
    assert done["finished_at"] is not None
    assert (await partner.client.get("/v1/dead-letters")).json()["data"] == []
    assert (await partner.client.get("/v1/replays")).json()["data"] == [done]
    assert "deliver" in face.bell.rung


async def test_a_dry_run_only_counts(face: Face) -> None:
    partner = await face.partner()
    target = await endpoint(face, partner)
    await dead(face, target, 2)
    await ended_task(face.store, partner.id, End.FAILED, now_ms=face.clock.now_ms())

    answer = await partner.client.post(
        "/v1/replays", json={"filter": {"endpoint": target.id, "kind": "delivery"}, "dry_run": True}
    )

    assert answer.status_code == 202
    replay = answer.json()
    assert (replay["state"], replay["matched"], replay["replayed"]) == ("done", 2, 0)
    assert replay["filter"] == {"endpoint": target.id, "kind": "delivery"}
    assert await worked_off(face, 2) == 0
    assert len((await partner.client.get("/v1/dead-letters")).json()["data"]) == 3


async def test_the_filter_bounds_the_time_of_death(face: Face) -> None:
    partner = await face.partner()
    await dead(face, await endpoint(face, partner), 2)
    later = to_rfc3339(face.clock.now_ms() + 60_000)

    since = await partner.client.post("/v1/replays", json={"filter": {"since": later}, "dry_run": True})
    until = await partner.client.post("/v1/replays", json={"filter": {"until": later}, "dry_run": True})

    assert (since.json()["matched"], until.json()["matched"]) == (0, 2)
    assert until.json()["filter"] == {"until": later}


async def test_a_replay_can_be_stopped(face: Face) -> None:
    partner = await face.partner()
    await dead(face, await endpoint(face, partner), 4)
    replay = (await partner.client.post("/v1/replays", json={"rate_per_second": 0.001})).json()
    await worked_off(face, 1)

    stopped = await partner.client.post(f"/v1/replays/{replay['id']}/cancel")

    assert (stopped.status_code, stopped.json()["state"]) == (202, "cancelled")
    assert (await partner.client.post(f"/v1/replays/{replay['id']}/cancel")).json() == stopped.json()
    assert await worked_off(face, 3) == 0
    assert len((await partner.client.get("/v1/dead-letters")).json()["data"]) == 3


async def test_a_repeated_request_with_its_key_is_one_replay(face: Face) -> None:
    partner = await face.partner()
    await dead(face, await endpoint(face, partner), 1)

    answers = [
        await partner.client.post("/v1/replays", json={}, headers={"Idempotency-Key": "once"})
        for _ in range(2)
    ]

    assert answers[0].json() == answers[1].json()
    assert len((await partner.client.get("/v1/replays")).json()["data"]) == 1


async def test_partners_replay_only_their_own_and_an_admin_may_name_one(face: Face) -> None:
    owner, other = await face.partner(), await face.partner()
    for partner in (owner, other):
        await dead(face, await endpoint(face, partner), 1)

    named = await face.admin.post("/v1/replays", json={"filter": {"partner": other.id}, "dry_run": True})
    all_of_them = await face.admin.post("/v1/replays", json={"dry_run": True})
    own = await owner.client.post("/v1/replays", json={"dry_run": True})

    assert [answer.json()["matched"] for answer in (named, all_of_them, own)] == [1, 2, 1]
    path = f"/v1/replays/{own.json()['id']}"
    assert (await other.client.get(path)).status_code == 404
    assert (await other.client.post(path + "/cancel")).status_code == 404
    assert (await owner.client.post(path + "/cancel")).status_code == 409


@pytest.mark.parametrize(
    "body",
    [
        {"filter": {"kind": "message"}},
        {"filter": {"state": "dead"}},
        {"filter": {"since": "yesterday"}},
        {"filter": {"partner": "prt_x"}},
        {"rate_per_second": 0},
        {"rate_per_second": 1001},
        {"dry_run": "yes"},
        {"speed": 1},
    ],
)
async def test_a_wrong_request_is_refused(sqlite_face: Face, body: dict[str, Any]) -> None:
    partner = await sqlite_face.partner()

    answer = await partner.client.post("/v1/replays", json=body)

    assert answer.status_code == 422
    assert (await partner.client.get("/v1/replays")).json()["data"] == []
