"""What others do with the same core and the same sink, in the same run: the ratios' denominators.

`aiohttp`: a bare client loop, 64 in flight, signed bodies, nothing stored. DRAMATIQ: an actor that signs and
POSTs with httpx, retries left to Dramatiq, in three stages of care.
"""

import asyncio
import base64
import hashlib
import hmac
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import aiohttp

from tests.benchmarks.installation import pin, sink_counts
from tests.support.services import ValkeyServer
from webhookd.runtime.loop_policy import loop_factory

DRAMATIQ = {
    "first": "httpx.post in the actor, as written first",
    "kept": "with a client kept per thread",
    "recording": "and each attempt recorded in SQLite, as durably as ours",
}
_KEY = b"k" * 32
BODY = b'{"type":"task.succeeded","timestamp":"2026-11-24T06:00:00.000Z","data":{"a":"%s"}}' % (b"x" * 430)


def headers(number: int) -> dict[str, str]:
    """Sign as Standard Webhooks has it."""
    stamp = str(int(time.time()))
    signed = hmac.new(_KEY, f"msg_{number}.{stamp}.".encode() + BODY, hashlib.sha256).digest()
    return {
        "content-type": "application/json",
        "webhook-id": f"msg_{number}",
        "webhook-timestamp": stamp,
        "webhook-signature": "v1," + base64.b64encode(signed).decode(),
    }


def aiohttp_rate(url: str, posts: int, core: int | None) -> float:
    """Return posts/s of a bare aiohttp loop."""
    return _rate("aiohttp", url, posts, core)


def dramatiq_rates(url: str, posts: Mapping[str, int], core: int | None) -> Iterator[tuple[str, float]]:
    """Yield (script, tasks/s) of a plain Dramatiq worker process with 8 threads, on a Valkey of its own.

    `posts` says how many each script of DRAMATIQ sends.
    """
    with tempfile.TemporaryDirectory() as folder, ValkeyServer(Path(folder) / "valkey") as valkey:
        os.environ.update(
            BENCH_BROKER=valkey.url, BENCH_SINK=url, BENCH_DATABASE=str(Path(folder) / "attempts.db")
        )
        for script, count in posts.items():
            os.environ["BENCH_SCRIPT"] = script
            yield script, _dramatiq_rate(url, count, core)


def _dramatiq_rate(url: str, posts: int, core: int | None) -> float:
    from tests.benchmarks import plain_dramatiq

    for number in range(posts):
        plain_dramatiq.deliver.send(number)
    before: int = sink_counts(url)["posts"]
    worker = subprocess.Popen(
        [sys.executable, "-m", "dramatiq", "tests.benchmarks.plain_dramatiq", "-p", "1", "-t", "8"],
        stderr=subprocess.DEVNULL,
    )
    pin(worker.pid, core)
    started = 0.0
    try:
        while True:
            done: int = sink_counts(url)["posts"] - before
            if done and not started:
                started, first = time.monotonic(), done
            if done >= posts:
                return float(posts - first) / (time.monotonic() - started)
            time.sleep(0.05)
    finally:
        worker.terminate()
        worker.wait()


def _rate(name: str, url: str, posts: int, core: int | None) -> float:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.baselines", name, url, str(posts)], stdout=subprocess.PIPE
    )
    pin(process.pid, core)
    output, _ = process.communicate()
    return float(output.decode())


async def _aiohttp_loop(url: str, posts: int) -> float:
    numbers = iter(range(posts))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:

        async def one() -> None:
            for number in numbers:
                async with session.post(url, data=BODY, headers=headers(number)) as answer:
                    await answer.read()

        started = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(64)))
        return posts / (time.perf_counter() - started)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        print(runner.run(_aiohttp_loop(sys.argv[2], int(sys.argv[3]))))
