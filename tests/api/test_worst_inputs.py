"""The worst that a caller may send, at each door: work grows no faster than the input.

Measured in the processor's time of this thread, at one size and at several times that size: work that grows
with the square would take the square of that longer, however slow or busy the machine is.
"""

import gc
import time
from collections.abc import Callable
from contextlib import suppress

import orjson
import pytest

from webhookd.api.body import _is_json
from webhookd.api.edge import joined_headers
from webhookd.api.file_ranges import asked_range
from webhookd.api.idempotency_key import parse_key
from webhookd.api.json_body import LARGE, MOST_CONTAINERS, MOST_NAMES, parse_json
from webhookd.api.prefer import preferred_wait
from webhookd.api.problems import problem_document
from webhookd.api.stream_frames import ClientMessage
from webhookd.api.task_wire import TaskCreate, unknown_endpoint_errors
from webhookd.api.wire import parse_body
from webhookd.core.errors import FieldError, Invalid, WebhookdError
from webhookd.core.trace import parse as parse_trace
from webhookd.core.verification import judge, parse_headers
from webhookd.pages.finding import _PAIR
from webhookd.pages.page_sessions import cookies

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TIMES = 8
"""The square of it is far from it, and what it takes is still little."""


def _json(make: Callable[[int], bytes]) -> Callable[[int], Callable[[], object]]:
    def prepare(size: int) -> Callable[[], object]:
        body = make(size)
        return lambda: parse_json(body)

    return prepare


def _text(unit: bytes, head: bytes = b"", tail: bytes = b"") -> Callable[[int], bytes]:
    return lambda size: head + unit * (size // len(unit)) + tail


def _names(size: int) -> bytes:
    return b"{" + b",".join(b'"%06d":1' % n for n in range(size // 11)) + b',"%06d":2}' % (size // 11 - 1)


def _header(read: Callable[[str], object], unit: str, head: str = "", tail: str = "") -> object:
    def prepare(size: int) -> Callable[[], object]:
        text = head + unit * (size // len(unit)) + tail
        return lambda: read(text)

    return prepare


def _key(text: str) -> object:
    return parse_key([text.encode()])


def _range(text: str) -> object:
    return asked_range({b"range": text.encode()}, size=10, etag='"x"')


def _cookies(text: str) -> object:
    return cookies({b"cookie": text.encode()})


def _judged(**pasted: str) -> object:
    """What is found of these headers, and a secret and a body of somebody's."""
    body = pasted.pop("body", "{}")
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1",
        **{f"webhook-{n}": v for n, v in pasted.items()},
    }
    return judge(headers, body, SECRET, signed_body="{}", now_seconds=1, stamps=[str(n) for n in range(50)])


def _signatures(text: str) -> object:
    return _judged(signature=f"v1,{'A' * 43}= {text}")


def _other_body(text: str) -> object:
    return _judged(signature=f"v1,{'A' * 43}=", body=text)


def _repeated_headers(size: int) -> Callable[[], object]:
    scope = {"headers": [(b"x", b"y")] * (size // 4)}
    return lambda: joined_headers(scope)


def _unknown_endpoints(size: int) -> Callable[[], object]:
    ids = [f"ep_{n}" for n in range(size // 8)]
    unknown = frozenset(ids)
    return lambda: unknown_endpoint_errors(ids, unknown)


def _body(make: Callable[[int], dict[str, object]]) -> object:
    def prepare(size: int) -> Callable[[], object]:
        value = make(size)
        return lambda: parse_body(TaskCreate, value)

    return prepare


SHAPES: dict[str, object] = {
    "the last of many names stands twice": _json(_names),
    "empty arrays": _json(_text(b"[],", b"[", b"0]")),
    "empty objects": _json(_text(b"{},", b"[", b"0]")),
    "quotes that are escaped, no end": _json(_text(b'\\"', b'"')),
    "quotes that are escaped": _json(_text(b'\\"', b'["', b'"]')),
    "brackets in a string": _json(_text(b"[", b'"', b'"')),
    "spaces after a string": _json(_text(b" ", b'["a"', b"]")),
    "long integers": _json(_text(b"1111111111111111111,", b"[", b"1]")),
    "one long number": _json(_text(b"1")),
    "one long fraction": _json(_text(b"1", b"0.")),
    "spaces in Content-Type": _header(lambda t: _is_json(t.encode()), " ", "application/json", "x"),
    "semicolons in Content-Type": _header(lambda t: _is_json(t.encode()), " ;", "application/json", "x"),
    "spaces about the charset": _header(lambda t: _is_json(t.encode()), " ", "application/json;charset", "x"),
    "spaces in Prefer": _header(preferred_wait, " ", "wait", "x"),
    "semicolons in Prefer": _header(preferred_wait, " ; ", "wait=1", "="),
    "commas in Prefer": _header(preferred_wait, " ,", "", "="),
    "an Idempotency-Key": _header(_key, " ", "a", "\x01"),
    "an Idempotency-Key in quotes": _header(_key, "\\", '"', "x"),
    "tracestate": _header(
        lambda t: parse_trace("00-" + "1" * 32 + "-" + "2" * 16 + "-01", t), " ,", "a=1", "="
    ),
    "traceparent": _header(lambda t: parse_trace(t, ""), "-0", "00"),
    "a header sent again and again": _repeated_headers,
    "zeros in Range": _header(_range, "0", "bytes=", "x"),
    "digits in Range": _header(_range, "1", "bytes=1-", "x"),
    "spaces in Range": _header(_range, " ", "bytes=1", "x"),
    "ranges in Range": _header(_range, "1-2,", "bytes=", "x"),
    "cookies": _header(_cookies, "a=b;", "", "x"),
    "blanks in a pasted header": _header(parse_headers, " ", "a: b", "c"),
    "blanks before a pasted header": _header(parse_headers, " ", "", "!"),
    "a pasted header without an end": _header(parse_headers, "a", "", "!"),
    "blanks in what is sought": _header(_PAIR.fullmatch, " ", "a", "b\nc"),
    "a name that is sought": _header(_PAIR.fullmatch, "a", "", "\n"),
    "signatures": _header(_signatures, "v1,a= ", "", ""),
    "a body that is nested": _header(_other_body, "[", "", ""),
    "unknown endpoints": _unknown_endpoints,
    "unknown fields": _body(lambda size: {"type": "a", **{str(n): 1 for n in range(size // 8)}}),
    "events": _body(lambda size: {"type": "a", "events": ["x"] * (size // 4)}),
    "endpoints that are numbers": _body(lambda size: {"type": "a", "endpoints": [1] * (size // 2)}),
}


def _seconds(work: Callable[[], object]) -> float:
    """The processor time of this thread for it, at best of three."""
    taken = []
    gc.disable()  # it would look through all that the tests before have left
    for _ in range(3):
        before = time.thread_time()
        with suppress(WebhookdError):
            work()
        taken.append(time.thread_time() - before)
    gc.enable()
    return min(taken)


@pytest.mark.parametrize("shape", SHAPES)
def test_work_grows_no_faster_than_what_a_caller_sends(shape: str) -> None:
    prepare = SHAPES[shape]
    assert callable(prepare)
    size = 16_384
    small, large = _seconds(prepare(size)), _seconds(prepare(size * TIMES))
    assert large < max(small, 0.001) * TIMES * 4


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" + b"[]," * MOST_CONTAINERS + b"0]", id="arrays"),
        pytest.param(b"[" + b"{}," * MOST_CONTAINERS + b"0]", id="objects"),
        pytest.param(b"[" + b'{"":0},' * (MOST_NAMES // 2 + 1) + b"0]", id="names"),
    ],
)
def test_more_than_the_parser_takes_in_a_moment_is_too_large(body: bytes) -> None:
    with pytest.raises(WebhookdError) as refused:
        parse_json(body)
    assert refused.value.code == "too_large"


def test_signs_in_strings_do_not_count() -> None:
    text = '[{":\\"' * MOST_CONTAINERS
    assert parse_json(orjson.dumps([text])) == [text]


def test_what_is_wrong_with_a_large_body_is_found_as_in_a_small_one() -> None:
    padding = orjson.dumps("x" * LARGE)
    for wrong in (
        b'{"a":1,"\\u0061":2}',
        b"18446744073709551616",
        b'"\\u0000"',
        b"[" * 64 + b"]" * 64,
        b"NaN",
    ):
        with pytest.raises(WebhookdError) as refused:
            parse_json(b"[%b,%b]" % (padding, wrong))
        assert refused.value.code == "malformed_json"
    for right in (
        b'{"a":{"a":1},"b":"a"}',
        b"1" * 25 + b".5",
        b"0." + b"1" * 25,
        b'"1111111111111111111111"',
    ):
        assert parse_json(b"[%b,%b]" % (padding, right))[1] == orjson.loads(right)


def test_an_answer_is_not_larger_than_what_it_answers() -> None:
    errors = [FieldError(path="$." + "a" * 9_000, message="b" * 9_000)] * 9_000
    problem = orjson.dumps(problem_document(Invalid("It is wrong.", errors=errors), trace_id="0" * 32))
    assert len(problem) < 65_536
    since = dict.fromkeys(map(str, range(9_000)), "a")
    with pytest.raises(Invalid) as refused:
        parse_body(ClientMessage, {"subscribe": {"tasks": ["a"], "since": since}})
    assert len(refused.value.errors) <= 50
