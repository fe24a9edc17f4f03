"""Real processes for the benchmarks: sink, broker, database, API and workers, pinned where told."""

import asyncio
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx

from tests.support.services import PostgresServer, ValkeyServer, free_port
from webhookd.adapters.store.migrate import migrate
from webhookd.adapters.vault import generate_key

Store = Literal["sqlite", "postgresql"]
ADMIN_KEY = "benchmark-admin-key"
_KEPT = httpx.Client(trust_env=False)
"""One client for all looks at the sink: a new one each time costs as much as fifty deliveries."""


@dataclass(slots=True)
class Installation:
    """One installation; `start` adds a process, everything ends with the context that made it."""

    environment: dict[str, str]
    api_url: str
    log_folder: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *arguments: str, core: int | None = None, **environment: str) -> None:
        """Start `python -m …`, pinned to `core` where the system can."""
        log = (self.log_folder / f"{name}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env={**os.environ, **self.environment, **environment},
            stdout=log,
            stderr=log,
        )
        log.close()
        pin(process.pid, core)
        self.processes[name] = process

    def stop(self, name: str) -> None:
        """End one process gracefully."""
        process = self.processes.pop(name)
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop_all(self) -> None:
        """End every process, the last started first."""
        for name in reversed(list(self.processes)):
            self.stop(name)

    def cpu_seconds(self, name: str) -> float:
        """Return the processor time a process has used."""
        fields = Path(f"/proc/{self.processes[name].pid}/stat").read_text().rsplit(") ", 1)[1].split()
        ticks: int = os.sysconf("SC_CLK_TCK")
        return (int(fields[11]) + int(fields[12])) / ticks

    def memory_mb(self, name: str) -> float:
        """Return the memory of a process's own: resident, without the pages of files it has mapped."""
        status = Path(f"/proc/{self.processes[name].pid}/status").read_text()
        own = next(line for line in status.splitlines() if line.startswith("RssAnon:"))
        return int(own.split()[1]) / 1_024

    def wait_ready(self, seconds: float = 120) -> None:
        """Wait until the API answers."""
        wait_for(lambda: _answers(f"{self.api_url}/healthz"), seconds, "the API")


def pin(pid: int, core: int | None) -> None:
    """Keep a process on one core, where there are several."""
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(pid, {sorted(os.sched_getaffinity(0))[core % len(os.sched_getaffinity(0))]})


def wait_for(condition: Callable[[], bool], seconds: float, what: str, *, every: float = 0.05) -> None:
    """Poll until `condition()` is true."""
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            raise TimeoutError(f"{what} did not come within {seconds} s")
        time.sleep(every)


def sink_counts(url: str) -> dict[str, Any]:
    """Return what the sink has counted; see `tests.benchmarks.sink.Counts`."""
    document: dict[str, Any] = _KEPT.get(f"{url}/count").json()
    return document


def forget_posts(url: str) -> None:
    """Let the sink begin to count anew."""
    _KEPT.get(f"{url}/reset").raise_for_status()


@contextmanager
def installation(store: Store, **settings: str) -> Iterator[Installation]:
    """Make a migrated, empty installation with a broker and no processes yet."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="webhookd-bench-")))
        valkey = stack.enter_context(ValkeyServer(folder / "valkey"))
        if store == "postgresql":
            server = PostgresServer(fsync=True)
            stack.callback(server.remove)
            server.start()
            url = server.create_database()
        else:
            url = f"sqlite:///{folder / 'webhookd.db'}"
        port = free_port()
        made = Installation(
            environment={
                "WEBHOOKD_DATA_DIR": str(folder),
                "WEBHOOKD_DATABASE_URL": url,
                "WEBHOOKD_BROKER_URL": valkey.url,
                "WEBHOOKD_PORT": str(port),
                "WEBHOOKD_ADMIN_KEY": ADMIN_KEY,
                "WEBHOOKD_ENCRYPTION_KEYS": generate_key(),
                "WEBHOOKD_EGRESS_ALLOW": "127.0.0.0/8",
                "WEBHOOKD_PARTNER_RATE": "1000000",
                "WEBHOOKD_DELIVERY_HOST_RATE": "1000000",
                "WEBHOOKD_PARTNER_BURST": "10000000",
                "WEBHOOKD_PARTNER_MAX_QUEUED": "10000000",
                "WEBHOOKD_MAX_QUEUED": "10000000",
                **settings,
            },
            api_url=f"http://127.0.0.1:{port}",
            log_folder=folder,
        )
        stack.callback(made.stop_all)
        asyncio.run(migrate(url))
        yield made


@contextmanager
def sink(core: int | None = None) -> Iterator[tuple[str, str]]:
    """Run the sink; give its URL and the URL that hangs."""
    port, hang_port = free_port(), free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.sink", str(port), str(hang_port)])
    pin(process.pid, core)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: _answers(f"{url}/count"), 20, "the sink")
        yield url, f"http://127.0.0.1:{hang_port}"
    finally:
        process.kill()
        process.wait()


def ask_api(api_url: str, key: str, path: str) -> Any:
    """Return the answer to a GET."""
    answer = _KEPT.get(f"{api_url}{path}", headers={"Authorization": f"Bearer {key}"})
    answer.raise_for_status()
    return answer.json()


def make_partner(api_url: str) -> str:
    """Return the key of a new partner."""
    made = httpx.post(
        f"{api_url}/v1/partners",
        json={"name": f"bench-{secrets.token_hex(4)}"},
        headers={"Authorization": f"Bearer {ADMIN_KEY}"},
    )
    made.raise_for_status()
    key: str = made.json()["key"]
    return key


def _answers(url: str) -> bool:
    try:
        return _KEPT.get(url, timeout=1).status_code == 200
    except httpx.HTTPError:
        return False
