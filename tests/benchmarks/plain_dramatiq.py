"""The script people write first: a Dramatiq actor that signs and POSTs with httpx. See `baselines`."""

import os
import threading

import dramatiq
import httpx
from dramatiq.brokers.redis import RedisBroker

from tests.benchmarks.baselines import BODY, headers

dramatiq.set_broker(RedisBroker(url=os.environ["BENCH_BROKER"]))  # type: ignore[no-untyped-call]  # Dramatiq's
_local = threading.local()


@dramatiq.actor
def deliver(number: int) -> None:
    """Send one webhook."""
    client = getattr(_local, "client", None)
    if client is None:
        client = _local.client = httpx.Client()
    client.post(os.environ["BENCH_SINK"], content=BODY, headers=headers(number)).raise_for_status()
