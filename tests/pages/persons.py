"""People at a browser, in process: they log in, fill in forms, and see what has died."""

import re
from dataclasses import replace
from html import unescape
from typing import Any

import httpx

from tests.support.api_face import Face
from webhookd.wiring.api import with_pages

ORIGIN = "http://webhookd.test"
HTML = {"Accept": "text/html"}


class Person:
    """Somebody at a browser: keeps cookies, fills in what a form carries."""

    def __init__(self, client: httpx.AsyncClient, side: str = "admin") -> None:
        self.client = client
        self.side = side

    async def open(self, path: str) -> httpx.Response:
        return await self.client.get(f"/{self.side}/{path}", headers=HTML)

    async def send(
        self, path: str, fields: dict[str, Any], *, seen: str, origin: str | None = ORIGIN
    ) -> httpx.Response:
        page = (await self.open(seen)).text
        hidden = {
            name: unescape(re.search(rf'name="{name}" value="([^"]*)"', page)[1])  # type: ignore[index]  # it is there
            for name in ("form_token", "once")
        }
        headers = {} if origin is None else {"Origin": origin}
        return await self.client.post(f"/{self.side}/{path}", data={**hidden, **fields}, headers=headers)

    async def log_in(self, key: str) -> httpx.Response:
        return await self.send("log-in", {"key": key}, seen="log-in")


async def person(face: Face, side: str = "admin", **options: Any) -> Person:
    """Somebody who is not logged in."""
    parts = replace(face.parts, options=replace(face.parts.options, **options))
    transport = httpx.ASGITransport(with_pages(parts), client=("192.0.2.7", 4711))
    scheme = "https" if options.get("base_url", "").startswith("https") else "http"
    client = httpx.AsyncClient(transport=transport, base_url=f"{scheme}://webhookd.test")
    return Person(await face.stack.enter_async_context(client), side)


async def dead_letter(face: Face, partner: Any, error: str = "http_500", **more: Any) -> str:
    """The id of a delivery that is dead."""
    where = {} if "endpoints" in more else {"callback_url": "https://partner.example/hook"}
    made = await partner.client.post("/v1/tasks", json={"type": "test.echo", **where, **more})
    task_id = made.json()["id"]
    await partner.client.post(f"/v1/tasks/{task_id}/cancel")
    [delivery] = (await partner.client.get(f"/v1/deliveries?task={task_id}")).json()["data"]

    def die(tx: Any) -> None:
        tx.conn.exec_driver_sql(
            "UPDATE deliveries SET state = 'dead', dead_reason = 'exhausted', due_ms = NULL, "
            "last_error = ?, last_status = 500, ended_ms = created_ms WHERE id = ?",
            (error, delivery["id"]),
        )

    await face.store.write(die)
    return str(delivery["id"])
