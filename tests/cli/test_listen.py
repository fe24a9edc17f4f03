"""`webhookd listen`: what it shows of what arrives, what it answers, and that nothing breaks it."""

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook

from tests.support.command_line import Command, run_here, started
from tests.support.plain_http import ask
from webhookd.cli.receiver import bind

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BODY = b'{"type": "task.succeeded", "data": {"id": "task_1", "result": {"lines": 12}}}'


def signed(
    body: bytes = BODY, *, secret: str = SECRET, message: str = "msg_1", age_seconds: int = 0
) -> dict[str, str]:
    at = datetime.now(UTC) - timedelta(seconds=age_seconds)
    return {
        "webhook-id": message,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message, at, body.decode()),
        "webhook-attempt": "2",
        "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
        "content-type": "application/json",
    }


@contextmanager
def listening(*arguments: str, cwd: Path) -> Iterator[tuple[Command, str]]:
    with started("listen", "--port", "0", *arguments, cwd=cwd) as command:
        command.wait_for("http://")
        yield command, command.out[0].split()[-1]


def post(url: str, headers: dict[str, str], body: bytes = BODY) -> httpx.Response:
    return ask("POST", url, headers=headers, content=body)


def test_webhook_is_verified_and_shown(tmp_path: Path) -> None:
    with listening("--secret", OTHER, "--secret", SECRET, cwd=tmp_path) as (command, url):
        assert post(url, signed()).status_code == 200
        assert "task.succeeded" in command.wait_for("✓ verified")
        for shown in ("msg_1", "attempt   2", "a" * 32, '"id": "task_1"', '"lines": 12'):
            command.wait_for(shown)
        assert post(url, signed()).status_code == 200
        command.wait_for("again, the same bytes")
        body = BODY.replace(b"12", b"13")
        assert post(url, signed(body), body).status_code == 200
        command.wait_for("again, but OTHER bytes")
        command.send(signal.SIGINT)
        assert command.wait() == 0
        assert command.err == []


@pytest.mark.parametrize(
    "headers",
    [
        signed(b"{}"),
        signed(secret=OTHER),
        signed(age_seconds=3600),
        signed() | {"webhook-signature": "garbage"},
        signed() | {"webhook-signature": "v1,%%%"},
        signed() | {"webhook-timestamp": "yesterday"},
        {},
    ],
    ids=["other body", "other secret", "old", "garbage", "no base64", "no time", "no headers"],
)
def test_what_does_not_verify_is_shown_and_refused(
    headers: dict[str, str], listener: tuple[Command, str]
) -> None:
    command, url = listener
    before = len([line for line in command.out if "✗ does not verify" in line])
    assert post(url, headers).status_code == 400
    command.wait_for("✗ does not verify")
    assert len([line for line in command.out if "✗ does not verify" in line]) >= before


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Command, str]]:
    with listening("--secret", SECRET, cwd=tmp_path_factory.mktemp("listen")) as running:
        yield running


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}', b'"\\ud800"', b"1" * 10_000, b"null", b'{"type": 5}'],
    ids=["empty", "no text", "deep", "NaN", "surrogate", "long number", "null", "odd type"],
)
def test_strange_bodies_do_not_break_it(body: bytes, listener: tuple[Command, str]) -> None:
    _, url = listener
    assert post(url, {"webhook-id": "x"}, body).status_code == 400
    assert post(url, signed()).status_code == 200


def test_what_is_no_webhook_does_not_break_it(listener: tuple[Command, str]) -> None:
    _, url = listener
    assert ask("GET", url).status_code == 405
    host, port = url.removeprefix("http://").rstrip("/").split(":")
    for junk in (b"\x00\x01\x02\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b""):
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(junk)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
    assert post(url, signed()).status_code == 200


def test_what_a_stranger_sent_cannot_steer_the_terminal(listener: tuple[Command, str]) -> None:
    command, url = listener
    body = json.dumps({"type": "\x1b[31mred\x9b", "data": "[bold]\x07"}, ensure_ascii=False).encode()
    post(url, {"webhook-id": "[bold]here"}, body)
    post(url, {"webhook-id": "and-here"}, b"\x1b]0;title\x07")
    command.wait_for("[bold]here")
    command.wait_for("\\x1b]0;title")
    assert not set("\x1b\x07\x9b") & set("".join(command.out))


def test_first_requests_fail_as_asked(tmp_path: Path) -> None:
    arguments = ("--secret", SECRET, "--fail-first", "2", "--status", "503", "--delay", "0.01")
    with listening(*arguments, cwd=tmp_path) as (command, url):
        assert [post(url, signed()).status_code for _ in range(3)] == [503, 503, 200]
        command.wait_for("answered 503")
        command.wait_for("answered 200")


def test_status_is_answered_to_all_and_no_secret_verifies_nothing(tmp_path: Path) -> None:
    with listening("--status", "410", cwd=tmp_path) as (command, url):
        assert [post(url, signed()).status_code for _ in range(2)] == [410, 410]
        command.wait_for("not verified: no --secret")
        command.send(signal.SIGTERM)
        assert command.wait() == 0


def test_port_that_is_taken_and_a_secret_that_is_none_are_one_line(tmp_path: Path) -> None:
    with bind("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        refused = run_here("listen", "--port", port, cwd=tmp_path)
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (1, 1)
    assert port in refused.stderr
    wrong = run_here("listen", "--port", "0", "--secret", "hunter2!", cwd=tmp_path)
    assert (wrong.exit_code, len(wrong.stderr.splitlines())) == (1, 1)
    assert "hunter2" not in wrong.stderr
