"""Load as careful partners make it: a submission has an `Idempotency-Key` and is repeated until accepted."""

import asyncio
import contextlib
import itertools
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.installation import Installation
from tests.support.plain_http import async_http_client
from webhookd.cli.receiver import Receiver, bind, receiving

_PATIENCE_SECONDS = 30.0
_PAUSE_SECONDS = 0.1


@dataclass(slots=True)
class Load:
    """One partner's submissions. `accepted` has the task of each number, `answers` every status seen.

    Several `urls` are tried in turn: a client behind a balancer. `broken` counts calls without an answer,
    `impatient` those whose answer did not come in time. `padding` makes tasks larger.
    """

    urls: Sequence[str]
    key: str
    callback_url: str | None
    accepted: dict[int, str] = field(default_factory=dict)
    batches: set[str] = field(default_factory=set)
    answers: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    impatient: int = 0
    padding: str = ""
    refused: list[str] = field(default_factory=list)

    @property
    def ids(self) -> set[str]:
        """The ids of all accepted tasks."""
        return set(self.accepted.values())

    async def submit_many(
        self, numbers: Sequence[int], *, over_seconds: float = 0.0, chance: random.Random | None = None
    ) -> None:
        """Submit each number, at random moments within this time, and wait until all are accepted."""
        rolls = chance or random.Random(len(numbers))
        async with self._client() as client, asyncio.TaskGroup() as group:
            for number in numbers:
                group.create_task(self._submit(client, number, rolls.uniform(0, over_seconds)))

    async def submit(self, number: int, body: dict[str, Any] | None = None) -> str:
        """Submit one and wait until it is accepted; return its id."""
        async with self._client() as client:
            return await self._submit(client, number, 0.0, body)

    async def submit_batch(self, first: int, count: int) -> str:
        """Submit these numbers as a batch that is open, add half of them, close it; return its id."""
        half = count // 2
        async with self._client() as client:
            made = await self._repeated(
                client,
                "/v1/batches",
                f"batch-{first}",
                {
                    "tasks": [self.body(first + number) for number in range(half)],
                    "callback_url": self.callback_url,
                    "open": True,
                },
            )
            path = f"/v1/batches/{made['id']}"
            more = {"tasks": [self.body(first + number) for number in range(half, count)]}
            added = await self._repeated(client, f"{path}/tasks", f"more-{first}", more)
            await self._repeated(client, f"{path}/close", f"close-{first}", {})
        self.batches.add(made["id"])
        self.accepted |= dict(enumerate([*made["task_ids"], *added["task_ids"]], start=first))
        return str(made["id"])

    async def _repeated(
        self, client: httpx.AsyncClient, path: str, key: str, body: dict[str, Any]
    ) -> dict[str, Any]:
        """Post with a key until it is accepted."""
        for asked in itertools.count():
            with contextlib.suppress(httpx.HTTPError):
                answer = await client.post(
                    f"{self.urls[asked % len(self.urls)]}{path}", json=body, headers={"Idempotency-Key": key}
                )
                if answer.is_success:
                    done: dict[str, Any] = answer.json()
                    return done
                assert answer.status_code == 503, answer.text
            await asyncio.sleep(_PAUSE_SECONDS)
        raise AssertionError

    async def _submit(
        self, client: httpx.AsyncClient, number: int, pause_seconds: float, body: dict[str, Any] | None = None
    ) -> str:
        await asyncio.sleep(pause_seconds)
        asked = number
        while True:
            answer = await self._ask(client, self.urls[asked % len(self.urls)], number, body)
            if answer is not None and answer.status_code == 202:
                task_id: str = answer.json()["id"]
                assert self.accepted.setdefault(number, task_id) == task_id, "one key stands for two tasks"
                return task_id
            assert self.refused == [], "neither accepted nor asked to come again"
            asked += 1
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _ask(
        self, client: httpx.AsyncClient, url: str, number: int, body: dict[str, Any] | None
    ) -> httpx.Response | None:
        try:
            answer = await client.post(
                f"{url}/v1/tasks",
                json=body or self.body(number),
                headers={"Idempotency-Key": f"order-{number}"},
            )
        except httpx.TimeoutException:
            self.impatient += 1
            return None
        except httpx.HTTPError:
            self.broken += 1
            return None
        self.answers[answer.status_code] += 1
        if answer.status_code not in (202, 503) or (
            answer.status_code == 503 and "retry-after" not in answer.headers
        ):
            self.refused.append(f"{answer.status_code} {answer.text}")
        return answer

    def body(self, number: int) -> dict[str, Any]:
        """Mostly quick tasks, some that take a while, some that fail once."""
        body: dict[str, Any] = {"type": "demo.echo", "input": {"number": number}}
        if number % 4 == 0:
            body = {"type": "demo.sleep", "input": {"seconds": 0.2}}
        elif number % 10 == 1:
            body = {"type": "demo.fail", "input": {"times": 1}}
        if self.callback_url is not None:
            body["callback_url"] = self.callback_url
        return {**body, "metadata": {"number": number, "padding": self.padding}}

    def _client(self) -> httpx.AsyncClient:
        return async_http_client(
            key=self.key, timeout=_PATIENCE_SECONDS, limits=httpx.Limits(max_connections=20)
        )


@asynccontextmanager
async def partner_under_load(
    installation: Installation, name: str, *, receiver: Receiver | None = None
) -> AsyncIterator[tuple[Load, Receiver]]:
    """Make a partner whose callbacks go to a receiver that runs as long as the context."""
    receiver = receiver or Receiver()
    with bind("127.0.0.1", 0) as listener:
        async with receiving(receiver, listener) as callback_url:
            partner = await installation.partner(f"{name} {uuid.uuid4().hex[:8]}")
            receiver.trust(partner["secret"])
            yield Load(installation.urls, partner["key"], callback_url), receiver
