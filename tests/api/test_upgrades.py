"""Requests that offer another protocol, read as the HTTP/1.1 they are, as h11 (another parser) reads them.

`Upgrade` and CONNECT make the server's parser stop at the end of the head. Were a body's bytes lost there, or
read as a request, then one partner could ask in another's name on a connection that a proxy shares.
"""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import h11
import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from tests.api.raw import CLOSE, Raw, frame, handshake, raw
from tests.conftest import missing
from tests.support.live_api import ADMIN_KEY, Live
from webhookd.api.connection import HttpConnection
from webhookd.api.crowd import Crowd
from webhookd.api.stream_connection import StreamConnection

STOLEN = b"DELETE /stolen HTTP/1.1\r\nHost: x\r\n\r\n"
"""A body that would make a request."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One request, as the application or h11 has it."""

    method: str
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class Transport(asyncio.Transport):
    """Takes what is written; has no socket."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closing = False

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.closing = True

    def write_eof(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def app_sees(segments: Iterable[bytes]) -> list[Seen]:
    """The requests that come to the application when these bytes come in these segments."""
    seen: list[Seen] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
            assert message["type"] == "http.request"
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        seen.append(Seen(scope["method"], target, tuple(scope["headers"]), body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(app, log_config=None, lifespan="off", http=HttpConnection, ws=StreamConnection)
    config.load()
    state, transport = ServerState(), Transport()
    connection = HttpConnection(
        config, state, {}, asyncio.get_running_loop(), crowd=Crowd(most=1_000, trusted=())
    )
    connection.connection_made(transport)
    for segment in segments:
        connection.data_received(segment)
        while state.tasks and connection.cycle.more_body is False:
            await asyncio.wait(state.tasks, timeout=0)
        if transport.closing:
            break
    for task in state.tasks:  # those whose body did not come to its end
        task.cancel()
    connection.connection_lost(None)
    await asyncio.gather(*state.tasks, return_exceptions=True)
    return seen


def h11_sees(data: bytes) -> list[Seen]:
    """The requests that h11 reads in these bytes, answering each one."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    seen: list[Seen] = []
    while True:
        request = connection.next_event()
        if not isinstance(request, h11.Request):
            return seen
        body = b""
        while isinstance(event := connection.next_event(), h11.Data):
            body += event.data
        assert isinstance(event, h11.EndOfMessage)
        headers = tuple((bytes(name), bytes(value)) for name, value in request.headers)
        seen.append(Seen(request.method.decode(), request.target, headers, body))
        connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
        connection.send(h11.EndOfMessage())
        if _asks_for_websocket(headers) or connection.our_state is not h11.DONE:
            return seen  # this connection is closed by the answer
        connection.start_next_cycle()


def _asks_for_websocket(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    pairs = [(name, value.lower()) for name, value in headers]
    return any(name == b"connection" and b"upgrade" in value for name, value in pairs) and any(
        name == b"upgrade" and b"websocket" in value for name, value in pairs
    )


def chunked(pieces: Iterable[bytes], trailers: bytes = b"") -> bytes:
    """A body in chunks."""
    chunks = [b"%x\r\n%s\r\n" % (len(one), one) for one in pieces if one]
    return b"".join(chunks) + b"0\r\n" + trailers + b"\r\n"


OFFERS = (
    b"Connection: Upgrade\r\nUpgrade: foo\r\n",
    b"Connection: keep-alive, uPGRADE\r\nuPgRaDe: h2c\r\n",
    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nConnection: Upgrade, HTTP2-Settings\r\n",
    b"Connection: Upgrade\r\nUpgrade: WebSocket\r\n",
    b"Connection: Upgrade\r\nUpgrade: foo, websocket\r\nSec-WebSocket-Version: 13\r\n",
    b"Connection: Upgrade\r\nConnection: close\r\nUpgrade: TLS/1.0\r\n",
    b"Connection: keep-alive\r\nConnection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n",
    b"Upgrade: h2c\r\n",
    b"Connection: Upgrade\r\n",
    b"",
)
TRAILERS = (b"", b"X-Checksum: 1\r\n", b"Connection: Upgrade\r\nUpgrade: h2c\r\nAuthorization: Bearer x\r\n")


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """One whole request that h11 takes too."""
    method = draw(st.sampled_from([b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS"]))
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.1", b"1.0"]))
    headers = [b"Host: x\r\n", draw(st.sampled_from(OFFERS)), draw(st.sampled_from([b"", b"X-A:  b \r\n"]))]
    body = draw(st.sampled_from([b"", b"x", STOLEN, STOLEN * 3, b"0\r\n\r\n" + STOLEN, b"\r\n\r\n"]))
    framing = draw(st.sampled_from(["length", "chunked"] if version == b"1.1" else ["length"]))
    if framing == "chunked":
        cut = draw(st.integers(0, len(body)))
        headers.append(b"Transfer-Encoding: chunked\r\n")
        body = chunked([body[:cut], body[cut:]], draw(st.sampled_from(TRAILERS)))
    elif body or draw(st.booleans()):
        headers.append(b"Content-Length: %d\r\n" % len(body))
    if version == b"1.1" and draw(st.booleans()):
        headers.append(b"Expect: 100-continue\r\n")
    order = draw(st.permutations(headers))
    target = draw(st.sampled_from([b"/", b"/v1/tasks", b"/v1/stream", b"/a?b=c"]))
    return b"%s %s HTTP/%s\r\n%s\r\n%s" % (method, target, version, b"".join(order), body)


@given(st.lists(requests(), min_size=1, max_size=4), st.data())
@settings(max_examples=300)
def test_application_sees_the_requests_that_h11_reads_however_they_are_cut(
    sent: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(sent)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=8)))
    segments = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert asyncio.run(app_sees(segments)) == h11_sees(stream)


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: %d\r\n\r\n%s" % (len(STOLEN), STOLEN),
        b"Transfer-Encoding: chunked\r\n\r\n" + chunked([STOLEN[:9], STOLEN[9:]], TRAILERS[2]),
        b"\r\n",
    ],
)
async def test_no_cut_between_two_bytes_makes_a_body_a_request(offer: bytes, body: bytes) -> None:
    stream = b"POST /a HTTP/1.1\r\nHost: x\r\n" + offer + body + b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n"
    expected = h11_sees(stream)
    assert expected[0].target == b"/a"
    assert await app_sees([stream[at : at + 1] for at in range(len(stream))]) == expected
    for at in range(1, len(stream)):
        assert await app_sees([stream[:at], stream[at:]]) == expected


async def test_connect_is_refused_and_nothing_behind_it_is_read(live: Live) -> None:
    for target in (b"internal.example:443", b"/v1/tasks"):
        async with raw(live) as client:
            await client.send(
                b"CONNECT %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
                % (target, len(STOLEN), STOLEN)
            )
            answers = await client.rest()
            assert answers.startswith(b"HTTP/1.1 405 ")
            (allow,) = [line for line in answers.split(b"\r\n") if line.startswith(b"Allow: ")]
            assert b"GET" in allow.removeprefix(b"Allow: ").split(b", ")
            assert answers.count(b"HTTP/1.1 ") == 1


async def ask(client: Raw, key: str, line: str, *, offer: bytes = b"", body: bytes | None = None) -> None:
    head = f"{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n".encode() + offer
    if body is not None:
        head += b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    await client.send(head + b"\r\n")
    if body:
        await asyncio.sleep(0)
        await client.send(body)


@pytest.mark.parametrize("offer", OFFERS[:3])
async def test_connection_that_a_proxy_shares_gives_each_partner_its_own_answers(
    live: Live, offer: bytes
) -> None:
    attacker, victim = await live.partner(), await live.partner()
    task = await victim.submit(metadata={"of": "the victim"})
    smuggled = f"GET /v1/partner HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {attacker.key}\r\n\r\n".encode()
    async with raw(live) as shared:
        for body in (smuggled, b" " * 400_000 + smuggled, smuggled + b'POST / HTTP/1.1\r\nX: "'):
            await ask(shared, attacker.key, "POST /v1/endpoints", offer=offer, body=body)
            assert (await shared.answer())[0] in (400, 413)
            if len(body) > 300_000:
                break  # refused before it was read: that connection is not used again
            await ask(shared, victim.key, f"GET /v1/tasks/{task['id']}")
            status, document = await shared.answer()
            assert (status, json.loads(document)["metadata"]) == (200, {"of": "the victim"})


@pytest.mark.parametrize("together", [True, False])
async def test_leaked_secret_is_cut_off_whatever_protocol_the_client_offers(
    live: Live, together: bool
) -> None:
    partner = await live.partner()
    body = b'{"overlap_seconds": 0}'
    head = (
        f"POST /v1/partner/rotate-secret HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {partner.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    ).encode() + OFFERS[2]
    async with raw(live) as client:
        for piece in [head + b"\r\n" + body] if together else [head + b"\r\n", body]:
            await client.send(piece)
            await asyncio.sleep(0.05)
        status, document = await client.answer()
    answer = json.loads(document)
    assert status == 200
    assert answer["secret"].startswith("whsec_")
    admin = await live.client(ADMIN_KEY)
    [newest, *_] = (await admin.get(f"/v1/audit?partner={partner.id}")).json()["data"]
    assert (newest["action"], newest["detail"]) == ("partner.rotate-secret", {"overlap_seconds": 0})


async def curl(*arguments: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--noproxy", "*", *arguments, stdout=subprocess.PIPE
    )
    output, _ = await process.communicate()
    return output


async def test_curl_that_offers_http_2_submits_a_task(live: Live) -> None:
    if shutil.which("curl") is None:
        missing(RuntimeError("curl is not installed"))
    partner = await live.partner()
    output = await curl(
        *("--http2", "--max-time", "30", "--write-out", "\n%{http_code}", f"{live.url}/v1/tasks"),
        *("--header", f"Authorization: Bearer {partner.key}", "--header", "Content-Type: application/json"),
        *("--data", '{"type": "demo.echo", "input": {}}'),
    )
    document, status = output.rsplit(b"\n", 1)
    assert status == b"202", output
    assert json.loads(document)["type"] == "demo.echo"


async def test_frames_that_come_with_the_handshake_are_heard(live: Live) -> None:
    partner = await live.partner()
    data = handshake(key=partner.key) + frame(1, b'{"ping":7}')
    for segments in ([data], [data[:40], data[40:-3], data[-3:]]):
        async with raw(live) as client:
            for segment in segments:
                await client.send(segment)
                await asyncio.sleep(0)
            assert b" 101 " in await asyncio.wait_for(client.reader.readuntil(b"\r\n\r\n"), 30)
            _, length = await asyncio.wait_for(client.reader.readexactly(2), 30)
            assert json.loads(await client.reader.readexactly(length)) == {"event": "pong", "ping": 7}
            await client.send(frame(CLOSE, b""))


async def test_handshake_behind_an_unanswered_request_does_not_switch_under_its_answer(live: Live) -> None:
    partner = await live.partner()
    task = await partner.submit()
    async with raw(live) as client:
        await ask(client, partner.key, f"GET /v1/tasks/{task['id']}?wait=1")
        await client.send(handshake(key=partner.key))
        status, document = await client.answer()
        assert (status, json.loads(document)["id"]) == (200, task["id"])
        answers = await client.rest()
        assert b" 101 " not in answers


@pytest.mark.parametrize("path", ["/v1/tasks", "/healthz", "/nowhere"])
async def test_handshake_elsewhere_is_answered_and_closed(live: Live, path: str) -> None:
    async with raw(live) as client:
        await client.send(handshake(path) + STOLEN)
        answers = await client.rest()
        assert answers.startswith(b"HTTP/1.1 4")
        assert answers.count(b"HTTP/1.1 ") == 1
