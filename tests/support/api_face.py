"""The HTTP face on a real store, driven in process: what the fixtures `face` and `sqlite_face` give.

What is not the store (bell, broker, disk) is a plain value that a test may set.
"""

import functools
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, Field
from starlette.types import ASGIApp

from tests.support.services import folder_in_memory
from webhookd.adapters.files import open_bucket
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Policy, Wakes
from webhookd.adapters.vault import Vault, generate_key
from webhookd.api.app import create_app
from webhookd.api.parts import ApiOptions, ApiParts
from webhookd.api.watch import key_review
from webhookd.core.admission import BrokerStatus, Ceilings
from webhookd.core.api_keys import operator_key_hash
from webhookd.core.egress import EgressPolicy
from webhookd.core.facts import RequestFacts
from webhookd.core.rate import Rate
from webhookd.core.records import TaskSignal
from webhookd.flows.load import LoadGauge
from webhookd.flows.rates import PartnerRates
from webhookd.flows.submit import SubmitTasks
from webhookd.flows.watch import Watchers
from webhookd.settings import Settings
from webhookd.taskset import TaskContext, TaskSet
from webhookd.wiring.api import key_quota

ADMIN_KEY = "an-admin-key-of-the-tests"


class Order(BaseModel):
    """The input of `test.order`."""

    account: str
    lines: list[int] = Field(default_factory=list)
    due: date | None = None


def task_types() -> TaskSet:
    """Two types: any object, and a model."""
    tasks = TaskSet()

    @tasks.task("test.echo")
    def echo(ctx: TaskContext, input: dict[str, Any]) -> dict[str, Any]:  # noqa: A002 - the contract's word
        """Give back what came.

        Not shown: only the first paragraph is.
        """
        return input

    @tasks.task("test.order", queue="orders", max_attempts=5)
    def order(ctx: TaskContext, input: Order) -> str:  # noqa: A002 - the contract's word
        return input.account

    return tasks


@functools.cache
def _types_of_all() -> TaskSet:
    """The same for all faces: nobody adds to it, and a schema takes long to make."""
    return task_types()


@dataclass(slots=True, kw_only=True)
class Broker:
    """What the broker says of itself."""

    status: BrokerStatus = field(
        default_factory=lambda: BrokerStatus(ok=True, used_memory_bytes=1_000_000, max_memory_bytes=0)
    )


@dataclass(slots=True)
class Bell:
    """Remembers the queues that were rung."""

    rung: list[str] = field(default_factory=list)

    def ring(self, queue: str) -> None:
        self.rung.append(queue)


@dataclass(slots=True)
class Signals:
    """Remembers what was published."""

    published: list[TaskSignal] = field(default_factory=list)

    def publish(self, changes: Sequence[TaskSignal]) -> None:
        self.published.extend(changes)


@dataclass(slots=True)
class Clock:
    """The real time, plus what a test adds."""

    ahead_ms: int = 0

    def now_ms(self) -> int:
        return int(time.time() * 1000) + self.ahead_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerFace:
    """One partner and a client with its key."""

    id: str
    name: str
    key: str
    secret: str
    client: httpx.AsyncClient


@dataclass(slots=True, kw_only=True)
class Face:
    """The application and what a test may look at or set."""

    parts: ApiParts
    store: Store
    broker: Broker
    bell: Bell
    signals: Signals
    clock: Clock
    facts: list[RequestFacts]
    disk: list[int | None]
    stack: AsyncExitStack
    app: ASGIApp
    admin: httpx.AsyncClient
    names: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def client(self, key: str | None, **changes: Any) -> httpx.AsyncClient:
        """A client with this key, of the application as it was opened, or of one with these parts changed."""
        app = create_app(replace(self.parts, **changes)) if changes else self.app
        return await _client(self.stack, app, key)

    async def partner(self, **body: Any) -> PartnerFace:
        """A new partner."""
        answer = await self.admin.post("/v1/partners", json={"name": f"partner-{next(self.names)}", **body})
        assert answer.status_code == 201, answer.text
        made = answer.json()
        client = await self.client(made["key"])
        return PartnerFace(
            id=made["id"], name=made["name"], key=made["key"], secret=made["secret"], client=client
        )

    def with_rates(self, rates: PartnerRates) -> SubmitTasks:
        """The flow of submissions with other rates."""
        return SubmitTasks(
            intake=self.store.tasks,
            recall=self.store.idempotency.find,
            load=self.parts.load,
            rates=rates,
            ceilings=self.parts.submit.ceilings,
        )

    def with_ceilings(self, **changes: int) -> dict[str, Any]:
        """Changes for `client`: other ceilings, and buckets of their own."""
        submit = self.parts.submit
        other = SubmitTasks(
            intake=self.store.tasks,
            recall=self.store.idempotency.find,
            load=self.parts.load,
            rates=submit.rates,
            ceilings=replace(submit.ceilings, **changes),
        )
        return {"submit": other}


async def _client(stack: AsyncExitStack, app: ASGIApp, key: str | None) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=("192.0.2.7", 4711))
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    client = httpx.AsyncClient(transport=transport, base_url="http://webhookd.test", headers=headers)
    return await stack.enter_async_context(client)


@asynccontextmanager
async def open_face(database_url: str) -> AsyncIterator[Face]:
    """Put the application on a migrated database."""
    vault = Vault([generate_key()])
    clock, broker, bell, signals = Clock(), Broker(), Bell(), Signals()
    stack = AsyncExitStack()
    folder = stack.enter_context(TemporaryDirectory(prefix="webhookd-files-", dir=folder_in_memory()))
    facts: list[RequestFacts] = []
    disk: list[int | None] = [10**12]

    async def look_at_broker() -> BrokerStatus:
        return broker.status

    def wake(wakes: Wakes) -> None:
        bell.rung.extend(sorted(wakes.queues))
        signals.published.extend(wakes.tasks)

    store = await Store.open(database_url, vault, Policy(session_id="ses_api"), wake=wake)
    store.db.now_ms = clock.now_ms
    load = LoadGauge(
        store.queues,
        look_at_broker=look_at_broker,
        free_disk_bytes=lambda: disk[0],
        monotonic=time.monotonic,
    )
    parts = ApiParts(
        options=ApiOptions(admin_key_hash=operator_key_hash(ADMIN_KEY)),
        store=store,
        task_types=_types_of_all(),
        egress=EgressPolicy.parse(""),
        vault=vault,
        submit=SubmitTasks(
            intake=store.tasks,
            recall=store.idempotency.find,
            load=load,
            rates=PartnerRates(rate=1_000, burst=5_000, writes=Rate(per_second=1_000, burst=5_000)),
            ceilings=Ceilings(max_queued=1_000_000, partner_max_queued=100_000, min_free_disk_bytes=1_000),
        ),
        load=load,
        watchers=Watchers(store.tasks, store.changes, is_good_key=key_review(store.keys.find, clock.now_ms)),
        key_quota=key_quota(Settings.model_construct(), store),
        now_ms=clock.now_ms,
        files=open_bucket(f"file://{folder}/files"),
        listeners=(facts.append,),
    )
    app = create_app(parts)
    async with stack:
        stack.push_async_callback(store.close)
        yield Face(
            parts=parts,
            store=store,
            broker=broker,
            bell=bell,
            signals=signals,
            clock=clock,
            facts=facts,
            disk=disk,
            stack=stack,
            app=app,
            admin=await _client(stack, app, ADMIN_KEY),
        )


@pytest.fixture
async def face(migrated_url: str) -> AsyncIterator[Face]:
    """The HTTP application on SQLite and on PostgreSQL."""
    async with open_face(migrated_url) as opened:
        yield opened


@pytest.fixture
async def sqlite_face(migrated_sqlite_url: str) -> AsyncIterator[Face]:
    """The same on SQLite alone, for what ends before any database is asked."""
    async with open_face(migrated_sqlite_url) as opened:
        yield opened
