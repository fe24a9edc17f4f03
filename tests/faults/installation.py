"""A whole installation under test: `webhookd up` as a user starts it, killed and started again at will."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx

from tests.services import until

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


def free_port() -> int:
    """Return a port nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Up:
    """`webhookd up` on a data dir of its own; the port stays the same over restarts."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.data_dir = folder / "data"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / "up.log"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("WEBHOOKD_")}
        self.environment: Mapping[str, str] = {**clean, **QUICK, **settings}
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it and wait until it answers."""
        self._launch()
        await until(self._ready, what=f"readiness; see {self._log}:\n{self.log()[-2000:]}", seconds=60)

    def _launch(self) -> None:
        options = ("--port", str(self.port), "--data-dir", str(self.data_dir))
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "webhookd.cli", "up", *options],
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self._log.parent,
            )

    def kill(self) -> None:
        """SIGKILL the supervisor; the kernel takes its children along."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def children(self) -> dict[str, list[int]]:
        """Return the pids of the running parts, by `api`, `tasks` and `deliver`."""
        assert self.process is not None
        found: dict[str, list[int]] = {"api": [], "tasks": [], "deliver": []}
        for entry in Path("/proc").iterdir():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                line = (entry / "cmdline").read_text().split("\0")
            except (OSError, ValueError, IndexError):
                continue
            if parent != self.process.pid:
                continue
            if "webhookd.asgi" in line:
                found["api"].append(int(entry.name))
            for role in ("tasks", "deliver"):
                if "webhookd.worker" in line and role in line:
                    found[role].append(int(entry.name))
        return found

    async def stop(self) -> int:
        """SIGTERM; return the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return await asyncio.to_thread(self.process.wait, 60)

    def log(self) -> str:
        """Return what it has printed."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    async def partner(self, name: str) -> dict[str, str]:
        """Make a partner; return `id`, `key` and `secret`."""
        async with httpx.AsyncClient(base_url=self.url) as client:
            made = await client.post(
                "/v1/partners", json={"name": name}, headers={"Authorization": f"Bearer {ADMIN_KEY}"}
            )
            made.raise_for_status()
            answer: dict[str, str] = made.json()
            return answer

    def _ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"webhookd up ended with {self.process.returncode}:\n{self.log()[-3000:]}")
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False
