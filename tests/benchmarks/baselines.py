"""What others do with the same core and the same sink, in the same run: the ratios' denominators.

`aiohttp`: a bare client loop, 64 in flight, signed bodies, nothing stored. `dramatiq`: the script people
write first, an actor that signs and POSTs with httpx, retries left to Dramatiq, nothing stored.
"""

import asyncio
import base64
import hashlib
import hmac
import os
import subprocess
import sys
import time
from pathlib import Path

import aiohttp

from tests.benchmarks.installation import pin, sink_counts
from tests.services import ValkeyServer
from webhookd.loops import loop_factory

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


def dramatiq_rate(url: str, posts: int, core: int | None, folder: Path) -> float:
    """Return tasks/s of a plain Dramatiq worker process with 8 threads and httpx, on its own Valkey."""
    with ValkeyServer(folder) as valkey:
        environment = {"BENCH_BROKER": valkey.url, "BENCH_SINK": url}
        os.environ.update(environment)
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
