"""What the demo shows, step by step: each step does something for real, checks it, and returns its account.

Everything goes through the HTTP API and real sockets, as a partner, a receiver and an admin would do it.
"""

import asyncio
import base64
import contextlib
import json
import os
import signal
import socket
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Self, TypeVar

import httpx

from webhookd.adapters.supervisor import Supervisor
from webhookd.cli.preparation import Prepared
from webhookd.cli.receiver import Hit, Receiver, Reply, bind, receiving
from webhookd.core.errors import WebhookdError

T = TypeVar("T")

_PATIENCE_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.02


class StoryBroken(WebhookdError):
    """Raised when something did not happen as it should; `detail` says what."""

    code, title = "demo", "Demo Failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A running service, an admin and a partner of it."""

    supervisor: Supervisor
    admin: httpx.AsyncClient
    partner: httpx.AsyncClient
    secret: str

    @classmethod
    @contextlib.asynccontextmanager
    async def on(cls, made: Prepared, supervisor: Supervisor) -> AsyncIterator[Self]:
        """Make the partner, as an admin does."""
        async with _client(made.url, made.settings.admin_key) as admin:
            new = await _ask(admin, "POST", "/v1/partners", {"name": "demo"}, status=201)
            async with _client(made.url, new["key"]) as partner:
                yield cls(supervisor=supervisor, admin=admin, partner=partner, secret=new["secret"])

    async def submit(self, body: dict[str, Any]) -> dict[str, Any]:
        """Submit a task; return it."""
        return await _ask(self.partner, "POST", "/v1/tasks", body, status=202)

    async def task(self, task_id: str) -> dict[str, Any]:
        """Return a task as it is now."""
        return await _ask(self.partner, "GET", f"/v1/tasks/{task_id}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A sentence, and what proves it; `play` returns lines for people, or raises StoryBroken."""

    title: str
    play: Callable[[Stage], Awaitable[list[str]]]


async def deliver(stage: Stage) -> list[str]:
    """A report, and its signed webhook."""
    receiver = Receiver(secrets=[stage.secret])
    with bind("127.0.0.1", 0) as listener:
        async with receiving(receiver, listener) as url:
            body = {"type": "report.statement", "input": {"account": "A-1"}, "callback_url": url}
            key = {"Idempotency-Key": uuid.uuid4().hex}
            started = time.monotonic()
            first = await stage.partner.post("/v1/tasks", json=body, headers=key)
            accepted_ms = (time.monotonic() - started) * 1000
            _require(first.status_code == 202, f"the submission was answered {first.status_code}")
            hit = await _eventually(lambda: _hit(receiver, 1), "a webhook")
            delivered_ms = (time.monotonic() - started) * 1000
            again = await stage.partner.post("/v1/tasks", json=body, headers=key)
            await asyncio.sleep(0.3)
    task = first.json()
    event = _verified(hit)
    result = event["data"]["result"]
    pdf = base64.b64decode(result["pdf_base64"])
    _require(pdf.startswith(b"%PDF"), "the report is no PDF")
    _require(event["data"]["id"] == task["id"], "the webhook is about another task")
    _require(again.json()["id"] == task["id"], "the repeat made another task")
    _require(len(receiver.hits) == 1, "the repeat made another webhook")
    return [
        f"202 after {accepted_ms:.0f} ms: {task['id']}, trace {task['trace_id']}",
        f"{event['type']} after {delivered_ms:.0f} ms: {hit.webhook_id}, verified by standardwebhooks",
        f"in it a PDF: {len(pdf):,} bytes, {result['pages']} page, balance {result['balance']}",
        "submitted again with the same Idempotency-Key: the same task, no second webhook",
    ]


async def retry(stage: Stage) -> list[str]:
    """A receiver that fails twice."""
    receiver = Receiver(
        secrets=[stage.secret], first=(Reply(status=500), Reply(status=503, retry_after_seconds=1))
    )
    with bind("127.0.0.1", 0) as listener:
        async with receiving(receiver, listener) as url:
            await stage.submit({"type": "demo.echo", "input": {"hello": "world"}, "callback_url": url})
            await _eventually(lambda: _hit(receiver, 3), "the third attempt")
    hits = list(receiver.hits)
    for hit in hits:
        _verified(hit)
    _require([hit.status for hit in hits] == [500, 503, 200], "the attempts went otherwise")
    _require(len({hit.webhook_id for hit in hits}) == 1, "the webhook-id changed")
    _require(len({hit.body for hit in hits}) == 1, "the bytes changed")
    first_pause, second_pause = (later.at - earlier.at for earlier, later in pairwise(hits))
    _require(second_pause >= 1, "Retry-After was not kept")
    return [
        "attempt 1: 500",
        f"attempt 2, {first_pause:.1f} s later: 503, Retry-After: 1",
        f"attempt 3, {second_pause:.1f} s later: 200",
        f"each time {hits[0].webhook_id} with the same {len(hits[0].body):,} bytes, and it verifies",
    ]


async def bury_and_replay(stage: Stage) -> list[str]:
    """An endpoint that stays down, until it comes up."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        endpoint = await _ask(stage.partner, "POST", "/v1/endpoints", {"url": url}, status=201)
        await stage.submit({"type": "demo.echo", "input": {}, "endpoints": [endpoint["id"]]})

        async def dead() -> dict[str, Any] | None:
            letters = await _ask(stage.admin, "GET", f"/v1/dead-letters?endpoint={endpoint['id']}")
            return letters["data"][0] if letters["data"] else None

        started = time.monotonic()
        letter = await _eventually(dead, "a dead letter")
        buried_seconds = time.monotonic() - started
        delivery = await _ask(stage.partner, "GET", f"/v1/deliveries/{letter['id']}")
        receiver = Receiver(secrets=[endpoint["secret"]])
        async with receiving(receiver, listener):
            started = time.monotonic()
            await _ask(stage.admin, "POST", f"/v1/dead-letters/{letter['id']}/replay", {}, status=202)
            hit = await _eventually(lambda: _hit(receiver, 1), "the replay")
            replayed_ms = (time.monotonic() - started) * 1000

            async def delivered() -> bool:
                after = await _ask(stage.partner, "GET", f"/v1/deliveries/{letter['id']}")
                return bool(after["state"] == "delivered")

            await _eventually(delivered, "the delivery's end")
    _verified(hit)
    _require(hit.webhook_id == delivery["message_id"], "the replay has another webhook-id")
    return [
        f"{endpoint['id']}: connection refused, {delivery['attempts']} attempts in {buried_seconds:.1f} s",
        f"dead letter {letter['id']}: {letter['reason']}, {letter['last_error']}",
        "the endpoint comes up, the admin replays the letter",
        f"{replayed_ms:.0f} ms later: attempt {hit.headers['webhook-attempt']} of {hit.webhook_id}, verified",
    ]


async def kill(stage: Stage) -> list[str]:
    """A worker that dies in the middle of a task."""
    task = await stage.submit({"type": "demo.sleep", "input": {"seconds": 1}})

    async def state(wanted: str) -> dict[str, Any] | None:
        now = await stage.task(task["id"])
        return now if now["state"] == wanted else None

    await _eventually(lambda: state("running"), "the task's start")
    started = time.monotonic()
    pid = stage.supervisor.pids["tasks-1"]
    os.killpg(pid, signal.SIGKILL)
    done = await _eventually(lambda: state("succeeded"), "the task's end")
    _require(done["attempts"] == 2, f"it took {done['attempts']} attempts")
    successor = stage.supervisor.pids["tasks-1"]
    return [
        f"{task['id']} runs in process {pid}; kill -9",
        f"{time.monotonic() - started:.1f} s later: succeeded, attempt 2, in process {successor}",
    ]


STEPS: Final = (
    Step(title="a task, its result, and a signed webhook", play=deliver),
    Step(title="a receiver that fails is tried again", play=retry),
    Step(title="an endpoint that stays down: dead letter, replay, delivered", play=bury_and_replay),
    Step(title="a worker is killed; its task is not lost", play=kill),
)


def _client(url: str, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=url, headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=15.0
    )


async def _ask(
    client: httpx.AsyncClient,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    *,
    status: int = 200,
) -> dict[str, Any]:
    answer = await client.request(method, path, json=body)
    if answer.status_code != status:
        raise StoryBroken(f"{method} {path} answered {answer.status_code}: {answer.text[:300]}")
    document: dict[str, Any] = answer.json()
    return document


async def _hit(receiver: Receiver, number: int) -> Hit | None:
    return receiver.hits[number - 1] if len(receiver.hits) >= number else None


async def _eventually(look: Callable[[], Awaitable[T | None]], what: str) -> T:
    """Return the first true thing that `look` finds."""
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < give_up_at:
        if found := await look():
            return found
        await asyncio.sleep(_LOOK_SECONDS)
    raise StoryBroken(f"{what} did not come within {_PATIENCE_SECONDS:.0f} s.")


def _verified(hit: Hit) -> dict[str, Any]:
    _require(hit.verified, f"the signature does not verify: {hit.problem}")
    event: dict[str, Any] = json.loads(hit.body)
    return event


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise StoryBroken(f"{otherwise}.")
