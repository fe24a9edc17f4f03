"""What a hostile or broken client may do to a connection, byte by byte, against a running API."""

import asyncio
import json
import re
import socket
from contextlib import AsyncExitStack, ExitStack, suppress
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import update

import webhookd.asgi
from tests.api.raw import BINARY, PING, TEXT, frame, handshake, problem, raw
from tests.support.live_api import Live
from tests.support.services import until
from webhookd.adapters.store.schema import task_bodies
from webhookd.api import connection as connection_module
from webhookd.api import stream_connection, unread
from webhookd.api.auth import Authenticator
from webhookd.api.parts import READS_OF_ONE
from webhookd.api.stream_connection import StreamConnection
from webhookd.core.errors import Unauthenticated

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])  # the one that serves


def beginning(opcode: int, length: int, *, fin: bool = True) -> bytes:
    """The head of a long frame whose payload does not come."""
    return frame(opcode, bytes(length), fin=fin)[: -length or None]


@pytest.fixture
def quick_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "HEAD_SECONDS", 0.3)


@pytest.mark.usefixtures("quick_heads")
async def test_connection_on_which_nothing_is_asked_is_closed(live: Live) -> None:
    async with raw(live) as client:
        assert await client.rest() == b""


@pytest.mark.usefixtures("quick_heads")
@pytest.mark.parametrize("first", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_head_that_drips_is_refused_at_its_deadline_on_a_fresh_and_on_a_kept_connection(
    live: Live, first: bytes
) -> None:
    async with raw(live) as client:
        if first:
            await client.send(first)
            assert (await client.answer())[0] == 200
        await client.send(b"GET /healthz HTTP/1.1\r\n")
        dripping = asyncio.create_task(client.drip(b"X-A: b\r\n"))
        assert problem(await client.rest()) == (408, "request_timeout")
        await asyncio.wait_for(dripping, 30)


@pytest.mark.usefixtures("quick_heads")
async def test_blank_lines_keep_no_connection_open(live: Live) -> None:
    async with raw(live) as client:
        await client.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.answer())[0] == 200
        dripping = asyncio.create_task(client.drip(b"\r\n"))
        assert await client.rest() == b""
        await asyncio.wait_for(dripping, 30)


@pytest.mark.usefixtures("quick_heads")
async def test_deadline_of_the_head_cuts_neither_a_held_request_nor_a_slow_body(live: Live) -> None:
    partner = await live.partner()
    task = await partner.submit()
    host = f"Host: x\r\nAuthorization: Bearer {partner.key}\r\n"
    body = b'{"type":"demo.echo"}'
    async with raw(live) as client:
        await client.send(f"GET /v1/tasks/{task['id']}?wait=1 HTTP/1.1\r\n{host}\r\n".encode())
        assert (await client.answer())[0] == 200
        await client.send(
            f"POST /v1/tasks HTTP/1.1\r\n{host}Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
        )
        await asyncio.sleep(0.6)
        await client.send(body)
        assert (await client.answer())[0] == 202


@pytest.mark.usefixtures("quick_heads")
async def test_body_nobody_waits_for_any_more_keeps_no_connection_open(live: Live) -> None:
    async with raw(live) as client:
        await client.send(b"POST /v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n")
        assert (await client.answer())[0] == 401
        dripping = asyncio.create_task(client.drip(b"x"))
        await client.rest()
        await asyncio.wait_for(dripping, 30)


async def test_head_without_end_is_refused(live: Live) -> None:
    async with raw(live) as client:
        await client.send(b"GET /healthz HTTP/1.1\r\n")
        await asyncio.sleep(0.2)  # so that this comes by itself
        # Not a byte more than it takes: what the server has not read when it closes would cost us its answer.
        await client.send(b"X-A: " + b"b" * connection_module.MOST_HEAD_BYTES)
        assert problem(await client.rest()) == (431, "head_too_large")


async def test_what_is_no_http_is_answered_with_a_problem(live: Live) -> None:
    for nonsense in (b"\x16\x03\x01\x02\x00\x01\n\n", b"GET / HTTP/9.9\r\n\r\n", b"G\0T / HTTP/1.1\r\n\r\n"):
        async with raw(live) as client:
            await client.send(nonsense)
            assert problem(await client.rest()) == (400, "malformed_request")


async def test_method_that_nobody_knows_is_one_that_no_path_answers_to(live: Live) -> None:
    for line in (b"BREW /v1/tasks", b"get /healthz", b"GETX /", b"CONNECT a:1"):
        async with raw(live) as client:
            await client.send(line + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = await client.rest()
            assert problem(answer) == (405, "method_not_allowed"), line
            assert b"\r\nAllow: DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT\r\n" in answer


CHUNKS = b"14\r\n" + b'{"type":"demo.echo"}' + b"\r\n0\r\n\r\n"
FRAMINGS = [
    (b"Transfer-Encoding: gzip, chunked", 501),
    (b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", 501),
    (b"Transfer-Encoding: identity, Chunked", 501),
    (b"Transfer-Encoding: chunked;q=1, chunked", 501),
    (b"Transfer-Encoding: gzip", 400),
    (b"Transfer-Encoding: identity", 400),
    (b"Transfer-Encoding: chunked, gzip", 400),
    (b"Transfer-Encoding: chunked, chunked", 400),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
    (b"Transfer-Encoding: xchunked", 400),
    (b"Transfer-Encoding: chunked;q=1", 400),
    (b"Transfer-Encoding:", 400),
    (b"Transfer-Encoding: ,", 400),
    (b"Transfer-Encoding: chunked\r\nContent-Length: 20", 400),
    (b"Content-Length: 20\r\nTransfer-Encoding: chunked", 400),
    (b"Content-Length: 20\r\nTransfer-Encoding:", 400),
    (b"Content-Length: 20\r\nContent-Length: 20", 400),
    (b"Content-Length: 20, 20", 400),
    (b"Content-Length: +20", 400),
    (b"Content-Length: 0x14", 400),
    (b"Content-Length: -1", 400),
    (b"Content-Length: 99999999999999999999999", 400),
    (b"Content-Length:", 400),
]


@pytest.mark.parametrize(("framing", "status"), FRAMINGS)
async def test_body_whose_end_is_said_twice_or_not_at_all_is_no_request(
    live: Live, framing: bytes, status: int
) -> None:
    partner = await live.partner()
    head = f"POST /v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {partner.key}\r\n".encode()
    async with raw(live) as client:
        await client.send(head + b"Content-Type: application/json\r\n" + framing + b"\r\n\r\n" + CHUNKS)
        answers = await client.rest()

    code = "unknown_transfer_coding" if status == 501 else "malformed_request"
    assert problem(answers) == (status, code)
    assert len(re.findall(rb"^HTTP/1\.1 \d", answers, re.MULTILINE)) == 1
    assert (await partner.http.get("/v1/tasks")).json()["data"] == []


@pytest.mark.parametrize("coding", [b"chunked", b"Chunked", b"\t chunked", b",chunked"])
async def test_body_in_chunks_is_one_however_that_is_written(live: Live, coding: bytes) -> None:
    partner = await live.partner()
    head = f"POST /v1/tasks HTTP/1.%d\r\nHost: x\r\nAuthorization: Bearer {partner.key}\r\n".encode()
    rest = b"Content-Type: application/json\r\nTransfer-Encoding: " + coding + b"\r\n\r\n" + CHUNKS
    async with raw(live) as client:
        await client.send(head % 1 + rest)
        assert (await client.answer())[0] == 202
    async with raw(live) as client:
        await client.send(head % 0 + rest)  # which has none (RFC 9112 section 6.1)
        assert problem(await client.rest()) == (400, "malformed_request")


async def test_few_requests_may_be_sent_ahead_and_not_thousands(live: Live) -> None:
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    async with raw(live) as client:
        await client.send(3 * one)
        assert [(await client.answer())[0] for _ in range(3)] == [200, 200, 200]
        sending = asyncio.create_task(client.send(2_000 * one))
        answers = await client.rest()
        assert answers.count(b"HTTP/1.1 200 ") < 200
        with suppress(ConnectionError):
            await sending


async def test_client_that_pings_and_never_reads_is_not_listened_to_any_more(live: Live) -> None:
    partner = await live.partner()
    async with raw(live) as client:
        await client.upgrade(partner.key)
        raw_socket: socket.socket = client.writer.get_extra_info("socket")
        raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        client.reader._transport.pause_reading()  # type: ignore[attr-defined] # that is the point
        pings, sent = frame(PING, b"x" * 120) * 500, 0
        with suppress(TimeoutError):
            while sent < 64_000_000:
                client.writer.write(pings)
                async with asyncio.timeout(2):
                    await client.writer.drain()
                sent += len(pings)
        [serving] = [
            one
            for one in live.server.server_state.connections
            if isinstance(one, stream_connection.StreamConnection)
        ]
        assert sent < 64_000_000, "the server takes all of it"
        assert serving.transport.get_write_buffer_size() < 2_000_000
        client.writer.transport.abort()


async def test_client_that_reads_again_is_listened_to_again(live: Live) -> None:
    partner = await live.partner()
    socket_ = await live.stream(partner.key, max_queue=1)
    payload = "x" * 60_000
    for number in range(60):
        await socket_.send(json.dumps({"ping": [number, payload]}))
        if number == 40:
            await asyncio.sleep(0.3)
    for number in range(60):
        assert json.loads(await asyncio.wait_for(socket_.recv(), 30))["ping"][0] == number


async def test_message_of_endless_empty_fragments_is_given_up(live: Live) -> None:
    partner = await live.partner()
    async with raw(live) as client:
        await client.upgrade(partner.key)
        await client.send(frame(TEXT, b"", fin=False))
        await client.send(frame(0, b"", fin=False) * 2 * stream_connection.MOST_FRAGMENTS)
        assert (await client.close_code())[0] == 1009
    await until(lambda: len(live.watchers) == 0, what="the end of the conversation")


async def test_message_in_a_few_fragments_is_one_message(live: Live) -> None:
    partner = await live.partner()
    async with raw(live) as client:
        await client.upgrade(partner.key)
        await client.send(frame(TEXT, b'{"pi', fin=False) + frame(0, b"", fin=False) + frame(0, b'ng":1}'))
        first, second = await client.reader.readexactly(2)
        assert first == 0x81
        assert json.loads(await client.reader.readexactly(second)) == {"event": "pong", "ping": 1}


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, b"{}", masked=False), 1002),
        (frame(TEXT, b"\xff\xfe"), 1007),
        (frame(BINARY, b"x" * 60_000, fin=False) + 2 * frame(0, b"x" * 60_000, fin=False), 1009),
        (frame(3, b""), 1002),
    ],
)
@pytest.mark.parametrize("let_in", [True, False])
async def test_broken_frames_close_the_connection(
    live: Live,
    sent: bytes,
    code: int,
    let_in: bool,
) -> None:
    partner = await live.partner()
    async with raw(live) as client:
        await client.upgrade(partner.key if let_in else None)
        await client.send(sent)
        too_long_for_a_key = code == 1009 and not let_in
        assert (await client.close_code())[0] == (4401 if too_long_for_a_key else code)
    await until(lambda: len(live.watchers) == 0, what="the end of the conversation")


@pytest.fixture
def quick_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhookd.asgi, "PING_SECONDS", 0.2)


async def test_half_open_websocket_is_closed_when_its_pong_is_missing(quick_pings: None, live: Live) -> None:
    partner = await live.partner()
    async with raw(live) as client:
        await client.upgrade(partner.key)
        await until(lambda: len(live.watchers) == 1, what="the conversation")
        assert (await client.close_code())[0] == 1011
        await until(lambda: len(live.watchers) == 0, what="the end of the conversation")


async def test_websocket_that_answers_pings_is_kept(quick_pings: None, live: Live) -> None:
    partner = await live.partner()
    client = await live.stream(partner.key)
    await asyncio.sleep(1)  # several pings
    await client.send('{"ping":1}')
    assert json.loads(await asyncio.wait_for(client.recv(), 30)) == {"event": "pong", "ping": 1}


async def test_stopping_tells_those_who_were_not_let_in_yet_too(live: Live) -> None:
    async with raw(live) as client:
        await client.upgrade(None)
        live.stop()
        code, reason = await client.close_code()
        assert (code, bool(reason)) == (1012, True)
    await asyncio.wait_for(live.serving, 30)


async def test_idle_connections_beyond_the_files_of_the_process_shut_nobody_out(live: Live) -> None:
    live.server.crowd.bound(8)
    partner = await live.partner()
    async with AsyncExitStack() as stack:
        idle = [await stack.enter_async_context(raw(live)) for _ in range(30)]
        assert await idle[0].rest() == b""
        for _ in range(3):
            assert (await partner.http.get("/v1/tasks")).status_code == 200
        await idle[-1].send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await idle[-1].answer())[0] == 200


async def test_answer_that_is_left_unread_is_cut_off(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "UNREAD_SECONDS", 0.3)
    async with raw(live) as client:
        client.writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]  # asyncio has no other way
        await client.send(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 60)
        await until(lambda: not live.server.server_state.connections, what="the end of the connection")


def unread_client(live: Live, key: str, requests: int = 1) -> socket.socket:
    """A client that asks for a listing and never reads the answer."""
    at = urlsplit(live.url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((at.hostname, at.port))
    head = f"GET /v1/tasks?limit=500 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n"
    client.sendall(head.encode() * requests)
    return client


async def test_partner_that_reads_nothing_pins_a_bounded_number_of_bytes(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unread, "MOST_UNREAD_BYTES", 6_000_000)
    partner, other = await live.partner(), await live.partner()
    for each in (partner, other):
        for _ in range(14):
            await each.submit()
    large = update(task_bodies).values(result='"' + "x" * 250_000 + '"')
    await live.hand.store.db.write(lambda tx: tx.conn.execute(large))
    with ExitStack() as stack:
        clients = [stack.enter_context(unread_client(live, partner.key, requests=3)) for _ in range(12)]
        loop = asyncio.get_running_loop()
        first_lines = []
        for client in clients:
            client.setblocking(False)
            first_lines.append(await asyncio.wait_for(loop.sock_recv(client, 12), 30))
        answered = first_lines.count(b"HTTP/1.1 200")
        assert first_lines.count(b"HTTP/1.1 429") == len(clients) - answered
        assert 2 <= answered <= 2 + READS_OF_ONE
        refused = await partner.http.get("/v1/tasks")
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert int(refused.headers["retry-after"]) >= 1
        assert (await partner.http.post("/v1/tasks", json={"type": "demo.echo"})).status_code == 202
        page = await other.http.get("/v1/tasks?limit=500")
        assert (page.status_code, len(page.json()["data"])) == (200, 14)
    await until(lambda: _is_answered(partner.http), what="the partner's reads")


async def _is_answered(http: httpx.AsyncClient) -> bool:
    return (await http.get("/v1/tasks?limit=1")).status_code == 200


# ── before a key is known ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "first",
    [
        beginning(TEXT, 1_025),
        beginning(BINARY, 60_000),
        beginning(TEXT, 60_000, fin=False),
        frame(TEXT, b"x" * 1_000, fin=False) + beginning(0, 25),
        frame(TEXT, b"x" * 1_000, fin=False) + frame(PING, b"x") + beginning(0, 60_000, fin=False),
    ],
    ids=["one more", "binary", "fragment", "second fragment", "third, after a ping"],
)
async def test_more_than_a_key_is_refused_before_it_comes(live: Live, first: bytes) -> None:
    async with raw(live) as client:
        await client.upgrade(None)
        await client.send(first)
        assert (await client.close_code())[0] == 4401


async def test_stream_reads_headers_that_come_twice_as_every_call_does(live: Live) -> None:
    partner = await live.partner()
    twice = handshake(key=partner.key).replace(b"Host: x", b"Host: x\r\nAuthorization: Bearer whk_wrong")
    async with raw(live) as client:
        await client.send(twice)
        await asyncio.wait_for(client.reader.readuntil(b"\r\n\r\n"), 30)
        assert (await client.close_code())[0] == 4401


async def test_message_behind_the_key_may_be_long_and_may_come_with_it(live: Live) -> None:
    partner = await live.partner()
    async with raw(live) as client:
        await client.upgrade(None)
        key = frame(TEXT, json.dumps({"auth": partner.key}).encode())
        await client.send(key + frame(TEXT, json.dumps({"ping": "x" * 50_000}).encode()))
        assert await client.message() == {"event": "authenticated"}
        assert len((await client.message())["ping"]) == 50_000


async def test_message_behind_a_wrong_key_is_not_taken_in(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slowly(*_: object) -> None:
        asked.set()
        await answer.wait()
        raise Unauthenticated("The key is not known.")

    monkeypatch.setattr(Authenticator, "identify", slowly)
    async with raw(live) as client:
        await client.upgrade(None)
        await client.send(frame(TEXT, b'{"auth":"whk_wrong"}'))
        await asyncio.wait_for(asked.wait(), 30)
        [connection] = [
            one for one in live.server.server_state.connections if isinstance(one, StreamConnection)
        ]
        assert not connection.transport.is_reading()
        answer.set()
        assert (await client.close_code())[0] == 4401
