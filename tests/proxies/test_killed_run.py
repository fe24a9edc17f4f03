"""A run of the tests that is killed leaves no proxy behind, nor a worker of one."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support.command_line import descendants, wait_until_gone
from tests.support.services import eventually, free_port

ROOT: Final = Path(__file__).parents[2]
LINES: Final = {
    "nginx": "server {{ listen 127.0.0.1:{port}; }}",
    "HAProxy": "defaults\n timeout client 9s\n timeout connect 9s\n timeout server 9s\n"
    "frontend one\n bind 127.0.0.1:{port}\n",
    "Apache": "Listen 127.0.0.1:{port}",
    "Caddy": "http://127.0.0.1:{port} {{\n}}",
}
RUN: Final = """
import socket, sys, time
from contextlib import suppress
from pathlib import Path
from tests.proxies.programs import PROGRAMS

name, lines, port, folder = sys.argv[1:]
(program,) = (program for program in PROGRAMS if program.name == name)
with program.running(lines, Path(folder)) as process:
    while process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", int(port))):
            print("serves", flush=True)
            break
        time.sleep(0.02)
    process.wait()
"""


@pytest.mark.faults
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_killed_run_leaves_no_proxy_behind(program: str, tmp_path: Path) -> None:
    port = free_port()
    run = [
        sys.executable,
        "-c",
        RUN,
        program,
        LINES[program].format(port=port),
        str(port),
        str(tmp_path / "one"),
    ]
    with subprocess.Popen(run, cwd=ROOT, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "serves\n"
        workers = 2 if program in ("nginx", "Apache") else 0
        eventually(lambda: len(descendants(killed.pid)) > workers, "its workers")
        started = descendants(killed.pid)
        killed.send_signal(signal.SIGKILL)
    wait_until_gone(started)
