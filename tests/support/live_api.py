"""The API as it runs: uvicorn on a free port, real Valkey, real database; and a hand that plays the worker.

What the fixture `live` of `tests/api` gives. The worker's hand writes through a store of its own and
publishes signals only when asked to, so that a test decides which are lost.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from tests.support.plain_http import async_http_client
from tests.support.services import ValkeyServer, until
from webhookd.adapters.signals import Signals
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Policy, Wakes
from webhookd.adapters.vault import Vault, generate_key
from webhookd.asgi import Server
from webhookd.core.execution import ClaimTasks, End, Progress, TaskEnd, TypeLimit
from webhookd.core.records import ClaimedTask
from webhookd.flows.watch import Watchers
from webhookd.settings import Settings
from webhookd.wiring.api import api_process
from webhookd.wiring.listening import listen
from webhookd.wiring.process import background

ADMIN_KEY = "an-admin-key-of-the-tests"
SESSION = "ses_hand"


@dataclass(slots=True, kw_only=True)
class Hand:
    """Runs tasks as a worker would, step by step. `tells`: whether signals are published."""

    store: Store
    tells: bool = True
    claimed: dict[str, ClaimedTask] = field(default_factory=dict)

    async def start(self, task_id: str) -> None:
        """Claim until this task is among the claimed."""
        while task_id not in self.claimed:
            now_ms = self.store.clock.now_ms()
            claim = await self.store.tasks.claim(
                ClaimTasks(
                    session_id=SESSION,
                    queue="default",
                    free=100,
                    idle=True,
                    limits=(TypeLimit(type="demo.echo", timeout_ms=60_000),),
                    now_ms=now_ms,
                )
            )
            assert claim.tasks, f"{task_id} is not there to be claimed"
            for task in claim.tasks:
                self.claimed[task.id] = task

    async def progress(self, task_id: str, percent: float) -> None:
        """Report progress: one version more."""
        task = self.claimed[task_id]
        assert await self.store.tasks.progress(
            Progress(
                task_id=task.id,
                session_id=SESSION,
                token=task.token,
                percent=percent,
                message=None,
                now_ms=self.store.clock.now_ms(),
            )
        )

    async def finish(self, task_id: str, result: Any = None) -> None:
        """End the task as succeeded, starting it first where need be."""
        await self.start(task_id)
        now_ms = self.store.clock.now_ms()
        recorded = await self.store.tasks.record(
            TaskEnd(
                task=self.claimed.pop(task_id),
                session_id=SESSION,
                end=End.SUCCEEDED,
                started_ms=now_ms,
                now_ms=now_ms,
                result_json=json.dumps(result),
            )
        )
        assert not recorded.lost


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePartner:
    """A partner, its key, and an HTTP client with it."""

    id: str
    key: str
    http: httpx.AsyncClient

    async def submit(self, **body: Any) -> dict[str, Any]:
        """The task, just accepted."""
        answer = await self.http.post("/v1/tasks", json={"type": "demo.echo", **body})
        assert answer.status_code == 202, answer.text
        task: dict[str, Any] = answer.json()
        return task


@dataclass(slots=True, kw_only=True)
class Live:
    """A running API. `stop` is what SIGTERM does."""

    url: str
    watchers: Watchers
    server: Server
    serving: asyncio.Task[None]
    hand: Hand
    stack: AsyncExitStack
    names: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def client(self, key: str) -> httpx.AsyncClient:
        """An HTTP client with this key and no limits of its own."""
        client = async_http_client(self.url, key, timeout=90, limits=httpx.Limits(max_connections=None))
        return await self.stack.enter_async_context(client)

    async def partner(self) -> LivePartner:
        """A new partner."""
        admin = await self.client(ADMIN_KEY)
        answer = await admin.post("/v1/partners", json={"name": f"partner-{next(self.names)}"})
        assert answer.status_code == 201, answer.text
        made = answer.json()
        return LivePartner(id=made["id"], key=made["key"], http=await self.client(made["key"]))

    async def stream(self, key: str | None, **options: Any) -> ClientConnection:
        """A WebSocket to `/v1/stream`, with the key as a header unless it is None."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return await self.stack.enter_async_context(
            connect(
                self.url.replace("http", "ws", 1) + "/v1/stream",
                additional_headers=headers,
                proxy=None,
                **options,
            )
        )

    def stop(self) -> None:
        """Begin to stop."""
        self.server.stop()


@asynccontextmanager
async def live_api(
    database_url: str, valkey: ValkeyServer, folder: Path, **changes: Any
) -> AsyncIterator[Live]:
    """Serve the API on a migrated database; `changes` are settings by their fields' names."""
    encryption_key = generate_key()
    settings = Settings.model_construct(  # to look for each in the environment takes as long as to start
        data_dir=folder,
        database_url=database_url,
        broker_url=valkey.url,
        encryption_keys=(encryption_key,),
        admin_key=ADMIN_KEY,
        port=0,
        min_free_disk_bytes=0,
        shutdown_seconds=5,
        partner_rate=100_000,
        partner_burst=100_000,
    ).model_copy(update=changes)
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(listen(settings))
        api = await stack.enter_async_context(api_process(settings))
        server = Server(api, settings)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        def wake(wakes: Wakes) -> None:
            if hand.tells:
                signals.publish(wakes.tasks)

        store = await Store.open(database_url, Vault([encryption_key]), Policy(session_id=SESSION), wake=wake)
        stack.push_async_callback(store.close)
        now_ms = store.clock.now_ms()
        await store.sessions.begin(
            session_id=SESSION,
            kind="tasks",
            host="test",
            pid=0,
            detail={},
            now_ms=now_ms,
            lease_until_ms=now_ms + 3_600_000,
        )
        signals = Signals(valkey.url)
        stack.push_async_callback(signals.aclose)
        await stack.enter_async_context(background(signals.listen()))
        hand = Hand(store=store)
        clients = await stack.enter_async_context(AsyncExitStack())
        live = Live(
            url=url,
            watchers=api.watchers,
            server=server,
            serving=serving,
            hand=hand,
            stack=clients,
        )
        await until(lambda: server.started, what="the server")
        try:
            yield live
        finally:
            await clients.aclose()
            server.stop()
            await serving


async def heard(socket: ClientConnection, seconds: float = 30.0) -> dict[str, Any]:
    """The next message on a WebSocket."""
    message: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), seconds))
    return message


async def say(socket: ClientConnection, message: Any) -> None:
    """Send a JSON message."""
    await socket.send(json.dumps(message))
