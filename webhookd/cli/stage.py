"""What every step of the demo stands on: a running service, an admin and a partner, and how to look."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar

import httpx

from webhookd.adapters.supervisor import Supervisor
from webhookd.cli.preparation import Prepared
from webhookd.cli.receiver import Hit, Receiver
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
            new = await ask(admin, "POST", "/v1/partners", {"name": "demo"}, status=201)
            async with _client(made.url, new["key"]) as partner:
                yield cls(supervisor=supervisor, admin=admin, partner=partner, secret=new["secret"])

    async def submit(self, body: dict[str, Any]) -> dict[str, Any]:
        """Submit a task; return it."""
        return await ask(self.partner, "POST", "/v1/tasks", body, status=202)

    async def task(self, task_id: str) -> dict[str, Any]:
        """Return a task as it is now."""
        return await ask(self.partner, "GET", f"/v1/tasks/{task_id}")


def _client(url: str, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=url, headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=15.0
    )


async def ask(
    client: httpx.AsyncClient,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    *,
    status: int = 200,
) -> dict[str, Any]:
    """Ask the API; return what it answers. Raises StoryBroken where the status is another."""
    answer = await client.request(method, path, json=body)
    if answer.status_code != status:
        raise StoryBroken(f"{method} {path} answered {answer.status_code}: {answer.text[:300]}")
    document: dict[str, Any] = answer.json()
    return document


async def nth_hit(receiver: Receiver, number: int) -> Hit | None:
    """Return the request of this number, once it is there."""
    return receiver.hits[number - 1] if len(receiver.hits) >= number else None


async def eventually(look: Callable[[], Awaitable[T | None]], what: str) -> T:
    """Return the first true thing that `look` finds."""
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < give_up_at:
        if found := await look():
            return found
        await asyncio.sleep(_LOOK_SECONDS)
    raise StoryBroken(f"{what} did not come within {_PATIENCE_SECONDS:.0f} s.")


def verified(received: Hit) -> dict[str, Any]:
    """Return the event of a request. Raises StoryBroken where its signature does not verify."""
    require(received.verified, f"the signature does not verify: {received.problem}")
    event: dict[str, Any] = json.loads(received.body)
    return event


def require(holds: bool, otherwise: str) -> None:
    """Raise StoryBroken unless something holds."""
    if not holds:
        raise StoryBroken(f"{otherwise}.")
