"""Server-Sent Events, against a running API."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.support.live_api import Live, LivePartner
from tests.support.services import until
from webhookd.api import events as events_module


@dataclass(frozen=True, slots=True)
class Event:
    """One event as an EventSource would give it out."""

    id: int
    name: str
    task: dict[str, Any]


class Reader:
    """Reads a stream line by line; `comments` counts keep-alives, `retry_ms` is what it was told."""

    def __init__(self, partner: LivePartner, task_id: str, last_id: int | str | None = None) -> None:
        headers = {} if last_id is None else {"Last-Event-ID": str(last_id)}
        self._request = partner.http.stream("GET", f"/v1/tasks/{task_id}/events", headers=headers)
        self.comments = 0
        self.retry_ms: int | None = None
        self.response: httpx.Response | None = None

    async def events(self) -> AsyncGenerator[Event, None]:
        """Events until the stream ends."""
        async with self._request as response:
            self.response = response
            fields: dict[str, str] = {}
            async for line in response.aiter_lines():
                name, _, value = line.partition(": ")
                if line == "" and "data" in fields:
                    yield Event(int(fields["id"]), fields["event"], json.loads(fields["data"]))
                    fields = {}
                elif name == "":
                    self.comments += bool(value)
                elif name == "retry":
                    self.retry_ms = int(value)
                else:
                    fields[name] = value


@pytest.mark.parametrize("live", ["sqlite", "postgresql"], indirect=True)
async def test_stream_gives_the_present_state_each_newer_version_and_ends_with_the_final_one(
    live: Live,
) -> None:
    partner = await live.partner()
    task = await partner.submit()
    reader = Reader(partner, task["id"])
    seen: list[Event] = []
    async for event in reader.events():
        seen.append(event)
        if len(seen) == 1:
            await live.hand.start(task["id"])
        elif len(seen) == 2:
            await live.hand.progress(task["id"], 50)
        elif len(seen) == 3:
            await live.hand.finish(task["id"], [1])
    assert [event.id for event in seen] == [1, 2, 3, 4]
    assert [event.task["state"] for event in seen] == ["queued", "running", "running", "succeeded"]
    assert all(event.name == "task" and event.task["version"] == event.id for event in seen)
    assert seen[-1].task == (await partner.http.get(f"/v1/tasks/{task['id']}")).json()
    assert reader.retry_ms
    assert reader.response is not None
    assert reader.response.headers["content-type"].startswith("text/event-stream")
    assert reader.response.headers["cache-control"] == "no-store"
    assert reader.response.headers["x-accel-buffering"] == "no"
    assert "traceparent" in reader.response.headers


async def test_stream_resumes_after_the_version_seen_last(live: Live) -> None:
    partner = await live.partner()
    task = await partner.submit()
    await live.hand.start(task["id"])
    async with aclosing(Reader(partner, task["id"], last_id=1).events()) as events:
        assert (await anext(events)).id == 2
    reader = Reader(partner, task["id"], last_id=2)
    async with aclosing(reader.events()) as events:
        coming = asyncio.ensure_future(anext(events))
        await until(lambda: reader.response is not None, what="the head of the stream")
        await live.hand.progress(task["id"], 10)
        assert (await coming).id == 3


async def test_nothing_is_left_to_stream_after_the_final_version(live: Live) -> None:
    partner = await live.partner()
    task = await partner.submit()
    await live.hand.finish(task["id"])
    version = (await partner.http.get(f"/v1/tasks/{task['id']}")).json()["version"]
    path = f"/v1/tasks/{task['id']}/events"
    answer = await partner.http.get(path, headers={"Last-Event-ID": str(version)})
    assert (answer.status_code, answer.content) == (204, b"")
    for last_id in (None, version - 1, version + 1, "9" * 18, "9" * 30, "", "what", "-1", "٣"):
        reader = Reader(partner, task["id"], last_id.encode() if last_id == "٣" else last_id)  # type: ignore[arg-type]  # a header that is no ASCII
        assert [event.id async for event in reader.events()] == [version]


async def test_reader_of_a_version_that_there_is_not_is_told_the_present_one(live: Live) -> None:
    partner = await live.partner()
    task = await partner.submit()
    async with aclosing(Reader(partner, task["id"], last_id=7).events()) as events:
        assert (await anext(events)).id == 1
        await live.hand.finish(task["id"])
        while not (await anext(events)).task["done"]:
            pass


async def test_stream_finds_what_no_signal_told(live: Live) -> None:
    partner = await live.partner()
    task = await partner.submit()
    live.hand.tells = False
    async with aclosing(Reader(partner, task["id"]).events()) as events:
        assert (await anext(events)).id == 1
        await live.hand.finish(task["id"])
        assert (await anext(events)).task["done"] is True


async def test_quiet_stream_is_kept_alive(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "KEEP_ALIVE_SECONDS", 0.05)
    partner = await live.partner()
    task = await partner.submit()
    reader = Reader(partner, task["id"])
    async with aclosing(reader.events()) as events:
        await anext(events)
        coming = asyncio.ensure_future(anext(events))
        await until(lambda: reader.comments >= 3, what="comments")
        await live.hand.finish(task["id"])
        await coming


async def test_stopping_ends_the_stream_whole(live: Live) -> None:
    partner = await live.partner()
    task = await partner.submit()
    seen = []
    async for event in Reader(partner, task["id"]).events():
        seen.append(event.id)
        live.stop()
    assert seen == [1]  # and no RemoteProtocolError: the last chunk came
    await asyncio.wait_for(live.serving, 30)


async def test_head_has_no_events(live: Live) -> None:
    partner = await live.partner()
    task = await partner.submit()
    answer = await partner.http.head(f"/v1/tasks/{task['id']}/events")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")


async def test_reader_that_takes_nothing_is_given_up(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "SEND_SECONDS", 0.3)
    partner = await live.partner()
    task = await partner.submit(metadata={"fill": "x" * 16_000})
    await live.hand.start(task["id"])
    host, port = live.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port), limit=1)  # buffers next to nothing
    writer.write(
        f"GET /v1/tasks/{task['id']}/events HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {partner.key}\r\n\r\n".encode()
    )
    await until(lambda: len(live.watchers) == 1, what="the stream")
    percent = 0.0
    while len(live.watchers):
        assert percent < 10_000, "it goes on for ever"
        percent += 1
        await live.hand.progress(task["id"], percent)
    writer.close()
