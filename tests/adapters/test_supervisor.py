"""The supervisor with real processes: what dies comes back, what is stopped ends in order, nothing stays."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.services import is_alive, until
from webhookd.adapters import supervised
from webhookd.adapters.heartbeat import Left
from webhookd.adapters.supervised import REPLACE_ME, ChildEvent, ChildFact, ChildSpec
from webhookd.adapters.supervisor import Supervisor


class Events:
    def __init__(self) -> None:
        self.seen: list[ChildEvent] = []

    def __call__(self, event: ChildEvent) -> None:
        self.seen.append(event)

    def of(self, name: str, fact: ChildFact) -> list[ChildEvent]:
        return [event for event in self.seen if (event.name, event.fact) == (name, fact)]


def shell(name: str, script: str, *, stop_seconds: float = 30.0, stage: int = 0) -> ChildSpec:
    return ChildSpec(name=name, argv=("/bin/sh", "-c", script), stop_seconds=stop_seconds, stage=stage)


def sleeper(name: str) -> ChildSpec:
    return shell(name, "exec sleep 600")


def stubborn(name: str, ready: Path, *, stop_seconds: float) -> ChildSpec:
    """Ignores SIGTERM, from when the file `ready` is there."""
    script = f"trap '' TERM; touch {ready}; while :; do sleep 0.05; done"
    return shell(name, script, stop_seconds=stop_seconds)


@asynccontextmanager
async def running(*specs: ChildSpec) -> AsyncIterator[tuple[Supervisor, Events]]:
    """A supervisor all of whose children have started; stopped at the end, if it was not before."""
    events = Events()
    supervisor = Supervisor(specs, on_event=events)
    task = asyncio.create_task(supervisor.run())
    try:
        for spec in specs:
            await until(lambda: events.of(spec.name, ChildFact.STARTED), what=f"start of {spec.name}")  # noqa: B023 - awaited here
        yield supervisor, events
    finally:
        supervisor.stop()
        await task


# ── restarting ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_killed_child_comes_back() -> None:
    async with running(sleeper("worker")) as (supervisor, events):
        first = supervisor.pids["worker"]
        os.kill(first, signal.SIGKILL)
        await until(lambda: len(events.of("worker", ChildFact.STARTED)) == 2, what="the restart")
        assert supervisor.pids["worker"] != first
        [death] = events.of("worker", ChildFact.DIED)
        assert (death.pid, death.exit_code, death.quick_deaths) == (first, -signal.SIGKILL, 1)


async def test_child_that_keeps_dying_is_started_after_longer_and_longer_pauses() -> None:
    async with running(shell("worker", "exit 3")) as (_, events):
        await until(lambda: len(events.of("worker", ChildFact.DIED)) == 4, what="four deaths")
    deaths = events.of("worker", ChildFact.DIED)
    assert [death.exit_code for death in deaths] == [3, 3, 3, 3]
    assert [death.pause_seconds for death in deaths] == [0.1, 0.2, 0.4, 0.8]
    assert [death.quick_deaths for death in deaths] == [1, 2, 3, 4]


async def test_pauses_stop_growing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "_LONGEST_PAUSE_SECONDS", 0.1)
    async with running(shell("worker", "exit 0")) as (_, events):
        await until(lambda: len(events.of("worker", ChildFact.DIED)) == 12, what="twelve deaths")
    assert {death.pause_seconds for death in events.of("worker", ChildFact.DIED)} == {0.1}


async def test_child_that_had_settled_starts_over_with_the_shortest_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervised, "_SETTLED_SECONDS", 0.0)
    async with running(shell("worker", "exit 1")) as (_, events):
        await until(lambda: len(events.of("worker", ChildFact.DIED)) == 3, what="three deaths")
    assert {death.pause_seconds for death in events.of("worker", ChildFact.DIED)} == {0.1}


async def test_program_that_does_not_exist_is_tried_again() -> None:
    async with running(ChildSpec(name="worker", argv=("/nowhere/worker",))) as (_, events):
        await until(lambda: len(events.of("worker", ChildFact.DIED)) == 2, what="two failures")
    assert {death.exit_code for death in events.of("worker", ChildFact.DIED)} <= {127, None}


async def test_death_of_one_child_does_not_touch_another() -> None:
    async with running(sleeper("a"), sleeper("b")) as (supervisor, events):
        other = supervisor.pids["b"]
        os.kill(supervisor.pids["a"], signal.SIGKILL)
        await until(lambda: len(events.of("a", ChildFact.STARTED)) == 2, what="the restart")
        assert supervisor.pids["b"] == other
        assert events.of("b", ChildFact.DIED) == []


async def test_child_gets_the_environment_of_its_spec(tmp_path: Path) -> None:
    spec = ChildSpec(
        name="worker",
        argv=("/bin/sh", "-c", f'echo "$NUMBER" > {tmp_path}/told; exec sleep 600'),
        env={"NUMBER": "7", "PATH": os.environ["PATH"]},
    )
    async with running(spec):
        await until((tmp_path / "told").exists, what="the file")
        await until((tmp_path / "told").read_text, what="its content")
    assert (tmp_path / "told").read_text() == "7\n"


# ── stopping ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_stages_stop_one_after_the_other_from_the_highest(tmp_path: Path) -> None:
    def slow_to_stop(name: str, stage: int) -> ChildSpec:
        log = tmp_path / "log"
        script = (
            f"trap 'echo {name} stops >> {log}; sleep 0.2; echo {name} gone >> {log}; exit 0' TERM;"
            f"touch {tmp_path}/{name}; while :; do sleep 0.05; done"
        )
        return shell(name, script, stage=stage)

    specs = [slow_to_stop("broker", 0), slow_to_stop("api", 2), slow_to_stop("worker", 1)]
    async with running(*specs) as (_, events):
        await until(lambda: all((tmp_path / spec.name).exists() for spec in specs), what="all traps")
    assert (tmp_path / "log").read_text().splitlines() == [
        "api stops", "api gone", "worker stops", "worker gone", "broker stops", "broker gone",
    ]  # fmt: skip
    assert [event.exit_code for event in events.seen if event.fact is ChildFact.STOPPED] == [0, 0, 0]
    assert not any(event.fact is ChildFact.DIED for event in events.seen)


async def test_child_that_ignores_the_request_is_killed_after_its_time(tmp_path: Path) -> None:
    async with running(stubborn("worker", tmp_path / "ready", stop_seconds=0.3)) as (_, events):
        await until((tmp_path / "ready").exists, what="the trap")
    [end] = events.of("worker", ChildFact.STOPPED)
    assert end.exit_code == -signal.SIGKILL


async def test_second_request_to_stop_does_not_wait(tmp_path: Path) -> None:
    async with running(stubborn("worker", tmp_path / "ready", stop_seconds=3600)) as (supervisor, events):
        await until((tmp_path / "ready").exists, what="the trap")
        supervisor.stop()
        await asyncio.sleep(0.2)
        assert events.of("worker", ChildFact.STOPPED) == []
        supervisor.stop()
        await until(lambda: events.of("worker", ChildFact.STOPPED), what="the end")


async def test_frozen_child_is_stopped_too() -> None:
    async with running(shell("worker", "exec sleep 600", stop_seconds=0.3)) as (supervisor, events):
        os.kill(supervisor.pids["worker"], signal.SIGSTOP)
    assert len(events.of("worker", ChildFact.STOPPED)) == 1


async def test_cancelled_supervisor_stops_its_children() -> None:
    events = Events()
    supervisor = Supervisor([sleeper("worker")], on_event=events)
    task = asyncio.create_task(supervisor.run())
    await until(lambda: supervisor.pids, what="the start")
    pid = supervisor.pids["worker"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_alive(pid)
    assert supervisor.pids == {}


async def test_child_between_two_starts_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "_FIRST_PAUSE_SECONDS", 3600)
    monkeypatch.setattr(supervised, "_LONGEST_PAUSE_SECONDS", 3600)
    async with running(shell("worker", "exit 1")) as (supervisor, events):
        await until(lambda: events.of("worker", ChildFact.DIED), what="the death")
        await asyncio.wait_for(supervisor.retire("worker"), 30)


async def test_what_a_child_started_itself_goes_with_it(tmp_path: Path) -> None:
    script = f"sleep 600 & echo $! > {tmp_path}/pid.new; mv {tmp_path}/pid.new {tmp_path}/pid; wait"
    async with running(shell("worker", script)) as (supervisor, events):
        await until((tmp_path / "pid").exists, what="the grandchild")
        grandchild = int((tmp_path / "pid").read_text())
        assert is_alive(grandchild)
        os.kill(supervisor.pids["worker"], signal.SIGKILL)
        await until(lambda: events.of("worker", ChildFact.DIED), what="the death")
        await until(lambda: not is_alive(grandchild), what="the grandchild's end")


async def test_child_is_out_of_reach_of_the_terminals_interrupt() -> None:
    async with running(sleeper("worker")) as (supervisor, _):
        pid = supervisor.pids["worker"]
        assert os.getpgid(pid) == os.getsid(pid) == pid


# ── adding and retiring ─────────────────────────────────────────────────────────────────────────────────────


async def test_children_come_and_go_while_it_runs() -> None:
    async with running(sleeper("a")) as (supervisor, events):
        supervisor.add(sleeper("b"))
        await until(lambda: set(supervisor.pids) == {"a", "b"}, what="the new child")
        pid = supervisor.pids["a"]
        await supervisor.retire("a")
        assert not is_alive(pid)
        assert set(supervisor.pids) == {"b"}
        assert len(events.of("a", ChildFact.STOPPED)) == 1
        supervisor.add(sleeper("a"))
        await until(lambda: set(supervisor.pids) == {"a", "b"}, what="the name taken again")


async def test_name_taken_twice_is_refused_and_an_unknown_one_retired_without_fuss() -> None:
    async with running(sleeper("a")) as (supervisor, _):
        with pytest.raises(ValueError, match="'a'"):
            supervisor.add(sleeper("a"))
        await supervisor.retire("nobody")
        assert set(supervisor.pids) == {"a"}


# ── the supervisor itself is killed ─────────────────────────────────────────────────────────────────────────


@pytest.mark.faults
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a parent-death signal")
def test_killed_supervisor_leaves_nothing_running() -> None:
    script = (
        "import asyncio\n"
        "from webhookd.adapters.supervised import ChildSpec\n"
        "from webhookd.adapters.supervisor import Supervisor\n"
        "def told(event): print(event.pid, flush=True)\n"
        "specs = [ChildSpec(name=n, argv=('sleep', '600')) for n in 'ab']\n"
        "async def main(): await Supervisor(specs, on_event=told).run()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        children = [int(parent.stdout.readline()) for _ in range(2)]
        assert all(is_alive(child) for child in children)
        parent.kill()
    give_up_at = time.monotonic() + 30
    while any(is_alive(child) for child in children):
        assert time.monotonic() < give_up_at, "children outlive their supervisor"
        time.sleep(0.02)


# ── heartbeats ──────────────────────────────────────────────────────────────────────────────────────────────

BEATING = """
import asyncio, sys, time
from webhookd.adapters.heartbeat import Heartbeat

async def main():
    heartbeat = Heartbeat.inherited()
    heartbeat.holds("ses_1")
    beating = asyncio.create_task(heartbeat.keep(float(sys.argv[1])))
    await asyncio.sleep(0.3)
    if sys.argv[2] == "leaves":
        sys.exit(int(sys.argv[3]))
    if sys.argv[2] == "rests":
        await asyncio.sleep(600)
    if sys.argv[2] == "overruns":
        heartbeat.limit(time.monotonic())
    time.sleep(600)

asyncio.run(main())
"""


def beating(how: str, *more: str, lease_seconds: float) -> ChildSpec:
    return ChildSpec(
        name="worker",
        argv=(sys.executable, "-c", BEATING, str(lease_seconds), how, *more),
        lease_seconds=lease_seconds,
    )


async def test_child_whose_loop_stands_is_killed_after_its_lease_and_replaced_at_once() -> None:
    async with running(beating("stands", lease_seconds=1)) as (supervisor, events):
        first = supervisor.pids["worker"]
        await until(lambda: len(events.of("worker", ChildFact.STARTED)) == 2, what="the replacement")
        [frozen] = events.of("worker", ChildFact.FROZEN)
        assert frozen.pid == first
        assert frozen.silent_seconds is not None
        assert frozen.silent_seconds >= 1
        [death] = events.of("worker", ChildFact.DIED)
        assert (death.exit_code, death.pause_seconds) == (-signal.SIGKILL, 0)


async def test_child_with_a_function_beyond_its_time_is_not_waited_for_until_its_lease_ends() -> None:
    left: list[Left] = []

    async def on_left(one: Left) -> None:
        left.append(one)

    spec = beating("overruns", lease_seconds=600)
    supervisor = Supervisor([spec], on_event=Events(), on_left=on_left)
    task = asyncio.create_task(supervisor.run())
    try:
        await until(lambda: left, what="the end of the child")
    finally:
        supervisor.stop()
        await task
    assert left[0].session_id == "ses_1"
    assert left[0].overran_seconds_ago is not None


async def test_supervisor_that_stood_still_itself_blames_nobody() -> None:
    async with running(beating("rests", lease_seconds=2)) as (_, events):
        await asyncio.sleep(1)
        time.sleep(4)  # noqa: ASYNC251 - the supervisor's loop stands, as on a machine that was suspended
        await asyncio.sleep(1)
        assert events.of("worker", ChildFact.FROZEN) == []


async def test_child_that_asks_for_it_is_replaced_without_a_pause() -> None:
    async with running(beating("leaves", str(REPLACE_ME), lease_seconds=10)) as (_, events):
        await until(lambda: len(events.of("worker", ChildFact.DIED)) == 2, what="two deaths")
    assert {death.pause_seconds for death in events.of("worker", ChildFact.DIED)[:2]} == {0}


async def test_child_that_stands_does_not_hold_up_the_stop() -> None:
    async with running(beating("stands", lease_seconds=600)) as (supervisor, events):
        await asyncio.sleep(1)
        supervisor.stop()
        await until(lambda: events.of("worker", ChildFact.STOPPED), what="the end", seconds=20)
