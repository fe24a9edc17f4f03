"""Through a proxy, partners share the connections to the API: nobody's bytes may become another's request.

Each attack is a request that offers another protocol, whose body is a request of its own. Where the API and
the proxy disagree on where the first one ends, the second is answered to whoever comes next, or swallows the
head of the next one and acts with its key.
"""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from tests.proxies.site import Door, ProxiedSite

pytestmark = pytest.mark.slow

OFFERS: Final = (
    "Connection: Upgrade\r\nUpgrade: foo\r\n",
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    "Connection: Upgrade\r\nUpgrade: websocket\r\n",
    "Connection: Upgrade\r\nUpgrade: foo, websocket\r\nSec-WebSocket-Version: 13\r\n",
)
PADDING: Final = (0, 70_000, 400_000)
"""Bytes in front of the request in the body: small ones come with the head, large ones long after it.

They are blank lines, which a parser skips in front of a request.
"""
_PATIENCE_SECONDS: Final = 5.0
_QUIET_SECONDS: Final = 0.1


@pytest.mark.parametrize("lines", ["of the page", "as people paste them"])
async def test_no_request_is_answered_to_another_partner(
    program: str, lines: str, proxied: ProxiedSite
) -> None:
    door = (proxied.doors if lines == "of the page" else proxied.bare)[program]
    victim, attacker = proxied.partners
    over = asyncio.Event()
    async with door.client(victim["key"]) as innocent, door.client(attacker["key"]) as own:
        later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        task = {"type": "demo.echo", "run_at": later, "metadata": {"of": "the victim"}}
        target = (await innocent.post("/v1/tasks", json=task)).json()["id"]
        held = (await own.post("/v1/tasks", json={**task, "metadata": {}})).json()["id"]

        async def ask() -> list[str]:
            """Ask as the victim until it is over; return what was answered that it did not ask for."""
            foreign = []
            while not over.is_set():
                answer = await innocent.get(f"/v1/tasks/{target}")
                if answer.status_code != 200 or answer.json()["id"] != target:
                    foreign.append(f"{answer.status_code} {answer.text[:300]}")
            return foreign

        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(ask()) for _ in range(2)]
            answers = b""
            try:
                for attack in _attacks(door, attacker["key"], held, target):
                    answers += await _send(door, *attack)
            finally:
                over.set()
        assert [one for each in asking for one in each.result()] == []
        assert target.encode() not in answers
        assert b"the victim" not in answers
        assert (await innocent.get(f"/v1/tasks/{target}")).json()["state"] == "scheduled"


def _attacks(door: Door, key: str, held: str, target: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield heads and bodies."""
    own = f"GET /v1/tasks/{held}?wait=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n"
    swallowing = f"POST /v1/tasks/{target}/cancel HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nX-Swallowed: "
    for offer, padding, smuggled in itertools.product(OFFERS, PADDING, (own, swallowing)):
        body = b"\r\n" * (padding // 2) + smuggled.encode()
        head = (
            f"POST {door.prefix}/v1/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{offer}\r\n"
        )
        yield head.encode(), body


async def _send(door: Door, head: bytes, body: bytes) -> bytes:
    """Return all that is answered: to one request, whatever else is in it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port, ssl=door.tls)
    answers = b""
    with suppress(ConnectionError, TimeoutError):
        writer.write(head)
        await writer.drain()
        await asyncio.sleep(0)
        writer.write(body)
        answers += await asyncio.wait_for(reader.read(65_536), _PATIENCE_SECONDS)
        while piece := await asyncio.wait_for(reader.read(65_536), _QUIET_SECONDS):
            answers += piece
    writer.transport.abort()
    return answers
