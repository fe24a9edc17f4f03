"""What the demo shows, step by step: each step does something for real, checks it, and returns its account.

Everything goes through the HTTP API and real sockets, as a partner, a receiver and an admin would do it.
"""

import asyncio
import base64
import hashlib
import io
import os
import signal
import socket
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import httpx

from webhookd.cli.receiver import Reaction, Receiver, bind, receiving
from webhookd.cli.stage import Stage, ask, eventually, nth_hit, require, verified

_MANY: Final = 50
_PICTURE_SIZE: Final = (3_000, 2_000)


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
            require(first.status_code == 202, f"the submission was answered {first.status_code}")
            hit = await eventually(lambda: nth_hit(receiver, 1), "a webhook")
            delivered_ms = (time.monotonic() - started) * 1000
            again = await stage.partner.post("/v1/tasks", json=body, headers=key)
            await asyncio.sleep(0.3)
    task = first.json()
    event = verified(hit)
    result = event["data"]["result"]
    pdf = base64.b64decode(result["pdf_base64"])
    require(pdf.startswith(b"%PDF"), "the report is no PDF")
    require(event["data"]["id"] == task["id"], "the webhook is about another task")
    require(again.json()["id"] == task["id"], "the repeat made another task")
    require(len(receiver.hits) == 1, "the repeat made another webhook")
    return [
        f"202 after {accepted_ms:.0f} ms: {task['id']}, trace {task['trace_id']}",
        f"{event['type']} after {delivered_ms:.0f} ms: {hit.webhook_id}, verified by standardwebhooks",
        f"in it a PDF: {len(pdf):,} bytes, {result['pages']} page, balance {result['balance']}",
        "submitted again with the same Idempotency-Key: the same task, no second webhook",
    ]


async def retry(stage: Stage) -> list[str]:
    """A receiver that fails twice."""
    receiver = Receiver(
        secrets=[stage.secret],
        first=(Reaction(status=500), Reaction(status=503, retry_after_seconds=1)),
    )
    with bind("127.0.0.1", 0) as listener:
        async with receiving(receiver, listener) as url:
            await stage.submit({"type": "demo.echo", "input": {"hello": "world"}, "callback_url": url})
            await eventually(lambda: nth_hit(receiver, 3), "the third attempt")
    hits = list(receiver.hits)
    for hit in hits:
        verified(hit)
    require([hit.status for hit in hits] == [500, 503, 200], "the attempts went otherwise")
    require(len({hit.webhook_id for hit in hits}) == 1, "the webhook-id changed")
    require(len({hit.body for hit in hits}) == 1, "the bytes changed")
    first_pause, second_pause = (later.at - earlier.at for earlier, later in pairwise(hits))
    require(second_pause >= 1, "Retry-After was not kept")
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
        endpoint = await ask(stage.partner, "POST", "/v1/endpoints", {"url": url}, status=201)
        await stage.submit({"type": "demo.echo", "input": {}, "endpoints": [endpoint["id"]]})

        async def dead() -> dict[str, Any] | None:
            letters = await ask(stage.admin, "GET", f"/v1/dead-letters?endpoint={endpoint['id']}")
            return letters["data"][0] if letters["data"] else None

        started = time.monotonic()
        letter = await eventually(dead, "a dead letter")
        buried_seconds = time.monotonic() - started
        delivery = await ask(stage.partner, "GET", f"/v1/deliveries/{letter['id']}")
        receiver = Receiver(secrets=[endpoint["secret"]])
        async with receiving(receiver, listener):
            started = time.monotonic()
            await ask(stage.admin, "POST", f"/v1/dead-letters/{letter['id']}/replay", {}, status=202)
            hit = await eventually(lambda: nth_hit(receiver, 1), "the replay")
            replayed_ms = (time.monotonic() - started) * 1000

            async def delivered() -> bool:
                after = await ask(stage.partner, "GET", f"/v1/deliveries/{letter['id']}")
                return bool(after["state"] == "delivered")

            await eventually(delivered, "the delivery's end")
    verified(hit)
    require(hit.webhook_id == delivery["message_id"], "the replay has another webhook-id")
    return [
        f"{endpoint['id']}: connection refused, {delivery['attempts']} attempts in {buried_seconds:.1f} s",
        f"dead letter {letter['id']}: {letter['reason']}, {letter['last_error']}",
        "the endpoint comes up, the admin replays the letter",
        f"{replayed_ms:.0f} ms later: attempt {hit.headers['webhook-attempt']} of {hit.webhook_id}, verified",
    ]


async def shrink(stage: Stage) -> list[str]:
    """A picture that goes in as a file, and comes out as another."""
    picture = _picture()
    upload = await stage.partner.post(
        "/v1/files?name=photo.jpg", content=picture, headers={"Content-Type": "image/jpeg"}
    )
    require(upload.status_code == 201, f"the upload was answered {upload.status_code}")
    file = upload.json()
    receiver = Receiver(secrets=[stage.secret])
    with bind("127.0.0.1", 0) as listener:
        async with receiving(receiver, listener) as url:
            await stage.submit(
                {"type": "image.thumbnail", "input": {"image": file["id"], "width": 320}, "callback_url": url}
            )
            hit = await eventually(lambda: nth_hit(receiver, 1), "the webhook")
    (attached,) = verified(hit)["data"]["files"]
    async with httpx.AsyncClient(base_url=stage.partner.base_url, trust_env=False) as anybody:
        small = await anybody.get(attached["download_url"])
    require(hashlib.sha256(small.content).hexdigest() == attached["sha256"], "the thumbnail is another")
    width, height = await asyncio.to_thread(_size, small.content)
    return [
        f"{file['id']}: a photo of {file['size']:,} bytes, uploaded as a stream",
        f"in the webhook {attached['name']}: {attached['size']:,} bytes, {width} by {height} pixels",
        "fetched by its signed link, without a key; its SHA-256 is the one that the webhook tells",
    ]


async def gather(stage: Stage) -> list[str]:
    """Many tasks with one callback."""
    receiver = Receiver(secrets=[stage.secret])
    with bind("127.0.0.1", 0) as listener:
        async with receiving(receiver, listener) as url:
            tasks = [{"input": {"account": f"A-{number}"}} for number in range(_MANY)]
            body = {"defaults": {"type": "report.statement"}, "tasks": tasks, "callback_url": url}
            started = time.monotonic()
            batch = await ask(stage.partner, "POST", "/v1/batches", body, status=202)
            hit = await eventually(lambda: nth_hit(receiver, 1), "the callback")
            seconds = time.monotonic() - started
    event = verified(hit)
    require(event["type"] == "batch.completed", f"the callback is {event['type']}")
    require(event["data"]["counts"]["succeeded"] == _MANY, "not every task has succeeded")
    results = await stage.partner.get(f"/v1/batches/{batch['id']}/results")
    require(len(results.text.splitlines()) == _MANY, "not every result is there")
    return [
        f"{batch['id']}: {_MANY} reports in one request",
        f"{seconds:.1f} s later one {event['type']}, {hit.webhook_id}, verified: {_MANY} succeeded",
        f"and their {_MANY} results as one stream of lines",
    ]


async def kill(stage: Stage) -> list[str]:
    """A worker that dies in the middle of a task."""
    task = await stage.submit({"type": "demo.sleep", "input": {"seconds": 1}})

    async def state(wanted: str) -> dict[str, Any] | None:
        now = await stage.task(task["id"])
        return now if now["state"] == wanted else None

    await eventually(lambda: state("running"), "the task's start")
    started = time.monotonic()
    pid = stage.supervisor.pids["tasks-1"]
    os.killpg(pid, signal.SIGKILL)
    done = await eventually(lambda: state("succeeded"), "the task's end")
    require(done["attempts"] == 2, f"it took {done['attempts']} attempts")
    successor = stage.supervisor.pids["tasks-1"]
    return [
        f"{task['id']} runs in process {pid}; kill -9",
        f"{time.monotonic() - started:.1f} s later: succeeded, attempt 2, in process {successor}",
    ]


STEPS: Final = (
    Step(title="a task, its result, and a signed webhook", play=deliver),
    Step(title="a receiver that fails is tried again", play=retry),
    Step(title="an endpoint that stays down: dead letter, replay, delivered", play=bury_and_replay),
    Step(title="a picture goes in as a file, its thumbnail comes out as one", play=shrink),
    Step(title=f"{_MANY} tasks, one callback", play=gather),
    Step(title="a worker is killed; its task is not lost", play=kill),
)


def _picture() -> bytes:
    """Return a photo: noise, so that it is as large as one."""
    from PIL import Image  # late: no other command draws

    drawn = io.BytesIO()
    Image.effect_noise(_PICTURE_SIZE, 64).save(drawn, "jpeg", quality=90)
    return drawn.getvalue()


def _size(image: bytes) -> tuple[int, int]:
    from PIL import Image

    with Image.open(io.BytesIO(image)) as opened:
        return opened.size
