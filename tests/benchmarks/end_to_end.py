"""The main job from outside: submitted → run → delivered → recorded, single accepts, and quiet latency."""

import asyncio
import statistics
import time
from dataclasses import dataclass
from functools import partial

import aiohttp
import httpx

from tests.benchmarks.installation import (
    Store,
    ask_api,
    installation,
    make_partner,
    sink,
    sink_counts,
    wait_for,
)

_TYPE = "demo.echo"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndToEnd:
    """The figures of one store. Rates per second, latencies in milliseconds."""

    store: Store
    tasks_per_second: float
    accepts_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: dict[str, float]


def measure(store: Store, *, tasks: int, accepts: int, samples: int) -> EndToEnd:
    """Run the three measurements on a fresh installation of API, one task worker and one deliver worker."""
    with installation(store, WEBHOOKD_LOG_FORMAT="json") as made, sink() as (url, _):
        made.start("api", "webhookd.asgi")
        made.start("tasks", "webhookd.worker", "tasks")
        made.start("deliver", "webhookd.worker", "deliver")
        made.wait_ready()
        key = make_partner(made.api_url)
        submit_batches(made.api_url, key, url, 200)
        wait_for(lambda: _recorded(made.api_url, key) and _posts(url) >= 200, 60, "the first deliveries")
        latencies = _quiet_latencies(made.api_url, key, url, samples)
        before = {name: made.cpu_seconds(name) for name in made.processes}
        already = _posts(url)
        started = time.monotonic()
        submit_batches(made.api_url, key, url, tasks)
        wait_for(lambda: _posts(url) - already >= tasks, 300, "the deliveries", every=0.2)
        wait_for(lambda: _recorded(made.api_url, key), 60, "their records", every=0.1)
        rate = tasks / (time.monotonic() - started)
        cpu = {name: (made.cpu_seconds(name) - before[name]) / tasks * 1e6 for name in made.processes}
        made.stop("tasks")
        made.stop("deliver")
        return EndToEnd(
            store=store,
            tasks_per_second=rate,
            accepts_per_second=asyncio.run(_accepts(made.api_url, key, accepts)),
            p50_ms=statistics.median(latencies) * 1e3,
            p99_ms=statistics.quantiles(latencies, n=100)[98] * 1e3,
            cpu_us=cpu,
        )


def submit_batches(api_url: str, key: str, callback_url: str, tasks: int) -> None:
    """Submit so many tasks, 500 to a request."""
    task = {"type": _TYPE, "input": {"order": "42"}, "callback_url": callback_url}
    with httpx.Client(base_url=api_url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
        for start in range(0, tasks, 500):
            count = min(500, tasks - start)
            client.post("/v1/tasks/batch", json={"tasks": [task] * count}).raise_for_status()


def _quiet_latencies(api_url: str, key: str, callback_url: str, samples: int) -> list[float]:
    """Submit one at a time, each after the last has arrived; return seconds from the call to the arrival."""
    sent: dict[str, float] = {}
    with httpx.Client(base_url=api_url, headers={"Authorization": f"Bearer {key}"}) as client:
        for number in range(samples):
            already = _posts(callback_url)
            name = f"{number}"
            sent[name] = time.time()
            body = {
                "type": _TYPE,
                "input": {},
                "callback_url": callback_url,
                "metadata": {"latency": name},
            }
            client.post("/v1/tasks", json=body).raise_for_status()
            wait_for(partial(_more_posts, callback_url, already), 30, "the delivery")
            time.sleep(0.03)
    arrivals = sink_counts(callback_url)["arrivals"]
    return [at - sent[name] for name, at in arrivals]


async def _accepts(api_url: str, key: str, count: int) -> float:
    """Return single POSTs accepted per second, 64 connections."""
    numbers = iter(range(count))
    body = {"type": _TYPE, "input": {"order": "42"}, "callback_url": "https://partner.example/hooks"}
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64), headers=headers) as session:

        async def one() -> None:
            for _ in numbers:
                async with session.post(f"{api_url}/v1/tasks", json=body) as answer:
                    assert answer.status == 202, await answer.text()
                    await answer.read()

        started = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(64)))
        return count / (time.perf_counter() - started)


def _posts(url: str) -> int:
    posts: int = sink_counts(url)["posts"]
    return posts


def _more_posts(url: str, already: int) -> bool:
    return _posts(url) > already


def _recorded(api_url: str, key: str) -> bool:
    """Whether nothing of this partner is pending any more."""
    return not ask_api(api_url, key, "/v1/deliveries?state=pending&limit=1")["data"]
