"""The proxies people put in front of webhookd, each started in a folder of its own with lines under test.

A row of PROGRAMS says how one is run: by the current user, in the foreground, on a free port, with nothing of
the machine's own configuration.
"""

import getpass
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.support.services import ServiceMissing
from webhookd.adapters.deathwatch import watched

APACHE_MODULES: Final = Path("/usr/lib/apache2/modules")
_END_SECONDS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """How a proxy is run: `around` makes its lines a whole configuration, `command` starts it on that."""

    name: str
    executables: Sequence[str]
    language: str
    around: Callable[[str, Path], str]
    command: Callable[[str, Path], Sequence[str]]
    environment: Mapping[str, str] = field(default_factory=dict)

    def executable(self) -> str:
        """Return its path. Raises ServiceMissing."""
        for name in self.executables:
            if found := shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"):
                return found
        raise ServiceMissing(f"no {self.name} on this machine: apt-get install {self.executables[0]}")

    @contextmanager
    def running(self, lines: str, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
        """Run it in the foreground on these lines, until the end of the context."""
        program = self.executable()
        folder.mkdir(parents=True)
        config = folder / "proxy.conf"
        config.write_text(self.around(lines, folder))
        environment = {
            "PATH": os.environ.get("PATH", ""),
            **{name: value.format(folder=folder) for name, value in self.environment.items()},
        }
        with (folder / "output.log").open("ab") as log:
            process = subprocess.Popen(
                # Told to end, not killed: workers of Apache and nginx outlive a parent that cannot tell them.
                watched(self.command(program, folder), orphan_signal=signal.SIGTERM),
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def log_of(folder: Path) -> str:
    """Return what a proxy has said."""
    return "".join(file.read_text(errors="replace")[-3_000:] for file in sorted(folder.glob("*.log")))


def _nginx(lines: str, folder: Path) -> str:
    temporary = "\n".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
    return f"""
{user}
daemon off;
worker_processes 2;
pid {folder}/pid;
error_log {folder}/error.log warn;
events {{}}
http {{
    access_log off;
    {temporary}
    {lines}
}}
"""


def _haproxy(lines: str, folder: Path) -> str:
    return f"global\n    maxconn 1000\n    nbthread 2\n\n{lines}\n"


def _apache(lines: str, folder: Path) -> str:
    modules = (
        "mpm_event authz_core headers ssl slotmem_shm proxy proxy_http proxy_balancer proxy_hcheck "
        "lbmethod_byrequests"
    )
    loaded = "\n".join(f"LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so" for name in modules.split())
    # Started as root it insists on another user for its workers.
    user = "User nobody\nGroup nogroup" if os.geteuid() == 0 else ""
    return f"""
ServerRoot {folder}
DefaultRuntimeDir {folder}
PidFile {folder}/pid
ErrorLog {folder}/error.log
ServerName 127.0.0.1
Mutex pthread
{user}
{loaded}
SSLSessionCache none
{lines}
"""


def _caddy(lines: str, folder: Path) -> str:
    return f"{{\n\tadmin off\n\tauto_https off\n}}\n{lines}\n"


PROGRAMS: Final = (
    Program(
        name="nginx",
        executables=("nginx",),
        language="nginx",
        around=_nginx,
        command=lambda program, folder: (
            program, "-p", str(folder), "-c", f"{folder}/proxy.conf", "-e", f"{folder}/error.log",
        ),
    ),
    Program(
        name="HAProxy",
        executables=("haproxy",),
        language="haproxy",
        around=_haproxy,
        command=lambda program, folder: (program, "-db", "-f", f"{folder}/proxy.conf"),
    ),
    Program(
        name="Apache",
        executables=("apache2", "httpd"),
        language="apache",
        around=_apache,
        command=lambda program, folder: (program, "-DFOREGROUND", "-f", f"{folder}/proxy.conf"),
    ),
    Program(
        name="Caddy",
        executables=("caddy",),
        language="caddyfile",
        around=_caddy,
        command=lambda program, folder: (
            program, "run", "--config", f"{folder}/proxy.conf", "--adapter", "caddyfile",
        ),
        environment=dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), "{folder}"),
    ),
)  # fmt: skip
