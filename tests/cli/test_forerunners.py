"""The first processes of `up`: forked before it prepares, told where to work, and nobody's where it fails."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.command_line import (
    WEBHOOKD,
    Command,
    descendants,
    environment,
    run_here,
    started,
    url_of,
    wait_until_gone,
)
from tests.support.plain_http import ask
from tests.support.services import command_line, eventually
from webhookd.cli import up as up_command

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forked on Linux only")

_OURS = ("webhookd.asgi", "webhookd.worker tasks", "webhookd.worker deliver")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    folder = tmp_path_factory.mktemp("forerunners")
    with started("up", "--port", "0", "--data-dir", "data", cwd=folder, env=environment()) as up:
        url_of(up)
        yield up
        up.send(signal.SIGTERM)
        assert up.wait() == 0, up.everything()


def _pids(up: Command) -> dict[str, int]:
    lines = {pid: command_line(pid) for pid in descendants(up.pid)}
    return {one: pid for one in _OURS for pid, line in lines.items() if f"-m {one}" in line}


def _heap(pid: int) -> str:
    """Where the heap begins: by chance for each `exec`, and the same in whatever is forked of one."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return next(line for line in lines if line.endswith("[heap]")).partition("-")[0]


def _status(pid: int, field: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{field}:")).partition(":")[2].strip()


def test_first_processes_are_forked_of_one_that_had_imported_what_they_share(up: Command) -> None:
    pids = _pids(up)
    assert set(pids) == set(_OURS), "each is shown as what it runs"
    assert len({_heap(pid) for pid in pids.values()}) == 1
    assert {_status(pid, "PPid") for pid in pids.values()} == {str(up.pid)}
    assert [os.getsid(pid) for pid in pids.values()] == list(pids.values())


def test_forked_processes_have_nothing_of_the_command_open(up: Command) -> None:
    for pid in _pids(up).values():
        files = {one.name: str(one.readlink()) for one in Path(f"/proc/{pid}/fd").iterdir()}
        assert files["0"] == os.devnull
        assert not [file for file in files.values() if "up.lock" in file or "plan" in file], files


@pytest.mark.faults
def test_forked_processes_that_are_killed_are_replaced_by_new_interpreters(tmp_path: Path) -> None:
    with started("up", "--port", "0", "--data-dir", "data", cwd=tmp_path, env=environment()) as up:
        url = url_of(up)
        killed = _pids(up)
        heap = _heap(killed["webhookd.asgi"])
        for pid in killed.values():
            os.kill(pid, signal.SIGKILL)
        wait_until_gone(list(killed.values()))
        eventually(lambda: set(_pids(up)) == set(_OURS), "others in their place")
        eventually(lambda: _answers(url), "the API")
        heaps = {_heap(pid) for pid in _pids(up).values()}
        assert len(heaps | {heap}) == 4
        up.send(signal.SIGTERM)
        assert up.wait() == 0, up.everything()


def _answers(url: str) -> bool:
    try:
        return ask("GET", f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_command_that_cannot_go_on_leaves_no_process_that_waits(tmp_path: Path) -> None:
    # Whoever has its stdout open still would keep `run` from returning.
    ended = subprocess.run(
        (*WEBHOOKD, "up", "--port", "0", "--data-dir", "data"),
        cwd=tmp_path,
        env=environment(WEBHOOKD_TASKS="no_such_module:tasks"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert "no_such_module" in ended.stderr


@pytest.mark.faults
def test_killed_command_takes_those_along_that_wait(tmp_path: Path) -> None:
    (tmp_path / "standing.py").write_text("import time\ntime.sleep(600)\n")
    env = environment(WEBHOOKD_TASKS="standing:tasks")
    with started("up", "--port", "0", "--data-dir", "data", cwd=tmp_path, env=env) as up:
        eventually(lambda: len(_pids(up)) == len(_OURS), "those that wait")
        waiting = descendants(up.pid)
        up.send(signal.SIGKILL)
        up.wait()
        wait_until_gone(waiting)


def test_command_in_a_process_that_is_not_its_own_forks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(up_command, "forerunners", asked.append)
    env = environment(WEBHOOKD_TASKS="no_such_module:tasks")
    assert run_here("up", "--port", "0", "--data-dir", "data", cwd=tmp_path, env=env).exit_code == 1
    assert asked == []


def test_process_with_a_second_thread_forks_nothing() -> None:
    script = (
        "import os, sys, threading, time\n"
        "from webhookd.adapters.forerunner import forerunners\n"
        "one = {'one': (sys.executable, '-m', 'webhookd.healthcheck')}\n"
        "end = threading.Event()\n"
        "thread = threading.Thread(target=end.wait)\n"
        "thread.start()\n"
        "none = forerunners(one)\n"
        "end.set()\n"
        "thread.join()\n"
        # The kernel's side of a thread ends a little after it can be joined.
        "while len(os.listdir('/proc/self/task')) > 1: time.sleep(0.001)\n"
        "made = forerunners(one)\n"
        "for process in made.values(): process.dismiss()\n"
        "print(len(none), len(made))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["0", "1"]
