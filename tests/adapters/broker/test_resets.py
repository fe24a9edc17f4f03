"""Connections to the broker that are reset: an outage for everybody, on either event loop, nothing worse."""

import asyncio

import pytest
import redis

from tests.support.proxy import Proxy, address_of
from tests.support.services import ValkeyServer
from webhookd.adapters.broker import BrokerHealth
from webhookd.adapters.broker.connection import connect_async


@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
async def test_reset_connection_is_told_as_one(valkey: ValkeyServer) -> None:
    with Proxy(address_of(valkey.url)) as proxy:
        client = connect_async(f"redis://127.0.0.1:{proxy.port}/0", timeout_seconds=1)
        broken = 0
        for _ in range(20):
            proxy.refuse()
            for _ in range(3):
                try:
                    await client.publish("a channel", b"hello")
                except redis.RedisError:
                    broken += 1
            proxy.refuse(False)
            await asyncio.sleep(0)
        assert broken >= 20
        await client.aclose()


@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
async def test_health_says_so_and_never_raises(valkey: ValkeyServer) -> None:
    with Proxy(address_of(valkey.url)) as proxy:
        health = BrokerHealth(f"redis://127.0.0.1:{proxy.port}/0")
        assert (await health.check()).ok
        for _ in range(20):
            proxy.refuse()
            assert not (await health.check()).ok
            proxy.refuse(False)
        assert (await health.check()).ok
        await health.aclose()
