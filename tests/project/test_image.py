"""The image and `compose.yaml` are as narrow as docs/how-to says; neither is built here."""

import re
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
import yaml

from tests.conftest import missing
from webhookd.healthcheck import ask
from webhookd.settings import Settings, environment_name

ROOT: Final = Path(__file__).parents[2]
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
OURS: Final = ("api", "migrate", "worker")

# Leaves fifteen orphans, each a grandchild whose parent has ended, and says how many end up as zombies.
ORPHANS: Final = """
import os, pathlib, sys, time
reading, writing = os.pipe()
for _ in range(15):
    if (child := os.fork()) == 0:
        if os.fork() == 0:
            os.write(writing, f"{os.getpid()}\\n".encode())
        os._exit(0)
    os.waitpid(child, 0)
os.close(writing)
pids = open(reading).read().split()
def left():
    return [pid for pid in pids if pathlib.Path("/proc", pid).exists()]
give_up_at = time.monotonic() + float(sys.argv[1])
while left() and time.monotonic() < give_up_at:
    time.sleep(0.02)
print(len(pids), len(left()))
"""


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, in order; a continued line is one."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines if line.strip()]


def all_of(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def resolved(text: str, **env: str) -> str:
    """What compose makes of `${NAME:-default}`."""
    return re.sub(r"\$\{(\w+):[-?]([^}]*)\}", lambda found: env.get(found[1], found[2]), text)


def test_every_package_of_the_image_is_locked_by_its_hash() -> None:
    commands = [part.strip() for line in all_of("RUN") for part in line.split("&&")]
    pips = [shlex.split(command)[1:] for command in commands if re.match(r"\S*pip ", command)]
    assert pips
    for arguments in pips:
        if arguments[0] == "wheel":
            assert {"--no-build-isolation", "--no-index", "--no-deps"} <= set(arguments)
        elif "-r" in arguments:
            assert "--require-hashes" in arguments
        else:
            assert {"--no-index", "--no-deps"} <= set(arguments)


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-otel.lock", "requirements-build.lock"])
def test_a_lock_file_has_a_hash_of_each_package(name: str) -> None:
    entries = re.split(r"\n(?=\S)", (ROOT / name).read_text().strip())
    assert [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []


def test_the_build_back_end_that_is_locked_is_the_one_that_is_asked_for() -> None:
    wanted = re.search(r'requires = \["(.+?)"\]', (ROOT / "pyproject.toml").read_text())
    assert wanted
    assert f"{wanted[1]} \\\n" in (ROOT / "requirements-build.lock").read_text()


def test_what_is_copied_into_the_build_is_let_in() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    sources = {source for line in all_of("COPY") if "--from" not in line for source in line.split()[:-1]}
    assert sources == let_in
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_both_stages_stand_on_one_base_image_that_can_be_pinned() -> None:
    assert all_of("ARG") == ["PYTHON_IMAGE=python:3.13-slim"]
    assert {line.split()[0] for line in all_of("FROM")} == {"${PYTHON_IMAGE}"}
    assert {SERVICES[name]["build"]["args"]["PYTHON_IMAGE"] for name in OURS} == {
        "${PYTHON_IMAGE:-python:3.13-slim}"
    }


def test_the_image_runs_below_an_init_and_not_as_root() -> None:
    assert orjson.loads(all_of("ENTRYPOINT")[0]) == ["/usr/bin/tini", "-s", "--", "webhookd"]
    assert all_of("USER") == ["10001:10001"]
    assert any("install --yes --no-install-recommends tini" in line for line in all_of("RUN"))


def namespace() -> tuple[str, ...]:
    """What makes a command process 1; nothing where this machine does not let us."""
    prefix = ("unshare", "--pid", "--fork", "--mount-proc")
    try:
        done = subprocess.run((*prefix, "true"), capture_output=True, check=False)
    except FileNotFoundError:
        return ()
    return prefix if done.returncode == 0 else ()


def zombies(*command: str, seconds: float) -> str:
    done = subprocess.run(
        (*command, sys.executable, "-c", ORPHANS, str(seconds)), capture_output=True, text=True, check=True
    )
    assert not done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("inside", [namespace(), ()], ids=["process 1", "below another init"])
def test_the_entry_point_reaps_orphans(inside: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    entry = [*orjson.loads(all_of("ENTRYPOINT")[0])]
    if not Path(entry[0]).exists():
        missing(FileNotFoundError("no tini: apt-get install tini"))
    if not inside and "process 1" in request.node.name:
        pytest.skip("this machine makes no process namespaces")
    assert zombies(*inside, *entry[:-1], seconds=60) == "15 0"


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_no_right_it_does_not_use(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert service["init"] is True
    assert name in OURS or service["user"] not in ("", "root", "0")
    assert service["tmpfs"]
    assert not service.get("privileged")


def test_the_data_folder_belongs_to_the_user_of_the_image() -> None:
    user, _, group = all_of("USER")[0].partition(":")
    for name in OURS:
        assert f"/var/lib/webhookd:mode=0700,uid={user},gid={group}" in SERVICES[name]["tmpfs"]


def test_every_setting_of_the_env_file_reaches_our_containers() -> None:
    for name in OURS:
        assert SERVICES[name]["env_file"] == ".env"
    fixed = {name for name in SERVICES["api"]["environment"] if name.startswith("WEBHOOKD_")}
    known = {environment_name(field) for field in Settings.model_fields}
    assert fixed <= known
    passed_on = {name for name in fixed if f"${{{name}:" in SERVICES["api"]["environment"][name]}
    assert fixed - passed_on == {"WEBHOOKD_DATABASE_URL", "WEBHOOKD_BROKER_URL", "WEBHOOKD_DATA_DIR"}


def test_the_broker_has_a_password_that_no_command_line_shows() -> None:
    shell, option, script = SERVICES["valkey"]["command"]
    assert (shell, option) == ("sh", "-c")
    assert "requirepass $$REDISCLI_AUTH" in script.splitlines()
    password = SERVICES["valkey"]["environment"]["REDISCLI_AUTH"]
    for name in OURS:
        assert SERVICES[name]["environment"]["WEBHOOKD_BROKER_URL"] == f"redis://:{password}@valkey:6379/0"
    assert re.fullmatch(r"\$\{VALKEY_PASSWORD:\?[^}]+\}", password)


def test_a_container_is_not_killed_before_it_has_stopped() -> None:
    given = Settings.model_fields
    longest = float(given["drain_seconds"].default) + float(given["shutdown_seconds"].default)
    for name in ("api", "worker"):
        grace = resolved(SERVICES[name]["stop_grace_period"])
        assert float(grace.removesuffix("s")) >= longest + 10
        assert resolved(SERVICES[name]["stop_grace_period"], STOP_GRACE_PERIOD="90s") == "90s"


def test_the_published_port_is_the_one_that_is_served() -> None:
    (published,) = SERVICES["api"]["ports"]
    assert resolved(published) == f"127.0.0.1:8080:{Settings.model_fields['port'].default}"
    assert resolved(published, WEBHOOKD_PORT="9000") == "127.0.0.1:9000:9000"


class Api(BaseHTTPRequestHandler):
    """Answers `/healthz` as told."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/healthz" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass


class SixServer(HTTPServer):
    address_family = socket.AF_INET6


@pytest.fixture(params=["127.0.0.1", "::1"])
def api(request: pytest.FixtureRequest) -> Iterator[tuple[type[Api], int]]:
    """One address, and a port on it that answers."""
    handler = type("Told", (Api,), {})
    try:
        server = (SixServer if ":" in request.param else HTTPServer)((request.param, 0), handler)
    except OSError:
        pytest.skip(f"this machine has no {request.param}")
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield handler, server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def hosts(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """What WEBHOOKD_HOST may say where the API answers at that address."""
    six = request.node.callspec.params["api"] == "::1"
    return ("::", "::1", "0:0:0:0:0:0:0:0") if six else ("0.0.0.0", "127.0.0.1", "localhost")


def test_the_health_check_asks_the_address_that_is_served(
    api: tuple[type[Api], int], hosts: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, port = api
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    for host in hosts:
        monkeypatch.setenv("WEBHOOKD_HOST", host)
        monkeypatch.setenv("WEBHOOKD_PORT", str(port))
        assert ask(Settings()) == ""
    handler.status = 503
    assert "answers 503" in ask(Settings())


def test_the_health_check_says_in_one_line_what_is_wrong(tmp_path: Path) -> None:
    check = orjson.loads(all_of("HEALTHCHECK")[0].partition("CMD ")[2])
    assert check[0] == "python"
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for settings, told in (
        ({"WEBHOOKD_PORT": str(port)}, f"no answer from 127.0.0.1 port {port}"),
        ({"WEBHOOKD_PORT": "many"}, "WEBHOOKD_PORT"),
    ):
        done = subprocess.run(
            [sys.executable, *check[1:]],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), **settings},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert told in done.stderr
        assert done.stderr.count("\n") == 1
