"""The guarded sender against receivers that misbehave to the byte, over real sockets."""

import asyncio
import datetime as dt
import errno
import functools
import gzip
import itertools
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.adapters.sender.hostile import OK, Hostile, Peer, after_request, answering, hostile
from webhookd.adapters.sender import GuardedTransport, Sender, build_sender
from webhookd.adapters.sender.connector import KEEP_ALIVE_SECONDS, GuardedConnector
from webhookd.adapters.sender.exchange import Exchange
from webhookd.adapters.sender.guard import AddressBlocked, Dialling, Guard, dialling
from webhookd.adapters.sender.lookups import Lookups, system_addresses
from webhookd.adapters.sender.stopwatch import Stopwatch
from webhookd.core.egress import EgressPolicy
from webhookd.core.errors import SettingsError
from webhookd.core.facts import AddressesRefused
from webhookd.core.reply import Reply

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

LOOPBACK = "127.0.0.0/8"
NAME = "hooks.partner.example"
HEADERS = [("content-type", "application/json"), ("webhook-id", "msg_1"), ("user-agent", "webhookd/0")]
BODY = b'{"type":"task.succeeded"}'

AUTHORITY = trustme.CA()

MakeSender = Callable[..., Sender]


@functools.cache
def trust() -> ssl.SSLContext:
    """Trust our authority beside the system's; one for all senders, for it takes 20 ms to make."""
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


class Names:
    """A resolver of our own: what it answers may change, and it counts what it is asked."""

    def __init__(self, **answers: Sequence[str]) -> None:
        self.answers = {name.replace("_", "."): list(addresses) for name, addresses in answers.items()}
        self.asked: list[str] = []

    def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        if host not in self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return self.answers[host]


@pytest.fixture
async def make_sender() -> AsyncIterator[MakeSender]:
    senders: list[Sender] = []

    def make(allow: str = LOOPBACK, **options: Any) -> Sender:
        defaults = {
            "timeout_seconds": 20,
            "proxy_url": None,
            "max_connections": 16,
            "max_per_host": 8,
            "ssl_context": trust(),
        }
        senders.append(build_sender(EgressPolicy.parse(allow), **(defaults | options)))
        return senders[-1]

    yield make
    for sender in senders:
        await sender.close()


async def post(sender: Sender, url: str, *, body: bytes = BODY, owner: str = "prt_1") -> Reply:
    async with asyncio.timeout(60):  # a guard against a hanging test, not a measurement
        return await sender.post(sender.prepare(url, owner=owner), headers=HEADERS, body=body)


def is_ok(answer: Reply) -> bool:
    return answer.status == 200 and answer.error is None and answer.excerpt == b"ok"


# --- an honest receiver ---------------------------------------------------------------------------


async def test_request_on_the_wire_is_exactly_what_was_given(make_sender: MakeSender) -> None:
    async with hostile(answering(OK)) as receiver:
        answer = await post(make_sender(), receiver.url(path="/hooks?a=%20&b=[1]"))
    assert receiver.requests == [
        b"POST /hooks?a=%20&b=[1] HTTP/1.1\r\n"
        b"host: 127.0.0.1:" + str(receiver.port).encode() + b"\r\n"
        b"content-type: application/json\r\n"
        b"webhook-id: msg_1\r\n"
        b"user-agent: webhookd/0\r\n"
        b"content-length: 25\r\n"
        b"\r\n" + BODY
    ]
    assert (answer.status, answer.error, answer.excerpt) == (200, None, b"ok")
    assert answer.headers == (("content-length", "2"),)


async def test_large_body_arrives_whole(make_sender: MakeSender) -> None:
    body = bytes(range(256)) * 4096
    async with hostile(answering(OK)) as receiver:
        answer = await post(make_sender(), receiver.url(), body=body)
    assert answer.status == 200
    assert receiver.requests[0].endswith(b"\r\n\r\n" + body)


async def test_connection_is_used_again_and_the_timing_says_so(make_sender: MakeSender) -> None:
    names = Names(hooks_partner_example=["127.0.0.1"])
    async with hostile(answering(OK)) as receiver:
        sender = make_sender(resolve=names)
        first = await post(sender, receiver.url(NAME))
        second = await post(sender, receiver.url(NAME))
    assert receiver.connections == 1
    assert names.asked == [NAME]
    assert f"host: {NAME}:{receiver.port}".encode() in receiver.requests[0]
    for part in (first.timing.dns_us, first.timing.connect_us, first.timing.first_byte_us):
        assert part is not None
        assert 0 <= part <= first.timing.total_us
    assert first.timing.tls_us is None
    assert (second.timing.dns_us, second.timing.connect_us, second.timing.tls_us) == (None, None, None)
    assert second.timing.first_byte_us is not None


async def test_connections_are_not_kept_longer_than_common_receivers_keep_them() -> None:
    assert KEEP_ALIVE_SECONDS < 5


async def test_connection_the_receiver_closed_is_not_used_again(make_sender: MakeSender) -> None:
    async with hostile(answering(OK, keep_open=False)) as receiver:
        sender = make_sender()
        for _ in range(5):
            assert is_ok(await post(sender, receiver.url()))
    assert receiver.connections == 5


async def test_ipv6_address_is_called_as_such(make_sender: MakeSender) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 on this machine")
    async with hostile(answering(OK), host="::1") as receiver:
        assert is_ok(await post(make_sender("::1"), receiver.url("[::1]")))
    assert f"host: [::1]:{receiver.port}\r\n".encode() in receiver.requests[0]


async def test_environment_proxies_are_ignored(
    make_sender: MakeSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    async with hostile(answering(OK)) as receiver:
        assert is_ok(await post(make_sender(), receiver.url()))


async def test_cookies_are_neither_kept_nor_sent(make_sender: MakeSender) -> None:
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: session=1; Path=/\r\nContent-Length: 2\r\n\r\nok"
    async with hostile(answering(answer)) as receiver:
        sender = make_sender()
        await post(sender, receiver.url())
        await post(sender, receiver.url())
    assert receiver.requests[0] == receiver.requests[1]


@pytest.mark.parametrize("value", ["1e9", "-1", "soon", "120", "Fri, 31 Dec 1999 23:59:59 GMT"])
async def test_retry_after_comes_back_as_it_was_sent(make_sender: MakeSender, value: str) -> None:
    answer = f"HTTP/1.1 503 No\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n".encode()
    async with hostile(answering(answer)) as receiver:
        assert (await post(make_sender(), receiver.url())).retry_after == value


async def test_what_is_shown_of_headers_and_body_is_tame_and_bounded(make_sender: MakeSender) -> None:
    page = b"<script>alert(1)</script>" * 1000
    answer = (
        b"HTTP/1.1 500 Oops\r\nX-Csi: a\x9b2Jb\r\nX-Latin: caf\xe9\r\nX-Big: "
        + b"x" * 20_000
        + b"\r\nX-After: y\r\nContent-Length: %d\r\n\r\n" % len(page)
        + page
    )
    async with hostile(answering(answer)) as receiver:
        shown = await post(make_sender(), receiver.url())
    assert shown.status == 500
    assert shown.headers == (("x-csi", "a\ufffd2Jb"), ("x-latin", "café"))
    assert shown.excerpt == page[:16_384]


async def test_header_that_would_break_the_message_apart_is_never_sent(make_sender: MakeSender) -> None:
    async with hostile(answering(OK)) as receiver:
        sender = make_sender()
        target = sender.prepare(receiver.url())
        for value in ("a\r\nx-injected: 1", "a\nb", "a\rb", "a\0b"):
            with pytest.raises(ValueError, match="line break"):
                await sender.post(target, headers=[("x-custom", value)], body=BODY)
        assert is_ok(await post(sender, receiver.url()))
    assert len(receiver.requests) == 1


# --- hostile answers ------------------------------------------------------------------------------

Step = Callable[[Peer], Awaitable[None]]


def says(data: bytes, *, then: str = "hold") -> Step:
    async def step(peer: Peer) -> None:
        await peer.send(data)
        if then == "hold":
            await peer.behave()
        elif then == "reset":
            peer.reset()

    return step


def floods(data: bytes, *, after: bytes = b"") -> Step:
    async def step(peer: Peer) -> None:
        await peer.send(after)
        await peer.flood(data)

    return step


def drips(data: bytes, *, after: bytes = b"") -> Step:
    async def step(peer: Peer) -> None:
        await peer.send(after)
        while True:
            await peer.drip(data)

    return step


FORGED = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
BOMB = gzip.compress(b"\0" * 10_000_000)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

ANSWERED = {
    "redirect to metadata": (
        says(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest\r\nContent-Length: 0\r\n\r\n"),
        302,
        b"",
    ),
    "malformed Location": (
        says(b"HTTP/1.1 307 X\r\nLocation: http://[::1%zz:99999999\\\r\nContent-Length: 0\r\n\r\n"),
        307,
        b"",
    ),
    "interim responses first": (
        says(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK),
        200,
        b"ok",
    ),
    "switching protocols": (
        says(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00"),
        101,
        b"",
    ),
    "offers h2c": (
        says(b"HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok"),
        200,
        b"ok",
    ),
    "bare line feeds": (says(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"), 200, b"ok"),
    "HTTP/1.0 until closed": (says(b"HTTP/1.0 200 OK\r\n\r\nok", then="close"), 200, b"ok"),
    "no reason phrase": (says(b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"), 200, b"ok"),
    "unknown status": (says(b"HTTP/1.1 799 What\r\nContent-Length: 0\r\n\r\n"), 799, b""),
    "body breaks off": (
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhello", then="close"),
        200,
        b"hello",
    ),
    "body is reset": (says(b"HTTP/1.1 202 OK\r\nContent-Length: 99\r\n\r\n", then="reset"), 202, b""),
    "chunked body breaks off": (says(CHUNKED + b"5\r\nhello\r\n", then="close"), 200, b"hello"),
    "nonsense for a chunk": (says(CHUNKED + b"5\r\nhello\r\nZZZ\r\n"), 200, b"hello"),
    "body that never ends": (floods(b"x" * 65_536, after=b"HTTP/1.1 200 OK\r\n\r\n"), 200, b"x" * 16_384),
    "chunk extension that never ends": (floods(b"x" * 65_536, after=CHUNKED + b"5;a="), 200, b""),
    "trailers that never end": (floods(b"a: b\r\n" * 999, after=CHUNKED + b"0\r\n"), 200, b""),
    "length beyond counting": (
        floods(b"x" * 65_536, after=b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999\r\n\r\n"),
        200,
        b"x" * 16_384,
    ),
    "gzip bomb": (
        says(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB),
        200,
        BOMB[:16_384],
    ),
    "lies about gzip": (
        says(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok"),
        200,
        b"ok",
    ),
    "more body than announced": (
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more"),
        200,
        b"ok",
    ),
    "body where none may be": (says(b"HTTP/1.1 204 No Content\r\n\r\nsurprise"), 204, b""),
}

ODD_HEADS = {
    "folded line": (b"X: a\r\n  b\r\nContent-Length: 2", ("x", "a b")),
    "line folded with a tab": (b"X: a\r\n\tb: c\r\nContent-Length: 2", ("x", "a b: c")),
    "line folded twice": (b"X: a\r\n b\r\n c\r\nContent-Length: 2", ("x", "a b c")),
    "line folded after nothing": (b"X:\r\n b\r\nContent-Length: 2", ("x", "b")),
    "folded length": (b"Content-Length:\r\n 2\r\nX: a", ("content-length", "2")),
    "folded first line": (b" X: a\r\nContent-Length: 2", ("content-length", "2")),
    "folded with bare line feeds": (b"X: a\n b\nContent-Length: 2", ("x", "a b")),
    "same length twice": (b"Content-Length: 2\r\nContent-Length: 2", ("content-length", "2")),
    "same length twice in a line": (b"Content-Length: 2, 2", ("content-length", "2")),
    "blank before a colon": (b"X-A : b\r\nContent-Length: 2", ("x-a", "b")),
    "blank before the length's colon": (b"Content-Length : 2", ("content-length", "2")),
    "no colon": (b"X\r\n more\r\nContent-Length: 2", ("content-length", "2")),
    "no name": (b": x\r\nContent-Length: 2", ("content-length", "2")),
    "NUL in a header": (b"X: a\0b\r\nContent-Length: 2", ("x", "a b")),
    "escape in a header": (b"X: \x1b[2J\r\nContent-Length: 2", ("x", "[2J")),
    "carriage return in a header": (b"X: a\rb\r\nContent-Length: 2", ("x", "a b")),
}
ODD_CHUNKED = {
    "length and chunked": b"Content-Length: 2\r\nTransfer-Encoding: chunked",
    "chunked and length": b"Transfer-Encoding: chunked\r\nContent-Length: 2",
    "chunked and two lengths": b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\nContent-Length: 2",
}
ODD = {name: (head, shown, b"ok") for name, (head, shown) in ODD_HEADS.items()} | {
    name: (head, ("transfer-encoding", "chunked"), b"2\r\nok\r\n0\r\n\r\n")
    for name, head in ODD_CHUNKED.items()
}


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"], ids=["at once", "after interim"])
@pytest.mark.parametrize(("head", "shown", "body"), ODD.values(), ids=ODD.keys())
async def test_odd_head_undoes_no_answer_but_ends_its_connection(
    make_sender: MakeSender, head: bytes, shown: tuple[str, str], body: bytes, first: bytes
) -> None:
    """Whatever follows an odd head is nobody's answer, not even where it looks like one."""
    said = first + b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + body
    async with hostile(after_request(says(said + FORGED))) as receiver:
        sender = make_sender()
        answer = await post(sender, receiver.url())
        assert (answer.status, answer.error, answer.excerpt) == (200, None, b"ok")
        assert shown in answer.headers
        assert is_ok(await post(sender, receiver.url()))
        assert receiver.connections == 2


async def test_odd_head_of_a_failure_keeps_its_status_and_what_it_asks_for(make_sender: MakeSender) -> None:
    said = b"HTTP/1.1 503 Busy\r\nX: a\r\n b\r\nRetry-After : 7\r\nContent-Length: 0\r\n\r\n"
    async with hostile(after_request(says(said))) as receiver:
        answer = await post(make_sender(), receiver.url())
    assert (answer.status, answer.error, answer.retry_after) == (503, None, "7")


@pytest.mark.parametrize(("step", "status", "excerpt"), ANSWERED.values(), ids=ANSWERED.keys())
async def test_strange_answer_counts_by_its_status_and_harms_nothing(
    make_sender: MakeSender, step: Step, status: int, excerpt: bytes
) -> None:
    async with hostile(after_request(step)) as receiver:
        sender = make_sender()
        answer = await post(sender, receiver.url())
        assert (answer.status, answer.error, answer.excerpt) == (status, None, excerpt)
        assert is_ok(await post(sender, receiver.url()))


OK_LINE = b"HTTP/1.1 200 OK\r\n"

BROKEN: dict[str, tuple[Step, str, int | None]] = {
    "closed without a word": (says(b"", then="close"), "closed", None),
    "reset without a word": (says(b"", then="reset"), "reset", None),
    "closed within the status line": (says(b"HTT", then="close"), "protocol", None),
    "closed within the head": (says(OK_LINE + b"Content-Le", then="close"), "protocol", 200),
    "reset within the head": (says(OK_LINE + b"Content-Le", then="reset"), "reset", 200),
    "closed within an odd head": (says(OK_LINE + b"X : y\r\n", then="close"), "protocol", 200),
    "closed after an interim response": (
        says(b"HTTP/1.1 100 Continue\r\n\r\n", then="close"),
        "protocol",
        100,
    ),
    "two lengths": (
        says(OK_LINE + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
        "protocol",
        200,
    ),
    "negative length": (says(OK_LINE + b"Content-Length: -2\r\n\r\nok"), "protocol", 200),
    "signed length": (says(OK_LINE + b"Content-Length: +2\r\n\r\nok"), "protocol", 200),
    "overflowing length": (
        says(OK_LINE + b"Content-Length: 99999999999999999999999\r\n\r\n"),
        "protocol",
        200,
    ),
    "status below 100": (says(b"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n"), "protocol", None),
    "status of four digits": (says(b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"), "protocol", None),
    "HTTP/0.9": (says(b"<html>ok</html>", then="close"), "not_http", None),
    "HTTP/2 in words": (says(b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"), "protocol", None),
    "HTTP/2 in frames": (
        says(b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00d"),
        "not_http",
        None,
    ),
    "shoutcast": (says(b"ICY 200 OK\r\n\r\n"), "not_http", None),
    "SSH": (says(b"SSH-2.0-OpenSSH_9.6\r\n"), "not_http", None),
    "TLS alert": (says(b"\x15\x03\x01\x00\x02\x02\x46"), "not_http", None),
    "noise": (says(bytes(range(256))), "not_http", None),
    "header line that never ends": (floods(b"x" * 4096, after=OK_LINE + b"X: "), "header_too_large", 200),
    "header name that never ends": (floods(b"x" * 4096, after=OK_LINE), "header_too_large", 200),
    "headers that never end": (floods(b"X-Header: value\r\n" * 100, after=OK_LINE), "header_too_large", 200),
    "odd headers that never end": (
        floods(b"X-Header: a\r\n b\r\n" * 100, after=OK_LINE),
        "header_too_large",
        200,
    ),
    "status line that never ends": (floods(b"x" * 4096, after=b"HTTP/1.1 200 "), "header_too_large", 200),
    "interim responses that never end": (
        floods(b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        "header_too_large",
        100,
    ),
    "head over 64 KiB": (
        says(OK_LINE + b"X: " + b"x" * 66_000 + b"\r\nContent-Length: 0\r\n\r\n"),
        "header_too_large",
        200,
    ),
    "odd head over 64 KiB": (
        says(OK_LINE + b"X: " + b"x" * 66_000 + b"\r\n y\r\nContent-Length: 0\r\n\r\n"),
        "header_too_large",
        200,
    ),
}


@pytest.mark.parametrize(("step", "error", "status"), BROKEN.values(), ids=BROKEN.keys())
async def test_what_is_no_single_response_says_what_it_was_and_harms_nothing(
    make_sender: MakeSender, step: Step, error: str, status: int | None
) -> None:
    async with hostile(after_request(step)) as receiver:
        sender = make_sender()
        answer = await post(sender, receiver.url())
        assert (answer.status, answer.error, answer.excerpt) == (status, error, b"")
        assert is_ok(await post(sender, receiver.url()))
        assert receiver.peers[0].sent_bytes < 32 * 2**20, "the flood was stopped"


async def test_headers_of_a_head_that_broke_off_are_kept(make_sender: MakeSender) -> None:
    said = b"HTTP/1.1 500 Oops\r\nX-Request-Id: 7\r\nContent-Le"
    async with hostile(after_request(says(said, then="close"))) as receiver:
        answer = await post(make_sender(), receiver.url())
    assert (answer.status, answer.error, answer.headers) == (500, "protocol", (("x-request-id", "7"),))


# --- a kept connection that is closed instead of an answer ------------------------------------------


@pytest.mark.parametrize("then", ["close", "reset"])
async def test_kept_connection_closed_instead_of_an_answer_is_replaced_at_once(
    make_sender: MakeSender, then: str
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.request()
        if peer.number == 0:
            await says(b"", then=then)(peer)
        else:
            await peer.send(OK)

    async with hostile(script) as receiver:
        sender = make_sender()
        first = await post(sender, receiver.url())
        second = await post(sender, receiver.url())
    assert is_ok(first)
    assert not first.resent
    assert is_ok(second)
    assert second.resent
    assert second.timing.connect_us is not None
    assert (receiver.connections, len(receiver.requests)) == (2, 3)


async def test_request_is_resent_once_only_and_never_on_another_kept_connection(
    make_sender: MakeSender,
) -> None:
    met = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        if peer.number < 2:
            if peer.number == 1:
                met.set()
            await met.wait()
            await peer.send(OK)
            await peer.request()

    async with hostile(script) as receiver:
        sender = make_sender()
        assert all(map(is_ok, await asyncio.gather(*(post(sender, receiver.url()) for _ in range(2)))))
        answer = await post(sender, receiver.url())
    assert (answer.status, answer.error, answer.resent) == (None, "closed", True)
    assert (receiver.connections, len(receiver.requests)) == (3, 4)


@pytest.mark.parametrize("said", [b"H", OK_LINE, b"SSH-2.0\r\n"])
async def test_request_is_not_resent_once_a_byte_came_back(make_sender: MakeSender, said: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.request()
        await peer.send(said)

    async with hostile(script) as receiver:
        sender = make_sender()
        assert is_ok(await post(sender, receiver.url()))
        answer = await post(sender, receiver.url())
    assert answer.error in {"protocol", "not_http"}
    assert not answer.resent
    assert len(receiver.requests) == 2


async def test_request_is_not_resent_where_the_connection_was_fresh(make_sender: MakeSender) -> None:
    async with hostile(after_request(says(b"", then="close"))) as receiver:
        answer = await post(make_sender(), receiver.url())
    assert (answer.error, answer.resent) == ("closed", False)
    assert len(receiver.requests) == 1


SLOW = {
    "silence": says(b""),
    "silence within the head": says(b"HTTP/1.1 200 OK\r\n"),
    "dripping status line": drips(b"x", after=b"HTTP/1.1 200 "),
    "dripping headers": drips(b"X: y\r\n", after=b"HTTP/1.1 200 OK\r\n"),
    "dripping interim responses": drips(b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("step", SLOW.values(), ids=SLOW.keys())
async def test_head_that_does_not_end_is_cut_at_the_deadline_and_harms_nothing(
    make_sender: MakeSender, step: Step
) -> None:
    async with hostile(after_request(step)) as receiver:
        answer = await post(make_sender(timeout_seconds=0.2), receiver.url())
        assert answer.error == "timeout"
        assert answer.timing.total_us >= 100_000
        assert is_ok(await post(make_sender(), receiver.url()))


@pytest.mark.parametrize(
    "step",
    [
        drips(b"x", after=b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"),
        drips(b"1\r\nx\r\n", after=CHUNKED),
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nxxx"),
    ],
    ids=["dripping", "dripping chunks", "silence"],
)
async def test_body_that_does_not_end_is_cut_and_the_answer_stands(
    make_sender: MakeSender, step: Step
) -> None:
    async with hostile(after_request(step)) as receiver:
        sender = make_sender(excerpt_seconds=0.2)
        answer = await post(sender, receiver.url())
        assert (answer.status, answer.error) == (200, None)
        assert set(answer.excerpt) == {ord("x")}
        assert is_ok(await post(sender, receiver.url()))


async def test_receiver_that_neither_reads_nor_answers_is_cut_at_the_deadline(
    make_sender: MakeSender,
) -> None:
    async def script(peer: Peer) -> None:
        await asyncio.sleep(60)

    async with hostile(script) as receiver:
        answer = await post(make_sender(timeout_seconds=0.3), receiver.url(), body=b"x" * 20_000_000)
    assert answer.error == "timeout"


async def test_refusal_before_the_body_was_read_is_an_answer_but_ends_the_connection(
    make_sender: MakeSender,
) -> None:
    async def script(peer: Peer) -> None:
        if peer.number == 0:
            await peer.read(100)
            await peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            await asyncio.sleep(60)
        await peer.request()
        await peer.send(OK)

    async with hostile(script) as receiver:
        sender = make_sender()
        assert (await post(sender, receiver.url(), body=b"x" * 20_000_000)).status == 413
        assert is_ok(await post(sender, receiver.url()))


async def test_nobody_listening_is_a_connect_error(make_sender: MakeSender) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        answer = await post(make_sender(), f"http://127.0.0.1:{unused.getsockname()[1]}/")
    assert (answer.status, answer.error) == (None, "connect")
    assert answer.timing.connect_us is not None


async def test_cancelled_post_drops_its_connection_and_harms_nothing(make_sender: MakeSender) -> None:
    arrived = asyncio.Event()

    async def notes_and_waits(peer: Peer) -> None:
        arrived.set()
        await peer.until_closed()

    async with hostile(after_request(notes_and_waits)) as receiver:
        sender = make_sender()
        task = asyncio.create_task(post(sender, receiver.url()))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert is_ok(await post(sender, receiver.url()))


# --- a byte too many ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "surplus",
    [FORGED, FORGED[:20], b"x", b"\0", FORGED * 50],
    ids=["response", "half", "byte", "nul", "many"],
)
@pytest.mark.parametrize("pause_seconds", [0, 0.05], ids=["same packet", "while idle"])
async def test_surplus_bytes_are_never_the_answer_to_the_next_request(
    make_sender: MakeSender, surplus: bytes, pause_seconds: float
) -> None:
    sent = asyncio.Event()

    async def says_too_much(peer: Peer) -> None:
        if not pause_seconds:
            await peer.send(OK + surplus)
        else:
            await peer.send(OK)
            await asyncio.sleep(pause_seconds)
            await peer.send(surplus)
        sent.set()
        await peer.behave()

    async with hostile(after_request(says_too_much)) as receiver:
        sender = make_sender()
        assert is_ok(await post(sender, receiver.url()))
        await sent.wait()
        assert is_ok(await post(sender, receiver.url()))
    assert receiver.connections == 2


@pytest.mark.parametrize("status", [b"200 OK", b"410 Gone", b"500 No"])
async def test_a_late_second_answer_counts_for_no_other_partners_delivery(
    make_sender: MakeSender, status: bytes
) -> None:
    """It comes when the next request is written, so that nothing tells it from that one's answer."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.request()
        await peer.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: 6\r\n\r\nforged")

    async with hostile(script) as receiver:
        sender = make_sender()
        assert is_ok(await post(sender, receiver.url(), owner="prt_attacker"))
        assert is_ok(await post(sender, receiver.url(), owner="prt_victim"))
        assert receiver.connections == 2
        mine = await post(sender, receiver.url(), owner="prt_attacker")
        assert mine.excerpt == b"forged", "it could only deceive itself"
        assert receiver.connections == 2


async def test_surplus_waiting_unread_in_the_socket_is_noticed_before_reuse(make_sender: MakeSender) -> None:
    """The event loop has not seen it yet: a thread sends while the loop is kept busy."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    may_send, has_sent = threading.Event(), threading.Event()

    def receiver() -> None:
        first, _ = listener.accept()
        first.recv(65536)
        first.sendall(OK)
        may_send.wait(30)
        first.sendall(FORGED)
        has_sent.set()
        second, _ = listener.accept()
        second.recv(65536)
        second.sendall(OK)
        first.close()
        second.close()

    thread = threading.Thread(target=receiver, daemon=True)
    thread.start()
    sender = make_sender()
    assert is_ok(await post(sender, url))
    may_send.set()
    assert has_sent.wait(30), "blocks the loop on purpose"
    assert is_ok(await post(sender, url))
    thread.join(30)
    listener.close()


async def test_connection_that_speaks_before_it_is_asked_is_not_used(make_sender: MakeSender) -> None:
    async def script(peer: Peer) -> None:
        if peer.number == 0:
            await peer.send(FORGED)
        await peer.behave()

    async with hostile(script) as receiver:
        sender = make_sender()
        first = await post(sender, receiver.url())
        # Over loopback the greeting may or may not have come before our request was written; if not,
        # it is an answer like any other.
        assert first.error == "protocol" or first.excerpt == b"forged"
        assert is_ok(await post(sender, receiver.url()))


# --- reading, byte by byte ------------------------------------------------------------------------

RESPONSES = [
    (OK, 200, b"ok", True),
    (OK + b"x", 200, b"ok", False),
    (OK + FORGED, 200, b"ok", False),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 201, b"", True),
    (CHUNKED + b"5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nTrailer: t\r\n\r\n", 200, b"hello!", True),
    (CHUNKED + b"5\r\nhello\r\nZZ", 200, b"hello", False),
    (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", False),
    (b"HTTP/1.0 200 OK\r\n\r\nanything", 200, b"anything", False),
    (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    (b"HTTP/1.1 204 No Content\r\n\r\nx", 204, b"", False),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", False),
    (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok" + FORGED, 200, b"ok", False),
    (
        b"HTTP/1.1 102 Wait\r\nX : a\r\n\r\nHTTP/1.1 201 Created\nX : b\nContent-Length: 0\n\n",
        201,
        b"",
        False,
    ),
    (
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        200,
        b"ok",
        False,
    ),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", 0, b"", False),
    (b"HTTP/1.1 099 Odd\r\n\r\n", 0, b"", False),
]


@pytest.mark.parametrize(("response", "status", "body", "clean"), RESPONSES)
async def test_a_response_means_the_same_however_it_is_cut_into_packets(
    response: bytes, status: int, body: bytes, clean: bool
) -> None:
    cuts = [[], list(range(1, len(response))), *([cut] for cut in range(1, len(response)))]
    for cut in cuts:
        dropped: list[bool] = []
        exchange = Exchange(lambda dropped=dropped: dropped.append(True), Stopwatch())  # type: ignore[misc]  # mypy infers no lambda defaults
        for start, end in itertools.pairwise([0, *cut, len(response)]):
            if not dropped:
                exchange.feed(response[start:end])
        assert (exchange.status, exchange.take(), exchange.clean) == (status, body, clean), cut
        if not status:
            assert dropped
            assert exchange.head.done()


async def test_only_a_whole_body_is_sent(make_sender: MakeSender) -> None:
    async def in_parts() -> AsyncIterator[bytes]:
        yield b"part"

    guard = Guard(EgressPolicy(), Lookups(threads=1), None)
    connector = GuardedConnector(guard, ssl_context=trust(), max_connections=1, max_per_host=1)
    transport = GuardedTransport(connector, EgressPolicy())
    with pytest.raises(ValueError, match="whole"):
        await transport.handle_async_request(httpx.Request("POST", f"https://{NAME}/", content=in_parts()))
    await transport.aclose()


# --- the guard ------------------------------------------------------------------------------------


async def test_name_resolving_to_a_private_address_is_blocked_and_reported(make_sender: MakeSender) -> None:
    events: list[AddressesRefused] = []
    names = Names(hooks_partner_example=["169.254.169.254", "10.0.0.1"])
    sender = make_sender("", resolve=names, on_security_event=events.append)
    answer = await post(sender, f"https://{NAME}/")
    assert (answer.status, answer.error) == (None, "blocked")
    assert "169.254" not in repr(answer)
    assert events == [
        AddressesRefused(host=NAME, port=443, refused=("169.254.169.254", "10.0.0.1"), dialled=())
    ]


async def test_of_a_mixed_answer_only_the_allowed_address_is_dialled(make_sender: MakeSender) -> None:
    events: list[AddressesRefused] = []
    names = Names(hooks_partner_example=["10.0.0.1", "fe80::1%eth0", "127.0.0.1", "::ffff:10.0.0.2"])
    async with hostile(answering(OK)) as receiver:
        sender = make_sender(resolve=names, on_security_event=events.append)
        assert is_ok(await post(sender, receiver.url(NAME)))
    assert [(event.refused, event.dialled) for event in events] == [
        (("10.0.0.1", "fe80::1%eth0", "::ffff:10.0.0.2"), ("127.0.0.1",))
    ]


async def test_at_most_four_addresses_are_dialled(make_sender: MakeSender) -> None:
    names = Names(
        fifth_partner_example=["127.0.0.9", "127.0.0.8", "127.0.0.7", "127.0.0.6", "127.0.0.1"],
        fourth_partner_example=["127.0.0.9", "127.0.0.8", "127.0.0.7", "127.0.0.1"],
        # The families take turns, so a long list of one does not hide the other.
        mixed_partner_example=["::1", "::2", "::3", "::4", "::5", "127.0.0.1"],
    )
    async with hostile(answering(OK)) as receiver:
        sender = make_sender(f"{LOOPBACK},::/64", resolve=names)
        assert (await post(sender, receiver.url("fifth.partner.example"))).error == "connect"
        assert is_ok(await post(sender, receiver.url("fourth.partner.example")))
        assert is_ok(await post(sender, receiver.url("mixed.partner.example")))


async def test_plain_http_to_a_name_is_refused_where_it_resolves_outside_the_allowed_network(
    make_sender: MakeSender,
) -> None:
    answer = await post(make_sender(resolve=Names(hooks_partner_example=["1.1.1.1"])), f"http://{NAME}:8080/")
    assert answer.error == "blocked"


async def test_rebinding_between_attempts_is_blocked(make_sender: MakeSender) -> None:
    names = Names(hooks_partner_example=["127.0.0.1"])
    async with hostile(answering(OK, keep_open=False)) as receiver:
        sender = make_sender(resolve=names)
        assert is_ok(await post(sender, receiver.url(NAME)))
        names.answers[NAME] = ["169.254.169.254"]
        assert (await post(sender, receiver.url(NAME))).error == "blocked"
    assert receiver.connections == 1


async def test_rebinding_within_an_attempt_finds_no_second_look_up(make_sender: MakeSender) -> None:
    asked: list[str] = []

    def rebinding(host: str) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    async with hostile(answering(OK)) as receiver:
        assert is_ok(await post(make_sender(resolve=rebinding), receiver.url(NAME)))
    assert asked == [NAME]


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/latest/meta-data/",
        "https://[::ffff:169.254.169.254]/",
        "http://127.0.0.1:9/",
        "https://localhost/",
        "https://partner.example:22/",
        "http://partner.example/",
        "https://2130706433/",
    ],
)
async def test_url_the_rules_refuse_by_now_is_blocked_without_a_look_up(
    make_sender: MakeSender, url: str
) -> None:
    names = Names()
    answer = await post(make_sender("", resolve=names), url)
    assert (answer.status, answer.error) == (None, "blocked")
    assert names.asked == []


async def test_socket_is_refused_where_it_is_made() -> None:
    """For a host that is an address aiohttp asks no resolver: the factory alone stands in the way."""
    events: list[AddressesRefused] = []
    guard = Guard(EgressPolicy(), Lookups(threads=1), events.append)
    dialling.set((Dialling(host="1.1.1.1", port=443, scheme="https", exempt=False), Stopwatch()))
    for address in ("127.0.0.1", "169.254.169.254"):
        with pytest.raises(AddressBlocked):
            guard.make_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)))
    guard.make_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("1.1.1.1", 443))).close()
    assert [event.refused for event in events] == [("127.0.0.1",), ("169.254.169.254",)]


async def test_guard_resolves_nothing_but_the_host_being_dialled() -> None:
    guard = Guard(EgressPolicy(), Lookups(Names(evil_example=["1.1.1.1"]), threads=1), None)
    dialling.set((Dialling(host=NAME, port=443, scheme="https", exempt=False), Stopwatch()))
    with pytest.raises(AddressBlocked):
        await guard.resolve("evil.example", 443)


async def test_name_that_does_not_resolve_is_a_dns_error(make_sender: MakeSender) -> None:
    names = Names(empty_partner_example=[])
    sender = make_sender("", resolve=names)
    for host in (NAME, "empty.partner.example"):
        answer = await post(sender, f"https://{host}/")
        assert (answer.status, answer.error) == (None, "dns")
        assert answer.timing.dns_us is not None
        assert answer.timing.connect_us is None


async def test_system_resolver_knows_localhost(make_sender: MakeSender) -> None:
    async with hostile(answering(OK)) as receiver:
        sender = make_sender("127.0.0.0/8,::1/128", resolve=system_addresses)
        assert is_ok(await post(sender, receiver.url("localhost")))


async def test_being_out_of_sockets_is_not_the_receivers_fault(make_sender: MakeSender) -> None:
    def no_sockets_left(host: str) -> Sequence[str]:
        raise OSError(errno.EMFILE, "Too many open files")

    with pytest.raises(OSError, match="Too many open files"):
        await post(make_sender("", resolve=no_sockets_left), f"https://{NAME}/")


# --- look-ups -------------------------------------------------------------------------------------


class BlackHole(Names):
    """Swallows questions about names under black-hole.example until it is let go."""

    def __init__(self, **answers: Sequence[str]) -> None:
        super().__init__(**answers)
        self.release = threading.Event()
        self.inside = 0

    def __call__(self, host: str) -> Sequence[str]:
        if host.endswith("black-hole.example"):
            self.asked.append(host)
            self.release.wait(60)
            return ["127.0.0.1"]
        return super().__call__(host)


async def test_black_hole_names_cannot_starve_names_that_have_answered(make_sender: MakeSender) -> None:
    names = BlackHole(hooks_partner_example=["127.0.0.1"])
    try:
        async with hostile(answering(OK, keep_open=False)) as receiver:
            sender = make_sender(resolve=names, timeout_seconds=20, max_connections=8)
            hasty = make_sender(resolve=names, timeout_seconds=0.2, max_connections=8)
            assert is_ok(await post(hasty, receiver.url(NAME)))
            swallowed = await asyncio.gather(
                *(post(hasty, receiver.url(f"n{number}.black-hole.example")) for number in range(20))
            )
            assert {answer.error for answer in swallowed} == {"timeout"}
            assert len(names.asked) <= 1 + 6, "two of eight threads are kept"
            assert is_ok(await post(hasty, receiver.url(NAME)))
            names.release.set()
            assert is_ok(await post(sender, receiver.url("n99.black-hole.example")))
    finally:
        names.release.set()


async def test_one_black_hole_name_holds_one_thread_however_many_wait() -> None:
    names = BlackHole()
    lookups = Lookups(names, threads=4)
    try:
        for _ in range(3):
            waiting = [asyncio.create_task(lookups.addresses("black-hole.example")) for _ in range(5)]
            _, pending = await asyncio.wait(waiting, timeout=0.05)
            assert len(pending) == 5
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        assert names.asked == ["black-hole.example"]
        late = asyncio.create_task(lookups.addresses("black-hole.example"))
        await asyncio.sleep(0)
        names.release.set()
        assert await late == ["127.0.0.1"]
    finally:
        names.release.set()


async def test_name_nobody_waits_for_any_more_is_never_looked_up() -> None:
    names = BlackHole(hooks_partner_example=["127.0.0.1"])
    lookups = Lookups(names, threads=1)
    try:
        first = asyncio.create_task(lookups.addresses("black-hole.example"))
        await asyncio.sleep(0)
        queued = asyncio.create_task(lookups.addresses("other.black-hole.example"))
        await asyncio.sleep(0)
        queued.cancel()
        await asyncio.gather(queued, return_exceptions=True)
        names.release.set()
        assert await first == ["127.0.0.1"]
        assert await lookups.addresses(NAME) == ["127.0.0.1"]
        assert names.asked == ["black-hole.example", NAME]
    finally:
        names.release.set()


async def test_name_that_cannot_be_encoded_does_not_resolve() -> None:
    with pytest.raises(OSError, match="label"):
        await Lookups(threads=1).addresses("a" * 64 + ".example")


async def test_machine_without_threads_is_not_the_names_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_threads_left(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    lookups = Lookups(Names(hooks_partner_example=["127.0.0.1"]), threads=1)
    monkeypatch.setattr(threading.Thread, "start", no_threads_left)
    with pytest.raises(OSError, match="no thread") as fault:
        await lookups.addresses(NAME)
    assert fault.value.errno == errno.EAGAIN
    monkeypatch.undo()
    assert await lookups.addresses(NAME) == ["127.0.0.1"]


# --- sharing --------------------------------------------------------------------------------------


async def test_one_host_gets_no_more_connections_than_its_share_and_holds_up_no_other(
    make_sender: MakeSender,
) -> None:
    answer_now = asyncio.Event()

    share_taken = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        if peer.number == 1:
            share_taken.set()
        await answer_now.wait()
        await peer.send(OK)

    async with hostile(script) as slow, hostile(answering(OK)) as quick:
        sender = make_sender(max_connections=8, max_per_host=2)
        waiting = [asyncio.create_task(post(sender, slow.url(), owner=f"prt_{n % 3}")) for n in range(6)]
        await share_taken.wait()
        for _ in range(3):
            assert is_ok(await post(sender, quick.url()))
        assert slow.most_open == 2
        answer_now.set()
        assert all(is_ok(answer) for answer in await asyncio.gather(*waiting))
    assert slow.most_open == 2


async def test_idle_connections_are_limited_too(make_sender: MakeSender) -> None:
    async with hostile(answering(OK)) as a, hostile(answering(OK)) as b, hostile(answering(OK)) as c:
        sender = make_sender(max_connections=2, max_per_host=2)
        for receiver in (a, b, c, a, b, c):
            assert is_ok(await post(sender, receiver.url()))
        assert (a.connections, b.connections, c.connections) == (1, 1, 2)


# --- TLS ------------------------------------------------------------------------------------------


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


TLS_NAMES = Names(hooks_partner_example=["127.0.0.1"])


async def test_tls_is_verified_against_the_name_not_the_address(make_sender: MakeSender) -> None:
    tls = server_context(AUTHORITY.issue_cert(NAME))
    async with hostile(answering(OK), tls=tls) as receiver:
        sender = make_sender(resolve=TLS_NAMES)
        first = await post(sender, receiver.url(NAME, scheme="https"))
        second = await post(sender, receiver.url(NAME, scheme="https"))
    assert is_ok(first)
    assert is_ok(second)
    assert receiver.connections == 1
    assert receiver.sni == NAME
    assert f"host: {NAME}:{receiver.port}".encode() in receiver.requests[0]
    assert first.timing.tls_us is not None
    assert second.timing.tls_us is None


PAST = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
SOON = dt.datetime.now(dt.UTC) + dt.timedelta(days=9)
BAD_CERTIFICATES = {
    "expired": (
        AUTHORITY.issue_cert(NAME, not_after=PAST + dt.timedelta(days=1), not_before=PAST),
        "tls_expired",
    ),
    "not yet valid": (
        AUTHORITY.issue_cert(NAME, not_before=SOON, not_after=SOON + dt.timedelta(days=1)),
        "tls_expired",
    ),
    "wrong name": (AUTHORITY.issue_cert("other.partner.example"), "tls_name"),
    "only the address": (AUTHORITY.issue_cert("127.0.0.1"), "tls_name"),
    "unknown authority": (trustme.CA().issue_cert(NAME), "tls_unknown_ca"),
    "missing link": (trustme.CA().create_child_ca().issue_cert(NAME), "tls_unknown_ca"),
}


@pytest.mark.parametrize(("certificate", "error"), BAD_CERTIFICATES.values(), ids=BAD_CERTIFICATES.keys())
async def test_certificate_that_does_not_hold_says_in_which_way(
    make_sender: MakeSender, certificate: trustme.LeafCert, error: str
) -> None:
    async with hostile(answering(OK), tls=server_context(certificate)) as receiver:
        sender = make_sender(resolve=TLS_NAMES)
        answer = await post(sender, receiver.url(NAME, scheme="https"))
    assert (answer.status, answer.error) == (None, error)
    assert receiver.requests == []
    assert answer.timing.tls_us is not None


async def test_sender_that_is_given_no_context_trusts_the_system_alone(make_sender: MakeSender) -> None:
    async with hostile(answering(OK), tls=server_context(AUTHORITY.issue_cert(NAME))) as receiver:
        sender = make_sender(resolve=TLS_NAMES, ssl_context=None)
        answer = await post(sender, receiver.url(NAME, scheme="https"))
    assert answer.error == "tls_unknown_ca"


async def test_certificate_for_another_address_is_a_wrong_name(make_sender: MakeSender) -> None:
    tls = server_context(AUTHORITY.issue_cert("127.0.0.9"))
    async with hostile(answering(OK), tls=tls) as receiver:
        answer = await post(make_sender(), receiver.url(scheme="https"))
    assert answer.error == "tls_name"


async def test_certificate_signed_by_itself_says_so(make_sender: MakeSender, tmp_path: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(self_signed(NAME, tmp_path))
    async with hostile(answering(OK), tls=tls) as receiver:
        sender = make_sender(resolve=TLS_NAMES)
        answer = await post(sender, receiver.url(NAME, scheme="https"))
    assert answer.error == "tls_self_signed"


def self_signed(name: str, folder: Path) -> Path:
    """Write a certificate that is its own issuer, with its key, into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), now, SOON)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "self_signed.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private + certificate.public_bytes(pem))
    return file


async def test_tls_alert_instead_of_an_answer_is_a_tls_error() -> None:
    """A receiver that wants a certificate of ours says so only after a handshake of TLS 1.3."""
    exchange = Exchange(lambda: None, Stopwatch())
    exchange.lose(ssl.SSLError(1, "tlsv13 alert certificate required"))
    assert (exchange.status, exchange.fault) == (0, "tls_other")


@pytest.mark.parametrize("then", ["close", "reset", "hold"])
@pytest.mark.parametrize(
    "greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x28"]
)
async def test_handshake_that_fails_is_a_tls_error_or_a_timeout(
    make_sender: MakeSender, then: str, greeting: bytes
) -> None:
    async def script(peer: Peer) -> None:
        await peer.read(65536)
        await says(greeting, then=then)(peer)

    async with hostile(script) as receiver:
        sender = make_sender(resolve=TLS_NAMES, timeout_seconds=1)
        answer = await post(sender, receiver.url(NAME, scheme="https"))
    assert answer.error == ("timeout" if then == "hold" and not greeting else "tls_other")
    assert receiver.requests == []


async def test_sender_refuses_a_context_that_does_not_verify(make_sender: MakeSender) -> None:
    careless = ssl.create_default_context()
    careless.check_hostname = False
    with pytest.raises(ValueError, match="verify"):
        make_sender(ssl_context=careless)


# --- through an egress proxy ----------------------------------------------------------------------


def proxying(receiver: Hostile) -> Callable[[Peer], Awaitable[None]]:
    async def script(peer: Peer) -> None:
        head = await peer.request()
        if head.startswith(b"CONNECT "):
            await peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await peer.tunnel(receiver.port)
        else:
            await peer.tunnel(receiver.port, first=head)

    return script


async def test_proxy_is_asked_to_connect_and_sees_only_tls(make_sender: MakeSender) -> None:
    names = Names(proxy_internal=["127.0.0.1"])
    tls = server_context(AUTHORITY.issue_cert(NAME))
    async with hostile(answering(OK), tls=tls) as receiver, hostile(proxying(receiver)) as proxy:
        sender = make_sender(
            "",
            resolve=names,
            proxy_url=f"http://user:secret@proxy.internal:{proxy.port}",
        )
        first = await post(sender, f"https://{NAME}/hooks")
        second = await post(sender, f"https://{NAME}/hooks")
    assert is_ok(first)
    assert is_ok(second)
    assert names.asked == ["proxy.internal"], "the receiver's name is the proxy's to resolve"
    assert receiver.sni == NAME
    assert (proxy.connections, receiver.connections) == (1, 1)
    assert proxy.requests[0].startswith(f"CONNECT {NAME}:443 HTTP/1.1\r\n".encode())
    assert b"Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=" in proxy.requests[0]
    assert receiver.requests[0].startswith(b"POST /hooks HTTP/1.1\r\n")
    assert b"roxy-" not in receiver.requests[0]


async def test_proxy_itself_may_be_spoken_to_over_tls(make_sender: MakeSender) -> None:
    names = Names(proxy_internal=["127.0.0.1"])
    receiver_tls = server_context(AUTHORITY.issue_cert(NAME))
    proxy_tls = server_context(AUTHORITY.issue_cert("proxy.internal"))
    async with (
        hostile(answering(OK), tls=receiver_tls) as receiver,
        hostile(proxying(receiver), tls=proxy_tls) as proxy,
    ):
        sender = make_sender(
            "",
            resolve=names,
            proxy_url=f"https://proxy.internal:{proxy.port}",
        )
        assert is_ok(await post(sender, f"https://{NAME}/hooks"))
    assert (proxy.sni, receiver.sni) == ("proxy.internal", NAME)


@pytest.mark.parametrize(
    "text", ["proxy.internal:3128", "socks5://proxy.internal", "http://", "http://p:port"]
)
async def test_what_is_no_proxy_is_refused_at_start(make_sender: MakeSender, text: str) -> None:
    with pytest.raises(SettingsError, match="WEBHOOKD_EGRESS_PROXY"):
        make_sender(proxy_url=text)


@pytest.mark.parametrize(
    ("user", "credentials"), [("user:secret@", b"proxy-authorization: Basic dXNlcjpzZWNyZXQ=\r\n"), ("", b"")]
)
async def test_plain_http_goes_to_the_proxy_in_absolute_form(
    make_sender: MakeSender, user: str, credentials: bytes
) -> None:
    async with hostile(answering(OK)) as receiver, hostile(proxying(receiver)) as proxy:
        sender = make_sender("hooks.internal", proxy_url=f"http://{user}127.0.0.1:{proxy.port}")
        assert is_ok(await post(sender, "http://hooks.internal/h?a=1"))
    assert proxy.requests[0].startswith(
        b"POST http://hooks.internal/h?a=1 HTTP/1.1\r\n" + credentials + b"host: hooks.internal\r\n"
    )


@pytest.mark.parametrize(
    ("allow", "url"),
    [
        ("", "https://169.254.169.254/"),
        ("", "https://10.0.0.1/"),
        ("", "https://localhost/"),
        ("", f"http://{NAME}/"),
        ("10.0.0.0/8", f"http://{NAME}/"),
    ],
)
async def test_only_the_hop_to_the_proxy_is_exempt(make_sender: MakeSender, allow: str, url: str) -> None:
    async with hostile(answering(OK)) as proxy:
        answer = await post(make_sender(allow, proxy_url=f"http://127.0.0.1:{proxy.port}"), url)
    assert (answer.status, answer.error) == (None, "blocked")
    assert proxy.connections == 0


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "proxy"),
        (b"HTTP/1.1 500 Oops\r\n\r\n", "proxy"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "proxy"),
        (b"", "proxy"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "blocked"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "connect"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "connect"),
        (b"HTTP/1.1 504 Gateway Timeout\r\n\r\n", "connect"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "tls_other"),
    ],
)
async def test_proxys_own_faults_are_told_from_the_receivers(
    make_sender: MakeSender, answer: bytes, error: str
) -> None:
    async with hostile(after_request(says(answer, then="close"))) as proxy:
        sender = make_sender("", proxy_url=f"http://127.0.0.1:{proxy.port}")
        assert (await post(sender, f"https://{NAME}/")).error == error


async def test_proxy_that_is_away_is_our_fault(make_sender: MakeSender) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        refusing = make_sender("", proxy_url=f"http://127.0.0.1:{unused.getsockname()[1]}")
        assert (await post(refusing, f"https://{NAME}/")).error == "proxy"
    unknown = make_sender("", proxy_url="http://proxy.internal:3128", resolve=Names())
    assert (await post(unknown, f"https://{NAME}/")).error == "proxy"


async def test_time_out_on_the_way_to_the_proxy_is_ours_and_beyond_it_the_receivers(
    make_sender: MakeSender,
) -> None:
    names = BlackHole()
    try:
        lost = make_sender(
            "", proxy_url="http://proxy.black-hole.example:3128", resolve=names, timeout_seconds=0.2
        )
        assert (await post(lost, f"https://{NAME}/")).error == "proxy"
    finally:
        names.release.set()
    async with hostile(after_request(says(b""))) as proxy:
        sender = make_sender("", proxy_url=f"http://127.0.0.1:{proxy.port}", timeout_seconds=0.2)
        assert (await post(sender, f"https://{NAME}/")).error == "timeout"


# --- any transport of httpx's will do -------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (httpx.ConnectError("refused"), "connect"),
        (httpx.ConnectTimeout("late"), "timeout"),
        (httpx.ReadTimeout("late"), "timeout"),
        (httpx.ReadError("reset"), "protocol"),
        (httpx.RemoteProtocolError("nonsense"), "protocol"),
        (httpx.ProxyError("away"), "proxy"),
    ],
)
async def test_faults_of_another_transport_have_the_same_codes(
    fault: httpx.TransportError, error: str
) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise fault

    sender = Sender(httpx.MockTransport(fail), timeout_seconds=5)
    assert (await post(sender, "https://partner.example/")).error == error


async def test_respx_can_stand_in_for_the_far_side() -> None:
    router = respx.MockRouter()
    route = router.post("https://partner.example/hooks").respond(
        429, headers={"Retry-After": "7"}, text="slow down"
    )
    sender = Sender(httpx.MockTransport(router.async_handler), timeout_seconds=5)
    answer = await post(sender, "https://partner.example/hooks")
    assert (answer.status, answer.retry_after, answer.excerpt) == (429, "7", b"slow down")
    assert route.calls.last.request.content == BODY
    assert route.calls.last.request.headers["host"] == "partner.example"
    await sender.close()
