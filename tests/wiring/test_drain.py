"""SIGTERM with `WEBHOOKD_DRAIN_SECONDS`: not ready, served all the same, and only then closed."""

import asyncio
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.support.command_line import environment, fact, started, url_of
from tests.support.live_api import live_api
from tests.support.plain_http import async_http_client, http_client
from tests.support.services import ValkeyServer, eventually
from webhookd.asgi import SAME_SECONDS


async def test_api_that_drains_is_not_ready_and_serves_and_then_ends(
    valkey: ValkeyServer, migrated_sqlite_url: str, tmp_path: Path
) -> None:
    async with live_api(migrated_sqlite_url, valkey, tmp_path, drain_seconds=2) as live:
        partner = await live.partner()
        live.stop()
        ready = await partner.http.get("/readyz")
        assert ready.status_code == 503
        assert "told to stop" in ready.json()["detail"]
        async with async_http_client(live.url) as stranger:  # a new connection
            assert (await stranger.get("/healthz")).status_code == 200
        task = await partner.submit()
        shown = await partner.http.get(f"/v1/tasks/{task['id']}")
        assert (shown.status_code, shown.headers["connection"]) == (200, "close")  # nobody keeps it for later
        await asyncio.wait_for(live.serving, 30)
        with pytest.raises(httpx.TransportError):
            await partner.http.get("/healthz")


async def test_second_stop_skips_the_drain(
    valkey: ValkeyServer, migrated_sqlite_url: str, tmp_path: Path
) -> None:
    async with live_api(migrated_sqlite_url, valkey, tmp_path, drain_seconds=3_600) as live:
        live.stop()
        live.stop()  # one that follows at once is the same
        assert not live.server.should_exit
        await asyncio.sleep(2 * SAME_SECONDS)
        live.stop()
        await asyncio.wait_for(live.serving, 30)


def test_up_drains_with_its_workers_and_a_second_signal_skips_the_rest(tmp_path: Path) -> None:
    env = environment(WEBHOOKD_DRAIN_SECONDS="3600")
    with started("up", "--port", "0", "--data-dir", "data", "--dev", cwd=tmp_path, env=env) as up:
        url = url_of(up)
        with http_client(url, fact(up, "admin key")) as admin:
            made = admin.post("/v1/partners", json={"name": "acme"}).json()
            up.send(signal.SIGTERM)
            eventually(lambda: admin.get("/readyz").status_code == 503, what="not to be ready")
        with http_client(url, made["key"]) as partner:
            answer = partner.post(
                "/v1/tasks",
                json={"type": "demo.echo", "input": {}, "endpoints": []},
                headers={"Prefer": "wait=30"},
            )
            assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")
        time.sleep(2 * SAME_SECONDS)
        up.send(signal.SIGTERM)
        assert up.wait() == 0, up.everything()
