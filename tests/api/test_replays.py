"""Replays of many dead letters over HTTP, worked off by the replay flow."""

from typing import Any

import pytest
from sqlalchemy import select

from tests.support.api_face import Face, PartnerFace
from tests.support.seeds import answered, dead_delivery, due, later, message_to
from tests.support.work import ended_task
from webhookd.adapters.store.schema import deliveries
from webhookd.adapters.store.tx import Tx
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
    flow = ReplayFlow(face.store.replays.running, face.store.replays.advance)
    total = 0
    for _ in range(seconds):
        face.clock.ahead_ms += 1_000
        total += await flow.step(face.clock.now_ms())
    return total


async def test_a_replay_is_accepted_worked_off_at_its_rate_and_can_be_watched(face: Face) -> None:
    partner = await face.partner()
    await dead(face, await endpoint(face, partner), 6)

    answer = await partner.client.post("/v1/replays", json={"all": True, "rate_per_second": 2})

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
    replay = (await partner.client.post("/v1/replays", json={"all": True, "rate_per_second": 0.001})).json()
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
        await partner.client.post("/v1/replays", json={"all": True}, headers={"Idempotency-Key": "once"})
        for _ in range(2)
    ]

    assert answers[0].json() == answers[1].json()
    assert len((await partner.client.get("/v1/replays")).json()["data"]) == 1


async def test_partners_replay_only_their_own_and_an_admin_may_name_one(face: Face) -> None:
    owner, other = await face.partner(), await face.partner()
    for partner in (owner, other):
        await dead(face, await endpoint(face, partner), 1)

    named = await face.admin.post("/v1/replays", json={"filter": {"partner": other.id}, "dry_run": True})
    all_of_them = await face.admin.post("/v1/replays", json={"all": True, "dry_run": True})
    own = await owner.client.post("/v1/replays", json={"all": True, "dry_run": True})

    assert [answer.json()["matched"] for answer in (named, all_of_them, own)] == [1, 2, 1]
    path = f"/v1/replays/{own.json()['id']}"
    assert (await other.client.get(path)).status_code == 404
    assert (await other.client.post(path + "/cancel")).status_code == 404
    assert (await owner.client.post(path + "/cancel")).status_code == 409


@pytest.mark.parametrize(
    "body",
    [
        {"filter": {"kind": "message"}},
        {},
        {"filter": {}},
        {"filter": {}, "all": False, "dry_run": True},
        {"filter": {"state": "parked"}},
        {"filter": {"state": "pending", "kind": "task"}},
        {"filter": {"state": "pending", "reason": "exhausted"}},
        {"filter": {"status": "6xx"}},
        {"filter": {"status": 503}},
        {"filter": {"text": ""}},
        {"all": True, "reason": "x" * 501},
        {"filter": {"since": "yesterday"}},
        {"filter": {"partner": "prt_x"}},
        {"all": True, "rate_per_second": 0},
        {"all": True, "rate_per_second": 1001},
        {"all": True, "dry_run": "yes"},
        {"all": True, "speed": 1},
    ],
)
async def test_a_wrong_request_is_refused(sqlite_face: Face, body: dict[str, Any]) -> None:
    partner = await sqlite_face.partner()

    answer = await partner.client.post("/v1/replays", json=body)

    assert answer.status_code == 422
    assert (await partner.client.get("/v1/replays")).json()["data"] == []


async def test_an_empty_filter_takes_everything_only_where_that_is_said(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    await dead(sqlite_face, await endpoint(sqlite_face, partner), 2)

    refused = await partner.client.post("/v1/replays", json={"filter": {}})
    said = await partner.client.post("/v1/replays", json={"filter": {}, "all": True})

    assert (refused.status_code, refused.json()["errors"][0]["path"]) == (422, "$.filter")
    assert (said.status_code, said.json()["matched"]) == (202, 2)


async def test_a_replay_says_who_asked_for_it_and_why_and_so_does_the_audit(face: Face) -> None:
    partner = await face.partner()
    await dead(face, await endpoint(face, partner), 1)
    body = {"all": True, "reason": "the certificate is renewed"}

    own = (await partner.client.post("/v1/replays", json=body)).json()
    admins = (await face.admin.post("/v1/replays", json=body)).json()

    assert (own["reason"], own["started_by"]) == (
        "the certificate is renewed",
        f"first key of {partner.name}",
    )
    assert admins["started_by"].startswith("operator@")
    entries = (await face.admin.get("/v1/audit")).json()["data"]
    noted = {entry["target"]: entry for entry in entries if entry["action"] == "replay.create"}
    assert [noted[one["id"]]["partner"] for one in (own, admins)] == [partner.id, None]
    assert noted[own["id"]]["detail"]["reason"] == "the certificate is renewed"
    assert (await partner.client.get(f"/v1/replays/{own['id']}")).json()["started_by"] == own["started_by"]


@pytest.mark.parametrize("noun", ["replay", "discard"])
async def test_the_audit_tells_what_an_admin_replayed_and_whose_it_was(face: Face, noun: str) -> None:
    partner = await face.partner()
    target = await endpoint(face, partner)
    await dead(face, target, 1)

    body = {"filter": {"endpoint": target.id, "text": "hooks"}, "reason": "superseded"}
    made = (await face.admin.post(f"/v1/{noun}s", json=body)).json()

    (entry,) = (await face.admin.get("/v1/audit", params={"target": made["id"]})).json()["data"]
    assert (entry["action"], entry["partner"], entry["reason"]) == (
        f"{noun}.create",
        partner.id,
        "superseded",
    )
    filter_ = {"endpoint": target.id}
    assert entry["detail"] == {"matched": 1, "dry_run": False, "filter": filter_, "reason": "superseded"}


async def test_tasks_run_again_only_when_they_are_named(face: Face) -> None:
    partner = await face.partner()
    await dead(face, await endpoint(face, partner), 1)
    await ended_task(face.store, partner.id, End.FAILED, now_ms=face.clock.now_ms())

    plain = await partner.client.post("/v1/replays", json={"all": True, "dry_run": True})
    tasks = await partner.client.post("/v1/replays", json={"filter": {"kind": "task"}, "dry_run": True})

    assert (plain.json()["matched"], tasks.json()["matched"]) == (1, 1)
    await partner.client.post("/v1/replays", json={"all": True})
    await worked_off(face, 2)
    left = (await partner.client.get("/v1/dead-letters")).json()["data"]
    assert [letter["kind"] for letter in left] == ["task"]


async def test_a_replay_is_paced_paused_and_resumed(face: Face) -> None:
    partner = await face.partner()
    await dead(face, await endpoint(face, partner), 5)
    replay = (await partner.client.post("/v1/replays", json={"all": True, "rate_per_second": 0.001})).json()
    path = f"/v1/replays/{replay['id']}"
    assert await worked_off(face, 1) == 1

    paused = await partner.client.post(path + "/pause")
    assert (paused.status_code, paused.json()["state"]) == (202, "paused")
    quick = await partner.client.patch(path, json={"rate_per_second": 500})
    assert (quick.status_code, quick.json()["rate_per_second"]) == (200, 500)
    assert await worked_off(face, 3) == 0
    resumed = await partner.client.post(path + "/resume")
    assert (resumed.status_code, resumed.json()["state"]) == (202, "running")
    assert await worked_off(face, 2) == 4

    for move in ("pause", "resume", "cancel"):
        assert (await partner.client.post(f"{path}/{move}")).status_code == 409
    assert (await partner.client.patch(path, json={"rate_per_second": 1})).status_code == 409
    assert (await partner.client.patch(path, json={})).status_code == 422
    other = await face.partner()
    assert (await other.client.patch(path, json={"rate_per_second": 1})).status_code == 404


async def waiting(face: Face, target: Endpoint, count: int) -> list[str]:
    """Deliveries that failed once and wait for hours."""
    now_ms = face.clock.now_ms()
    made = [await message_to(face.store, target, now_ms=now_ms + n) for n in range(count)]
    while found := await due(face.store, now_ms + count):
        for delivery in found:
            await answered(face.store, delivery, later(now_ms + 6 * 3_600_000), now_ms=now_ms + count)
    face.clock.ahead_ms += 1_000
    return made


async def next_attempts(face: Face, made: list[str]) -> list[bool]:
    """Whether each is due now."""
    now = to_rfc3339(face.clock.now_ms())
    shown = [(await face.admin.get(f"/v1/deliveries/{one}")).json() for one in made]
    assert {one["state"] for one in shown} == {"pending"}
    return [one["next_attempt_at"] <= now for one in shown]


async def test_what_waits_is_sent_now_where_it_is_asked_for(face: Face) -> None:
    partner = await face.partner()
    made = await waiting(face, await endpoint(face, partner), 3)
    filter_ = {"state": "pending"}

    counted = await partner.client.post("/v1/replays", json={"filter": filter_, "dry_run": True})
    assert (counted.json()["matched"], counted.json()["filter"]) == (3, filter_)
    assert not any(await next_attempts(face, made))
    replay = (await partner.client.post("/v1/replays", json={"filter": filter_})).json()
    await worked_off(face, 2)

    assert all(await next_attempts(face, made))
    done = (await partner.client.get(f"/v1/replays/{replay['id']}")).json()
    assert (done["state"], done["replayed"], done["delivered"], done["failed_again"]) == ("done", 3, 0, 0)


async def test_an_endpoints_retry_lets_all_that_waits_be_due_now(face: Face) -> None:
    partner, other = await face.partner(), await face.partner()
    target, unlike = await endpoint(face, partner), await endpoint(face, partner)
    made, left = await waiting(face, target, 3), await waiting(face, unlike, 1)
    path = f"/v1/endpoints/{target.id}"

    answer = await partner.client.post(path + "/retry")

    assert (answer.status_code, answer.json()) == (202, {"due": 3})
    assert all(await next_attempts(face, made))
    assert not any(await next_attempts(face, left))
    assert "deliver" in face.bell.rung
    assert (await other.client.post(path + "/retry")).status_code == 404
    (entry,) = [
        one for one in (await face.admin.get("/v1/audit")).json()["data"] if one["action"] == "endpoint.retry"
    ]
    assert (entry["target"], entry["detail"]["due"]) == (target.id, 3)
    await partner.client.post(path + "/disable")
    refused = await partner.client.post(path + "/retry")
    assert (refused.status_code, "enable" in refused.json()["detail"]) == (409, True)


async def test_a_large_retry_is_answered_at_once_and_worked_off_in_pieces(face: Face) -> None:
    partner = await face.partner()
    target = await endpoint(face, partner)
    (one,) = await waiting(face, target, 1)
    await face.store.write(multiplied, one, 1_000)

    answer = await partner.client.post(f"/v1/endpoints/{target.id}/retry")

    assert answer.json() == {"due": 1_001}
    (replay,) = (await partner.client.get("/v1/replays")).json()["data"]
    assert (replay["state"], replay["matched"]) == ("running", 1_001)
    assert replay["replayed"] < 1_001
    await worked_off(face, 1)
    done = (await partner.client.get(f"/v1/replays/{replay['id']}")).json()
    assert (done["state"], done["replayed"]) == ("done", 1_001)


def multiplied(tx: Tx, delivery_id: str, count: int) -> None:
    """Copy a delivery so many times."""
    row = tx.conn.execute(select(deliveries).where(deliveries.c.id == delivery_id)).one()._asdict()
    tx.conn.execute(deliveries.insert(), [{**row, "id": f"{delivery_id[:-5]}{n:05}"} for n in range(count)])


async def test_a_waiting_delivery_is_due_now_and_a_parked_one_says_why_not(face: Face) -> None:
    partner = await face.partner()
    target = await endpoint(face, partner)
    made = await waiting(face, target, 1)
    path = f"/v1/deliveries/{made[0]}/replay"

    answer = await partner.client.post(path)

    assert (answer.status_code, answer.json()["state"]) == (202, "pending")
    assert (answer.json()["attempts"], answer.json()["max_attempts"]) == (1, 14)
    assert all(await next_attempts(face, made))
    await partner.client.post(f"/v1/endpoints/{target.id}/disable")
    parked = await partner.client.post(path)
    assert parked.status_code == 409
    assert target.id in parked.json()["detail"]
    assert "requested" in parked.json()["detail"]


async def test_many_dead_letters_are_discarded_with_a_reason(face: Face) -> None:
    partner, other = await face.partner(), await face.partner()
    target, kept = await endpoint(face, partner), await endpoint(face, partner)
    await dead(face, target, 4)
    await dead(face, kept, 1)
    body = {"filter": {"endpoint": target.id}, "reason": "superseded"}

    counted = await partner.client.post("/v1/discards", json={**body, "dry_run": True})
    assert (counted.json()["state"], counted.json()["matched"]) == ("done", 4)
    answer = await partner.client.post("/v1/discards", json=body)

    discard, path = answer.json(), answer.headers["location"]
    assert (answer.status_code, discard["matched"], discard["reason"]) == (202, 4, "superseded")
    assert path == f"/v1/discards/{discard['id']}"
    assert (await other.client.get(path)).status_code == 404
    assert (await partner.client.post(path + "/pause")).json()["state"] == "paused"
    assert await worked_off(face, 1) == 0
    assert (await partner.client.post(path + "/resume")).json()["state"] == "running"
    await worked_off(face, 2)
    done = (await partner.client.get(path)).json()
    assert (done["state"], done["discarded"]) == ("done", 4)
    assert len((await partner.client.get("/v1/dead-letters")).json()["data"]) == 1
    assert [one["id"] for one in (await partner.client.get("/v1/discards")).json()["data"]][:1] == [
        done["id"]
    ]
    assert (await partner.client.get("/v1/replays")).json()["data"] == []
    entries = (await face.admin.get("/v1/audit")).json()["data"]
    noted = {one["action"]: one["detail"] for one in entries if one["target"] == done["id"]}
    assert noted.keys() == {"discard.create", "discard.pause", "discard.resume"}
    assert noted["discard.create"]["reason"] == "superseded"
    for wrong in ({}, {"filter": {"state": "pending"}}, {"filter": {}, "reason": "x"}):
        assert (await partner.client.post("/v1/discards", json=wrong)).status_code == 422


@pytest.mark.parametrize("noun", ["replays", "discards"])
async def test_dead_letters_are_replayed_or_discarded_by_their_ids(face: Face, noun: str) -> None:
    partner, other = await face.partner(), await face.partner()
    first, second, kept = await dead(face, await endpoint(face, partner), 3)
    [foreign] = await dead(face, await endpoint(face, other), 1)
    body = {"filter": {"ids": [first, second, foreign]}, "reason": "these"}

    counted = await partner.client.post(f"/v1/{noun}", json={**body, "dry_run": True})
    asked = (await partner.client.post(f"/v1/{noun}", json=body)).json()

    assert (counted.json()["matched"], asked["matched"], asked["filter"]) == (2, 2, body["filter"])
    await worked_off(face, 2)
    left = [one["id"] for one in (await face.admin.get("/v1/dead-letters")).json()["data"]]
    assert sorted(left) == sorted([kept, foreign])
    assert (await partner.client.get(f"/v1/{noun}/{asked['id']}")).json()["state"] == "done"
    entries = (await face.admin.get(f"/v1/audit?target={asked['id']}")).json()["data"]
    assert [(one["reason"], one["detail"]["filter"]) for one in entries] == [("these", {})]
    for wrong in ([], ["dlv_x"] * 501, "dlv_x", [1]):
        answer = await partner.client.post(f"/v1/{noun}", json={"filter": {"ids": wrong}})
        assert answer.status_code == 422, wrong
        assert answer.json()["errors"][0]["path"].startswith("$.filter.ids")


async def test_failed_tasks_run_again_by_their_ids(face: Face) -> None:
    partner = await face.partner()
    wanted, kept = [
        await ended_task(
            face.store, partner.id, End.FAILED, now_ms=face.clock.now_ms(), task_type="test.echo"
        )
        for _ in range(2)
    ]
    body = {"filter": {"kind": "task", "ids": [wanted]}}
    assert (await partner.client.post("/v1/replays", json=body)).json()["matched"] == 1
    await worked_off(face, 1)
    assert (await partner.client.get(f"/v1/tasks/{wanted}")).json()["state"] == "queued"
    assert (await partner.client.get(f"/v1/tasks/{kept}")).json()["state"] == "failed"
    pending = {"filter": {"state": "pending", "ids": [wanted]}}
    answer = await partner.client.post("/v1/replays", json=pending)
    assert [one["path"] for one in answer.json()["errors"]] == ["$.filter.ids"]


async def test_dry_runs_are_listed_apart(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    for dry in (True, False):
        await partner.client.post("/v1/replays", json={"all": True, "dry_run": dry})
    for query, listed in (("", [False, True]), ("?dry_run=true", [True]), ("?dry_run=false", [False])):
        found = (await partner.client.get(f"/v1/replays{query}")).json()["data"]
        assert [one["dry_run"] for one in found] == listed
    assert (await partner.client.get("/v1/replays?dry_run=perhaps")).status_code == 422


async def test_the_audit_keeps_why_one_was_replayed(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    [letter] = await dead(sqlite_face, await endpoint(sqlite_face, partner), 1)
    path = f"/v1/dead-letters/{letter}/replay"
    assert (await partner.client.post(path, params={"reason": ""})).status_code == 422
    assert (await partner.client.post(path, params={"reason": "they mended it"})).status_code == 202
    [entry] = (await sqlite_face.admin.get(f"/v1/audit?target={letter}")).json()["data"]
    assert (entry["action"], entry["reason"]) == ("dead-letter.replay", "they mended it")
