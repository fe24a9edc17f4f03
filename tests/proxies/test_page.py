"""docs/how-to/run-behind-a-proxy.md: each configuration, as it stands there, carries all the API does."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.proxies.programs import PROGRAMS
from tests.proxies.site import DRAIN_SECONDS, LONGEST_WAIT_SECONDS, PUBLIC_URL, Door, ProxiedSite, page_lines
from tests.support.plain_http import async_http_client
from tests.support.services import until
from webhookd.api.guess_brake import WRONG_KEYS
from webhookd.asgi import KEEP_ALIVE_SECONDS
from webhookd.settings import Settings

pytestmark = pytest.mark.slow

# In seconds, as each program writes them: how long an answer may take, and how long a connection is kept.
ANSWER_SECONDS: Final = {
    "nginx": r"proxy_read_timeout (\d+)s;",
    "HAProxy": r"timeout server (\d+)s",
    "Apache": r" timeout=(\d+)\b",
    "Caddy": r"response_header_timeout (\d+)s",
}
KEPT_SECONDS: Final = {
    "nginx": r"keepalive_timeout (\d+)s;",
    "HAProxy": r"pool-purge-delay (\d+)s",
    "Apache": r"\bttl=(\d+)\b",
    "Caddy": r"keepalive (\d+)s",
}


@pytest.fixture
async def http(door: Door, proxied: ProxiedSite) -> AsyncIterator[httpx.AsyncClient]:
    """A partner's client of the API behind this proxy."""
    async with door.client(proxied.partners[0]["key"]) as client:
        yield client


@pytest.mark.parametrize("name", [program.name for program in PROGRAMS])
def test_time_outs_on_the_page_fit_ours(name: str) -> None:
    lines = page_lines()[name]
    answers = [int(seconds) for seconds in re.findall(ANSWER_SECONDS[name], lines)]
    kept = [int(seconds) for seconds in re.findall(KEPT_SECONDS[name], lines)]
    assert answers
    assert min(answers) >= Settings.model_fields["max_wait_seconds"].default + 10
    assert kept
    assert max(kept) <= KEEP_ALIVE_SECONDS - 10


async def test_task_is_submitted_and_found_where_its_location_says(
    door: Door, http: httpx.AsyncClient
) -> None:
    made = await http.post("/v1/tasks", json={"type": "demo.echo", "input": {"a": 1}})
    assert made.status_code == 202
    location = made.headers["location"]
    assert location == f"{PUBLIC_URL}/v1/tasks/{made.json()['id']}"
    assert set(made.json()["links"].values()) == {
        link for link in made.json()["links"].values() if link.startswith(f"{PUBLIC_URL}/v1/")
    }
    found = await http.get(location.removeprefix(PUBLIC_URL))
    assert found.json()["id"] == made.json()["id"]
    assert (await http.get("/healthz")).status_code == 200


async def test_batch_is_submitted(http: httpx.AsyncClient) -> None:
    items = [{"type": "demo.echo", "input": {"text": "x" * 1_000}}] * 1_000
    made = await http.post("/v1/tasks/batch", json={"tasks": items})
    assert made.status_code == 202
    assert [result["status"] for result in made.json()["results"]] == [202] * 1_000


async def test_longer_wishes_to_wait_are_shortened_and_never_time_out(http: httpx.AsyncClient) -> None:
    task = (await http.post("/v1/tasks", json=later())).json()
    polled, preferred = await asyncio.gather(
        http.get(f"/v1/tasks/{task['id']}?wait=60"),
        http.post("/v1/tasks", json=later(), headers={"Prefer": "wait=60"}),
    )
    assert (polled.status_code, polled.json()["state"]) == (200, "scheduled")
    assert preferred.status_code == 202
    assert preferred.headers["preference-applied"] == f"wait={LONGEST_WAIT_SECONDS}"


async def test_long_poll_answers_at_the_end(http: httpx.AsyncClient) -> None:
    done = await http.post("/v1/tasks", json={"type": "demo.echo"})
    async with asyncio.timeout(30):
        while not (polled := await http.get(f"/v1/tasks/{done.json()['id']}?wait=60")).json()["done"]:
            assert polled.status_code == 200
    assert polled.json()["state"] == "succeeded"


async def test_events_come_when_they_happen(http: httpx.AsyncClient) -> None:
    task = (await http.post("/v1/tasks", json=later())).json()
    states = []
    async with asyncio.timeout(30), http.stream("GET", f"/v1/tasks/{task['id']}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        async for line in stream.aiter_lines():
            if line.startswith("data:"):
                states.append(json.loads(line[5:])["state"])
                if states == ["scheduled"]:  # nothing held it back: now let there be another
                    await http.post(f"/v1/tasks/{task['id']}/cancel")
    assert states == ["scheduled", "cancelled"]


async def test_websocket_tells_of_tasks(door: Door, http: httpx.AsyncClient, proxied: ProxiedSite) -> None:
    task = (await http.post("/v1/tasks", json=later())).json()
    headers = {"Authorization": f"Bearer {proxied.partners[0]['key']}"}
    url = door.url.replace("https", "wss") + "/v1/stream"
    async with (
        asyncio.timeout(30),
        connect(url, ssl=door.tls, additional_headers=headers, proxy=None) as socket,
    ):
        await socket.send(json.dumps({"subscribe": {"tasks": [task["id"]]}}))
        heard: list[dict[str, Any]] = []
        while not heard or heard[-1].get("task", {}).get("state") != "cancelled":
            heard.append(json.loads(await socket.recv()))
            if heard[-1]["event"] == "subscribed":
                await http.post(f"/v1/tasks/{task['id']}/cancel")


async def test_handshake_that_is_refused_says_why(door: Door) -> None:
    url = door.url.replace("https", "wss") + "/v1/tasks"
    with pytest.raises(InvalidStatus) as refused:
        async with asyncio.timeout(30), connect(url, ssl=door.tls, proxy=None):
            pass
    assert refused.value.response.status_code in range(400, 500)


async def test_large_bodies_are_taken_and_too_large_ones_refused_cleanly(http: httpx.AsyncClient) -> None:
    taken = await http.post("/v1/tasks", json={"type": "demo.echo", "input": {"text": "x" * 200_000}})
    assert taken.status_code == 202

    async def refused(size: int) -> tuple[int, str]:
        answer = await http.post("/v1/tasks", json={"type": "demo.echo", "input": {"text": "x" * size}})
        return answer.status_code, answer.headers["content-type"]

    sizes = [300_000 + 100_000 * step for step in range(28)]
    seen = await asyncio.gather(*(refused(size) for size in sizes))
    assert dict(zip(sizes, seen, strict=True)) == dict.fromkeys(sizes, (413, "application/problem+json"))


async def test_offer_of_another_protocol_is_not_in_the_way(http: httpx.AsyncClient) -> None:
    headers = {
        "Connection": "Upgrade, HTTP2-Settings",
        "Upgrade": "h2c",
        "HTTP2-Settings": "AAMAAABkAAQAAP__",
    }
    for _ in range(5):
        made = await http.post("/v1/tasks", json={"type": "demo.echo", "input": {"a": 1}}, headers=headers)
        assert made.status_code == 202


async def test_client_is_known_by_its_own_address_whatever_it_says(door: Door) -> None:
    here = PROGRAMS.index(next(program for program in PROGRAMS if program.name == door.program))
    guesser, neighbour = f"127.0.{here + 1}.1", f"127.0.{here + 1}.2"
    async with door.client("whk_wrong", source=guesser) as client:
        statuses = [
            (
                await client.get(
                    "/v1/tasks",
                    headers={"X-Forwarded-For": f"198.51.100.{n}", "Forwarded": f"for=198.51.100.{n}"},
                )
            ).status_code
            for n in range(2 * WRONG_KEYS.burst + 40)  # two processes, each of which counts for itself
        ]
    assert set(statuses) == {401, 429}
    async with door.client("whk_wrong", source=neighbour) as client:
        assert (await client.get("/v1/tasks")).status_code == 401


def later() -> dict[str, Any]:
    """A task that stays as it is."""
    return {"type": "demo.echo", "run_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}


SUBMITTERS: Final = 2


@dataclass(slots=True, kw_only=True)
class Submitting:
    """What came of the submissions through one proxy while the APIs were restarted."""

    accepted: int = 0
    failed: list[str] = field(default_factory=list)

    async def go_on(self, client: httpx.AsyncClient, over: asyncio.Event) -> None:
        """Submit one task after the other, as a client that never tries again."""
        while not over.is_set():
            try:
                answer = await client.post("/v1/tasks", json={"type": "demo.echo"})
            except httpx.HTTPError as error:
                self.failed.append(repr(error))
                continue
            if answer.status_code == 202:
                self.accepted += 1
            else:
                self.failed.append(f"{answer.status_code} {answer.text[:200]}")


@pytest.mark.faults
async def test_rolling_restart_fails_no_submission_where_the_proxy_asks_for_readiness(
    proxied: ProxiedSite,
) -> None:
    """Through all proxies at once, because a restart takes its time."""
    over = asyncio.Event()
    seen = {name: Submitting() for name in proxied.doors}
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        for name, door in proxied.doors.items():
            client = await stack.enter_async_context(door.client(proxied.partners[0]["key"]))
            for _ in range(SUBMITTERS):
                group.create_task(seen[name].go_on(client, over))
        try:
            for name, url in zip(("api-1", "api-2"), proxied.parts.urls, strict=True):
                assert await proxied.parts.let_go(name) == 0
                proxied.parts.keep(name)
                await until(partial(_is_ready, url), what=f"{name} again")
                before = {name: one.accepted for name, one in seen.items()}
                await until(
                    lambda before=before: all(seen[name].accepted > before[name] for name in seen),  # type: ignore[misc, arg-type]
                    what="submissions after the restart",
                )
                await asyncio.sleep(DRAIN_SECONDS)  # as the page says: until the health checks have seen it
        finally:
            over.set()
    # nginx asks for no /readyz: each submitter may meet each port in the moment in which it closes.
    unasked = seen.pop("nginx", Submitting()).failed
    assert [failure for failure in unasked if not failure.startswith("502 ")] == []
    assert len(unasked) <= 2 * SUBMITTERS
    assert {name: one.failed for name, one in seen.items()} == {name: [] for name in seen}


async def _is_ready(url: str) -> bool:
    async with async_http_client() as client:
        try:
            return (await client.get(f"{url}/readyz")).status_code == 200
        except httpx.HTTPError:
            return False
