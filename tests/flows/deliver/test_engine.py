"""The delivery engine on both databases; only the far side of the wire is a stand-in.

Time is the store's own clock, so a "turn" here is one that a permit would have called.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import select
from standardwebhooks import Webhook

from tests.support.seeds import endpoint, message_to, partner
from tests.support.sending import assert_in_flight_is_true
from tests.support.services import until
from webhookd.adapters.entropy import new_id, new_signing_secret, new_span_id
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.endpoints import secrets as secret_rows
from webhookd.adapters.store.endpoints.endpoint_settings import HEADERS_FIELD
from webhookd.adapters.store.schema import attempts, deliveries, endpoints, secrets, sessions
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Tx
from webhookd.adapters.vault import Vault, generate_key
from webhookd.core import ids
from webhookd.core.errors import Unavailable
from webhookd.core.facts import AttemptEnded
from webhookd.core.hosts import BRAKE_FAILURES
from webhookd.core.records import Endpoint
from webhookd.core.reply import Reply, Timing
from webhookd.core.retry import RetryPolicy
from webhookd.flows.alarm import Alarm
from webhookd.flows.deliver import DeliveryEngine
from webhookd.flows.lease import Lease

OK = Reply(status=200, timing=Timing(total_us=1_000))
BUSY = Reply(status=500, timing=Timing(total_us=1_000))


@dataclass
class FarSide:
    """Receivers: what they say is in `says`, by URL; while `gate` is closed they think."""

    says: dict[str, Reply | Exception] = field(default_factory=dict)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    posts: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    closed: bool = False

    def prepare(self, url: str, *, owner: str) -> str:  # noqa: ARG002 - the port
        return url

    async def post(self, target: str, *, headers: Sequence[tuple[str, str]], body: bytes) -> Reply:
        self.posts.append((target, dict(headers), body))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        said = self.says.get(target, OK)
        if isinstance(said, Exception):
            raise said
        return said

    async def close(self) -> None:
        self.closed = True


@dataclass
class Faulty:
    """The store's lanes, with a database that can be away."""

    lanes: Any
    away: bool = False
    refused: int = 0

    async def claim(self, request: Any) -> Any:
        return await self.lanes.claim(request)

    async def held(self, session_id: str, now_ms: int) -> Any:
        return await self.lanes.held(session_id, now_ms)

    async def record(self, done: Any) -> Any:
        if self.away:
            self.refused += 1
            raise Unavailable("It is away.", retry_after_seconds=1)
        return await self.lanes.record(done)

    async def hand_back(self, handed: Any) -> Any:
        return await self.lanes.hand_back(handed)


@dataclass
class Rig:
    """An engine with what surrounds it."""

    engine: DeliveryEngine
    far: FarSide
    lanes: Faulty
    store: Store
    vault: Vault
    lease: Lease
    facts: list[AttemptEnded]

    async def partner(self) -> str:
        return await partner(self.store.db, new_id(ids.PARTNER, 0))

    async def endpoint(self, owner: str | None = None, **settings: object) -> Endpoint:
        owner = owner or await self.partner()
        made = await endpoint(self.store, owner, **settings)
        await self.store.db.write(self._add_secret, made)
        return made

    def _add_secret(self, tx: Tx, made: Endpoint) -> None:
        self.secret = new_signing_secret("v1")
        sealed = self.vault.seal(
            self.secret.encode(), partner=made.partner_id, endpoint=made.id, field=secret_rows.SECRET_FIELD
        )
        secret_rows.add(tx, made.partner_id, made.id, scheme="v1", sealed=sealed, created_ms=1)

    async def messages(self, target: Endpoint, count: int) -> list[str]:
        now_ms = self.store.clock.now_ms()
        return [await message_to(self.store, target, now_ms=now_ms) for _ in range(count)]

    async def rows(self) -> dict[str, Any]:
        found = await self.store.db.read(lambda tx: tx.conn.execute(select(deliveries)).all())
        return {row.id: row for row in found}

    async def attempts(self) -> list[Any]:
        return await self.store.db.read(lambda tx: list(tx.conn.execute(select(attempts)).all()))

    async def settled(self, state: str, count: int) -> None:
        async def done() -> bool:
            return [row.state for row in (await self.rows()).values()].count(state) == count

        await until(done, what=f"{count} {state}")


Rigged = Callable[..., Any]


@pytest.fixture
async def rigged(database: Database) -> Rigged:
    """Make a rig: `async with rigged(connections=8) as rig`."""

    @asynccontextmanager
    async def make(*, connections: int = 64, lease_seconds: float = 60.0) -> AsyncIterator[Rig]:
        vault, far = Vault([generate_key()]), FarSide()
        facts: list[AttemptEnded] = []
        lease = Lease(
            sessions=None,  # type: ignore[arg-type]  # filled in below: the store wants its session's name
            clock=None,  # type: ignore[arg-type]
            new_id=lambda: new_id("ses", int(time.time() * 1000)),
            kind="deliver",
            host="test",
            pid=1,
            detail={},
            lease_seconds=lease_seconds,
        )
        store = Store(database, vault)
        lease._sessions, lease._clock = store.sessions, store.clock
        await lease.begin()
        lanes = Faulty(store.lanes)
        alarm = Alarm(lambda _queue: None, store.clock.now_ms)
        engine = DeliveryEngine(
            lanes=lanes,
            sender=far,
            vault=vault,
            lease=lease,
            alarm=alarm,
            now_ms=store.clock.now_ms,
            new_span_id=new_span_id,
            chance=lambda: 0.5,
            policy=RetryPolicy(max_attempts=14, base_seconds=60, factor=1, cap_seconds=60),
            connections=connections,
            user_agent="webhookd/test",
            listeners=(facts.append,),
        )
        far.gate.set()
        try:
            yield Rig(engine, far, lanes, store, vault, lease, facts)
        finally:
            far.gate.set()
            lanes.away = False
            await engine.stop(5)
            alarm.close()

    return make


async def test_what_is_due_is_signed_sent_once_and_recorded(rigged: Rigged) -> None:
    async with rigged() as rig:
        target = await rig.endpoint()
        (delivery_id,) = await rig.messages(target, 1)
        await rig.engine.turn()
        await rig.settled("delivered", 1)
        ((url, headers, body),) = rig.far.posts
        assert url == target.url
        assert Webhook(rig.secret).verify(body, headers)
        assert headers["webhook-attempt"] == "1"
        row = (await rig.rows())[delivery_id]
        assert headers["webhook-id"] == row.message_id
        assert (row.attempts, row.last_status, row.session_id) == (1, 200, None)
        assert [one.number for one in await rig.attempts()] == [1]
        assert [(fact.verdict, fact.status) for fact in rig.facts] == [("delivered", 200)]
        await assert_in_flight_is_true(rig.store)


async def test_one_turn_drains_a_backlog_within_the_sockets_and_the_lanes(rigged: Rigged) -> None:
    async with rigged(connections=8) as rig:
        targets = [await rig.endpoint(max_concurrency=2) for _ in range(6)]
        for target in targets:
            await rig.messages(target, 10)
        await rig.engine.turn()
        await rig.settled("delivered", 60)
        assert len(rig.far.posts) == 60
        assert rig.far.most_at_once <= 8
        assert len(await rig.attempts()) == 60
        await assert_in_flight_is_true(rig.store)


async def test_a_lane_has_no_more_under_way_than_its_ceiling_even_while_answers_wait_for_the_store(
    rigged: Rigged,
) -> None:
    async with rigged() as rig:
        target = await rig.endpoint(max_concurrency=2)
        await rig.messages(target, 6)
        rig.lanes.away = True
        await rig.engine.turn()
        await until(lambda: rig.lanes.refused >= 2, what="answers that cannot be recorded")
        await rig.engine.turn()
        assert len(rig.far.posts) == 2
        assert rig.engine.under_way == 2
        rig.lanes.away = False
        await rig.settled("delivered", 6)
        assert len(rig.far.posts) == 6, "nothing was sent twice because its record had to wait"


async def test_hanging_receivers_hold_their_lanes_only(rigged: Rigged) -> None:
    async with rigged(connections=32) as rig:
        hanging = [await rig.endpoint(url=f"https://hangs{n}.example/") for n in range(3)]
        well = await rig.endpoint(url="https://well.example/")
        for target in hanging:
            await rig.messages(target, 3)
        rig.far.gate.clear()
        await rig.engine.turn()
        await until(lambda: len(rig.far.posts) == 9, what="posts that hang")
        hanging_gate, rig.far.gate = rig.far.gate, asyncio.Event()
        rig.far.gate.set()  # those that are sent from now on are answered at once
        await rig.messages(well, 5)
        await rig.engine.turn()
        await until(
            lambda: sum(url == well.url for url, _, _ in rig.far.posts) == 5, what="the healthy one's"
        )
        hanging_gate.set()


async def test_new_receivers_that_hang_leave_half_of_the_sockets_to_the_others(rigged: Rigged) -> None:
    async with rigged(connections=16) as rig:
        well = await rig.endpoint(url="https://well.example/")
        await rig.messages(well, 1)
        await rig.engine.turn()
        await rig.settled("delivered", 1)
        for number in range(10):
            await rig.messages(await rig.endpoint(url=f"https://hangs{number}.example/"), 4)
        rig.far.gate.clear()
        await rig.engine.turn()
        await until(lambda: rig.far.at_once == 8, what="posts that hang")
        hanging_gate, rig.far.gate = rig.far.gate, asyncio.Event()
        rig.far.gate.set()
        await rig.messages(well, 20)
        await rig.engine.turn()
        await rig.settled("delivered", 21)
        assert rig.far.at_once == 8
        hanging_gate.set()


@pytest.mark.parametrize("known", [True, False], ids=["answered before", "fresh"])
async def test_one_partners_receivers_that_hang_leave_room_for_every_other_partner(
    rigged: Rigged, known: bool
) -> None:
    async with rigged(connections=16) as rig:
        one, others = await rig.partner(), [await rig.endpoint() for _ in range(3)]
        hanging = [await rig.endpoint(one, url=f"https://hangs{n}.example/") for n in range(20)]
        if known:
            for target in hanging:
                await rig.messages(target, 1)
            await rig.engine.turn()
            await rig.settled("delivered", 20)
        for target in hanging:
            await rig.messages(target, 4)
        rig.far.gate.clear()
        await rig.engine.turn()
        await until(lambda: rig.far.at_once > 0, what="posts that hang")
        for _ in range(3):
            await rig.engine.turn()
        held = rig.far.at_once
        assert held <= (12 if known else 6), "three quarters of all, or of the new ones' share"
        hanging_gate, rig.far.gate = rig.far.gate, asyncio.Event()
        rig.far.gate.set()
        for target in others:
            await rig.messages(target, 10)
        await rig.engine.turn()
        await rig.settled("delivered", 30 + 20 * known)
        assert rig.far.at_once <= 12
        hanging_gate.set()


async def test_what_hangs_for_a_second_counts_against_its_partners_slow_ones(
    rigged: Rigged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhookd.flows.deliver.sockets.SLOW_AFTER_SECONDS", 0.0)
    monkeypatch.setattr("webhookd.flows.deliver.sockets.LOOK_FOR_SLOW_SECONDS", 0.01)
    async with rigged(connections=16) as rig:
        target = await rig.endpoint(max_concurrency=8)
        await rig.messages(target, 1)
        await rig.engine.turn()
        await rig.settled("delivered", 1)
        await rig.messages(target, 8)
        rig.far.gate.clear()
        await rig.engine.turn()
        sockets = rig.engine._sockets
        await until(
            lambda: sockets.slow.held.get(target.partner_id, 0) == rig.far.at_once > 0,
            what="attempts that count as slow",
        )
        assert target.id in sockets.hanging_lanes
        assert sockets.slow.free == 4, "they take nothing from others' slow lanes"
        rig.far.gate.set()
        await rig.settled("delivered", 9)
        assert (sockets.all.held, sockets.slow.held, sockets.unheard.held) == ({}, {}, {})
        assert sockets.hanging_lanes == frozenset()


async def test_nobody_can_be_aimed_with_many_endpoints(rigged: Rigged) -> None:
    async with rigged(connections=32) as rig:
        well = await rig.endpoint(url="https://target.example/well")
        await rig.messages(well, 1)
        await rig.engine.turn()
        await rig.settled("delivered", 1)
        owner = await rig.partner()
        aimed = [await rig.endpoint(owner, url=f"https://target.example/{n}") for n in range(60)]
        for target in aimed:
            rig.far.says[target.url] = Reply(status=404, timing=Timing(total_us=1_000))
            await rig.messages(target, 5)
        sent = -1
        while sent != len(rig.far.posts):
            sent = len(rig.far.posts)
            await rig.engine.turn()
            await until(lambda: not rig.engine.under_way, what="the answers of a turn")
        assert sent <= BRAKE_FAILURES + 32 + 1, "the brake, and what was under way when it went on"
        rows = await rig.rows()
        assert sum(row.attempts for row in rows.values()) == sent, "what is braked uses up no attempts"
        assert {row.state for row in rows.values()} == {"pending", "delivered"}
        await rig.messages(well, 3)
        await rig.engine.turn()
        await rig.settled("delivered", 4)


async def test_many_new_receivers_are_all_served_by_one_turn(rigged: Rigged) -> None:
    async with rigged(connections=8) as rig:
        for _ in range(20):
            await rig.messages(await rig.endpoint(), 1)
        await rig.engine.turn()
        await rig.settled("delivered", 20)
        assert rig.far.most_at_once <= 4


async def test_a_failure_is_due_again_and_uses_one_attempt(rigged: Rigged) -> None:
    async with rigged() as rig:
        target = await rig.endpoint()
        rig.far.says[target.url] = BUSY
        (delivery_id,) = await rig.messages(target, 1)
        before_ms = rig.store.clock.now_ms()
        await rig.engine.turn()
        await until(lambda: rig.facts != [], what="the record")
        row = (await rig.rows())[delivery_id]
        assert (row.state, row.attempts, row.last_status, row.session_id) == ("pending", 1, 500, None)
        assert row.due_ms >= before_ms + 30_000


async def test_a_lost_socket_of_ours_uses_no_attempt(rigged: Rigged) -> None:
    async with rigged() as rig:
        target = await rig.endpoint()
        rig.far.says[target.url] = OSError(24, "Too many open files")
        (delivery_id,) = await rig.messages(target, 1)
        await rig.engine.turn()

        async def handed_back() -> bool:
            row = (await rig.rows())[delivery_id]
            return (row.session_id, row.attempts, row.state) == (None, 0, "pending")

        await until(handed_back, what="the delivery handed back")
        assert await rig.attempts() == []
        await assert_in_flight_is_true(rig.store)


async def test_a_secret_that_does_not_open_sends_nothing(rigged: Rigged) -> None:
    async with rigged() as rig:
        target = await rig.endpoint()
        await rig.messages(target, 1)
        rig.engine._signer._vault = Vault([generate_key()])
        await rig.engine.turn()
        await until(lambda: rig.engine.under_way == 0, what="the end of the attempt")
        assert rig.far.posts == []


async def test_a_secret_copied_into_another_partners_row_signs_nothing_though_it_was_opened_before(
    rigged: Rigged,
) -> None:
    async with rigged() as rig:
        first, other = await rig.endpoint(), await rig.endpoint()
        await rig.messages(first, 1)
        await rig.messages(other, 1)
        await rig.engine.turn()
        await rig.settled("delivered", 2)

        def copy(tx: Tx) -> None:
            one = tx.conn.execute(
                select(secrets.c.sealed).where(secrets.c.endpoint_id == first.id)
            ).scalar_one()
            tx.conn.execute(secrets.update().where(secrets.c.endpoint_id == other.id).values(sealed=one))

        await rig.store.db.write(copy)
        await rig.messages(other, 1)
        await rig.messages(first, 1)
        await rig.engine.turn()
        await rig.settled("delivered", 3)
        await until(lambda: rig.engine.under_way == 0, what="the end of the attempts")
        assert len(rig.far.posts) == 3


async def test_headers_copied_into_another_partners_row_are_sent_nowhere(rigged: Rigged) -> None:
    async with rigged() as rig:
        first, other = await rig.endpoint(), await rig.endpoint()
        where = {"partner": first.partner_id, "endpoint": first.id, "field": HEADERS_FIELD}
        sealed = rig.vault.seal(b'{"x-token":"planted"}', **where)
        for target in (first, other):
            await rig.store.db.write(_set_headers, target.id, sealed)
        await rig.messages(first, 1)
        await rig.engine.turn()
        await rig.settled("delivered", 1)
        assert rig.far.posts[0][1]["x-token"] == "planted"
        await rig.messages(other, 1)
        await rig.engine.turn()
        await until(lambda: rig.engine.under_way == 0, what="the end of the attempt")
        assert len(rig.far.posts) == 1


def _set_headers(tx: Tx, endpoint_id: str, sealed: str) -> None:
    tx.conn.execute(endpoints.update().where(endpoints.c.id == endpoint_id).values(headers_sealed=sealed))


async def test_without_a_lease_nothing_is_claimed_or_sent(rigged: Rigged) -> None:
    async with rigged(lease_seconds=0.2) as rig:
        target = await rig.endpoint()
        await rig.messages(target, 1)
        await until(lambda: not rig.lease.alive, what="the lease's end")
        await rig.engine.turn()
        assert rig.far.posts == []
        assert all(row.attempts == 0 for row in (await rig.rows()).values())


async def test_an_answer_that_comes_after_the_lease_was_lost_is_not_recorded(rigged: Rigged) -> None:
    async with rigged() as rig:
        target = await rig.endpoint()
        (delivery_id,) = await rig.messages(target, 1)
        rig.far.gate.clear()
        await rig.engine.turn()
        await until(lambda: rig.far.posts != [], what="the post")
        old = rig.lease.id
        await rig.store.db.write(
            lambda tx: tx.conn.execute(sessions.update().where(sessions.c.id == old).values(lease_until_ms=1))
        )
        await rig.store.sweeps.rescue(rig.store.clock.now_ms())
        rig.far.gate.set()
        await until(lambda: rig.facts != [], what="the late answer")
        assert [fact.verdict for fact in rig.facts] == ["lost"]
        row = (await rig.rows())[delivery_id]
        assert (row.state, row.session_id) == ("pending", None)
        await assert_in_flight_is_true(rig.store)


async def test_a_stop_lets_answers_come_and_claims_nothing_more(rigged: Rigged) -> None:
    async with rigged(connections=16) as rig:
        target = await rig.endpoint(max_concurrency=4)
        await rig.messages(target, 10)
        rig.far.gate.clear()
        await rig.engine.turn()
        await until(lambda: len(rig.far.posts) == 4, what="the first posts")
        stopping = asyncio.create_task(rig.engine.stop(30))
        await asyncio.sleep(0)
        rig.far.gate.set()
        await stopping
        assert rig.far.closed
        states = [row.state for row in (await rig.rows()).values()]
        assert len(rig.far.posts) == 4 == states.count("delivered")
        assert all(row.session_id is None for row in (await rig.rows()).values())
