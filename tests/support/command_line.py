"""The command line as a person meets it: real processes, what they print, and what they leave behind."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from unittest import mock

from tests.support.services import is_alive
from webhookd.cli import main

WEBHOOKD = (sys.executable, "-m", "webhookd.cli")
PATIENCE_SECONDS = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a command that has ended left."""

    exit_code: int
    stdout: str
    stderr: str


def environment(**settings: str) -> dict[str, str]:
    """Ours without any setting, plus `settings` by their full names."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("WEBHOOKD_", "OTEL_"))}
    return {**ours, **settings}


def run(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> Ended:
    """Run a command to its end."""
    done = subprocess.run(
        (*WEBHOOKD, *arguments),
        cwd=cwd,
        env=environment() if env is None else env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return Ended(exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)


def run_here(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> Ended:
    """The same in this process, for what the start of an interpreter has no part in."""
    printed, said = io.BytesIO(), io.BytesIO()
    out, err = (io.TextIOWrapper(raw, "utf-8", write_through=True) for raw in (printed, said))
    with (
        mock.patch.dict(os.environ, environment() if env is None else env, clear=True),
        chdir(cwd),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        code = main(arguments)
    return Ended(exit_code=code, stdout=printed.getvalue().decode(), stderr=said.getvalue().decode())


class Command:
    """A command that runs; its lines can be waited for."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.out: list[str] = []
        self.err: list[str] = []
        self._lines: Queue[None] = Queue()
        for stream, lines in ((process.stdout, self.out), (process.stderr, self.err)):
            threading.Thread(target=self._read, args=(stream, lines), daemon=True).start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_for(self, text: str) -> str:
        """Return the first line, of either stream, that contains `text`."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while True:
            for line in (*self.out, *self.err):
                if text in line:
                    return line
            if time.monotonic() > give_up_at or (self.process.poll() is not None and self._lines.empty()):
                raise AssertionError(f"no line with {text!r}\n{self.everything()}")
            try:
                self._lines.get(timeout=0.1)
            except Empty:
                continue

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end; return the exit code."""
        try:
            return self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end\n{self.everything()}") from None

    def everything(self) -> str:
        return "\n".join(("stdout:", *self.out, "stderr:", *self.err))

    def _read(self, stream: Iterator[str], lines: list[str]) -> None:
        for line in stream:
            lines.append(line.rstrip("\n"))
            self._lines.put(None)


@contextmanager
def started(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> Iterator[Command]:
    """Start a command; it is killed at the end if it still runs then."""
    with subprocess.Popen(
        (*WEBHOOKD, *arguments),
        cwd=cwd,
        env=environment() if env is None else env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        command = Command(process)
        try:
            yield command
        finally:
            process.kill()
            process.wait()


@contextmanager
def serving(*options: str, cwd: Path, env: Mapping[str, str] | None = None) -> Iterator[Command]:
    """A `webhookd up` on a free port, from when it answers; at the end it is stopped, and must end well."""
    with started("up", "--port", "0", *options, cwd=cwd, env=env) as up:
        url_of(up)
        yield up
        up.send(signal.SIGTERM)
        assert up.wait() == 0, up.everything()


def descendants(pid: int) -> list[int]:
    """The processes below this one, on Linux."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found: list[int] = []
    level = [pid]
    while level:
        level = [child for parent in level for child in parents.get(parent, [])]
        found += level
    return found


def wait_until_gone(pids: list[int]) -> None:
    """Wait until none of the processes runs."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while left := [pid for pid in pids if is_alive(pid)]:
        assert time.monotonic() < give_up_at, f"still running: {left}"
        time.sleep(0.05)


def url_of(up: Command) -> str:
    """Where a `webhookd up` answers, as soon as it does."""
    return up.wait_for("webhookd is up at").split()[-1]


def fact(up: Command, name: str) -> str:
    """What `up` says a thing is; no value a test asks for has a space."""
    return up.wait_for(f"  {name} ").strip().removeprefix(name).split()[0]


def data_dir(up: Command) -> Path:
    """Where it keeps its files."""
    return Path(fact(up, "data dir"))


def kept(up: Command) -> dict[str, str]:
    """The partner of `up --dev`: `id`, `key`, `secret`."""
    found: dict[str, str] = json.loads((data_dir(up) / "dev.json").read_text())
    return found
