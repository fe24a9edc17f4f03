"""Whole installations under test, killed, frozen and started again at will.

`Up` is `webhookd up` as a user starts it, on SQLite; `Parts` is `webhookd api` and `webhookd worker` on
PostgreSQL and Valkey. Both keep their ports over restarts, and both can be struck from within
(`tests.faults.injection`).
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx

from tests.support.plain_http import async_http_client
from tests.support.services import free_port, until
from webhookd.adapters.vault import generate_key

ADMIN_KEY = "fault-test-admin-key"

QUICK = {
    "WEBHOOKD_LEASE_SECONDS": "2",
    "WEBHOOKD_RETRY_BASE_SECONDS": "0.2",
    "WEBHOOKD_RETRY_FACTOR": "1.5",
    "WEBHOOKD_RETRY_CAP_SECONDS": "1",
    "WEBHOOKD_RETRY_MAX_ATTEMPTS": "30",
    "WEBHOOKD_SHUTDOWN_SECONDS": "5",
    "WEBHOOKD_EGRESS_ALLOW": "127.0.0.0/8",
    "WEBHOOKD_ADMIN_KEY": ADMIN_KEY,
}
TASK_SETS = "webhookd.samples:tasks,tests.faults.tasks:tasks"

_ROOT = Path(__file__).parents[2]
_INJECTED = _ROOT / "tests" / "faults" / "injected"
_END_SECONDS = 60.0
_LOOK_SECONDS = 0.05


def injected(faults_dir: Path) -> dict[str, str]:
    """Return the environment in which the faults of `injection` are there to strike."""
    return {"PYTHONPATH": os.pathsep.join((str(_INJECTED), str(_ROOT))), "FAULT_DIR": str(faults_dir)}


def _with_port(url: str, port: int) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition(":")[0] + f":{port}"))


class EndedAtStart(AssertionError):
    """Raised when what was started ended instead of becoming ready; the text has the end of its log."""


class Installation(ABC):
    """What the two have in common. `folder` is the installation's own; `settings` by their full names."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.faults_dir = folder / "faults"
        self.faults_dir.mkdir(exist_ok=True)
        ours = {
            name: value for name, value in os.environ.items() if not name.startswith(("WEBHOOKD_", "FAULT_"))
        }
        self.environment: dict[str, str] = {
            **ours,
            **QUICK,
            "WEBHOOKD_TASKS": TASK_SETS,
            **injected(self.faults_dir),
            **settings,
        }

    @property
    @abstractmethod
    def urls(self) -> Sequence[str]:
        """Where the API answers; any of them will do."""

    @property
    @abstractmethod
    def database_url(self) -> str:
        """The database, for a look from outside."""

    @abstractmethod
    async def start(self) -> None:
        """Start everything and wait until it answers and works."""

    @abstractmethod
    async def begin(self) -> None:
        """Start what does not run, and wait for nothing."""

    @abstractmethod
    def kill(self) -> None:
        """SIGKILL every process at once."""

    @abstractmethod
    async def stop(self) -> int:
        """SIGTERM, in order, wait for the end; return the exit code, of several the one furthest from 0."""

    @abstractmethod
    def _top(self) -> Iterable[int]:
        """Return the pids of the processes started here."""

    @property
    def url(self) -> str:
        """Where the API answers first."""
        return self.urls[0]

    def children(self) -> dict[str, list[int]]:
        """Return the pids of the running parts, by `api`, `tasks` and `deliver`."""
        found: dict[str, list[int]] = {"api": [], "tasks": [], "deliver": []}
        top = set(self._top())
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                line = (entry / "cmdline").read_text().split("\0")
            except (OSError, ValueError, IndexError):
                continue
            pid = int(entry.name)
            if parent in top and "webhookd.worker" in line:
                found["tasks" if "tasks" in line else "deliver"].append(pid)
            elif (parent in top and "webhookd.asgi" in line) or (pid in top and "api" in line):
                found["api"].append(pid)
        return found

    def logged(self) -> dict[Path, int]:
        """Return how many bytes each process has printed so far; `log` goes on from there."""
        return {file: file.stat().st_size for file in self.folder.glob("*.log")}

    def log(self, since: Mapping[Path, int] | None = None, *, of: Collection[str] | None = None) -> str:
        """Return what it has printed, process by process: all, or those of these names."""
        begins = since or {}
        return "".join(
            file.read_bytes()[begins.get(file, 0) :].decode(errors="replace")
            for file in sorted(self.folder.glob("*.log"))
            if of is None or file.stem in of
        )

    def arm(self, name: str, text: str = "") -> Path:
        """Have a fault of `injection` strike; take the file away to end one that lasts."""
        file = self.faults_dir / name
        whole = self.folder / f"arming-{name}"  # nobody is to read a file that is half written
        whole.write_text(text)
        whole.replace(file)
        return file

    def disarm(self, name: str) -> None:
        """End a fault that lasts, or one that has not struck."""
        (self.faults_dir / name).unlink(missing_ok=True)

    def client(self, key: str = ADMIN_KEY, *, timeout: float = 30.0) -> httpx.AsyncClient:
        """Return a client of the API; as an admin, unless another key is given."""
        return async_http_client(self.url, key, timeout=timeout)

    async def partner(self, name: str) -> dict[str, str]:
        """Make a partner; return `id`, `key` and `secret`."""
        async with self.client() as client:
            made = await client.post("/v1/partners", json={"name": name})
            made.raise_for_status()
            answer: dict[str, str] = made.json()
            return answer

    async def ready(self, *, tasks: int = 1, deliver: int = 1) -> None:
        """Wait until every API is ready and at least so many workers are there."""

        async def look() -> bool:
            self._check()
            return await self.is_ready(tasks=tasks, deliver=deliver)

        await until(look, what=f"readiness of {self.folder}", seconds=60)

    async def is_ready(self, *, tasks: int = 1, deliver: int = 1) -> bool:
        """Whether it is so now."""
        async with self.client(timeout=5) as client:
            try:
                answers = [await client.get(f"{url}/readyz") for url in self.urls]
            except httpx.HTTPError:
                return False
        shown = [answer.json() for answer in answers]
        counts = [shown[0].get(kind, {}).get("count") or 0 for kind in ("task_workers", "deliver_workers")]
        brokers = all(one.get("broker", {}).get("status") == "ok" for one in shown)
        served = all(answer.status_code == 200 for answer in answers)
        return served and brokers and counts[0] >= tasks and counts[1] >= deliver

    async def serves(self) -> bool:
        """Whether every API answers, however well it and the workers are."""
        async with self.client(timeout=5) as client:
            try:
                return all([(await client.get(f"{url}/healthz")).status_code == 200 for url in self.urls])
            except httpx.HTTPError:
                return False

    @abstractmethod
    def _check(self) -> None:
        """Raise where waiting is in vain."""

    def _launch(self, name: str, *arguments: str, **more: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "webhookd.cli", *arguments],
                env={**self.environment, **more},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.folder,
            )


class Up(Installation):
    """`webhookd up` on a data dir of its own; the port stays the same over restarts."""

    def __init__(self, folder: Path, *, workers: str = "1", **settings: str) -> None:
        super().__init__(folder, settings)
        self.data_dir = folder / "data"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._workers = workers

    @property
    def urls(self) -> Sequence[str]:
        return (f"http://127.0.0.1:{self.port}",)

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.data_dir / 'webhookd.db'}"

    async def start(self) -> None:
        await self.begin()
        await self.ready(tasks=int(self._workers.partition(".")[0]))

    async def begin(self) -> None:
        if self.process is None or self.process.poll() is not None:
            options = ("--port", str(self.port), "--data-dir", str(self.data_dir), "--workers", self._workers)
            self.process = self._launch("up", "up", *options)

    def kill(self) -> None:
        """SIGKILL the supervisor; the kernel takes its children along."""
        if self.process is not None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()

    async def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return await asyncio.to_thread(self.process.wait, _END_SECONDS)

    def end(self) -> None:
        """Kill it if it still runs: for the end of a fixture."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def _top(self) -> Iterable[int]:
        return () if self.process is None else (self.process.pid,)

    def _check(self) -> None:
        assert self.process is not None
        if (code := self.process.poll()) is not None:
            raise EndedAtStart(f"webhookd up ended with {code}:\n{self.log()[-3000:]}")


class Parts(Installation):
    """So many `webhookd api` and one `webhookd worker`, on a database and a broker that are there.

    A process that dies is started again at once, as systemd or a container platform does it. Its processes
    reach the database by `database_port` where one is given: a proxy's.
    """

    def __init__(
        self,
        folder: Path,
        *,
        database_url: str,
        broker_url: str,
        database_port: int | None = None,
        apis: int = 1,
        **settings: str,
    ) -> None:
        through = database_url if database_port is None else _with_port(database_url, database_port)
        services = {
            "WEBHOOKD_DATABASE_URL": through,
            "WEBHOOKD_BROKER_URL": broker_url,
            "WEBHOOKD_DATA_DIR": str(folder / "data"),
            "WEBHOOKD_ENCRYPTION_KEYS": generate_key(),
        }
        super().__init__(folder, {**services, **settings})
        self._ports = [free_port() for _ in range(apis)]
        self._database_url = database_url
        self._kept: dict[str, _Kept] = {}
        self.more: dict[str, dict[str, str]] = {}
        """Environment of single processes, by name (`api-1`, `worker-1`), from their next start on."""

    @property
    def urls(self) -> Sequence[str]:
        return [f"http://127.0.0.1:{port}" for port in self._ports]

    @property
    def database_url(self) -> str:
        return self._database_url

    async def start(self) -> None:
        """Migrate and start; after `kill` wait until those that were kept are back."""
        await self.begin()
        await self.ready(tasks=2)

    async def begin(self) -> None:
        if not self._kept:
            await asyncio.to_thread(self.migrate)
            for number in range(1, len(self._ports) + 1):
                self.keep(f"api-{number}")
            self.keep("worker-1", "--processes", "2")

    def migrate(self, **more: str) -> None:
        """Run `webhookd migrate` to its end."""
        process = self._launch("migrate", "migrate", **more)
        assert process.wait(_END_SECONDS) == 0, self.log()[-3000:]

    def keep(self, name: str, *options: str) -> None:
        """Start a process and keep it running: `api-N`, `worker-N`."""
        kind, _, number = name.partition("-")
        if kind == "api":
            options = ("--port", str(self._ports[int(number) - 1]), *options)

        def launch() -> subprocess.Popen[bytes]:
            return self._launch(name, kind, *options, **self.more.get(name, {}))

        self._kept[name] = _Kept(launch)

    async def let_go(self, name: str) -> int:
        """SIGTERM one process, and start it no more; return its exit code."""
        return await asyncio.to_thread(self._kept.pop(name).stop)

    def pid(self, name: str) -> int:
        """Return the process's id."""
        return self._kept[name].process.pid

    def kill(self) -> None:
        for kept in self._kept.values():
            kept.process.kill()

    async def stop(self) -> int:
        codes = [await self.let_go(name) for name in sorted(self._kept)]  # the APIs first
        return max(codes, key=abs, default=0)

    def end(self) -> None:
        """Kill what still runs: for the end of a fixture."""
        while self._kept:
            self._kept.popitem()[1].end()

    def _check(self) -> None:
        """Whatever dies is started again."""

    def _top(self) -> Iterable[int]:
        return [kept.process.pid for kept in self._kept.values()]


class _Kept:
    """A process, and the thread that starts it again whenever it dies."""

    def __init__(self, launch: Callable[[], "subprocess.Popen[bytes]"]) -> None:
        self._launch = launch
        self._over = threading.Event()
        self.process = launch()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """SIGTERM; return the exit code."""
        self._give_up()
        self.process.terminate()
        return self.process.wait(_END_SECONDS)

    def end(self) -> None:
        """SIGKILL."""
        self._give_up()
        self.process.kill()
        self.process.wait()

    def _give_up(self) -> None:
        self._over.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            if self.process.poll() is not None:
                self.process = self._launch()
                time.sleep(_LOOK_SECONDS)
