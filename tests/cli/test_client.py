"""The commands that call the API, each over HTTP with a key and as the operator without one."""

import contextlib
import itertools
import json
import os
import pty
import re
import shlex
import signal
import socket
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import (
    WEBHOOKD,
    Ended,
    environment,
    run_here,
    serving,
    started,
    url_of,
)
from tests.support.listening import Quiet, listening
from tests.support.plain_http import ask, http_client
from tests.support.services import eventually
from webhookd.cli import main

ADMIN_KEY = "a-long-admin-key-0123456789"
SETTINGS = {
    "WEBHOOKD_DATA_DIR": "data",
    "WEBHOOKD_ADMIN_KEY": ADMIN_KEY,
    "WEBHOOKD_EGRESS_ALLOW": "127.0.0.0/8",
    "WEBHOOKD_RETRY_BASE_SECONDS": "0.05",
    "WEBHOOKD_RETRY_CAP_SECONDS": "0.1",
    "WEBHOOKD_RETRY_MAX_ATTEMPTS": "2",
}


_HOSTS = itertools.count(2)


@dataclass(slots=True)
class Hooks:
    """A receiver: `/fail` answers 500 while `broken` is set, everything else 200.

    `bodies` are those that came, by `webhook-id`.
    """

    url: str
    bodies: defaultdict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    broken: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The `webhookd up` all tests share, its folder, and the partner they use."""

    url: str
    folder: Path
    hooks: Hooks
    partner: dict[str, Any]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("client")
    with _receiving() as hooks, serving(cwd=folder, env=environment(**SETTINGS)) as up:
        url = url_of(up)
        with http_client(url, ADMIN_KEY) as admin:
            partner = admin.post("/v1/partners", json={"name": "acme"}).json()
        yield Service(url=url, folder=folder, hooks=hooks, partner=partner)


@contextlib.contextmanager
def _receiving() -> Iterator[Hooks]:
    hooks = Hooks(url="")

    class Answer(Quiet, BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            hooks.bodies[self.headers["webhook-id"]].append(body)
            self.send_response(500 if hooks.broken and self.path == "/fail" else 200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

    with listening(Answer, "0.0.0.0") as hooks.url:  # for every address of the loopback network
        yield hooks


class Shell:
    """Runs commands in this process, as a shell with these variables would."""

    def __init__(self, variables: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
        self._variables = variables
        self._capsys = capsys

    def with_variables(self, **variables: str) -> "Shell":
        """The same shell with more variables."""
        return Shell({**self._variables, **variables}, self._capsys)

    def run(self, *arguments: str) -> Ended:
        with pytest.MonkeyPatch.context() as patched:
            for name in list(os.environ):
                if name.startswith("WEBHOOKD_"):
                    patched.delenv(name)
            for name, value in self._variables.items():
                patched.setenv(name, value)
            self._capsys.readouterr()
            code = main(arguments)
        said = self._capsys.readouterr()
        return Ended(exit_code=code, stdout=said.out, stderr=said.err)

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run it with --json; return the document, the only thing on stdout."""
        ended = self.run(*arguments, "--json")
        assert ended.exit_code == code, ended
        return json.loads(ended.stdout)

    def text(self, *arguments: str) -> str:
        """Run it; return what it printed."""
        ended = self.run(*arguments)
        assert ended.exit_code == 0, ended
        return ended.stdout

    def refused(self, *arguments: str, code: int = 1) -> str:
        """Run it; return the one line it says to stderr."""
        ended = self.run(*arguments)
        assert (ended.exit_code, ended.stdout) == (code, ""), ended
        (line,) = ended.stderr.splitlines()
        return line


@pytest.fixture(autouse=True)
def here(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(service.folder)


@pytest.fixture
def over_http(service: Service, capsys: pytest.CaptureFixture[str]) -> Shell:
    """An admin somewhere else."""
    return Shell({"WEBHOOKD_URL": service.url, "WEBHOOKD_KEY": ADMIN_KEY}, capsys)


@pytest.fixture
def operator(service: Service, capsys: pytest.CaptureFixture[str]) -> Shell:
    """The operator of this machine, without a key."""
    return Shell({name: SETTINGS[name] for name in SETTINGS if name != "WEBHOOKD_ADMIN_KEY"}, capsys)


@pytest.fixture
def as_partner(service: Service, capsys: pytest.CaptureFixture[str]) -> Shell:
    """The partner, with its own key."""
    return Shell({"WEBHOOKD_URL": service.url, "WEBHOOKD_KEY": service.partner["key"]}, capsys)


@pytest.fixture(params=["http", "operator"])
def shell(request: pytest.FixtureRequest) -> Shell:
    """Both ways in turn."""
    found: Shell = request.getfixturevalue("over_http" if request.param == "http" else "operator")
    return found


def ended_delivery(shell: Shell, delivery_id: str, state: str) -> dict[str, Any]:
    """The delivery, as soon as it is in this state."""

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = shell.json("deliveries", "get", delivery_id)
        return found if found["state"] == state else None

    delivery: dict[str, Any] = eventually(look, f"{delivery_id} {state}")
    return delivery


def unique(name: str) -> str:
    return f"{name}-{time.time_ns()}"


def dead_delivery(shell: Shell, service: Service) -> tuple[str, str]:
    """The ids of an endpoint that fails and of a delivery that died there."""
    # A host of its own: failures of all of them together would set the brake of one.
    url = service.hooks.url.replace("127.0.0.1", f"127.0.0.{next(_HOSTS)}")
    # Of no type: it gets what names it, and nothing of the other tests' tasks.
    mine_only = ("--task-type", "nobody.has.it")
    endpoint = shell.json("endpoints", "create", f"{url}/fail", "--partner", "acme", *mine_only)
    return endpoint["id"], died_at(shell, endpoint["id"])


def died_at(shell: Shell, endpoint_id: str) -> str:
    """The id of one more delivery that died at an endpoint that fails."""
    options = ("--partner", "acme", "--endpoint", endpoint_id, "--wait", "30")
    task = shell.json("tasks", "submit", "demo.echo", *options)
    (delivery,) = shell.json("deliveries", "list", "--task", task["id"])["data"]
    ended_delivery(shell, delivery["id"], "dead")
    return str(delivery["id"])


# ── partners and keys ───────────────────────────────────────────────────────────────────────────────────────


def test_partner_is_made_listed_and_its_key_works(shell: Shell, service: Service) -> None:
    name = unique("made")
    made = shell.json("partners", "create", name, "--weight", "3", "--rate", "7.5", "--max-queued", "9")
    assert {"id", "key", "secret"} <= made.keys()
    assert (made["weight"], made["limits"]["rate_per_second"], made["limits"]["max_queued"]) == (3, 7.5, 9)
    with http_client(service.url, made["key"]) as its:
        assert its.get("/v1/partner").json()["id"] == made["id"]
    listed = shell.json("partners", "list")
    assert name in [one["name"] for one in listed["data"]]
    assert "key" not in listed["data"][0]
    assert name in shell.text("partners", "list")
    assert name in shell.refused("partners", "create", name)


def test_partner_is_limited_suspended_and_taken_up_again(shell: Shell, service: Service) -> None:
    name = unique("limited")
    made = shell.json("partners", "create", name)
    changed = shell.json("partners", "limits", name, "--rate", "2.5", "--task-type", "report.*")
    assert (changed["limits"]["rate_per_second"], changed["task_types"]) == (2.5, ["report.*"])
    assert changed["limits"]["burst"] == made["limits"]["burst"]
    assert shell.json("partners", "limits", made["id"]) == changed
    assert "report.*" in shell.text("partners", "limits", name)
    assert shell.json("partners", "limits", name, "--all-task-types")["task_types"] in (None, [])
    assert shell.json("partners", "suspend", name)["suspended"] is True
    with http_client(service.url, made["key"]) as its:
        eventually(lambda: its.get("/v1/partner").status_code == 403, "the refusal")
        assert shell.json("partners", "resume", name)["suspended"] is False
        eventually(lambda: its.get("/v1/partner").status_code == 200, "the answer")
    assert "no partner" in shell.refused("partners", "suspend", "nobody-of-this-name")


def test_secrets_shown_once_go_to_stdout_and_the_advice_to_stderr(shell: Shell) -> None:
    ended = shell.run("partners", "create", unique("told"))
    facts = dict(line.split(maxsplit=1) for line in ended.stdout.splitlines())
    assert facts["key"].startswith("whk_")
    assert facts["secret"].startswith("whsec_")
    assert "shown this once" in ended.stderr


def test_listing_goes_on_from_its_cursor(shell: Shell) -> None:
    names = [unique("page") for _ in range(3)]
    for name in names:
        shell.json("partners", "create", name)
    first = shell.json("partners", "list", "--limit", "2")
    assert len(first["data"]) == 2
    second = shell.json("partners", "list", "--limit", "2", "--cursor", first["next_cursor"])
    assert [one["name"] for one in (*first["data"], *second["data"])][:3] == names[::-1]
    ended = shell.run("partners", "list", "--limit", "2")
    assert f"--cursor {first['next_cursor']}" in ended.stderr


def test_keys_are_made_listed_and_revoked(shell: Shell, service: Service) -> None:
    options = ("--name", "ci", "--scope", "tasks:read", "--expires-at", "12h")
    made = shell.json("keys", "create", "acme", *options)
    assert (made["scopes"], made["name"]) == (["tasks:read"], "ci")
    with http_client(service.url, made["key"]) as its:
        assert its.get("/v1/partner").status_code == 200
        assert its.post("/v1/tasks", json={"type": "demo.echo"}).status_code == 403
    listed = shell.json("keys", "list", service.partner["id"])
    assert made["id"] in [one["id"] for one in listed["data"]]
    assert made["id"] in shell.text("keys", "list", "acme")

    def last_use() -> Any:
        listed = shell.json("keys", "list", service.partner["id"])["data"]
        return next(one["last_used_at"] for one in listed if one["id"] == made["id"])

    eventually(lambda: last_use() is not None, "the key's last use")
    assert shell.json("keys", "revoke", made["id"]) == {"id": made["id"], "revoked": True}
    with http_client(service.url, made["key"]) as its:
        eventually(lambda: its.get("/v1/partner").status_code == 401, "the refusal")
    assert "nobody" in shell.refused("keys", "create", "nobody")


def test_admins_keys_are_made_and_the_audit_shows_their_names(shell: Shell, service: Service) -> None:
    name = unique("admin")
    made = shell.json("admin-keys", "create", name)
    with http_client(service.url, made["key"]) as its:
        assert its.get("/v1/admin-keys").status_code == 200
        assert its.post("/v1/queues/default/resume").status_code == 200
    (entry,) = shell.json("audit", "--actor", name)["data"]
    assert (entry["action"], entry["target"], entry["address"]) == ("queue.resume", "default", "127.0.0.1")
    (creation,) = shell.json("audit", "--target", made["id"], "--since", "1h")["data"]
    assert creation["actor"].startswith("operator@")
    assert name in shell.text("audit", "--action", "queue.resume")
    assert made["id"] in [one["id"] for one in shell.json("admin-keys", "list")["data"]]
    assert shell.json("admin-keys", "revoke", made["id"]) == {"id": made["id"], "revoked": True}


# ── tasks ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_task_is_submitted_waited_for_and_shown(shell: Shell, service: Service, tmp_path: Path) -> None:
    (tmp_path / "input.json").write_text('{"from": "a file"}')
    task = shell.json(
        "tasks", "submit", "demo.echo", "--partner", "acme", "--input", f"@{tmp_path / 'input.json'}",
        "--metadata", "order=42", "--priority", "high", "--callback-url", f"{service.hooks.url}/ok",
        "--wait", "60",
    )  # fmt: skip
    assert (task["state"], task["metadata"], task["priority"]) == ("succeeded", {"order": "42"}, "high")
    got = shell.json("tasks", "get", task["id"])
    assert got["id"] == task["id"]
    text = shell.text("tasks", "get", task["id"])
    assert "succeeded" in text
    assert task["trace_id"] in text
    listed = shell.json("tasks", "list", "--type", "demo.echo", "--since", "1h", "--state", "succeeded")
    assert task["id"] in [one["id"] for one in listed["data"]]
    assert task["id"] in shell.text("tasks", "list", "--partner", "acme")
    assert shell.json("tasks", "list", "--until", "1h")["data"] == []


def test_input_may_come_from_stdin(service: Service) -> None:
    env = environment(WEBHOOKD_URL=service.url, WEBHOOKD_KEY=service.partner["key"])
    words = (*WEBHOOKD, "tasks", "submit", "demo.echo", "--input", "-", "--wait", "60", "--json")
    done = subprocess.run(
        words, input=b'{"a": 1}', env=env, cwd=service.folder, capture_output=True, check=True
    )
    assert json.loads(done.stdout)["result"] == {"a": 1}


def test_same_idempotency_key_is_the_same_task(as_partner: Shell) -> None:
    submit = ("tasks", "submit", "demo.echo", "--idempotency-key", unique("key"))
    assert as_partner.json(*submit)["id"] == as_partner.json(*submit)["id"]


def test_watching_tells_what_happens_and_ends_with_the_task(shell: Shell) -> None:
    sleep = shell.json("tasks", "submit", "demo.sleep", "--input", '{"seconds": 1}', "--partner", "acme")
    ended = shell.run("tasks", "watch", sleep["id"])
    assert ended.exit_code == 0
    assert "succeeded" in ended.stdout
    told = ended.stderr.splitlines()
    assert told[-1].startswith("succeeded")
    assert any("running" in line and "%" in line for line in told), told
    assert shell.json("tasks", "watch", sleep["id"])["state"] == "succeeded"


def test_watching_a_task_that_fails_is_exit_code_1(shell: Shell) -> None:
    submit = ("tasks", "submit", "demo.fail", "--partner", "acme", "--input", '{"times": 99}')
    failing = shell.json(*submit)
    shell.run("tasks", "cancel", failing["id"])
    ended = shell.run("tasks", "watch", failing["id"])
    assert ended.exit_code == 1
    assert failing["id"] in ended.stdout


def test_watching_on_a_terminal_shows_a_bar(service: Service) -> None:
    with http_client(service.url, service.partner["key"]) as partner:
        task = partner.post("/v1/tasks", json={"type": "demo.sleep", "input": {"seconds": 5}}).json()
    env = {**environment(WEBHOOKD_URL=service.url, WEBHOOKD_KEY=service.partner["key"]), "TERM": "xterm"}
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(service.folder)
        os.execve(WEBHOOKD[0], [*WEBHOOKD, "tasks", "watch", task["id"]], env)  # noqa: S606 - it is ours
    seen = b""
    with contextlib.suppress(OSError):  # the terminal is gone with its process
        while chunk := os.read(terminal, 65_536):
            seen += chunk
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    shown = seen.decode()
    assert "━" in shown
    assert "running" in shown
    assert "%" in shown


def test_scheduled_task_is_cancelled(shell: Shell) -> None:
    submit = ("tasks", "submit", "demo.echo", "--partner", "acme", "--run-at", "1h", "--expires-at", "2h")
    task = shell.json(*submit)
    assert task["state"] == "scheduled"
    assert shell.json("tasks", "cancel", task["id"])["state"] == "cancelled"


def test_types_are_listed(shell: Shell) -> None:
    listed = shell.json("tasks", "types")
    assert "demo.echo" in [one["type"] for one in listed["data"]]
    assert "report.statement" in shell.text("tasks", "types")


# ── endpoints and deliveries ────────────────────────────────────────────────────────────────────────────────


def test_endpoint_goes_through_its_life(shell: Shell, service: Service) -> None:
    made = shell.json(
        "endpoints", "create", f"{service.hooks.url}/ok", "--partner", "acme", "--description", "first",
        "--event", "task.failed", "--event", "task.expired", "--task-type", "demo.*", "--header", "x-key: 1",
        "--rate-limit", "5", "--max-concurrency", "2", "--ordering", "fifo", "--max-attempts", "3",
        "--retry-base", "1.5", "--signature", "v1", "--signature", "v1a",
    )  # fmt: skip
    assert made["secret"].startswith("whsec_")
    assert made["public_key"].startswith("whpk_")
    assert (made["events"], made["task_types"]) == (["task.failed", "task.expired"], ["demo.*"])
    assert (made["ordering"], made["retry"]["max_attempts"]) == ("fifo", 3)
    name = made["id"]
    assert name in [one["id"] for one in shell.json("endpoints", "list", "--partner", "acme")["data"]]
    assert name in shell.text("endpoints", "list")
    assert "secret" not in shell.json("endpoints", "get", name)
    changed = shell.json("endpoints", "update", name, "--description", "second", "--reset", "headers")
    assert (changed["description"], changed["ordering"]) == ("second", "fifo")
    assert "nothing to change" in shell.refused("endpoints", "update", name, code=2)
    rotated = shell.json("endpoints", "rotate-secret", name, "--overlap", "12h")
    assert rotated["secret"] != made["secret"]
    assert rotated["previous_expires_at"]
    assert shell.json("endpoints", "disable", name)["state"] == "disabled"
    assert shell.json("endpoints", "enable", name)["state"] == "enabled"
    delivery = shell.json("endpoints", "test", name)
    assert ended_delivery(shell, delivery["id"], "delivered")["event"] == "webhookd.test"
    assert "deliveries get" in shell.run("endpoints", "test", name).stderr
    assert shell.json("endpoints", "test", name, "--wait", "20")["attempt"]["status"] == 200
    assert "attempt 1" in shell.text("endpoints", "test", name, "--wait", "20")
    assert shell.json("endpoints", "stats", name, "--window", "1h")["delivered"] >= 2
    assert "delivered" in shell.text("endpoints", "stats", name)
    assert shell.json("endpoints", "delete", name) == {"id": name, "deleted": True}
    assert shell.refused("endpoints", "get", name)


def test_delivery_is_shown_with_a_curl_line_that_repeats_each_attempt(shell: Shell, service: Service) -> None:
    endpoint, delivery = dead_delivery(shell, service)
    listed = shell.json("deliveries", "list", "--endpoint", endpoint, "--state", "dead", "--since", "1h")
    assert [one["id"] for one in listed["data"]] == [delivery]
    assert delivery in shell.text("deliveries", "list", "--partner", "acme")
    text = shell.text("deliveries", "get", delivery)
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("curl ")]
    assert len(lines) == 2, text
    assert "attempt 1" in text
    assert "attempt 2" in text
    words = shlex.split(lines[-1])
    headers = dict(words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H")
    body = words[words.index("--data-binary") + 1]
    answer = ask("POST", words[3], headers=headers, content=body)
    assert answer.status_code == 500
    assert headers["webhook-attempt"] == "2"
    first, *others = service.hooks.bodies[headers["webhook-id"]]
    assert others == [first, first], "two attempts, and this one by hand"


def test_ended_task_is_run_again_and_found(shell: Shell) -> None:
    order = f"{time.time_ns()}"
    options = ("--partner", "acme", "--run-at", "1h", "--metadata", f"order={order}")
    task = shell.json("tasks", "submit", "demo.echo", *options)["id"]
    assert "not ended" in shell.refused("tasks", "rerun", task)
    shell.json("tasks", "cancel", task)
    again = shell.json("tasks", "rerun", task)
    assert again["rerun_of"] == task
    found = shell.json("tasks", "list", "--metadata", f"order={order}")["data"]
    assert [one["id"] for one in found] == [again["id"], task]
    assert [one["id"] for one in shell.json("tasks", "list", "--rerun-of", task)["data"]] == [again["id"]]


def test_dead_letters_are_counted_and_filtered(shell: Shell, service: Service) -> None:
    endpoint, delivery = dead_delivery(shell, service)
    (group,) = shell.json("dead-letters", "summary", "--endpoint", endpoint)["data"]
    assert (group["endpoint"], group["count"]) == (endpoint, 1)
    assert group["partner"]["name"] == "acme"
    by_hour = shell.text("dead-letters", "summary", "--by", "endpoint,reason,hour")
    assert endpoint in by_hour
    assert re.match(r"count +partner +endpoint +reason +hour +first +last *$", by_hour.splitlines()[0])
    assert re.search(
        r"^ *\d+ +acme *$",
        re.sub(r" \d{4}-.*", "", shell.text("dead-letters", "summary", "--by", "partner")),
        re.MULTILINE,
    )
    assert re.search(r" \d{4}-\d\d-\d\d \d\d:00:00Z ", by_hour), by_hour
    for wanted in (("--error", group["error"]), ("--status", "5xx"), ("--text", "127.0.0.")):
        found = shell.json("dead-letters", "list", "--endpoint", endpoint, *wanted)["data"]
        assert [one["id"] for one in found] == [delivery]
    listed = shell.json("deliveries", "list", "--endpoint", endpoint, "--status", "5xx")["data"]
    assert [one["id"] for one in listed] == [delivery]
    assert "did you mean exhausted" in shell.refused("dead-letters", "list", "--reason", "exhuasted")


def test_delivery_is_replayed_and_cancelled(shell: Shell, service: Service) -> None:
    endpoint, delivery = dead_delivery(shell, service)
    shell.json("endpoints", "disable", endpoint)
    assert shell.json("deliveries", "replay", delivery)["state"] == "parked"
    assert shell.json("deliveries", "cancel", delivery)["state"] == "cancelled"
    assert shell.refused("deliveries", "cancel", "dlv_unknown")


@pytest.mark.parametrize(
    "command",
    [
        ("tasks", "list"),
        ("tasks", "types"),
        ("deliveries", "list"),
        ("dead-letters", "summary"),
        ("endpoints", "list"),
        ("partners", "list"),
        ("workers",),
        ("queues",),
        ("audit",),
    ],
    ids=" ".join,
)
def test_commands_that_look_at_rows_import_nothing_of_the_operators(
    command: tuple[str, ...], operator: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no_module_to_import.py").write_text("raise AssertionError('it was imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with_tasks = operator.with_variables(WEBHOOKD_TASKS="no_module_to_import:tasks")
    assert with_tasks.json(*command)["data"] is not None


# ── dead letters and replays ────────────────────────────────────────────────────────────────────────────────


def test_dead_letter_is_shown_replayed_and_discarded(shell: Shell, service: Service) -> None:
    endpoint, delivery = dead_delivery(shell, service)
    wanted = ("--endpoint", endpoint, "--kind", "delivery", "--reason", "exhausted", "--since", "1h")
    listed = shell.json("dead-letters", "list", *wanted)
    assert [one["id"] for one in listed["data"]] == [delivery]
    assert delivery in shell.text("dead-letters", "list", "--endpoint", endpoint)
    assert shell.json("dead-letters", "show", delivery)["reason"] == "exhausted"
    ended = shell.run("dead-letters", "show", delivery)
    assert delivery in ended.stdout
    assert f"webhookd trace {delivery}" in ended.stderr
    assert shell.json("dead-letters", "replay", delivery)["id"] == delivery
    ended_delivery(shell, delivery, "dead")
    assert shell.json("dead-letters", "discard", delivery) == {"id": delivery, "discarded": True}
    assert shell.json("dead-letters", "list", "--endpoint", endpoint)["data"] == []


def test_many_are_replayed_at_once_after_a_dry_run(shell: Shell, service: Service) -> None:
    endpoint, delivery = dead_delivery(shell, service)
    chosen = ("replay", "--endpoint", endpoint, "--since", "1h")
    dry = shell.json(*chosen, "--dry-run")
    assert (dry["matched"], dry["replayed"], dry["dry_run"]) == (1, 0, True)
    assert "1 dead letters match; nothing was replayed" in shell.text(*chosen, "--dry-run")
    assert shell.json("replay", "--endpoint", endpoint, "--until", "1h", "--dry-run")["matched"] == 0
    service.hooks.broken = False
    try:
        done = shell.json(*chosen, "--rate", "100")
        assert (done["state"], done["replayed"]) == ("done", 1)
        ended_delivery(shell, delivery, "delivered")
    finally:
        service.hooks.broken = True
    assert shell.json("replay", "status", done["id"])["state"] == "done"
    assert done["id"] in [one["id"] for one in shell.json("replay", "list")["data"]]
    assert done["id"] in shell.text("replay", "list")
    assert "done" in shell.text("replay", "status", done["id"])
    assert shell.refused("replay", "cancel", done["id"])


def test_replay_of_everything_must_be_asked_for(shell: Shell) -> None:
    assert "--all" in shell.refused("replay", "--rate", "5", code=2)
    assert "--all" in shell.refused("replay", "--pending", code=2)
    assert "--all" in shell.refused("discard", "--reason", "old", code=2)


def test_many_are_discarded_with_a_reason(shell: Shell, service: Service) -> None:
    endpoint, delivery = dead_delivery(shell, service)
    chosen = ("discard", "--endpoint", endpoint, "--status", "5xx")
    assert "--reason" in shell.refused(*chosen, code=2)
    assert "1 dead letters match; nothing was discarded" in shell.text(*chosen, "--dry-run")
    done = shell.json(*chosen, "--reason", "superseded")
    assert (done["state"], done["discarded"], done["reason"]) == ("done", 1, "superseded")
    assert shell.json("dead-letters", "list", "--endpoint", endpoint)["data"] == []
    assert shell.json("deliveries", "get", delivery)["state"] == "dead"
    assert "superseded" in shell.text("discard", "status", done["id"])
    assert done["id"] in shell.text("discard", "list")
    assert shell.refused("discard", "pause", done["id"])


def test_endpoint_gets_what_waits_for_it_now(shell: Shell, service: Service) -> None:
    endpoint, _ = dead_delivery(shell, service)
    assert shell.json("endpoints", "retry", endpoint) == {"due": 0}
    assert "0 deliveries are due now" in shell.text("endpoints", "retry", endpoint)
    shell.json("endpoints", "disable", endpoint)
    assert "enable it" in shell.refused("endpoints", "retry", endpoint)


def test_interrupted_look_at_a_replay_says_how_to_go_on(over_http: Shell, service: Service) -> None:
    endpoint, _ = dead_delivery(over_http, service)
    for _ in range(2):
        died_at(over_http, endpoint)
    env = environment(WEBHOOKD_URL=service.url, WEBHOOKD_KEY=ADMIN_KEY)
    slow = ("replay", "--endpoint", endpoint, "--rate", "0.05")
    with started(*slow, cwd=service.folder, env=env) as command:
        listed = eventually(
            lambda: [one for one in over_http.json("replay", "list")["data"] if one["state"] == "running"],
            "the replay",
        )
        time.sleep(0.5)  # so that it looks on already
        command.send(signal.SIGINT)
        assert command.wait() == 130
        assert f"webhookd replay cancel {listed[0]['id']}" in command.everything()
    assert over_http.json("replay", "cancel", listed[0]["id"])["state"] == "cancelled"


# ── queues and traces ───────────────────────────────────────────────────────────────────────────────────────


def test_queues_are_listed_paused_and_resumed(shell: Shell) -> None:
    assert "reports" in [one["name"] for one in shell.json("queues")["data"]]
    assert "reports" in shell.text("queues")
    assert shell.json("queues", "pause", "reports")["paused"] is True
    assert "paused" in shell.text("queues")
    assert shell.json("queues", "resume", "reports")["paused"] is False
    assert shell.refused("queues", "pause", "no-such-queue")


def test_every_kind_of_id_leads_to_the_whole_trace(shell: Shell, service: Service) -> None:
    endpoint = shell.json("endpoints", "create", f"{service.hooks.url}/ok", "--partner", "acme")
    submit = (
        "tasks",
        "submit",
        "demo.echo",
        "--partner",
        "acme",
        "--endpoint",
        endpoint["id"],
        "--wait",
        "60",
    )
    task = shell.json(*submit)
    (delivery,) = eventually(
        lambda: shell.json("deliveries", "list", "--task", task["id"], "--state", "delivered")["data"],
        "the delivery",
    )
    for any_id in (task["id"], delivery["id"], delivery["message_id"], task["trace_id"]):
        document = shell.json("trace", any_id)
        assert document["trace_id"] == task["trace_id"]
        kinds = [entry["kind"] for entry in document["tasks"][0]["entries"]]
        assert {"received", "run.started", "delivery.attempt", "delivery.delivered"} <= set(kinds)
        text = shell.text("trace", any_id)
        for shown in ("received", "try 1 starts", "attempt 1: 200", f"{service.hooks.url}/ok"):
            assert shown in text
    assert shell.refused("trace", "task_unknown")


def test_trace_of_a_task_shows_it_and_only_counts_those_beside_it(shell: Shell, tmp_path: Path) -> None:
    lines = tmp_path / "tasks.jsonl"
    lines.write_text('{"type": "demo.echo"}\n' * 3)
    batch = shell.json("batches", "submit", str(lines), "--partner", "acme")
    tasks = shell.json("batches", "tasks", batch["id"])["data"]
    for task in tasks:
        ended = shell.run("trace", task["id"])
        assert [word for word in ended.stdout.split() if word.startswith("task_")] == [task["id"]]
        assert ended.stderr.splitlines() == [
            f"In the same trace: 2 tasks. All of them: webhookd trace {task['trace_id']}"
        ]
    whole = shell.run("trace", tasks[0]["trace_id"])
    assert {task["id"] for task in tasks} <= set(whole.stdout.split())
    assert whole.stderr == ""


# ── what goes wrong ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "arguments",
    [
        ("tasks", "get", "task_unknown"),
        ("tasks", "watch", "task_unknown"),
        ("endpoints", "get", "ep_unknown"),
        ("endpoints", "create", "ftp://x.example/", "--partner", "acme"),
        ("deliveries", "get", "dlv_unknown"),
        ("dead-letters", "show", "dlv_unknown"),
        ("replay", "status", "rpl_unknown"),
        ("keys", "revoke", "key_unknown"),
        ("tasks", "submit", "no.such.type", "--partner", "acme"),
        ("tasks", "submit", "demo.sleep", "--input", '{"seconds": "x"}', "--partner", "acme"),
        ("tasks", "submit", "demo.echo", "--partner", "nobody"),
        ("tasks", "get", "../../healthz"),
    ],
)
def test_refusal_is_one_line_and_exit_code_1(arguments: tuple[str, ...], shell: Shell) -> None:
    line = shell.refused(*arguments)
    assert line.startswith("webhookd: ")
    assert "Traceback" not in line


@pytest.mark.parametrize(
    "arguments",
    [
        ("tasks",),
        ("tasks", "nope"),
        ("tasks", "list", "--state", "nope"),
        ("tasks", "list", "--since", "yesterday"),
        ("tasks", "list", "--limit", "0"),
        ("tasks", "submit"),
        ("tasks", "submit", "demo.echo", "--input", "{"),
        ("tasks", "submit", "demo.echo", "--input", "@/no/such/file"),
        ("tasks", "submit", "demo.echo", "--metadata", "no-sign"),
        ("endpoints", "create", "https://x.example/", "--header", "no-colon"),
        ("endpoints", "rotate-secret", "ep_1", "--overlap", "long"),
        ("trace",),
        ("keys", "revoke"),
        ("endpoints", "create", "https://x.example/", "--secret", "whsec_typed"),
    ],
)
def test_wrong_use_is_exit_code_2(arguments: tuple[str, ...], over_http: Shell) -> None:
    ended = over_http.run(*arguments)
    assert ended.exit_code == 2, ended
    assert "Traceback" not in ended.stderr
    if len(arguments) > 1 or arguments == ("trace",):
        assert len(ended.stderr.splitlines()) == 1, ended


def test_partner_sees_only_its_own_and_may_not_administer(as_partner: Shell, over_http: Shell) -> None:
    name = unique("stranger")
    over_http.json("partners", "create", name)
    theirs = over_http.json("tasks", "submit", "demo.echo", "--partner", name)
    assert as_partner.refused("tasks", "get", theirs["id"])
    assert theirs["id"] not in [one["id"] for one in as_partner.json("tasks", "list")["data"]]
    assert as_partner.refused("partners", "list")
    assert as_partner.refused("queues")


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"WEBHOOKD_KEY": "whk_wrong"}, "mend WEBHOOKD_KEY"),
        ({"WEBHOOKD_KEY": "two words"}, "WEBHOOKD_KEY must be"),
        ({"WEBHOOKD_URL": "nonsense"}, "WEBHOOKD_URL must look like"),
        ({"WEBHOOKD_KEY": "", "WEBHOOKD_URL": "https://far.example"}, "WEBHOOKD_KEY is not set"),
        ({"WEBHOOKD_KEY": "", "WEBHOOKD_URL": "", "WEBHOOKD_DATA_DIR": "nowhere"}, "no installation here"),
    ],
)
def test_wrong_key_or_place_says_which_variable(
    variables: dict[str, str], says: str, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell({"WEBHOOKD_URL": service.url, "WEBHOOKD_KEY": ADMIN_KEY, **variables}, capsys)
    line = shell.refused("tasks", "list")
    assert says in line
    assert not (service.folder / "nowhere").exists()


def test_nobody_at_the_url_says_how_to_start_one(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    shell = Shell({"WEBHOOKD_URL": f"http://127.0.0.1:{port}", "WEBHOOKD_KEY": ADMIN_KEY}, capsys)
    assert "webhookd up" in shell.refused("tasks", "list")


def test_somebody_else_at_the_url_is_told(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    shell = Shell({"WEBHOOKD_URL": service.hooks.url, "WEBHOOKD_KEY": ADMIN_KEY}, capsys)
    assert "is WEBHOOKD_URL right?" in shell.refused("tasks", "list")


def test_names_cannot_steer_the_terminal(shell: Shell) -> None:
    endpoint = shell.json(
        "endpoints", "create", "https://x.example/", "--partner", "acme", "--description", "\x1b[31m[bold]red"
    )
    text = shell.text("endpoints", "get", endpoint["id"])
    assert "\x1b" not in text
    assert "\\x1b[31m[bold]red" in text


def test_operator_needs_no_service_that_runs(tmp_path: Path) -> None:
    env = environment(WEBHOOKD_DATA_DIR=str(tmp_path), WEBHOOKD_ENCRYPTION_KEYS="q6ur" * 10 + "q6s=")
    assert run_here("migrate", cwd=tmp_path, env=env).exit_code == 0
    made = run_here("partners", "create", "acme", "--json", cwd=tmp_path, env=env)
    assert made.exit_code == 0, made
    submitted = run_here("tasks", "submit", "demo.echo", "--partner", "acme", cwd=tmp_path, env=env)
    assert submitted.exit_code == 0, submitted
    assert "queued" in submitted.stdout


def test_listing_of_nothing_is_said_on_stderr(over_http: Shell) -> None:
    ended = over_http.run("tasks", "list", "--until", "2000-01-01T00:00:00Z")
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, "", "No tasks.\n")
