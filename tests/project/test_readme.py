"""What the README and the tutorial tell a reader to paste is pasted here, against a real `webhookd up --dev`.

Only ports, and the folder of the virtual environment, are other ones. Python snippets are run as they are.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from tests.support.services import free_port, until
from webhookd import Fail, Retry, TaskContext
from webhookd.core.signing import SigningKey, signature_header
from webhookd.taskset import TaskSet

ROOT = Path(__file__).parents[2]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"type":"task.succeeded","timestamp":"2026-11-24T08:54:21.739Z","data":{"id":"task_1"}}'
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_WEBHOOKD = Path(sys.executable).with_name("webhookd")
_PATIENCE_SECONDS = 120.0


def _snippets(page: str, language: str, containing: str = "") -> list[str]:
    found = [text for kind, text in _FENCE.findall((ROOT / page).read_text()) if kind == language]
    return [text for text in found if containing in text]


def _run_python(page: str, containing: str) -> dict[str, Any]:
    """Run the snippet and return what it has defined."""
    (snippet,) = _snippets(page, "python", containing)
    namespace: dict[str, Any] = {"__name__": "snippet"}
    exec(compile(snippet, page, "exec"), namespace)  # noqa: S102 - our own documentation
    return namespace


def _signed(body: bytes, message_id: str = "msg_1") -> dict[str, str]:
    now = int(time.time())
    key = SigningKey.parse(SECRET)
    signature = signature_header(message_id=message_id, timestamp=now, body=body, secrets=[key])
    return {"webhook-id": message_id, "webhook-timestamp": str(now), "webhook-signature": signature}


def test_receiver_of_the_readme_takes_each_message_once(capsys: pytest.CaptureFixture[str]) -> None:
    receive = _run_python("README.md", "def receive")["receive"]

    answers = [receive(_signed(BODY), BODY, SECRET) for _ in range(2)]

    assert answers == [204, 204]
    assert capsys.readouterr().out == "task.succeeded task_1\n"
    assert receive(_signed(BODY), BODY.replace(b"task_1", b"task_2"), SECRET) == 400
    assert receive({}, BODY, SECRET) == 400


async def test_receiver_of_the_guide_takes_what_any_of_its_secrets_signed() -> None:
    defined = _run_python("docs/how-to/receive-webhooks.md", "async def hooks")
    defined["SECRETS"] += ["whsec_" + "A" * 32, SECRET]
    transport = httpx.ASGITransport(app=defined["app"])
    async with httpx.AsyncClient(transport=transport, base_url="http://receiver") as client:
        good = await client.post("/hooks", content=BODY, headers=_signed(BODY))
        forged = await client.post("/hooks", content=BODY + b" ", headers=_signed(BODY))

    assert (good.status_code, forged.status_code) == (204, 400)


def test_signing_by_hand_verifies() -> None:
    signed = _run_python("docs/how-to/test-locally.md", "def signed")["signed"]

    assert Webhook(SECRET).verify(BODY, signed(BODY.decode()))["type"] == "task.succeeded"


def test_task_of_the_guide_to_traces_works_with_spans_and_without() -> None:
    close = _run_python("docs/how-to/trace.md", "@tasks.task")["close"]

    assert close(TaskContext(), {"month": "2026-11", "cents": [1, 2]}) == {"total": 3}


def test_task_of_the_readme_does_what_it_says() -> None:
    defined = _run_python("README.md", "@tasks.task")
    check, transfer = defined["check"], defined["Transfer"]
    assert isinstance(defined["tasks"], TaskSet)

    assert check(TaskContext(), transfer(account="A-1", cents=5)) == {"account": "A-1", "fine": True}
    with pytest.raises(Fail):
        check(TaskContext(), transfer(account="A-1", cents=0))
    with pytest.raises(Retry):
        check(TaskContext(), transfer(account="A-0", cents=5))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dev:
    """A running `webhookd up --dev` in `folder`, where its data dir is, and the admin key it has printed."""

    folder: Path
    url: str
    admin_key: str


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WEBHOOKD_")}
    # The schedule is quicker than the real one, or a reader's half minute would be ours.
    environment |= {"WEBHOOKD_RETRY_BASE_SECONDS": "0.3", "WEBHOOKD_RETRY_FACTOR": "1.5"}
    said, log = tmp_path / "up.txt", tmp_path / "up.log"
    command = [str(_WEBHOOKD), "up", "--dev", "--port", "0"]
    with said.open("wb") as out, log.open("wb") as err:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=out, stderr=err)
    try:
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while "dead-letters" not in said.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < give_up_at, log.read_text()
            time.sleep(0.05)
        up, key = (re.search(wanted, said.read_text()) for wanted in (r"is up at (\S+)", r"admin key +(\S+)"))
        assert up is not None
        assert key is not None
        yield Dev(folder=tmp_path, url=up[1], admin_key=key[1])
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


@contextmanager
def _pasted(script: str, dev: Dev) -> Iterator["subprocess.Popen[bytes]"]:
    """Paste lines into a shell in the folder of `dev`; it writes `done` at the end and waits for its jobs."""
    replaced = {
        "http://127.0.0.1:8080": dev.url,
        ".venv/bin/webhookd": str(_WEBHOOKD),
        "9000": str(free_port()),
        "9001": str(free_port()),
        "9002": str(free_port()),
    }
    wanted = "|".join(rf"\b{name}\b" if name.isdigit() else re.escape(name) for name in replaced)
    script = re.sub(wanted, lambda found: replaced[found[0]], script)
    # A reader takes longer than this between two lines, and this machine may be slow.
    script = re.sub(r"^sleep (\d+)$", r"sleep $((3 * \1))", script, flags=re.MULTILINE)
    script = re.sub(
        r"^(.* listen --port (\d+).*) &$",
        r"\1 >listen-\2.txt 2>&1 &\nuntil grep -q Listening listen-\2.txt; do sleep 0.1; done",
        script,
        flags=re.MULTILINE,
    )
    (dev.folder / "pasted.sh").write_text(script + "\ntouch done\nwait\n")
    environment = {**os.environ, "ADMIN": dev.admin_key, "no_proxy": "127.0.0.1", "PYTHONUNBUFFERED": "1"}
    with (dev.folder / "pasted.txt").open("wb") as out:
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "pasted.sh"],
            cwd=dev.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _received(folder: Path) -> str:
    return "".join(file.read_text() for file in sorted(folder.glob("listen-*.txt")))


def _answers(text: str) -> list[dict[str, Any]]:
    """The JSON documents in what the pasted lines have printed, one after the other."""
    documents, place = [], 0
    while (place := text.find("{", place)) >= 0:
        document, place = json.JSONDecoder().raw_decode(text, place)
        documents.append(document)
    return documents


async def _paste_all(blocks: list[str], dev: Dev, *, until_received: str) -> list[dict[str, Any]]:
    """Paste the blocks, wait until the receivers show a text, and return the JSON the lines have printed."""
    printed = dev.folder / "pasted.txt"
    with _pasted("".join(blocks), dev) as shell:
        done = dev.folder / "done"
        await until(
            lambda: done.exists() or shell.poll() is not None, what="the last line", seconds=_PATIENCE_SECONDS
        )
        assert done.exists(), printed.read_text()
        await until(
            lambda: re.search(until_received, _received(dev.folder)),
            what=until_received,
            seconds=_PATIENCE_SECONDS,
        )
    answers = _answers(printed.read_text())
    assert [answer for answer in answers if "trace_id" in answer and "title" in answer] == []
    return answers


async def test_partners_ten_minutes_and_replays_work_as_pasted(dev: Dev) -> None:
    blocks = [block for block in _snippets("README.md", "sh") if re.search(r"\bAPI\b|webhookd listen", block)]

    answers = await _paste_all(blocks, dev, until_received="✓ verified  task.succeeded")

    first, submitted, tested, waited, deliveries, timeline, letters, *replays = answers
    assert (first["state"], first["result"]["rows"]) == ("succeeded", 2)
    assert submitted["metadata"] == {"order": "42"}
    assert (tested["state"], tested["attempt"]["status"]) == ("delivered", 200)
    assert (waited["id"], waited["state"]) == (submitted["id"], "succeeded")
    assert [one["event"] for one in deliveries["data"]] == ["task.succeeded"]
    assert timeline["entries"][0]["kind"] == "received"
    assert letters["data"] == []
    assert [one["dry_run"] for one in replays] == [True, False]


async def test_tutorial_works_as_pasted(dev: Dev) -> None:
    blocks = [block for block in _snippets("docs/tutorial/first-webhook.md", "sh") if "make up" not in block]

    answers = await _paste_all(blocks, dev, until_received=r"attempt   3\n(?s:.*)attempt   3\n")

    accepted, slept, reported, delivery, echoed, letters, replay = answers
    assert accepted["type"] == "demo.sleep"
    assert (slept["id"], slept["state"]) == (accepted["id"], "succeeded")
    assert reported["state"] == "succeeded"
    assert delivery["task_id"] == reported["id"]
    assert [(one["task_id"], one["reason"]) for one in letters["data"]] == [(echoed["id"], "exhausted")]
    assert replay["matched"] == 1
    assert _received(dev.folder).count("answered 500") == 2


async def test_every_way_to_watch_a_task_works_as_pasted(dev: Dev) -> None:
    page = "docs/how-to/watch-a-task.md"
    (script,) = _snippets(page, "python")
    (dev.folder / "watch.py").write_text(script)
    blocks = [block.replace("python3 watch", f"{sys.executable} watch") for block in _snippets(page, "sh")]

    answers = await _paste_all(blocks, dev, until_received="")

    printed = (dev.folder / "pasted.txt").read_text()
    held, changed, polled, *streamed = [one for one in answers if "version" in one]
    assert (held["type"], held["state"]) == ("demo.sleep", "succeeded")
    assert (changed["id"], changed["version"] > 1, changed["done"]) == (polled["id"], True, False)
    assert polled["state"] == "succeeded"
    versions = [one["version"] for one in streamed]
    assert versions == sorted(set(versions))
    assert len({one["id"] for one in streamed} - {polled["id"]}) == 1
    assert [one["done"] for one in streamed] == [False] * (len(streamed) - 1) + [True]
    watched = re.findall(r"^(task_\w+) (\w+) ", printed, re.MULTILINE)
    assert len({task_id for task_id, _ in watched}) == 2
    assert [state for _, state in watched].count("succeeded") == 2
    [message] = answers[-1]["data"]
    assert message["data"]["id"] in printed.splitlines()
