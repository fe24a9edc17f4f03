"""The rate and the quotas of whatever changes something and is no submission."""

from typing import Any

import httpx
import pytest

from tests.api.targets import dead, endpoint
from tests.support.api_face import Face, PartnerFace
from tests.support.problems import assert_problem
from webhookd.adapters.store.access.api_keys import MAX_KEYS
from webhookd.core.rate import Rate
from webhookd.flows.rates import PartnerRates


async def metered(
    face: Face, partner: PartnerFace, *, tasks: int = 5_000, writes: int = 3
) -> httpx.AsyncClient:
    """A client of an application in which next to nothing comes back to the buckets."""
    rates = PartnerRates(rate=0.01, burst=tasks, writes=Rate(per_second=0.01, burst=writes))
    return await face.client(partner.key, submit=face.with_rates(rates))


WRITES: list[tuple[str, str, Any]] = [
    ("POST", "/v1/tasks/task_unknown/cancel", None),
    ("POST", "/v1/endpoints", {"url": "https://receiver.example/"}),
    ("PATCH", "/v1/endpoints/ep_unknown", {"description": "x"}),
    ("DELETE", "/v1/endpoints/ep_unknown", None),
    ("POST", "/v1/endpoints/ep_unknown/test", None),
    ("POST", "/v1/endpoints/ep_unknown/rotate-secret", None),
    ("POST", "/v1/endpoints/ep_unknown/disable", None),
    ("POST", "/v1/deliveries/dlv_unknown/replay", None),
    ("POST", "/v1/deliveries/dlv_unknown/cancel", None),
    ("POST", "/v1/dead-letters/dlv_unknown/replay", None),
    ("DELETE", "/v1/dead-letters/dlv_unknown", None),
    ("POST", "/v1/replays", {"all": True, "dry_run": True}),
    ("POST", "/v1/replays/rpl_unknown/cancel", None),
    ("POST", "/v1/partner/rotate-secret", None),
]


async def test_every_write_takes_from_one_bucket_and_tells_of_it(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    client = await metered(sqlite_face, partner, writes=len(WRITES))
    for left, (method, path, body) in enumerate(reversed(WRITES)):
        answer = await client.request(method, path, json=body)
        assert answer.status_code != 429, path
        assert f'"writes";q={len(WRITES)};' in answer.headers["ratelimit-policy"]
        assert answer.headers["ratelimit"].startswith(f'"writes";r={len(WRITES) - 1 - left};t=')
    for method, path, body in WRITES:
        refused = await client.request(method, path, json=body)
        assert_problem(refused, 429, "rate_limited")
        assert int(refused.headers["retry-after"]) >= 1
    assert (await client.post("/v1/tasks", json={"type": "test.echo"})).status_code == 202
    assert (await client.get("/v1/tasks")).status_code == 200
    other = await sqlite_face.partner()
    assert (await other.client.post("/v1/partner/rotate-secret")).status_code == 200


async def test_a_refused_write_is_not_read_at_all(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    client = await metered(sqlite_face, partner, writes=1)
    json = {"Content-Type": "application/json"}
    assert (await client.post("/v1/endpoints", content=b"{", headers=json)).status_code == 400
    assert (await client.post("/v1/endpoints", content=b"{", headers=json)).status_code == 429


async def test_tests_and_replays_take_from_the_tasks_too(face: Face) -> None:
    partner = await face.partner()
    target = await endpoint(face, partner)
    letter = await dead(face, target)
    client = await metered(face, partner, tasks=2, writes=100)
    assert (await client.post(f"/v1/endpoints/{target.id}/test")).status_code == 202
    assert (await client.post(f"/v1/dead-letters/{letter}/replay")).status_code == 202
    refused = await client.post(f"/v1/deliveries/{letter}/replay")
    assert_problem(refused, 429, "rate_limited")
    assert '"tasks";r=0' in refused.headers["ratelimit"]
    assert (await client.post("/v1/tasks", json={"type": "test.echo"})).status_code == 429


async def test_no_more_replays_are_under_way_than_ten_a_partner(face: Face) -> None:
    partner, other = await face.partner(), await face.partner()
    for one in (partner, other):
        await dead(face, await endpoint(face, one))
    replays = [await partner.client.post("/v1/replays", json={"all": True}) for _ in range(11)]
    assert [answer.status_code for answer in replays] == [202] * 10 + [429]
    assert_problem(replays[-1], 429, "quota_exceeded")
    assert int(replays[-1].headers["retry-after"]) >= 1
    assert (await partner.client.post("/v1/replays", json={"all": True, "dry_run": True})).status_code == 202
    assert (await other.client.post("/v1/replays", json={"all": True})).status_code == 202
    await partner.client.post(f"/v1/replays/{replays[0].json()['id']}/cancel")
    assert (await partner.client.post("/v1/replays", json={"all": True})).status_code == 202


async def test_a_partner_has_so_many_good_keys(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    path = f"/v1/partners/{partner.id}/keys"
    made = [await sqlite_face.admin.post(path) for _ in range(MAX_KEYS)]
    assert [answer.status_code for answer in made] == [201] * (MAX_KEYS - 1) + [429]
    assert_problem(made[-1], 429, "quota_exceeded")
    await sqlite_face.admin.delete(f"/v1/keys/{made[0].json()['id']}")
    assert (await sqlite_face.admin.post(path)).status_code == 201


@pytest.mark.parametrize("path", ["/v1/tasks", "/v1/partner"])
async def test_reads_take_nothing(sqlite_face: Face, path: str) -> None:
    partner = await sqlite_face.partner()
    client = await metered(sqlite_face, partner, tasks=1, writes=1)
    for _ in range(5):
        answer = await client.get(path)
        assert answer.status_code == 200
        assert answer.headers["ratelimit"].startswith('"tasks";r=1;')
