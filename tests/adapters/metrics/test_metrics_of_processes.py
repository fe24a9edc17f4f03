"""Metrics of several processes over one broker, `/metrics` over HTTP, and what no log or metric may hold."""

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.api_face import Face
from tests.support.installation import ADMIN_KEY, Up
from tests.support.plain_http import async_http_client
from tests.support.seeds import dead_delivery
from tests.support.services import ValkeyServer, until
from webhookd.adapters.metrics import FAMILIES, BrokerTotals, Metrics, Tally, count_request, exposition
from webhookd.adapters.store.endpoints.endpoint_settings import PacedEndpoint
from webhookd.cli.receiver import Reaction, Receiver, bind, receiving
from webhookd.core.errors import Unavailable
from webhookd.core.times import to_rfc3339

KEY = "webhookd:metrics"
DELIVERED = 'webhookd_attempts_total{outcome="delivered"}'


def values(text: str) -> dict[str, float]:
    """The samples of an exposition, checked line by line for its grammar."""
    samples: dict[str, float] = {}
    for line in text.splitlines():
        if not line.startswith("# "):
            match = re.fullmatch(r'([a-z_]+(?:\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})?) ([0-9.e+-]+)', line)
            assert match is not None, line
            assert match[1] not in samples
            samples[match[1]] = float(match[2])
    return samples


@asynccontextmanager
async def process(url: str) -> AsyncIterator[Metrics]:
    """The metrics of one process."""
    totals = BrokerTotals(url)
    yield Metrics(totals)
    await totals.aclose()


async def delivered(metrics: Metrics) -> float:
    return values(exposition(await metrics.totals(), ())).get(DELIVERED, 0)


def count(tally: Tally, by: int = 1) -> None:
    tally.count("webhookd_attempts_total", "delivered", by=by)


async def test_totals_of_all_processes_outlive_each_of_them(valkey: ValkeyServer) -> None:
    async with process(valkey.url) as api:
        for _ in range(3):
            async with process(valkey.url) as worker:
                count(worker.tally, by=2)
                await worker.tell()
        assert await delivered(api) == 6
        count(api.tally)
        assert await delivered(api) == 7, "a scrape has this process's own, up to now"


async def test_counters_wait_for_a_broker_that_is_away(valkey: ValkeyServer) -> None:
    async with process(valkey.url) as metrics:
        count(metrics.tally)
        assert await delivered(metrics) == 1
        valkey.freeze()
        count(metrics.tally)
        assert await delivered(metrics) == 2, "known last, and what waits"
        valkey.thaw()
        count(metrics.tally)
        assert await delivered(metrics) >= 3


async def test_emptied_broker_begins_at_zero_and_heals(valkey: ValkeyServer) -> None:
    async with process(valkey.url) as metrics:
        count(metrics.tally, by=5)
        await metrics.tell()
        with valkey.client() as client:
            client.flushall()
        assert await delivered(metrics) == 0
        count(metrics.tally)
        assert await delivered(metrics) == 1


async def test_forged_figures_are_left_out_and_mended(valkey: ValkeyServer) -> None:
    field = "webhookd_attempts_total\x1fdelivered\x1f"
    async with process(valkey.url) as metrics:
        with valkey.client() as client:
            client.hset(KEY, mapping={field: "many", b"\xff\xfe": "1", "evil\nmetric 1\x1f": "1"})
            count(metrics.tally)
            metrics.tally.count("webhookd_attempts_total", "timeout")
            assert set(values(exposition(await metrics.totals(), ()))) <= {
                DELIVERED,
                'webhookd_attempts_total{outcome="timeout"}',
            }
            assert await delivered(metrics) == 1, "the next telling finds the field mended"
            client.delete(KEY)
            client.set(KEY, "a string")
            count(metrics.tally)
            await metrics.tell()
            assert await delivered(metrics) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("webhookd_attempts_total\x1fdelivered\x1f", "9" * 400),
        ("webhookd_attempts_total\x1fdelivered\x1f", "9" * 5_000),
        ("webhookd_attempts_total\x1fdelivered\x1f", "-5"),
        ("webhookd_attempts_total\x1fdelivered\x1f", str(2**63 - 1)),
        ("webhookd_attempts_total\x1fdelivered\x1f", "1e3"),
        ("webhookd_attempts_total\x1fdelivered\x1f", "x" * 2_000_000),
        ("webhookd_attempts_total\x1fde\nlivered\x1f", "1"),
        ("webhookd_attempts_total\x1f" + "d" * 10_000 + "\x1f", "1"),
        ("webhookd_attempts_total", "1"),
        ("webhookd_attempts_total\x1fdelivered\x1fsum", "1"),
        ("webhookd_tasks_accepted_total\x1fdefault\x1f", "1"),
        ("webhookd_build_info\x1f0\x1f", "1"),
        ("webhookd_run_duration_seconds\x1fa\x1f99", "1"),
        ("evil\x1f", "1"),
        ("", "1"),
    ],
    ids=lambda text: text[:40].replace("\x1f", "|").replace("\n", "|"),
)
async def test_a_forged_figure_spoils_no_scrape_and_is_counted(
    valkey: ValkeyServer, field: str, value: str
) -> None:
    totals = BrokerTotals(valkey.url)
    metrics = Metrics(totals)
    with valkey.client() as client:
        client.hset(KEY, field, value)
        metrics.tally.count("webhookd_attempts_total", "timeout")
        seen = values(exposition(await metrics.totals(), ()))
        assert seen == {'webhookd_attempts_total{outcome="timeout"}': 1}
        assert totals.forged == 1
        count(metrics.tally)
        assert await delivered(metrics) == 1
        assert totals.forged == 1, "taken away by the first who saw it"
    await totals.aclose()


async def test_more_figures_than_we_have_are_taken_away(
    valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhookd.adapters.metrics.totals._MAX_FIELDS", 100)
    async with process(valkey.url) as metrics:
        with valkey.client() as client:
            client.hset(KEY, mapping={f"webhookd_runs_total\x1f{n}\x1flost\x1f": 1 for n in range(101)})
        assert await metrics.totals() == {}
        count(metrics.tally)
        assert await delivered(metrics) == 1


async def test_figures_of_the_store_are_shown(face: Face) -> None:
    partner = await face.partner()
    for _ in range(2):
        await partner.client.post("/v1/tasks", json={"type": "test.order", "input": {"account": "A"}})
    later = to_rfc3339(face.clock.now_ms() + 3_600_000)
    await partner.client.post("/v1/tasks", json={"type": "test.echo", "run_at": later})
    task = (await partner.client.post("/v1/tasks", json={"type": "test.echo"})).json()
    await partner.client.post(f"/v1/tasks/{task['id']}/cancel")
    made = (await partner.client.post("/v1/endpoints", json={"url": "https://dead.example/"})).json()
    found: PacedEndpoint | None = await face.store.endpoints.get(made["id"], None)
    assert found is not None
    for _ in range(10):
        await dead_delivery(face.store, found.endpoint, now_ms=face.clock.now_ms())
    face.clock.ahead_ms += 10_000
    nobody = await face.client(None)

    answer = await nobody.get("/metrics")

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    seen = values(answer.text)
    assert seen['webhookd_queue_tasks{queue="orders",state="queued"}'] == 2
    assert seen['webhookd_queue_tasks{queue="default",state="scheduled"}'] == 1
    assert seen['webhookd_queue_tasks{queue="default",state="queued"}'] == 0
    assert seen['webhookd_tasks_accepted_total{queue="default"}'] == 2, "a cancelled one was accepted too"
    assert seen['webhookd_tasks_accepted_total{queue="orders"}'] == 2
    assert seen['webhookd_queue_oldest_age_seconds{queue="orders"}'] >= 10
    assert seen['webhookd_queue_oldest_age_seconds{queue="default"}'] == 0
    assert seen['webhookd_dead_letters{kind="delivery"}'] == 10
    assert seen['webhookd_dead_letters{kind="task"}'] == 0
    assert seen["webhookd_breakers_open"] == 1
    assert seen["webhookd_database_up"] == 1
    assert seen['webhookd_processes{role="deliver"}'] == 1


async def test_requests_are_counted_by_their_templates(face: Face) -> None:
    metrics = Metrics()
    counted = {"metrics": metrics, "listeners": (count_request(metrics.tally),)}
    client = await face.client(None, **counted)
    await client.get("/v1/tasks/task_1")
    await client.get("/v1/tasks/task_2")
    await client.get("/nothing/here/at/all")
    seen = values((await client.get("/metrics")).text)
    assert seen['webhookd_http_requests_total{method="GET",route="/v1/tasks/{id}",status="401"}'] == 2
    assert seen['webhookd_http_requests_total{method="GET",route="none",status="404"}'] == 1


async def test_metrics_are_shown_while_the_database_is_away(
    sqlite_face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> Any:
        raise Unavailable("The database does not answer.")

    monkeypatch.setattr(sqlite_face.store.queues, "depths", away)
    answer = await (await sqlite_face.client(None)).get("/metrics")
    assert answer.status_code == 200
    assert values(answer.text)["webhookd_database_up"] == 0
    assert not any(name.startswith("webhookd_queue") for name in values(answer.text))


RAN = 'webhookd_runs_total{type="demo.echo",outcome="succeeded"}'
ACCEPTED = 'webhookd_tasks_accepted_total{queue="default"}'
ROLES = ("api", "tasks", "deliver")
PLANTED = {
    "input": "planted-input-7f3a",
    "metadata": "planted-metadata-91bc",
    "path": "planted-path-token-44de",
    "header": "planted-header-value-0a2f",
}


@pytest.mark.slow
async def test_one_scrape_tells_of_every_process_and_no_secret_shows_anywhere(tmp_path: Path) -> None:
    receiver = Receiver(first=[Reaction(status=500)])
    installation = Up(tmp_path, WEBHOOKD_LOG_FORMAT="json", WEBHOOKD_LOG_LEVEL="debug")
    with bind("127.0.0.1", 0) as listener:
        async with receiving(receiver, listener) as url:
            await installation.start()
            try:
                seen, secrets, answers = await work_through(installation, receiver, url)
                await restart_a_worker(installation)
                later = await scraped(installation)
            finally:
                assert await installation.stop() == 0
    for role in ROLES:
        name = f'webhookd_store_commits_total{{role="{role}"}}'
        assert seen[name] > 0
        assert later[name] >= seen[name]
    assert seen[RAN] == 1
    assert seen['webhookd_attempts_total{outcome="http_5xx"}'] == 1
    assert seen[DELIVERED] == later[DELIVERED] == 1
    assert seen["webhookd_delivery_latency_seconds_count"] == 1
    assert seen[ACCEPTED] == 1
    assert seen['webhookd_processes{role="tasks"}'] >= 1
    gauges = {name for name, family in FAMILIES.items() if family.kind == "gauge"}
    assert gauges <= {name.split("{")[0] for name in seen}
    log = installation.log()
    events = {json.loads(line)["event"] for line in log.splitlines() if line.startswith("{")}
    assert {"request", "run", "attempt"} <= events
    for secret in [*PLANTED.values(), *secrets]:
        assert secret not in log
        assert not any(secret in name for name in [*seen, *later])
    files = [path for path in installation.data_dir.iterdir() if path.name.startswith("webhookd.db")]
    stored = b"".join(path.read_bytes() for path in files)
    assert PLANTED["input"].encode() in stored, "this is where rows are"
    for secret in [PLANTED["header"], *secrets]:
        assert secret.encode() not in stored
        assert not any(secret in answer for answer in answers)


async def work_through(
    installation: Up, receiver: Receiver, url: str
) -> tuple[dict[str, float], list[str], list[str]]:
    """One task to a registered endpoint; return the metrics, the secrets, and every answer after them."""
    partner = await installation.partner("acme")
    answers: list[str] = []

    async def remember(response: httpx.Response) -> None:
        await response.aread()
        answers.append(response.text)

    async with async_http_client(installation.url, partner["key"]) as client:
        hook = f"{url}/{PLANTED['path']}"
        made = (
            await client.post("/v1/endpoints", json={"url": hook, "headers": {"X-Token": PLANTED["header"]}})
        ).json()
        client.event_hooks["response"].append(remember)
        body = {
            "type": "demo.echo",
            "input": {"text": PLANTED["input"]},
            "metadata": {"note": PLANTED["metadata"]},
        }
        task = (await client.post("/v1/tasks", json=body, headers={"Prefer": "wait=30"})).json()
        assert (await client.get("/v1/messages?wait=30")).json()["data"]
        await until(lambda: len(receiver.hits) == 2, what="the second attempt")
        [delivery] = (await client.get("/v1/deliveries")).json()["data"]
        for path in (
            f"/v1/tasks/{task['id']}",
            f"/v1/tasks/{task['id']}/timeline",
            f"/v1/traces/{task['trace_id']}",
            f"/v1/deliveries/{delivery['id']}",
            f"/v1/endpoints/{made['id']}",
            "/v1/partner",
            "/v1/messages",
        ):
            assert (await client.get(path)).status_code == 200
    secrets = [partner["key"], partner["secret"], made["secret"], ADMIN_KEY]
    return await scraped(installation), secrets, answers


async def scraped(installation: Up) -> dict[str, float]:
    """The metrics, as soon as each process has told what it did: they tell every other second."""
    told = {DELIVERED, RAN, ACCEPTED, *(f'webhookd_store_commits_total{{role="{role}"}}' for role in ROLES)}
    async with async_http_client(installation.url) as client:
        while True:
            seen = values((await client.get("/metrics")).text)
            if all(seen.get(name) for name in told):
                return seen
            await asyncio.sleep(0.2)


async def restart_a_worker(installation: Up) -> None:
    """Kill the deliver worker; its supervisor starts another."""
    before = installation.children()["deliver"]
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    await until(
        lambda: set(installation.children()["deliver"]) - set(before) != set(), what="another deliver worker"
    )
