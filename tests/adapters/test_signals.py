"""Signals over a real Valkey: quick, batched, newest first, only where watched, never in anybody's way."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest

from tests.support.services import ValkeyServer, until
from webhookd.adapters import signals as signals_module
from webhookd.adapters.signals import Signals
from webhookd.core.records import TaskSignal
from webhookd.core.watched import EVERYTHING


class Heard:
    """A callback that keeps what it was given, the probes of `hear_again` apart."""

    def __init__(self) -> None:
        self.probes = 0
        self.batches: list[Sequence[TaskSignal]] = []

    def __call__(self, batch: Sequence[TaskSignal]) -> None:
        others = [signal for signal in batch if signal != PROBE]
        self.probes += len(batch) - len(others)
        if others:
            self.batches.append(others)

    @property
    def all(self) -> list[TaskSignal]:
        return [signal for batch in self.batches for signal in batch]


def changed(task_id: str, version: int = 1) -> TaskSignal:
    return TaskSignal(task_id=task_id, partner_id="prt_1", version=version)


PROBE = changed("task_probe")


@contextlib.asynccontextmanager
async def listening(signals: Signals, heard: Heard) -> AsyncIterator[None]:
    """Listens, from when the first signal has come through until the end of the block."""
    task = asyncio.create_task(signals.listen(heard))
    try:
        await hear_again(signals, heard)
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def hear_again(signals: Signals, heard: Heard) -> None:
    """Publish until something is heard, however many of the signals are lost. Everything is watched then."""
    before = heard.probes

    async def publish_on() -> None:
        while heard.probes == before:
            signals.watch([EVERYTHING])
            signals.publish([PROBE])
            await asyncio.sleep(0.05)

    await asyncio.wait_for(publish_on(), 30)


@pytest.fixture
async def signals(valkey: ValkeyServer) -> AsyncIterator[Signals]:
    signals = Signals(valkey.url)
    yield signals
    await signals.aclose()


async def test_change_is_heard_by_every_process(valkey: ValkeyServer, signals: Signals) -> None:
    here, there, other = Heard(), Heard(), Signals(valkey.url)
    async with listening(signals, here), listening(other, there):
        signals.publish([changed("task_a", 3), changed("task_b", 1)])
        await until(lambda: here.all and there.all, what="the signals")
    assert here.all == there.all == [changed("task_a", 3), changed("task_b", 1)]
    await other.aclose()


async def test_only_the_newest_version_of_a_task_is_sent(signals: Signals) -> None:
    heard = Heard()
    async with listening(signals, heard):
        signals.publish([changed("task_a", 1), changed("task_b", 1)])
        signals.publish([changed("task_a", 3)])
        signals.publish([changed("task_a", 2)])
        await until(lambda: heard.all, what="the signals")
    assert heard.all == [changed("task_b", 1), changed("task_a", 3)]


async def test_full_buffer_drops_the_oldest(signals: Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals_module, "_BUFFER", 3)
    heard = Heard()
    async with listening(signals, heard):
        signals.publish([changed(f"task_{number}") for number in range(5)])
        await until(lambda: heard.all, what="the signals")
    assert [signal.task_id for signal in heard.all] == ["task_2", "task_3", "task_4"]
    assert signals.dropped == 2


async def test_many_changes_go_in_several_messages(signals: Signals) -> None:
    heard = Heard()
    async with listening(signals, heard):
        signals.publish([changed(f"task_{number}") for number in range(1_200)])
        await until(lambda: len(heard.all) == 1_200, what="all signals")
    assert [len(batch) for batch in heard.batches] == [500, 500, 200]


async def test_namespaces_do_not_hear_each_other(valkey: ValkeyServer, signals: Signals) -> None:
    here, there, other = Heard(), Heard(), Signals(valkey.url, namespace="other")
    async with listening(signals, here), listening(other, there):
        signals.publish([changed("task_a")])
        await until(lambda: here.all, what="the signal")
    assert there.all == []
    await other.aclose()


@pytest.mark.parametrize(
    "forged",
    [
        b'[["\\ud800","prt_1",7]]',
        b'[["task_a","\\ud800",7]]',
        b'[["task_a\\u0000","prt_1",7]]',
        b'[["task_a","prt_1",true]]',
        b'[["task_a","prt_1",1.5]]',
        b'[["task_a","prt_1",-1]]',
        b'[["task_a","prt_1",' + b"9" * 400 + b"]]",
        b'[["' + b"a" * 65 + b'","prt_1",7]]',
        b'[["task_b","prt_1",7]' + b',["task_b","prt_1",7]' * 10_000 + b"]",
        b"[" * 1_000 + b"]" * 1_000,
        b"x" * 3_000_000,
        b"null",
        b"",
        b"\xff",
        b"{",
        b"7",
        b"[7]",
        b'[["task_a"]]',
        b"[[1, 2, 3]]",
        b'{"a": 1}',
        b"[" * 100_000,
    ],
    ids=lambda forged: repr(forged[:12]),
)
async def test_forged_message_is_left_out_and_counted(
    forged: bytes, valkey: ValkeyServer, signals: Signals
) -> None:
    heard = Heard()
    async with listening(signals, heard):
        with valkey.client() as client:
            client.publish("webhookd:signals", forged)
        signals.publish([changed("task_a")])
        await until(lambda: heard.all, what="the true signal")
    assert heard.all == [changed("task_a")]
    assert signals.forged >= 1


async def test_listener_that_raises_hears_the_next_signal(
    signals: Signals, caplog: pytest.LogCaptureFixture
) -> None:
    heard, raised = Heard(), asyncio.Event()

    def callback(batch: Sequence[TaskSignal]) -> None:
        if not raised.is_set():
            raised.set()
            raise RuntimeError("a defect in a watcher")
        heard(batch)

    task = asyncio.create_task(signals.listen(callback))
    await hear_again(signals, heard)
    assert raised.is_set()
    assert "a defect in a watcher" in caplog.text
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.faults
async def test_listener_hears_again_after_the_broker_was_killed(
    valkey: ValkeyServer, signals: Signals
) -> None:
    heard = Heard()
    async with listening(signals, heard):
        valkey.kill()
        await asyncio.sleep(0.5)
        valkey.restart()
        await hear_again(signals, heard)


@pytest.mark.faults
async def test_listener_leaves_a_server_that_no_longer_answers(
    valkey: ValkeyServer, signals: Signals, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(signals_module, "_SILENCE_SECONDS", 0.2)
    heard = Heard()
    async with listening(signals, heard):
        valkey.freeze()
        await until(lambda: "the broker is away" in caplog.text, what="the silence noticed")
        valkey.thaw()
        await hear_again(signals, heard)


async def test_listener_stays_through_a_silence(
    valkey: ValkeyServer, signals: Signals, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(signals_module, "_SILENCE_SECONDS", 0.05)
    heard = Heard()
    async with listening(signals, heard):
        await asyncio.sleep(0.5)
        signals.publish([changed("task_a")])
        await until(lambda: heard.all, what="the signal")
    assert caplog.text == ""


async def test_publication_is_swallowed_and_counted_while_the_broker_is_away(
    valkey: ValkeyServer, signals: Signals, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(signals, Heard()):
        pass
    valkey.freeze()
    signals.publish([changed("task_a")])
    await until(lambda: signals.failed == 1, what="the first failure")
    valkey.kill()
    for expected in (2, 3):
        signals.publish([changed("task_a")])
        await until(lambda: signals.failed == expected, what="the next failure")  # noqa: B023 - awaited here
    assert caplog.text.count("the broker is away") == 1


async def test_closing_sends_what_waits(valkey: ValkeyServer, signals: Signals) -> None:
    heard, closing = Heard(), Signals(valkey.url)
    async with listening(signals, heard):
        closing.watch(["task_a"])
        closing.publish([changed("task_a")])
        await closing.aclose()
        closing.publish([changed("task_b")])  # ignored, and raises nothing
        await until(lambda: heard.all, what="the signal")
    assert heard.all == [changed("task_a")]


async def test_what_nobody_watches_is_not_sent(valkey: ValkeyServer, signals: Signals) -> None:
    heard = Heard()
    hearing = asyncio.create_task(signals.listen(heard))
    await until(lambda: _subscribers(valkey) == 1, what="the subscription")
    signals.watch(["task_b"])
    signals.publish([changed("task_a"), changed("task_b")])
    await until(lambda: heard.all, what="the signal")
    assert heard.all == [changed("task_b")]
    hearing.cancel()
    await asyncio.gather(hearing, return_exceptions=True)


async def test_who_begins_to_watch_elsewhere_is_told_what_changed_right_before(
    valkey: ValkeyServer, signals: Signals
) -> None:
    heard, worker = Heard(), Signals(valkey.url)
    both = [asyncio.create_task(signals.listen(heard)), asyncio.create_task(worker.listen())]
    await until(lambda: _subscribers(valkey) == 2, what="both subscriptions")
    worker.publish([changed("task_a", 2), changed("task_b", 2)])
    signals.watch(["task_a"])
    await until(lambda: heard.all, what="the signal withheld")
    worker.publish([changed("task_a", 3), changed("task_b", 3)])
    await until(lambda: len(heard.all) == 2, what="the next signal")
    assert heard.all == [changed("task_a", 2), changed("task_a", 3)]
    for one in both:
        one.cancel()
    await asyncio.gather(*both, return_exceptions=True)
    await worker.aclose()


@pytest.mark.parametrize(
    "forged", [b"{", b'[1, "task_b", null]', b'["' + b"a" * 65 + b'"]', b"x" * 3_000_000]
)
async def test_forged_names_are_left_out_and_counted(
    forged: bytes, valkey: ValkeyServer, signals: Signals
) -> None:
    hearing = asyncio.create_task(signals.listen())
    await until(lambda: _subscribers(valkey) == 1, what="the subscription")
    with valkey.client() as client:
        client.publish("webhookd:watched", forged)
    await until(lambda: signals.forged >= 1, what="the forgery noticed")
    hearing.cancel()
    await asyncio.gather(hearing, return_exceptions=True)


async def test_more_names_than_are_worth_telling_are_everything(
    valkey: ValkeyServer, signals: Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals_module, "_MOST_WATCHED", 3)
    heard = Heard()
    hearing = asyncio.create_task(signals.listen(heard))
    await until(lambda: _subscribers(valkey) == 1, what="the subscription")
    signals.watch([f"task_{number}" for number in range(4)])
    signals.publish([changed("task_other")])
    await until(lambda: heard.all, what="the signal")
    assert heard.all == [changed("task_other")]
    hearing.cancel()
    await asyncio.gather(hearing, return_exceptions=True)


def _subscribers(valkey: ValkeyServer) -> int:
    with valkey.client() as client:
        ((_, count),) = client.pubsub_numsub("webhookd:watched")
    return int(count)
