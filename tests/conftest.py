"""Fixtures shared by all tests. A missing service skips the test on a laptop and fails it in CI."""

import asyncio
import gc
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
import uvloop
from hypothesis import settings

from tests.support.imports import import_some
from tests.support.s3 import S3Server
from tests.support.services import (
    Databases,
    PostgresServer,
    ServiceMissing,
    ValkeyServer,
    folder_in_memory,
    in_a_loop_of_its_own,
    share_clusters,
)
from webhookd.adapters.store.migrate import migrate
from webhookd.core.errors import SettingsError
from webhookd.runtime.importing import without_collector

if TYPE_CHECKING:
    from xdist.remote import Producer

    from tests.support.shares import Shares

settings.register_profile("webhookd", deadline=None)
settings.load_profile("webhookd")


def pytest_configure() -> None:
    """Have `tmp_path` in memory where there is room, unless somebody has said where it is to be.

    And let commands be interrupted: what a shell runs in the background ignores Ctrl-C, and so would they.
    The processes of `-n` start their PostgreSQL from one cluster.
    """
    share_clusters()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if "TMPDIR" not in os.environ and (memory := folder_in_memory()):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", memory)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> "Shares | None":
    """With `--dist loadscope` have tests that share a server run in one process (`shares`)."""
    from tests.support.shares import Shares

    return Shares(config, log) if config.getoption("dist") == "loadscope" else None


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Look for no garbage among what is collected: it stays. In a fresh clone compile together."""
    with without_collector():
        if worker := getattr(session.config, "workerinput", None):
            every = worker["workercount"]
            import_some(session.config.args, first=int(worker["workerid"].removeprefix("gw")), every=every)
        return (yield)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Offer uvloop, which production runs on, beside asyncio's own loop; asyncio alone unless asked.

    A test asks with `pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])`.
    """
    marker = item.get_closest_marker("asyncio")
    if marker is not None and "loop_factories" in marker.kwargs:
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


@pytest.fixture(autouse=True)
def umask_of_its_own() -> Iterator[None]:
    """Let a command run in this process, which keeps its files to itself, not decide for those after it."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture(autouse=True)
def logging_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a test that sets up logging (a command run in this process) not decide for those after it."""
    configure = structlog.configure
    monkeypatch.setattr(
        structlog, "configure", lambda **given: configure(**{**given, "cache_logger_on_first_use": False})
    )
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before
    structlog.reset_defaults()


@pytest.fixture(scope="module", autouse=True)
def settled_heap() -> None:
    """Let a collection look only at what came after the module's first test began, not at all modules."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def leaks_of_its_own(settled_heap: None, request: pytest.FixtureRequest) -> Iterator[None]:
    """Collect what a test left open, so that its ResourceWarning (an error) fails this test, not a later one.

    It is set up before the loop and every other fixture of the test, and so ends after them. What is left
    then is looked at no more: it belongs to the module or the session, and a collection takes 1 ms, not 20.
    """
    yield
    request.node.funcargs = {}  # pytest would let go of them after the test
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):  # the frames of a test that failed
        vars(sys).pop(name, None)
    for _ in range(3):  # what a finalizer touched goes one round later
        if not gc.collect():
            break
    gc.freeze()


def missing(error: Exception) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(str(error))
    pytest.skip(str(error))


@pytest.fixture(scope="session")
def spare_valkeys() -> Iterator[list[tuple[ValkeyServer, object]]]:
    """The Valkey that waits for the next test that needs one, if there is one, with its setup."""
    spares: list[tuple[ValkeyServer, object]] = []
    yield spares
    for server, _ in spares:
        server.__exit__()


@pytest.fixture
def valkey(
    tmp_path_factory: pytest.TempPathFactory, spare_valkeys: list[tuple[ValkeyServer, object]]
) -> Iterator[ValkeyServer]:
    """An empty Valkey of the test's own, which it may kill, freeze, fill and set up otherwise.

    One that a test leaves as it was is emptied and serves the next: to start one takes ten times as long.
    """
    if spare_valkeys:
        server, setup = spare_valkeys.pop()
    else:
        try:
            server = ValkeyServer(tmp_path_factory.mktemp("valkey"))
        except SettingsError as error:
            missing(error)
        server.start()
        setup = server.emptied()
    yield server
    if server.emptied() == setup:
        spare_valkeys.append((server, setup))
    else:
        server.__exit__()


@pytest.fixture
def valkey_url(valkey: ValkeyServer) -> str:
    return valkey.url


@pytest.fixture(scope="session")
def postgres() -> Iterator[Databases]:
    """One PostgreSQL a test process, or the one at `WEBHOOKD_TEST_POSTGRES_URL`; leave it running."""
    if external_url := os.environ.get("WEBHOOKD_TEST_POSTGRES_URL"):
        databases = Databases(external_url)
        yield databases
        databases.drop_template()
        return
    server = _postgres_server(fsync=False)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgres_url(postgres: Databases) -> Iterator[str]:
    """An empty database of the test's own, as a `postgresql://` URL."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """One S3 server a test process; leave it running."""
    with S3Server() as server:
        yield server


@pytest.fixture
def migrated_postgresql_url(postgres: Databases) -> Iterator[str]:
    """A database of the test's own, with this release's schema."""
    url = postgres.create_migrated_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with this release's schema, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "template.db"
    in_a_loop_of_its_own(lambda: migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture
def migrated_sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """A database of the test's own, with this release's schema."""
    return f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'webhookd.db')}"


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest) -> str:
    """The same on either database, in turn."""
    url: str = request.getfixturevalue(f"migrated_{request.param}_url")
    return url


@pytest.fixture
def crashable_postgres() -> Iterator[PostgresServer]:
    """A running PostgreSQL of the test's own, which it may stop, crash and start again (some 2 s)."""
    server = _postgres_server(fsync=True)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def _postgres_server(*, fsync: bool) -> PostgresServer:
    try:
        return PostgresServer(fsync=fsync)
    except ServiceMissing as error:
        missing(error)
        raise
