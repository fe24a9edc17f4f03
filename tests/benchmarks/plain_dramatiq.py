"""The script people write first: a Dramatiq actor that signs and POSTs with httpx.

See `baselines.DRAMATIQ`.
"""

import os
import sqlite3
import threading
import time

import dramatiq
import httpx
from dramatiq.brokers.redis import RedisBroker

from tests.benchmarks.baselines import BODY, headers

dramatiq.set_broker(RedisBroker(url=os.environ["BENCH_BROKER"]))  # type: ignore[no-untyped-call]  # Dramatiq's
_local = threading.local()


@dramatiq.actor
def deliver(number: int) -> None:
    """Send one webhook the way `BENCH_SCRIPT` says."""
    url, script = os.environ["BENCH_SINK"], os.environ["BENCH_SCRIPT"]
    if script == "first":
        httpx.post(url, content=BODY, headers=headers(number)).raise_for_status()
        return
    client = getattr(_local, "client", None)
    if client is None:
        client = _local.client = httpx.Client()
    answer = client.post(url, content=BODY, headers=headers(number)).raise_for_status()
    if script == "recording":
        _attempts().execute(
            "INSERT INTO attempts VALUES (?, ?, ?)", (number, time.time(), answer.status_code)
        )


def _attempts() -> sqlite3.Connection:
    connection: sqlite3.Connection | None = getattr(_local, "attempts", None)
    if connection is None:
        connection = sqlite3.connect(os.environ["BENCH_DATABASE"], timeout=60, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE IF NOT EXISTS attempts (number, at, status)")
        _local.attempts = connection
    return connection
