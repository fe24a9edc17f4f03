"""The API of this machine's installation, run inside the command: for its operator, who needs no key.

Whoever can read the settings and the data dir could do all of this on the database anyway; this way it goes
through the same checks and the same audit log (as `operator@host`). No broker is rung: the workers' sweep
finds what there is to do within a second.
"""

import asyncio
import contextlib
import secrets
import socket
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Final

import httpx
from starlette.types import ASGIApp

from webhookd.adapters.files import open_bucket
from webhookd.adapters.store.tasks.task_types import read_types
from webhookd.adapters.telemetry import configure_logging
from webhookd.api.app import create_app
from webhookd.api.parts import ApiOptions, ApiParts
from webhookd.core.admission import BrokerStatus
from webhookd.core.api_keys import operator_key_hash
from webhookd.core.egress import EgressPolicy
from webhookd.flows.known_types import KnownTypes
from webhookd.flows.load import LoadGauge
from webhookd.settings import Settings, load_settings
from webhookd.taskset import load_task_sets
from webhookd.wiring.api import key_quota, new_watchers, submit_flow
from webhookd.wiring.process import days_ms, load_vault, open_store, require_database

SAMPLES: Final = "webhookd.samples:tasks"
_SESSION: Final = "ses_cli"
"""Only named, never begun: this process claims nothing."""


@contextlib.contextmanager
def own_api() -> Iterator[httpx.BaseTransport]:
    """Open the installation that the settings name. Raises SettingsError."""
    settings = load_settings()
    require_database(settings)
    configure_logging(log_format=settings.log_format, level="error", process="cli")
    key = secrets.token_urlsafe(32)
    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        try:
            app = runner.run(stack.enter_async_context(_opened(settings, key)))
            yield _InProcess(runner, app, key)
        finally:
            runner.run(stack.aclose())


class _InProcess(httpx.BaseTransport):
    """Answers requests on the application itself. The loop runs only while a request is answered."""

    def __init__(self, runner: asyncio.Runner, app: ASGIApp, key: str) -> None:
        self._runner = runner
        self._transport = httpx.ASGITransport(app, client=("127.0.0.1", 0))
        self._key = key

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()  # a file that is sent is whole here: the application reads without waiting for it
        request.headers["Authorization"] = f"Bearer {self._key}"
        return self._runner.run(self._answer(request))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        answer = await self._transport.handle_async_request(request)
        return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())


async def _no_look_at_broker() -> BrokerStatus:
    return BrokerStatus(ok=True)


@contextlib.asynccontextmanager
async def _opened(settings: Settings, key: str) -> AsyncIterator[ASGIApp]:
    vault = load_vault(settings)
    store = await open_store(settings, vault, _SESSION)
    # No operator's code is run by a command that looks at rows: what workers have published is known.
    types = KnownTypes(load_task_sets(SAMPLES), partial(store.read, read_types))
    load = LoadGauge(
        store.queues,
        look_at_broker=_no_look_at_broker,
        free_disk_bytes=lambda: None,
        monotonic=time.monotonic,
    )
    watchers = new_watchers(settings, store)
    watching = asyncio.create_task(watchers.run())
    try:
        await load.refresh()
        await types.refresh()
        yield create_app(
            ApiParts(
                options=ApiOptions(
                    base_url=settings.public_url,
                    admin_key_hash=operator_key_hash(key),
                    max_input_bytes=settings.max_input_bytes,
                    files_max_bytes=settings.files_max_bytes,
                    partner_max_file_bytes=settings.partner_max_file_bytes,
                    files_keep_ms=days_ms(settings.retention_files_days),
                    operator_host=socket.gethostname(),
                ),
                store=store,
                task_types=types,
                egress=EgressPolicy.parse(settings.egress_allow),
                vault=vault,
                submit=submit_flow(settings, store, load),
                load=load,
                watchers=watchers,
                key_quota=key_quota(settings, store),
                now_ms=store.clock.now_ms,
                files=open_bucket(settings.resolved_files_url),
            )
        )
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        await store.close()
