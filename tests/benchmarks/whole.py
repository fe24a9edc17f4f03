"""`webhookd up` as a whole, with its database's server where it has one, and bare to compare it with."""

import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks.installation import ADMIN_KEY, Store, make_partner, wait_for
from tests.benchmarks.usage import Usage, memory_mb, usage
from tests.support.services import PostgresServer, free_port
from webhookd.adapters.vault import generate_key

HERE: Final = Path(__file__).parent
_READY: Final = b"webhookd is up at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """Something that takes `POST /v1/tasks` and passes on, and all its processes."""

    url: str
    key: str
    roots: tuple[int, ...]
    start_seconds: float = 0.0
    start_cpu_seconds: float = 0.0
    folder: Path | None = None
    server: PostgresServer | None = None
    database_url: str | None = None
    counts: Path | None = None

    def usage(self) -> Usage:
        """Return what all processes have used."""
        return usage(*self.roots)

    def memory_mb(self) -> dict[str, float]:
        """Return the memory of all processes by role."""
        return memory_mb(*self.roots)

    def statements(self) -> tuple[int, int]:
        """Return how many statements and commits there were, where they are counted."""
        if self.server is not None:
            text = self.server.log()
            told = re.findall(r"(?:statement|execute [^:]*): (\w+)", text)
            return len(told), sum(word.upper() == "COMMIT" for word in told)
        files = [] if self.counts is None else list(self.counts.iterdir())
        pairs = [struct.unpack("<QQ", one.read_bytes()) for one in files]
        return sum(one[0] for one in pairs), sum(one[1] for one in pairs)


@contextmanager
def whole(
    store: Store, *, python: str = sys.executable, counted: bool = False, named: bool = False
) -> Iterator[Whole]:
    """Start `webhookd up` of the installation that `python` has. Its threads may be `named`.

    `counted`: so are its statements, which costs time; such a run is for nothing else.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="webhookd-bench-")))
        server = _server(stack, counted=counted) if store == "postgresql" else None
        counts = folder / "counts"
        database_url = None if server is None else server.create_database()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("WEBHOOKD_")},
            **_settings(folder, database_url),
        }
        if counted or named:
            environment["PYTHONPATH"] = str(HERE / "hooks")
        if counted:
            counts.mkdir()
            environment["BENCH_COUNTS"] = str(counts)
        log = folder / "up.log"
        started = time.monotonic()
        with log.open("wb") as out:
            # Elsewhere than here: the folder a program is started in is where it looks for modules first.
            process = subprocess.Popen(
                [python, "-m", "webhookd.cli", "up"], env=environment, stdout=out, stderr=out, cwd=folder
            )
        stack.callback(_end, process)
        wait_for(lambda: _READY in log.read_bytes() or process.poll() is not None, 60, "up", every=0.02)
        if process.poll() is not None:
            raise RuntimeError(log.read_text())
        seconds, started_with = time.monotonic() - started, usage(process.pid)
        url = f"http://127.0.0.1:{environment['WEBHOOKD_PORT']}"
        yield Whole(
            url=url,
            key=make_partner(url),
            roots=(process.pid, *(() if server is None or server.pid is None else (server.pid,))),
            start_seconds=seconds,
            start_cpu_seconds=started_with.cpu_ms / 1e3,
            folder=folder,
            server=server,
            database_url=database_url,
            counts=counts if counted else None,
        )


@contextmanager
def bare(callback_url: str) -> Iterator[Whole]:
    """Start the floor."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.bare", str(port), callback_url])
    try:
        wait_for(lambda: _listens(port), 20, "bare")
        yield Whole(url=f"http://127.0.0.1:{port}", key="", roots=(process.pid,))
    finally:
        _end(process)


def _server(stack: ExitStack, *, counted: bool) -> PostgresServer:
    server = PostgresServer(fsync=True)
    stack.callback(server.remove)
    server.start()
    if counted:
        server.execute("ALTER SYSTEM SET log_statement = 'all'")
        server.execute("SELECT pg_reload_conf()")
    return server


def _settings(folder: Path, database_url: str | None) -> dict[str, str]:
    url = {} if database_url is None else {"WEBHOOKD_DATABASE_URL": database_url}
    return {
        **url,
        "WEBHOOKD_DATA_DIR": str(folder / "data"),
        "WEBHOOKD_PORT": str(free_port()),
        "WEBHOOKD_ADMIN_KEY": ADMIN_KEY,
        "WEBHOOKD_ENCRYPTION_KEYS": generate_key(),
        "WEBHOOKD_EGRESS_ALLOW": "127.0.0.0/8",
        "WEBHOOKD_LOG_FORMAT": "json",
        "WEBHOOKD_PARTNER_RATE": "1000000",
        "WEBHOOKD_PARTNER_BURST": "10000000",
        "WEBHOOKD_DELIVERY_HOST_RATE": "1000000",
    }


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
