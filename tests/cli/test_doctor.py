"""`webhookd doctor` as a person runs it, beside processes that serve, stop, freeze and die."""

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import (
    WEBHOOKD,
    Command,
    Ended,
    descendants,
    environment,
    run,
    run_here,
    started,
    url_of,
)
from tests.support.plain_http import http_client
from tests.support.services import ValkeyServer, command_line, eventually, free_port
from webhookd.adapters.vault import generate_key
from webhookd.wiring.doctor import CHECKS

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

ADMIN_KEY = "a-long-admin-key-0123456789"


def doctor(
    cwd: Path, env: dict[str, str], how: Callable[..., Ended] = run
) -> tuple[int, list[dict[str, Any]]]:
    """Its exit code and what it found. Where a check hangs it ends its process: not `run_here` there."""
    ended = how("doctor", "--json", cwd=cwd, env=env)
    assert ended.stdout, ended
    document: dict[str, Any] = json.loads(ended.stdout)
    assert (ended.exit_code == 1) == (document["problems"] > 0)
    return ended.exit_code, document["findings"]


def wrong(findings: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What is not ok, by check; each says how to mend it."""
    found = {one["check"]: one for one in findings if one["level"] != "ok"}
    assert all(one["mend"] for one in found.values())
    return found


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Command, Path, dict[str, str]]]:
    """One `up` for the tests that leave it working."""
    folder = tmp_path_factory.mktemp("doctor")
    env = environment(
        WEBHOOKD_DATA_DIR="data",
        WEBHOOKD_PORT="0",
        WEBHOOKD_ADMIN_KEY=ADMIN_KEY,
        WEBHOOKD_LEASE_SECONDS="30",
    )
    with started("up", cwd=folder, env=env) as up:
        url_of(up)
        yield up, folder, env
        up.send(signal.SIGTERM)
        assert up.wait() == 0, up.everything()


def child(up: Command, *words: str) -> int:
    """The pid of a process below, by words of its command line."""
    return next(pid for pid in descendants(up.pid) if all(word in command_line(pid) for word in words))


def test_good_installation_is_well_in_words_and_in_json(
    installation: tuple[Command, Path, dict[str, str]],
) -> None:
    up, folder, env = installation
    code, findings = doctor(folder, env, run_here)
    assert (code, wrong(findings)) == (0, {})
    assert {one["check"] for one in findings} == {name for name, _ in CHECKS}
    assert any(url_of(up) in one["what"] for one in findings if one["check"] == "api")
    assert any("Valkey" in one["what"] for one in findings if one["check"] == "broker")
    shown = run("doctor", cwd=folder, env=env)
    assert shown.exit_code == 0
    assert shown.stdout.rstrip().endswith("Nothing is wrong.")
    assert shown.stderr == ""


def test_problems_are_shown_with_how_to_mend_them(tmp_path: Path, parts: dict[str, str]) -> None:
    # What a running process has would be judged in place of this.
    shown = run_here("doctor", cwd=tmp_path, env={**parts, "WEBHOOKD_EGRESS_ALLOW": "169.254.169.254"})
    assert shown.exit_code == 1
    (line,) = [line for line in shown.stdout.splitlines() if line.startswith("problem")]
    assert "egress" in line
    assert "→ Name only the receivers' own addresses" in shown.stdout
    assert shown.stdout.rstrip().endswith("1 problem and 1 warning."), "the other is that nothing runs"


def test_setting_that_is_wrong_is_the_only_finding(tmp_path: Path) -> None:
    code, findings = doctor(tmp_path, environment(WEBHOOKD_PORT="http"), run_here)
    assert code == 1
    (finding,) = findings
    assert (finding["check"], finding["level"]) == ("settings", "problem")
    assert "WEBHOOKD_PORT" in finding["what"]


def test_nothing_here_is_said_without_making_anything(tmp_path: Path) -> None:
    ended = run_here("doctor", cwd=tmp_path, env=environment())
    assert ended.exit_code == 1
    assert "There is no installation here" in ended.stdout
    assert "Not looked at, for want of the database: admin key, encryption keys," in ended.stdout
    assert list(tmp_path.iterdir()) == []


@linux_only
def test_clock_that_is_off_is_found(
    tmp_path: Path, installation: tuple[Command, Path, dict[str, str]]
) -> None:
    """The machine is as it were an hour ahead of the broker: seen from a process whose clock is."""
    _, folder, env = installation
    (tmp_path / "sitecustomize.py").write_text(
        "import time\nreal = time.time\ntime.time = lambda: real() + 3600\n"
    )
    code, findings = doctor(folder, {**env, "PYTHONPATH": str(tmp_path)})
    found = wrong(findings)["clocks"]
    assert code == 1
    assert found["level"] == "problem"
    assert "3,600 s ahead of that of the broker" in found["what"]


def test_few_open_files_are_found(tmp_path: Path) -> None:
    done = subprocess.run(
        ("sh", "-c", 'ulimit -n 1000; exec "$@"', "sh", *WEBHOOKD, "doctor", "--json"),
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    found = wrong(json.loads(done.stdout)["findings"])["open files"]
    assert found["level"] == "warning"
    assert "may open 1,000 files" in found["what"]
    assert "LimitNOFILE" in found["mend"]


@linux_only
@pytest.mark.faults
def test_frozen_worker_is_found(installation: tuple[Command, Path, dict[str, str]]) -> None:
    up, folder, env = installation
    pid = child(up, "webhookd.worker", "tasks")
    os.kill(pid, signal.SIGSTOP)
    try:
        code, findings = doctor(folder, env)
    finally:
        os.kill(pid, signal.SIGCONT)
    found = wrong(findings)["processes"]
    assert code == 1
    assert f"The task worker {pid} is stopped" in found["what"]
    assert f"kill -CONT {pid}" in found["mend"]
    eventually(lambda: wrong(doctor(folder, env)[1]) == {}, "its return")


@linux_only
@pytest.mark.faults
def test_api_that_hangs_is_found(installation: tuple[Command, Path, dict[str, str]]) -> None:
    up, folder, env = installation
    pid = child(up, "webhookd.asgi")
    os.kill(pid, signal.SIGSTOP)
    try:
        code, findings = doctor(folder, env)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert code == 1
    assert f"(process {pid}) cannot be asked: it did not answer in time" in wrong(findings)["api"]["what"]
    eventually(lambda: wrong(doctor(folder, env)[1]) == {}, "its return")


def test_database_somebody_holds_is_said_in_bounded_time(tmp_path: Path, parts: dict[str, str]) -> None:
    with closing(sqlite3.connect(tmp_path / "webhookd.db", isolation_level=None)) as holder:
        holder.execute("PRAGMA journal_mode=DELETE")
        holder.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        code, findings = doctor(tmp_path, parts)
        # Far more than it takes, far less than a lock that is never given up.
        assert time.monotonic() - began < 60
    found = wrong(findings)
    assert code == 1
    assert "database is locked" in found["database"]["what"] or "No answer" in found["database"]["what"]
    assert "broker" not in found


@pytest.fixture
def parts(tmp_path: Path, valkey: ValkeyServer) -> dict[str, str]:
    """The settings of an installation whose parts are started one by one; migrated, nothing runs."""
    env = environment(
        WEBHOOKD_DATA_DIR=str(tmp_path),
        WEBHOOKD_BROKER_URL=valkey.url,
        WEBHOOKD_ADMIN_KEY=ADMIN_KEY,
        WEBHOOKD_ENCRYPTION_KEYS=generate_key(),
        WEBHOOKD_LEASE_SECONDS="2",
        WEBHOOKD_PORT="0",
    )
    assert run_here("migrate", cwd=tmp_path, env=env).exit_code == 0
    return env


@linux_only
@pytest.mark.faults
def test_work_of_a_dead_worker_that_nobody_takes_back_is_found(tmp_path: Path, parts: dict[str, str]) -> None:
    made = json.loads(run_here("partners", "create", "acme", "--json", cwd=tmp_path, env=parts).stdout)
    sleep = ("tasks", "submit", "demo.sleep", "--input", '{"seconds": 3000}', "--partner", made["id"])
    assert run_here(*sleep, cwd=tmp_path, env=parts).exit_code == 0
    with started("worker", "--queues", "default", cwd=tmp_path, env=parts) as worker:
        worker.wait_for("worker_ready")
        listed = ("tasks", "list", "--state", "running", "--json")

        def runs() -> bool:
            return bool(json.loads(run_here(*listed, cwd=tmp_path, env=parts).stdout)["data"])

        eventually(runs, "the task's start")
        below = descendants(worker.pid)
        (working,) = [pid for pid in below if "webhookd.worker" in command_line(pid)]
        resource.prlimit(working, resource.RLIMIT_NOFILE, (1_000, 1_000))
        _, findings = doctor(tmp_path, parts)
        missing = [one["what"] for one in findings if one["check"] == "processes"]
        assert [what.split(":")[0] for what in missing] == ["No deliver worker lives", "No API process lives"]
        found = wrong(findings)
        assert f"The task worker {working} may open 1,000 files" in found["open files"]["what"]
        assert "leases" not in found
        for pid in (worker.pid, *below):
            os.kill(pid, signal.SIGKILL)
        worker.wait()
    time.sleep(2.5)  # the lease
    code, findings = doctor(tmp_path, parts)
    found = wrong(findings)
    assert code == 1
    assert "(1 tasks, 0 deliveries)" in found["leases"]["what"]
    assert "Nothing runs" in found["processes"]["what"]
    with started("worker", "--queues", "default,deliver", cwd=tmp_path, env=parts) as worker:
        worker.wait_for("worker_ready")
        eventually(lambda: "leases" not in wrong(doctor(tmp_path, parts)[1]), "its repair")


@linux_only
@pytest.mark.faults
def test_process_that_died_with_its_lease_running_is_found(tmp_path: Path, parts: dict[str, str]) -> None:
    env = {**parts, "WEBHOOKD_LEASE_SECONDS": "60"}
    with started("worker", "--queues", "deliver", cwd=tmp_path, env=env) as worker:
        worker.wait_for("worker_ready")
        (pid,) = [one for one in descendants(worker.pid) if "webhookd.worker" in command_line(one)]
        for one in (worker.pid, pid):
            os.kill(one, signal.SIGKILL)
        worker.wait()
    _, findings = doctor(tmp_path, env)
    dead = [one["what"] for one in findings if one["check"] == "processes" and str(pid) in one["what"]]
    assert dead == [f"The deliver worker {pid} has died without giving its lease up."]


def test_process_with_other_keys_and_one_that_is_not_ready_are_found(
    tmp_path: Path, parts: dict[str, str], valkey: ValkeyServer
) -> None:
    port = str(free_port())
    with started("api", "--port", port, cwd=tmp_path, env=parts) as api:
        with http_client(f"http://127.0.0.1:{port}", ADMIN_KEY) as admin:
            eventually(lambda: _answers(admin), "the API")
        rotated = f"{generate_key()},{parts['WEBHOOKD_ENCRYPTION_KEYS']}"
        _, findings = doctor(tmp_path, {**parts, "WEBHOOKD_ENCRYPTION_KEYS": rotated}, run_here)
        found = wrong(findings)
        assert "api process" in found["encryption keys"]["what"]
        missing = [one["what"] for one in findings if one["check"] == "processes"]
        assert "No task worker lives" in missing[0]
        valkey.kill()
        code, findings = doctor(tmp_path, parts)
        assert code == 1
        (api_finding,) = [one["what"] for one in findings if one["check"] == "api"]
        assert "is degraded: broker: cannot connect" in api_finding
        assert "does not serve (cannot connect)" in wrong(findings)["broker"]["what"]
        api.send(signal.SIGTERM)
        assert api.wait() == 0


def _answers(api: Any) -> bool:
    try:
        return bool(api.get("/readyz").is_success)
    except Exception:  # noqa: BLE001 - not yet
        return False
