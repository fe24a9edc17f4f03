"""What a command prepares to be kept running, and becoming the process that keeps it running.

Reading settings, migrating and making keys take 80 MB of modules, keeping processes takes 20. So `up` and
`worker` write down a `Plan` and become (`exec`) `hosting`: the same process, with its pid, its terminal, its
lock on the data dir, and the signals that come meanwhile.
"""

import asyncio
import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final, Literal, NoReturn, Self

from webhookd.adapters.forerunner import Forerunner
from webhookd.adapters.supervised import ChildSpec

STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_HEARD_SECONDS: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Processes to keep running. `environment` is theirs beside ours.

    `broker_folder`: an embedded broker is kept as well. `url`: where the API answers; the plan is carried out
    once it is ready, and every process has begun; then `said` is said. `unsaid` is what must be said even
    where that never comes. `lock`: a file to be kept open. From `least` to `most` task workers, which are as
    the one called `tasks-1`. `forerunners` are those of the processes that are there already, by name.
    """

    name: str
    processes: tuple[ChildSpec, ...]
    environment: Mapping[str, str] = field(repr=False)
    log_format: Literal["text", "json"]
    log_level: str
    broker_folder: str | None = None
    url: str | None = None
    least: int = 0
    most: int = 0
    said: str = field(default="", repr=False)
    unsaid: str = field(default="", repr=False)
    lock: int | None = None
    forerunners: Mapping[str, Forerunner] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the plan that was written."""
        values = json.loads(text)
        processes = tuple(ChildSpec(**{**one, "argv": tuple(one["argv"])}) for one in values["processes"])
        forerunners = {name: Forerunner(**one) for name, one in values["forerunners"].items()}
        return cls(**{**values, "processes": processes, "forerunners": forerunners})

    @property
    def kept_files(self) -> tuple[int, ...]:
        """The open files that go with it."""
        lock = () if self.lock is None else (self.lock,)
        return (*lock, *(one.channel for one in self.forerunners.values()))


async def hold_signals() -> None:
    """Let the signals that stop us wait for `hosting`. One that was heard already cancels this."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    await asyncio.sleep(_HEARD_SECONDS)


def become_host(plan: Plan) -> NoReturn:
    """Carry the plan out in place of this command."""
    logging.shutdown()
    sys.stdout.flush()
    file = _written(plan.to_json())
    for kept in (file, *plan.kept_files):
        os.set_inheritable(kept, True)
    os.execv(sys.executable, (sys.executable, "-m", "webhookd.cli.hosting", str(file)))  # noqa: S606 - ourselves


def read_plan(file: int) -> Plan:
    """Read the plan this process was given, once."""
    os.lseek(file, 0, os.SEEK_SET)
    with os.fdopen(file) as written:
        return Plan.from_json(written.read())


def _written(text: str) -> int:
    """Return a file without a name: what is in it (keys, passwords) is no other account's to read."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("webhookd-plan")
    else:
        with tempfile.TemporaryFile() as unnamed:
            file = os.dup(unnamed.fileno())
    with os.fdopen(os.dup(file), "w") as writing:
        writing.write(text)
    return file
