"""Processes that are there before they are needed: forked from a command that has imported what they share.

`up` needs nearly all modules of its workers to prepare, then becomes (`exec`) a supervisor that needs none. A
process forked in between has them already, and shares the memory they take with its siblings. It imports the
rest, as `python -m` would, while the command goes on, and waits at its door (`wait_to_be_told`) for the
environment it is to work in. It is the command's child, hence the supervisor's, which is the same process.

What makes the fork safe: it is done by a command's own process that has one thread and has opened nothing,
no loop, no database, no operator's module; and nothing is inherited but stdout, stderr and the channel. Where
that is not so, or the system has no `pidfd`, there are no forerunners and processes start by exec, as those
do that come later.
"""

import array
import asyncio
import gc
import json
import os
import runpy
import signal
import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from webhookd.adapters.deathwatch import die_with_parent
from webhookd.adapters.heartbeat import VARIABLE as HEARTBEAT_VARIABLE

_VARIABLE: Final = "_WEBHOOKD_FORERUNNER_FD"
_PIECE_BYTES: Final = 65_536
_TASKS: Final = Path("/proc/self/task")
_FILES: Final = Path("/proc/self/fd")


class BecomeForerunner(BaseException):
    """Raised in the forked process; whoever has the process to give away catches it and calls `run`."""

    def __init__(self, argv: Sequence[str], channel: int) -> None:
        super().__init__(*argv)
        self._argv = tuple(argv)
        self._channel = channel

    def run(self) -> NoReturn:
        """Run the program, `python -m NAME ARGUMENTS…`, as a new interpreter would. Raises SystemExit."""
        _keep_open(self._channel)
        _show(self._argv)
        os.environ[_VARIABLE] = str(self._channel)
        program, *sys.argv[1:] = self._argv[2:]
        if not sys.flags.safe_path:
            sys.path[0] = str(Path.cwd())
        runpy.run_module(program, run_name="__main__", alter_sys=True)
        raise SystemExit


@dataclass(frozen=True, slots=True, kw_only=True)
class Forerunner:
    """One process that waits, as its parent sees it. `channel` is open until it is told, or dismissed."""

    pid: int
    channel: int

    def tell(self, environment: Mapping[str, str], heartbeat: int | None) -> None:
        """Let it work in this environment, and beat on this page. One that has died is not told."""
        with closing(socket.socket(fileno=self.channel)) as channel, suppress(OSError):
            pages = () if heartbeat is None else (heartbeat,)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", pages))
            channel.sendmsg([b"\n"], [rights] if pages else [])  # JSON begins with any space
            channel.sendall(json.dumps(dict(environment)).encode())

    async def wait(self) -> int:
        """Wait for its end; return the exit code, negative for a signal."""
        ended = asyncio.Event()
        watch = os.pidfd_open(self.pid)
        loop = asyncio.get_running_loop()
        loop.add_reader(watch, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(watch)
            os.close(watch)
        return self._reap()

    def dismiss(self) -> None:
        """End it, as there is nothing for it to do, and wait until it is gone."""
        os.close(self.channel)
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._reap()

    def _reap(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def forerunners(programs: Mapping[str, Sequence[str]]) -> dict[str, Forerunner]:
    """Fork a process for each program, a `python -m` command line; none where it is not safe.

    Call it only where nothing is open that the processes must not have, and where BecomeForerunner, which is
    raised in them, is caught.
    """
    if not _can_fork():
        return {}
    import ctypes  # noqa: F401 - each of them needs it

    sys.stdout.flush()
    sys.stderr.flush()
    gc.freeze()  # a collector that marks what is shared would copy it
    made: dict[str, Forerunner] = {}
    with suppress(OSError):  # no process more may be had now: the rest starts by exec
        for name, argv in programs.items():
            made[name] = _forked(argv, made.values())
    return made


def _can_fork() -> bool:
    if sys.platform != "linux" or len(list(_TASKS.iterdir())) > 1:
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def _forked(argv: Sequence[str], siblings: Iterable[Forerunner]) -> Forerunner:
    parent_pid = os.getpid()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        if pid := os.fork():
            return Forerunner(pid=pid, channel=ours.detach())
        os.setsid()
        die_with_parent(parent_pid)
        for sibling in siblings:
            os.close(sibling.channel)
        raise BecomeForerunner(argv, theirs.detach())


def wait_to_be_told() -> None:
    """In a forerunner, wait for the environment to work in, and take it; elsewhere return at once.

    Ends the process where it is not needed.
    """
    number = os.environ.pop(_VARIABLE, None)
    if number is None:
        return
    with socket.socket(fileno=int(number)) as channel:
        text, pages, _, _ = socket.recv_fds(channel, _PIECE_BYTES, 1)
        while piece := channel.recv(_PIECE_BYTES):
            text += piece
    if not text:
        raise SystemExit
    environment = json.loads(text)
    os.environ.clear()
    os.environ.update(environment)
    if pages:
        os.environ[HEARTBEAT_VARIABLE] = str(pages[0])


def _keep_open(channel: int) -> None:
    """Have nothing open but stdout, stderr and the channel."""
    for number in [int(one.name) for one in _FILES.iterdir()]:
        if number > 2 and number != channel:
            with suppress(OSError):  # the list itself was one of them
                os.close(number)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)


def _show(argv: Sequence[str]) -> None:
    """Let `ps` show this command line, as much of it as there is room for in the one of the command."""
    import ctypes

    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    begin, end = int(fields[45]), int(fields[46])  # arg_start and arg_end in proc_pid_stat(5)
    choices = (argv, (Path(argv[0]).name, *argv[1:]), argv[2:])
    lines = [b"".join(os.fsencode(word) + b"\0" for word in words) for words in choices]
    line = next((line for line in lines if len(line) <= end - begin), lines[-1])
    ctypes.memmove(begin, line[: end - begin - 1].ljust(end - begin, b"\0"), end - begin)
