"""The last answer on a connection arrives, whatever was still on its way; and none holds up a stop."""

import asyncio
import itertools
import json
import socket
from contextlib import ExitStack
from typing import Any

import pytest

from tests.api.raw import Raw, frame, handshake, problem, raw
from tests.support.live_api import Live, LivePartner
from tests.support.services import until
from webhookd.api import connection as connection_module
from webhookd.api.stream_connection import StreamConnection

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])  # the one that serves

GOOD = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
BODY = b'{"type":"demo.echo"}'


def submission(partner: LivePartner | None, length: int, *headers: str) -> bytes:
    """The head of a submission."""
    lines = ["POST /v1/tasks HTTP/1.1", "Host: x", "Content-Type: application/json", *headers]
    if partner is not None:
        lines.append(f"Authorization: Bearer {partner.key}")
    return "\r\n".join([*lines, f"Content-Length: {length}", "\r\n"]).encode()


def split(answers: bytes) -> tuple[bytes, bytes]:
    """Head, in lower case, and body of the last answer."""
    head, _, body = answers.rpartition(b"\r\n\r\n")
    return head.lower(), body


async def test_early_refusal_of_a_large_body_is_read_by_a_client_that_sends_all_of_it_first(
    live: Live,
) -> None:
    known = await live.partner()
    for partner, kilobytes in itertools.product((known, None), (300, 700, 3_000)):
        async with raw(live) as client:
            await client.send(submission(partner, kilobytes * 1_000))
            for _ in range(kilobytes // 100):
                await client.send(b"x" * 100_000)
                await asyncio.sleep(0.005)  # so that some of it comes after the refusal
            answers = await client.reader.read()  # a reset would be raised
            assert problem(answers)[0] == (413 if partner is known else 401)
            assert b"\r\nconnection: close" in split(answers)[0]


async def test_chunks_over_the_limit_are_refused_and_the_rest_is_taken_in(live: Live) -> None:
    partner = await live.partner()
    head = submission(partner, 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    async with raw(live) as client:
        await client.send(head)
        for _ in range(20):
            await client.send(b"%x\r\n%s\r\n" % (100_000, b" " * 100_000))
            await asyncio.sleep(0.005)
        await client.send(b"0\r\n\r\n" + GOOD)
        answers = await client.reader.read()
        assert problem(answers) == (413, "too_large")
        assert answers.count(b"HTTP/1.1 ") == 1


async def test_what_is_thrown_away_after_a_refusal_is_bounded(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "LINGER_BYTES", 1_000_000)
    async with raw(live) as client:
        await client.send(submission(None, 1_000_000_000))
        dripping = asyncio.create_task(client.drip(b"x" * 100_000, 0))
        await asyncio.wait_for(dripping, 30)
        await until(lambda: not live.server.server_state.connections, what="the end of the connection")


async def test_client_that_does_not_close_after_a_refusal_is_closed(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "LINGER_SECONDS", 0.1)
    async with raw(live) as client:
        await client.send(submission(None, 100_000))
        assert (await client.answer())[0] == 401
        await until(lambda: not live.server.server_state.connections, what="the end of the connection")


async def test_small_body_of_a_refused_request_is_read_past_and_the_connection_kept(live: Live) -> None:
    async with raw(live) as client:
        await client.send(submission(None, len(BODY)))
        assert (await client.answer())[0] == 401
        await client.send(BODY + GOOD)
        assert (await client.answer())[0] == 200


async def test_final_answer_before_100_continue_closes(live: Live) -> None:
    partner = await live.partner()
    for who, length, status in ((None, len(BODY), 401), (partner, 900_000, 413)):
        async with raw(live) as client:
            await client.send(submission(who, length, "Expect: 100-continue"))
            answers = await client.reader.read()
            assert problem(answers)[0] == status
            assert b"\r\nconnection: close" in split(answers)[0]
            assert b" 100 " not in answers


async def test_client_told_to_continue_is_served_and_kept(live: Live) -> None:
    partner = await live.partner()
    async with raw(live) as client:
        for _ in range(2):
            await client.send(submission(partner, len(BODY), "Expect: 100-continue"))
            assert b" 100 " in await asyncio.wait_for(client.reader.readuntil(b"\r\n\r\n"), 30)
            await client.send(BODY)
            assert (await client.answer())[0] == 202


BROKEN = [
    (b"NONSENSE\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    (b"POST /v1/tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
]


async def test_requests_before_a_broken_one_get_their_answers_first(live: Live) -> None:
    partner = await live.partner()
    task = await partner.submit()
    auth = f"Host: x\r\nAuthorization: Bearer {partner.key}\r\n\r\n"
    held = f"GET /v1/tasks/{task['id']}?wait=1 HTTP/1.1\r\n{auth}".encode()
    for last, status in BROKEN:
        async with raw(live) as client:
            await client.send(held + GOOD + last + GOOD)
            answered = [await client.answer() for _ in range(2)]
            assert [status for status, _ in answered] == [200, 200]
            assert json.loads(answered[0][1])["id"] == task["id"]
            answers = await client.rest()
            assert problem(answers)[0] == status
            assert answers.count(b"\r\nconnection: close") == 1


async def test_of_a_hundred_requests_sent_ahead_the_first_are_answered_and_then_comes_the_refusal(
    live: Live,
) -> None:
    async with raw(live) as client:
        await client.send(100 * GOOD)
        answers = await client.rest()
        assert answers.count(b"HTTP/1.1 200 ") == connection_module.MOST_SENT_AHEAD + 1
        assert problem(answers) == (400, "malformed_request")


HOSTS = [
    (b"", b"1.1", 400),
    (b"Host: a\r\nHost: a\r\n", b"1.1", 400),
    (b"Host: a\r\nhOST: b\r\n", b"1.0", 400),
    (b"", b"1.0", 200),
    (b"Host: a\r\n", b"1.1", 200),
    (b"Host:\r\n", b"1.1", 200),
    (b"Host: a\r\n", b"2.0", 400),
    (b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b"1.1", 400),
]


async def test_request_names_one_host(live: Live) -> None:
    for hosts, version, status in HOSTS:
        async with raw(live) as client:
            await client.send(b"GET /healthz HTTP/%s\r\n%sConnection: close\r\n\r\n" % (version, hosts))
            answers = await client.rest()
            assert answers.startswith(b"HTTP/1.1 %d " % status), (hosts, version)
            if status != 200:
                assert problem(answers) == (400, "malformed_request")


async def test_handshake_without_a_host_is_refused(live: Live) -> None:
    async with raw(live) as client:
        await client.send(handshake().replace(b"Host: x\r\n", b""))
        assert problem(await client.rest()) == (400, "malformed_request")


async def test_events_to_http_1_0_end_with_the_connection_and_have_no_chunks(live: Live) -> None:
    partner = await live.partner()
    task = await partner.submit()
    async with raw(live) as client:
        line = f"GET /v1/tasks/{task['id']}/events HTTP/1.0"
        await client.send(f"{line}\r\nAuthorization: Bearer {partner.key}\r\n\r\n".encode())
        await live.hand.finish(task["id"])
        head, _, body = (await client.rest()).partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert body.startswith(b"retry: 2000\n\n")
    assert body.endswith(b"}\n\n")


BAD_HANDSHAKES = [
    ((b"Upgrade: websocket\r\n", b""), 426, "upgrade_required"),
    ((b"Version: 13", b"Version: 8"), 426, "upgrade_required"),
    ((b"Sec-WebSocket-Key: ", b"Sec-WebSocket-Key: x"), 400, "malformed_request"),
    ((b"Sec-WebSocket-Key: ", b"X: "), 400, "malformed_request"),
    ((b"Host: x", b"Host: x\r\nContent-Length: 1"), 400, "malformed_request"),
    ((b"Host: x", b"Host: x\r\nOrigin: a\r\nOrigin: b"), 400, "malformed_request"),
    ((b"Host: x", b"Host: x\r\nX: " + b"y" * 9_000), 431, "head_too_large"),
    ((b"Host: x", b"Host: x" + b"\r\nX: y" * 200), 431, "head_too_large"),
    ((b"/v1/stream", b"/v1/nowhere"), 404, "not_found"),
    ((b"GET", b"POST"), 405, "method_not_allowed"),
]


async def test_bad_handshake_is_answered_with_a_problem(live: Live) -> None:
    for change, status, code in BAD_HANDSHAKES:
        async with raw(live) as client:
            head = handshake().replace(*change)
            if not change[1]:
                head = head.replace(b"keep-alive, Upgrade", b"close")
            await client.send(head + b"{")
            answers = await client.rest()
            assert problem(answers) == (status, code), change
            if status == 426:
                assert b"\r\nupgrade: websocket\r\n" in split(answers)[0]
                assert b"\r\nconnection: upgrade\r\n" in split(answers)[0]


async def test_websocket_asked_for_with_a_body_is_answered_and_closed(live: Live) -> None:
    for path in ("/v1/tasks", "/v1/stream"):
        async with raw(live) as client:
            await client.send(
                f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                f"Content-Length: {len(BODY)}\r\n\r\n".encode()
            )
            await client.send(BODY)
            assert problem(await client.rest())[0] in (401, 405)


ODD = {
    "nothing": b"",
    "half a head": b"GET /hea",
    "a head without its body": submission(None, 70_000),
    "a lost body": b"POST /v1/tasks HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Content-Length: 9\r\n\r\nabc",
    "a long handshake": handshake().replace(b"Host: x", b"Host: x" + b"\r\nX: y" * 200),
    "two origins": handshake().replace(b"Host: x", b"Host: x\r\nOrigin: a\r\nOrigin: b"),
    "a WebSocket": handshake(),
    "broken frames": handshake() + frame(3, b""),
    "requests ahead": GOOD * 100,
}


async def test_stop_survives_any_connection_and_answers_what_is_under_way(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    partner = await live.partner()

    def broken(_: Any) -> None:
        raise AssertionError

    async with raw(live) as submitting, raw(live) as idle, raw(live) as streaming:
        others = [Raw(*await _open(live)) for _ in ODD]
        for other, data in zip(others, ODD.values(), strict=True):
            await other.send(data)
        await idle.send(GOOD)
        await idle.answer()
        await streaming.upgrade(partner.key)
        await submitting.send(submission(partner, len(BODY)) + BODY[:5])
        await asyncio.sleep(0.2)
        monkeypatch.setattr(StreamConnection, "_say_goodbye", broken)
        here = idle.writer.get_extra_info("sockname")
        open_ones = live.server.server_state.connections
        [defective] = [one for one in open_ones if getattr(one, "client", None) == here]
        monkeypatch.setattr(defective, "cycle", object())
        live.stop()
        await asyncio.sleep(0.2)
        await submitting.send(BODY[5:])
        assert (await submitting.answer())[0] == 202
        await asyncio.wait_for(live.serving, 30)
        for other in others:
            other.writer.close()


@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
@pytest.mark.parametrize("live", [("sqlite", {"shutdown_seconds": 600})], indirect=True)
async def test_a_connection_that_comes_while_the_listener_closes_does_not_keep_the_stop_waiting(
    live: Live,
) -> None:
    """Some are accepted in a turn of the loop before the stop, and are made known in one after it."""
    with ExitStack() as idle:
        for _ in range(5):
            for _ in range(3):
                idle.enter_context(socket.create_connection(_address(live)))
            await asyncio.sleep(0)
        live.stop()
        await asyncio.wait_for(asyncio.shield(live.serving), 30)


def _address(live: Live) -> tuple[str, int]:
    host, port = live.url.removeprefix("http://").split(":")
    return host, int(port)


async def _open(live: Live) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*_address(live))
