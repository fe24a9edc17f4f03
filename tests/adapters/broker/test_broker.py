"""The broker room on a real Valkey: rings become turns, and no fault of the broker stops that for long."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import dramatiq
import pytest
from dramatiq.brokers.redis import RedisBroker

from tests.support.services import ValkeyServer, until
from webhookd.adapters.broker import BrokerHealth, Ringer
from webhookd.adapters.broker import permits as permits_module
from webhookd.adapters.broker.permits import PermitBroker, check_queue_name
from webhookd.adapters.broker.rings import PERMIT
from webhookd.adapters.broker.turns import TurnWorker
from webhookd.core.errors import SettingsError

FOREVER = 3600.0


class Turns:
    """Records the turns of a worker; `during` is awaited within each."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.during: Callable[[str], Awaitable[None]] | None = None

    async def __call__(self, queue: str) -> None:
        self.seen.append(queue)
        if self.during is not None:
            await self.during(queue)

    def count(self, queue: str) -> int:
        return self.seen.count(queue)


@asynccontextmanager
async def working(
    url: str,
    turns: Turns,
    *queues: str,
    namespace: str = "webhookd",
    on_ring: Callable[[], None] = lambda: None,
) -> AsyncIterator[TurnWorker]:
    """A worker that has made its first look at each queue, whose record is then cleared."""
    worker = TurnWorker(
        url,
        namespace=namespace,
        queues=queues,
        on_turn=turns,
        on_ring=on_ring,
        loop=asyncio.get_running_loop(),
    )
    worker.start()
    try:
        await until(lambda: set(turns.seen) >= set(queues), what="the first look")
        turns.seen.clear()
        yield worker
    finally:
        await worker.stop(5)


@pytest.fixture(autouse=True)
def quick_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker without a turn notices within a tenth of a second that it shall stop."""
    monkeypatch.setattr(permits_module, "_WAIT_SECONDS", 0.1)


@pytest.fixture
async def ringer(valkey: ValkeyServer) -> AsyncIterator[Ringer]:
    ringer = Ringer(valkey.url)
    yield ringer
    await ringer.aclose()


@pytest.fixture
def no_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns come from permits alone, unless the broker is away."""
    monkeypatch.setattr(permits_module, "_SILENCE_SECONDS", FOREVER)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter steps on the network, for tests in which the server hangs."""
    monkeypatch.setattr(permits_module, "_AWAY_SECONDS", 0.2)


def waiting(valkey: ValkeyServer, queue: str) -> int:
    with valkey.client() as client:
        length = client.llen(f"webhookd:{queue}")
    assert isinstance(length, int)
    return length


# ── rings and turns ─────────────────────────────────────────────────────────────────────────────────────────


async def test_ring_runs_a_turn_of_that_queue_only(
    valkey: ValkeyServer, ringer: Ringer, no_looks: None
) -> None:
    turns = Turns()
    async with working(valkey.url, turns, "default", "reports", "deliver"):
        ringer.ring("reports")
        await until(lambda: turns.seen, what="a turn")
        ringer.ring("deliver")
        await until(lambda: len(turns.seen) == 2, what="a second turn")
    assert turns.seen == ["reports", "deliver"]


async def test_worker_leaves_the_queues_of_others_alone(
    valkey: ValkeyServer, ringer: Ringer, no_looks: None
) -> None:
    turns = Turns()
    async with working(valkey.url, turns, "default"):
        ringer.ring("reports")
        ringer.ring("default")
        await until(lambda: turns.seen, what="a turn")
    assert turns.seen == ["default"]
    assert waiting(valkey, "reports") == 1


async def test_namespaces_do_not_hear_each_other(
    valkey: ValkeyServer, ringer: Ringer, no_looks: None
) -> None:
    here, there = Turns(), Turns()
    async with working(valkey.url, here, "default"), working(valkey.url, there, "default", namespace="other"):
        ringer.ring("default")
        await until(lambda: here.seen, what="a turn")
    assert there.seen == []


async def test_queues_are_looked_at_when_the_worker_comes(valkey: ValkeyServer, no_looks: None) -> None:
    turns = Turns()
    async with working(valkey.url, turns, "default"):  # waits for that first look
        pass


async def test_turn_comes_without_a_ring_after_a_silence(
    valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permits_module, "_SILENCE_SECONDS", 0.1)
    turns = Turns()
    async with working(valkey.url, turns, "default"):
        await until(lambda: turns.count("default") >= 2, what="turns nobody rang for")


async def test_only_a_permit_is_a_sign_of_work(
    valkey: ValkeyServer, ringer: Ringer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permits_module, "_SILENCE_SECONDS", 0.1)
    turns, signs = Turns(), list[int]()
    async with working(valkey.url, turns, "default", on_ring=lambda: signs.append(len(turns.seen))):
        await until(lambda: turns.count("default") >= 3, what="turns nobody rang for")
        assert signs == []
        monkeypatch.setattr(permits_module, "_SILENCE_SECONDS", FOREVER)
        ringer.ring("default")
        await until(lambda: signs, what="the sign")


async def test_queue_has_one_turn_at_a_time_and_another_for_what_was_rung_meanwhile(
    valkey: ValkeyServer, ringer: Ringer, no_looks: None
) -> None:
    turns, go_on = Turns(), asyncio.Event()
    running, most = 0, 0

    async def hold(queue: str) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go_on.wait()
        running -= 1

    async with working(valkey.url, turns, "default", "reports"):  # two queues, so there is a second thread
        turns.during = hold
        ringer.ring("default")
        await until(lambda: turns.count("default") == 1, what="a turn")
        for _ in range(20):
            ringer.ring("default")
            await asyncio.sleep(0.01)
        assert turns.count("default") == 1
        go_on.set()
        await until(lambda: turns.count("default") >= 2, what="the next turn")
    assert most == 1


async def test_long_turn_of_one_queue_does_not_hold_up_another(
    valkey: ValkeyServer, ringer: Ringer, no_looks: None
) -> None:
    turns, go_on = Turns(), asyncio.Event()

    async def hold_slow(queue: str) -> None:
        if queue == "slow":
            await go_on.wait()

    async with working(valkey.url, turns, "slow", "default", "deliver"):
        turns.during = hold_slow
        ringer.ring("slow")
        await until(lambda: turns.count("slow"), what="the slow turn")
        ringer.ring("default")
        ringer.ring("deliver")
        await until(lambda: turns.count("default") and turns.count("deliver"), what="the others' turns")
        go_on.set()


async def test_turn_that_raises_is_not_the_last(
    valkey: ValkeyServer, ringer: Ringer, no_looks: None, caplog: pytest.LogCaptureFixture
) -> None:
    turns = Turns()

    async def fail(queue: str) -> None:
        raise RuntimeError("a defect in a turn")

    async with working(valkey.url, turns, "default"):
        turns.during = fail
        for expected in (1, 2, 3):
            ringer.ring("default")
            await until(lambda: turns.count("default") >= expected, what="the next turn")  # noqa: B023 - awaited here
    assert caplog.text.count("a turn of queue default failed") == 3


async def test_rings_coalesce_into_a_handful_of_permits(valkey: ValkeyServer, ringer: Ringer) -> None:
    for _ in range(50):
        ringer.ring("default")
        await asyncio.sleep(0.005)
    await until(lambda: ringer.rung == 4, what="four permits")
    ringer.ring("reports")
    await until(lambda: waiting(valkey, "reports") == 1, what="the ring of another queue")
    assert waiting(valkey, "default") == 4


async def test_rings_of_several_queues_are_one_round_trip(valkey: ValkeyServer, ringer: Ringer) -> None:
    ringer.ring("default")
    await until(lambda: ringer.rung == 1, what="the first ring, with the script")
    with valkey.client() as client:
        before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
        for queue in ("default", "reports", "deliver"):
            ringer.ring(queue)
        await until(lambda: ringer.rung == 4, what="the other rings")
        assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == before + 1


async def test_closing_a_ringer_sends_what_is_pending(valkey: ValkeyServer) -> None:
    ringer = Ringer(valkey.url)
    ringer.ring("default")
    await ringer.aclose()
    assert waiting(valkey, "default") == 1
    ringer.ring("default")  # ignored, and raises nothing
    assert waiting(valkey, "default") == 1


async def test_turns_leave_nothing_in_the_broker(
    valkey: ValkeyServer, ringer: Ringer, no_looks: None
) -> None:
    turns, another = Turns(), Ringer(valkey.url)
    async with working(valkey.url, turns, "default"):
        for expected, who in enumerate((ringer, another, ringer), start=1):
            who.ring("default")
            await until(lambda: len(turns.seen) == expected, what="a turn")  # noqa: B023 - awaited here
    await another.aclose()
    with valkey.client() as client:
        assert client.keys("*") == []


async def test_global_broker_of_dramatiq_is_not_set(valkey: ValkeyServer) -> None:
    async with working(valkey.url, Turns(), "default"):
        assert not isinstance(dramatiq.broker.global_broker, PermitBroker)


# ── stopping ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_stop_waits_for_the_turn_under_way(
    valkey: ValkeyServer, ringer: Ringer, no_looks: None
) -> None:
    turns, go_on, ended = Turns(), asyncio.Event(), []

    async def hold(queue: str) -> None:
        await go_on.wait()
        ended.append(queue)

    async with working(valkey.url, turns, "default", "reports") as worker:
        turns.during = hold
        ringer.ring("default")
        await until(lambda: turns.seen, what="a turn")
        stopping = asyncio.create_task(worker.stop(30))
        await asyncio.sleep(0.5)
        ringer.ring("reports")
        await until(lambda: ringer.rung == 2, what="a permit for others")
        await asyncio.sleep(0.2)
        assert not stopping.done()
        assert waiting(valkey, "reports") == 1
        go_on.set()
        await stopping
    assert ended == ["default"]


async def test_stop_cancels_a_turn_that_does_not_end(
    valkey: ValkeyServer, ringer: Ringer, no_looks: None
) -> None:
    turns, cancelled = Turns(), asyncio.Event()

    async def hang(queue: str) -> None:
        try:
            await asyncio.sleep(FOREVER)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with working(valkey.url, turns, "default") as worker:
        turns.during = hang
        ringer.ring("default")
        await until(lambda: turns.seen, what="a turn")
        await asyncio.wait_for(worker.stop(0.2), 30)
        assert cancelled.is_set()


async def test_stopped_worker_takes_no_permit(valkey: ValkeyServer, ringer: Ringer, no_looks: None) -> None:
    turns = Turns()
    async with working(valkey.url, turns, "default"):
        pass
    ringer.ring("default")
    await until(lambda: ringer.rung, what="the ring")
    await asyncio.sleep(0.2)
    assert waiting(valkey, "default") == 1
    assert turns.seen == []


async def test_permit_whose_turn_never_began_is_given_back(valkey: ValkeyServer) -> None:
    broker = PermitBroker(valkey.url, namespace="webhookd", timeout_seconds=2)
    consumer = broker.consume("default")
    look = next(consumer)  # the first, for which nobody rang
    assert look is not None
    consumer.ack(look)
    with valkey.client() as client:
        client.rpush("webhookd:default", PERMIT)
    taken = next(consumer)
    assert taken is not None
    assert waiting(valkey, "default") == 0
    consumer.requeue([look, taken])
    assert waiting(valkey, "default") == 1
    broker.close()


async def test_delay_queues_are_not_listened_to(valkey: ValkeyServer, ringer: Ringer, no_looks: None) -> None:
    turns = Turns()
    async with working(valkey.url, turns, "default"):
        with valkey.client() as client:
            client.rpush("webhookd:default.DQ", "stranger")
        await heard("default", turns, ringer)
    assert waiting(valkey, "default.DQ") == 1


# ── faults of the broker ────────────────────────────────────────────────────────────────────────────────────


def flush(valkey: ValkeyServer) -> None:
    with valkey.client() as client:
        client.flushall()


def pause(valkey: ValkeyServer) -> None:
    with valkey.client() as client:
        client.client_pause(3000)


def crash_and_restart(valkey: ValkeyServer) -> None:
    valkey.restart()


def nothing(_: ValkeyServer) -> None:
    """This fault ends by itself."""


FAULTS: dict[str, tuple[Callable[[ValkeyServer], None], Callable[[ValkeyServer], None]]] = {
    "emptied": (flush, nothing),
    "restarted": (crash_and_restart, nothing),
    "down": (ValkeyServer.kill, ValkeyServer.restart),
    "hanging": (ValkeyServer.freeze, ValkeyServer.thaw),
    "paused": (pause, nothing),
    "out of memory": (lambda valkey: valkey.limit_memory(1024), lambda valkey: valkey.limit_memory(0)),
}


@pytest.mark.faults
@pytest.mark.parametrize("fault", FAULTS)
async def test_every_queue_is_heard_again_after_the_broker_was(
    fault: str, valkey: ValkeyServer, ringer: Ringer, no_looks: None
) -> None:
    turns, queues = Turns(), ("default", "reports", "deliver")
    break_it, mend_it = FAULTS[fault]
    async with working(valkey.url, turns, *queues):
        break_it(valkey)
        for queue in queues:
            ringer.ring(queue)
        await asyncio.sleep(1)
        mend_it(valkey)
        for queue in queues:
            await heard(queue, turns, ringer)


async def heard(queue: str, turns: Turns, ringer: Ringer) -> None:
    """Ring until a permit got through and a turn came after it. (In an outage turns come without permits.)"""

    async def ring_on() -> None:
        rung, before = ringer.rung, turns.count(queue)
        while ringer.rung == rung or turns.count(queue) == before:
            if ringer.rung == rung:
                before = turns.count(queue)
                ringer.ring(queue)
            await asyncio.sleep(0.05)

    await asyncio.wait_for(ring_on(), 30)


@pytest.mark.faults
@pytest.mark.parametrize("fault", ["down", "hanging"])
async def test_work_goes_on_while_the_broker_is(
    fault: str, valkey: ValkeyServer, no_looks: None, patient: None
) -> None:
    turns = Turns()
    break_it, mend_it = FAULTS[fault]
    async with working(valkey.url, turns, "default"):
        break_it(valkey)
        await until(lambda: turns.count("default") >= 2, what="turns without a broker")
        mend_it(valkey)


@pytest.mark.faults
async def test_permits_are_taken_while_the_server_refuses_writes(
    valkey: ValkeyServer, ringer: Ringer, no_looks: None
) -> None:
    turns, go_on = Turns(), asyncio.Event()

    async def hold(queue: str) -> None:
        await go_on.wait()

    async with working(valkey.url, turns, "default"):
        turns.during = hold
        ringer.ring("default")
        await until(lambda: turns.count("default") == 1, what="a turn")
        ringer.ring("default")
        await until(lambda: ringer.rung == 2, what="a permit behind it")
        valkey.limit_memory(1024)
        ringer.ring("default")
        await until(lambda: ringer.failed, what="the refusal of a further one")
        go_on.set()
        await until(lambda: turns.count("default") == 2, what="the turn of the waiting permit")


@pytest.mark.faults
async def test_outage_is_told_once_and_its_end_once(
    valkey: ValkeyServer, no_looks: None, patient: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    turns = Turns()

    def lines(text: str) -> int:
        return sum(text in record.getMessage() for record in caplog.records)

    async with working(valkey.url, turns, "default", "reports", "deliver"):
        valkey.kill()
        await until(lambda: turns.count("default") >= 5, what="five tries")
        assert lines("the broker is away") == 1
        valkey.restart()
        await until(lambda: lines("the broker is back"), what="the end of the outage")
    assert lines("the broker is away") == lines("the broker is back") == 1


async def test_worker_starts_before_its_broker(valkey: ValkeyServer, ringer: Ringer, no_looks: None) -> None:
    turns = Turns()
    valkey.kill()
    async with working(valkey.url, turns, "default"):
        valkey.restart()
        await heard("default", turns, ringer)


async def test_ring_is_swallowed_and_counted_while_the_broker_is_away(valkey: ValkeyServer) -> None:
    ringer = Ringer(valkey.url)
    valkey.freeze()
    ringer.ring("default")
    await until(lambda: ringer.failed == 1, what="the failure", seconds=10)
    valkey.kill()
    ringer.ring("default")
    await until(lambda: ringer.failed == 2, what="the second failure", seconds=10)
    await ringer.aclose()
    assert ringer.rung == 0


# ── forged messages ─────────────────────────────────────────────────────────────────────────────────────────


def message(**fields: object) -> bytes:
    usual = {
        "queue_name": "default",
        "actor_name": "run",
        "args": ["default"],
        "kwargs": {},
        "options": {"redis_message_id": "a"},
        "message_id": "b",
        "message_timestamp": 1,
    }
    return json.dumps(usual | fields).encode()


FORGED: dict[str, bytes | None] = {
    "no body": None,
    "no text": b"\xff\xfe\x00",
    "no json": b"{",
    "no object": b"[1, 2]",
    "deep": b"[" * 100_000,
    "no fields": b"{}",
    "unknown actor": message(actor_name="os.system"),
    "another queue": message(queue_name="deliver", actor_name="deliver"),
    "strange arguments": message(args=[1, {"a": 2}], kwargs={"x": None}),
    "no redis_message_id": message(options={}),
    "delayed": message(options={"redis_message_id": "a", "eta": 99999999999999}),
    "pickled": b"\x80\x04cos\nsystem\n",
}


@pytest.mark.parametrize("forged", FORGED)
async def test_forged_message_is_dropped_and_the_queue_still_heard(
    forged: str, valkey: ValkeyServer, ringer: Ringer, no_looks: None
) -> None:
    turns, body = Turns(), FORGED[forged]
    async with working(valkey.url, turns, "default"):
        with valkey.client() as client:
            if body is not None:
                client.hset("webhookd:default.msgs", "forged", body)
            client.rpush("webhookd:default", "forged", "forged")
            await until(lambda: not client.exists("webhookd:default"), what="the entries taken")
        await heard("default", turns, ringer)
        with valkey.client() as client:
            await until(lambda: not client.exists("webhookd:default.msgs"), what="the bodies gone")


async def test_message_sent_with_plain_dramatiq_is_a_permit(valkey: ValkeyServer, no_looks: None) -> None:
    turns = Turns()
    plain = RedisBroker(url=valkey.url, namespace="webhookd", middleware=[])  # type: ignore[no-untyped-call]  # not annotated there
    async with working(valkey.url, turns, "default"):
        plain.enqueue(
            dramatiq.Message(queue_name="default", actor_name="run", args=(), kwargs={}, options={})
        )
        await until(lambda: turns.count("default") == 1, what="a turn")
    plain.client.close()


async def test_flood_of_permits_like_ours_is_emptied(
    valkey: ValkeyServer, ringer: Ringer, no_looks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permits_module, "_COUNT_SECONDS", 0.1)
    turns = Turns()
    async with working(valkey.url, turns, "default"):
        with valkey.client() as client:
            client.rpush("webhookd:default", *[PERMIT] * 100_000)
            await until(lambda: not client.exists("webhookd:default"), what="the flood gone")
        await heard("default", turns, ringer)


async def test_flooded_queue_is_emptied_at_once(valkey: ValkeyServer, ringer: Ringer, no_looks: None) -> None:
    turns = Turns()
    async with working(valkey.url, turns, "default"):
        with valkey.client() as client:
            client.rpush("webhookd:default", *range(100_000))
            await until(lambda: not client.exists("webhookd:default"), what="the flood gone")
        await heard("default", turns, ringer)
    assert len(turns.seen) < 100


@pytest.mark.parametrize("key", ["default", "default.msgs", "__heartbeats__"])
async def test_key_of_another_kind_in_our_place_is_removed(
    key: str, valkey: ValkeyServer, ringer: Ringer, no_looks: None
) -> None:
    turns = Turns()
    async with working(valkey.url, turns, "default"):
        with valkey.client() as client:
            client.set(f"webhookd:{key}", "squatter")
        await heard("default", turns, ringer)


# ── health, names, addresses ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def health(valkey: ValkeyServer) -> AsyncIterator[BrokerHealth]:
    health = BrokerHealth(valkey.url)
    yield health
    await health.aclose()


async def test_health_tells_memory(valkey: ValkeyServer, health: BrokerHealth) -> None:
    valkey.limit_memory(64 * 1024 * 1024)
    status = await health.check()
    assert status.ok
    assert status.reason is None
    assert status.max_memory_bytes == 64 * 1024 * 1024
    assert status.used_memory_bytes is not None
    assert 0 < status.used_memory_bytes < status.max_memory_bytes


async def test_health_says_why_the_broker_is_not_ready(valkey: ValkeyServer, health: BrokerHealth) -> None:
    valkey.limit_memory(1024)
    full = await health.check()
    assert (full.ok, full.reason) == (False, "out of memory")
    valkey.freeze()
    hanging = await health.check()
    assert (hanging.ok, hanging.reason) == (False, "no answer in time")
    valkey.kill()
    gone = await health.check()
    assert (gone.ok, gone.reason) == (False, "cannot connect")
    valkey.restart()
    assert (await health.check()).ok


async def test_health_finds_a_replica_that_takes_no_writes(
    valkey: ValkeyServer, health: BrokerHealth
) -> None:
    with valkey.client() as client:
        client.replicaof("127.0.0.1", "1")
        try:
            status = await health.check()
        finally:
            client.replicaof("NO", "ONE")
    assert (status.ok, status.reason) == (False, "read-only, as a replica is")
    assert (await health.check()).ok


@pytest.mark.parametrize(
    "rules",
    [
        "~other:* &webhookd:*",
        "~webhookd:* resetchannels",
        "%R~* &webhookd:*",
    ],
)
async def test_health_finds_a_user_who_may_not_do_what_the_work_does(
    rules: str, valkey: ValkeyServer
) -> None:
    parts = urlsplit(valkey.url)
    url = urlunsplit(parts._replace(netloc=f"few:secret@{parts.netloc.rpartition('@')[2]}"))
    _set_user(valkey, "few", "reset", "on", ">secret", "+@all", *rules.split())
    few = BrokerHealth(url)
    try:
        status = await few.check()
        assert (status.ok, status.reason) == (False, "access denied")
        _set_user(valkey, "few", "~webhookd:*", "&webhookd:*")
        assert (await few.check()).ok
    finally:
        await few.aclose()
        _set_user(valkey, "few", "reset")


def _set_user(valkey: ValkeyServer, *rules: str) -> None:
    with valkey.client() as client:
        client.execute_command("ACL", "SETUSER", *rules)  # type: ignore[no-untyped-call] # redis-py has no types here


async def test_health_leaves_nothing_behind_in_the_broker(valkey: ValkeyServer, health: BrokerHealth) -> None:
    with valkey.client() as client:
        before = set(client.keys("*"))
        assert (await health.check()).ok
        assert set(client.keys("*")) == before


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:6379", "localhost:6379"])
def test_wrong_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(SettingsError, match="WEBHOOKD_BROKER_URL"):
        PermitBroker(url, namespace="webhookd", timeout_seconds=1)


@pytest.mark.parametrize(
    "name", ["", "1st", "a b", "ü", "a:b", "x.DQ", "x.XQ", "x.msgs", "__acks__", "a" * 101]
)
def test_names_dramatiq_could_not_have_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="queue name"):
        check_queue_name(name)


@pytest.mark.parametrize("name", ["default", "reports.eu-1", "A_b"])
def test_usual_queue_names_are_taken(name: str) -> None:
    check_queue_name(name)
