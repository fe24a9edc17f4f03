"""What a person, or the machine, can have done wrong: one line each, and never "report it" or a password."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.support.command_line import WEBHOOKD, Command, Ended, environment, run_here, started, url_of
from tests.support.plain_http import ask
from webhookd import asgi, cli, worker
from webhookd.adapters.vault import generate_key

SERVING: dict[str, Callable[[], int]] = {
    "up": lambda: cli.main(["up"]),
    "api": lambda: cli.main(["api"]),
    "worker": lambda: cli.main(["worker"]),
    "migrate": lambda: cli.main(["migrate"]),
    "python -m webhookd.asgi": asgi.main,
    "python -m webhookd.worker": worker.main,
}


@pytest.fixture
def umask() -> Iterator[None]:
    """A command run in this process sets it for all that follow."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


def shell(script: str, cwd: Path, env: dict[str, str] | None = None) -> Ended:
    """Run `webhookd …` as a shell runs it; `$W` is the command."""
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=cwd,
        env={**(environment() if env is None else env), "W": " ".join(WEBHOOKD)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    return Ended(exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)


def one_line(ended: Ended) -> str:
    """The one line of a command that failed."""
    assert ended.exit_code in (1, 2), ended
    assert ended.stderr.count("\n") == 1, ended.stderr
    for word in ("internal error", "Traceback", "hunter2"):
        assert word not in ended.stderr + ended.stdout
    return ended.stderr


@pytest.fixture
def told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], umask: None
) -> Callable[[Callable[[], int], dict[str, str]], str]:
    """Run a command's entry point in a folder and with settings of its own; return its one line."""

    def tell(command: Callable[[], int], settings: dict[str, str]) -> str:
        for name in os.environ:
            if name.startswith(("WEBHOOKD_", "OTEL_")):
                monkeypatch.delenv(name)
        for name, value in {"WEBHOOKD_PORT": "0", **settings}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        code = command()
        out, err = capfd.readouterr()
        return one_line(Ended(exit_code=code, stdout=out, stderr=err))

    return tell


Tell = Callable[[Callable[[], int], dict[str, str]], str]


@pytest.mark.parametrize("command", SERVING)
def test_every_process_checks_every_setting_at_its_start(
    tmp_path: Path, told: Tell, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr("sys.argv", ["webhookd.worker", "deliver"])
    settings = {
        "WEBHOOKD_EGRESS_PROXY": "socks5://u:hunter2@127.0.0.1:1080",
        "WEBHOOKD_BROKER_URL": "redis://127.0.0.1:1/0",
    }
    assert "WEBHOOKD_EGRESS_PROXY" in told(SERVING[command], settings)
    assert not list(tmp_path.rglob("*.db")), "it began before it had looked"


@pytest.mark.parametrize("command", [name for name in SERVING if name != "up"])
def test_process_whose_database_is_away_at_its_start_ends_and_says_so(
    told: Tell, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr("sys.argv", ["webhookd.worker", "deliver"])
    settings = {
        "WEBHOOKD_DATABASE_URL": "postgresql://u:hunter2@127.0.0.1:1/webhookd",
        "WEBHOOKD_BROKER_URL": "redis://127.0.0.1:1/0",
        "WEBHOOKD_ENCRYPTION_KEYS": generate_key(),
    }
    said = told(SERVING[command], settings)
    assert "WEBHOOKD_DATABASE_URL: cannot " in said
    assert "127.0.0.1:1" in said


def test_doctor_finds_a_value_that_no_process_takes(tmp_path: Path) -> None:
    env = environment(WEBHOOKD_EGRESS_PROXY="socks5://u:hunter2@127.0.0.1:1080")
    ended = run_here("doctor", cwd=tmp_path, env=env)
    assert ended.exit_code == 1
    assert "WEBHOOKD_EGRESS_PROXY" in ended.stdout
    assert "hunter2" not in ended.stdout + ended.stderr


MISTAKES: dict[str, tuple[dict[str, str], tuple[str, ...], str]] = {
    "a replay of nothing that is named": ({}, ("replay",), "say which"),
    "a discard of nothing that is named": ({}, ("discard",), "say which"),
    "half an IPv6 address": ({"WEBHOOKD_URL": "http://[::1"}, ("tasks", "list"), "WEBHOOKD_URL"),
    "no port": ({"WEBHOOKD_URL": "http://h:port"}, ("tasks", "list"), "WEBHOOKD_URL"),
    "a password in the URL": (
        {"WEBHOOKD_URL": "http://u:hunter2@127.0.0.1:1", "WEBHOOKD_KEY": "whk_x"},
        ("tasks", "list"),
        "WEBHOOKD_URL",
    ),
    "a label too long": (
        {"WEBHOOKD_URL": f"http://{'a' * 64}.example", "WEBHOOKD_KEY": "whk_x"},
        ("tasks", "list"),
        "webhookd: ",
    ),
    "no such task set": ({"WEBHOOKD_TASKS": "no.such:thing"}, ("up",), "WEBHOOKD_TASKS"),
    "no attribute": ({"WEBHOOKD_TASKS": "webhookd.samples:nothing"}, ("up",), "WEBHOOKD_TASKS"),
    "a relative module": ({"WEBHOOKD_TASKS": ".x:y"}, ("up",), "WEBHOOKD_TASKS"),
    "no module at all": ({"WEBHOOKD_TASKS": ":y"}, ("up",), "WEBHOOKD_TASKS"),
    "a database nobody listens at": (
        {"WEBHOOKD_DATABASE_URL": "postgresql://u:hunter2@127.0.0.1:1/db?sslmode=require&password=hunter2"},
        ("migrate",),
        "WEBHOOKD_DATABASE_URL",
    ),
    "a data dir that is a file": ({"WEBHOOKD_DATA_DIR": "a-file"}, ("up",), "WEBHOOKD_DATA_DIR"),
    "a data dir below a file": ({"WEBHOOKD_DATA_DIR": "a-file/data"}, ("up",), "WEBHOOKD_DATA_DIR"),
    "a data dir where nothing can be": ({"WEBHOOKD_DATA_DIR": "/proc/data"}, ("up",), "WEBHOOKD_DATA_DIR"),
    "a data dir that is a file, to migrate": ({"WEBHOOKD_DATA_DIR": "a-file"}, ("migrate",), "webhookd: "),
    "a host of other machines": ({"WEBHOOKD_HOST": "192.0.2.1"}, ("up",), "192.0.2.1"),
    "a host whose name is none": ({"WEBHOOKD_HOST": f"{'a' * 64}.example"}, ("up",), "WEBHOOKD_HOST"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_said_in_one_line(tmp_path: Path, told: Tell, mistake: str) -> None:
    settings, arguments, says = MISTAKES[mistake]
    (tmp_path / "a-file").touch()
    assert says in told(lambda: cli.main(arguments), settings)


def test_folder_whose_name_is_not_utf8_is_named(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)  # noqa: PTH102 - pathlib has no bytes
    assert "UTF-8" in one_line(run_here("up", "--port", "0", cwd=Path(os.fsdecode(folder))))


def test_taken_port_is_named(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        assert str(port) in one_line(run_here("up", "--port", str(port), cwd=tmp_path))


def test_closed_or_full_output_is_the_readers_business(tmp_path: Path) -> None:
    assert run_here("migrate", cwd=tmp_path, env=environment(WEBHOOKD_DATA_DIR=".")).exit_code == 0
    env = environment(WEBHOOKD_DATA_DIR=".")
    for script in ("$W migrate >&-", "$W migrate >&- 2>&- <&-", "$W --help >&-", "$W partners list >&-"):
        ended = shell(script, tmp_path, env)
        assert "report it" not in ended.stderr
        assert "Traceback" not in ended.stderr
        assert ended.exit_code in (0, 1), (script, ended)
    ended = shell("set -o pipefail; $W tasks --help | true; exit ${PIPESTATUS[0]}", tmp_path, env)
    assert ended.stderr == ""
    assert ended.exit_code in (0, 1)
    if Path("/dev/full").exists():
        assert "No space left" in one_line(shell("$W migrate >/dev/full", tmp_path, env))


ODD = "feature%2Fx #1?a=[b]* 'q\" 日本\nnew"


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Command, Path]]:
    """`up` on every address of the machine, in a data dir with an odd name that others may look into."""
    folder = tmp_path_factory.mktemp("odd")
    data = folder / ODD
    data.mkdir(mode=0o755)
    (data / "broker").mkdir(mode=0o755)
    old = data / "webhookd.db.lock"
    old.touch(mode=0o644)
    with started("up", "--host", "::", "--port", "0", "--data-dir", str(data), cwd=folder) as up:
        url_of(up)
        yield up, data
        up.send(signal.SIGTERM)
        assert up.wait() == 0, up.everything()


def test_everything_of_a_data_dir_lies_under_it_whatever_it_is_called(odd: tuple[Command, Path]) -> None:
    _, data = odd
    names = {path.name for path in data.rglob("*")}
    assert {"webhookd.db", "encryption.keys", "valkey.conf", "appendonlydir"} <= names
    assert [path.name for path in data.parent.iterdir()] == [ODD]
    assert run_here("doctor", cwd=data.parent, env=environment(WEBHOOKD_DATA_DIR=str(data))).exit_code == 0


def test_nobody_else_may_read_a_data_dir_of_ours(odd: tuple[Command, Path]) -> None:
    _, data = odd
    loose = [
        path for path in (data, *data.rglob("*")) if path.lstat().st_mode & 0o077 and not path.is_socket()
    ]
    assert loose == []


def test_every_address_is_ipv4_too(odd: tuple[Command, Path]) -> None:
    up, _ = odd
    port = httpx.URL(url_of(up)).port
    for host in ("127.0.0.1", "[::1]"):
        assert ask("GET", f"http://{host}:{port}/healthz").status_code == 200
