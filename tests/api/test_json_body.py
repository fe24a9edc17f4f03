"""What counts as JSON at the door."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhookd.api.json_body import parse_json
from webhookd.core.errors import MalformedJson
from webhookd.core.nesting import MAX_DEPTH


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nothing",
        b"{'a': 1}",
        b"[1,]",
        b'{"a":1}{"b":2}',
        b"01",
        b"// a comment\n1",
        b"NaN",
        b"[Infinity]",
        b'{"a": -Infinity}',
        b'{"a":1,"a":1}',
        b'{"x":{"a":1,"b":2,"a":3}}',
        b'{"a":1,"\\u0061":2}',
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b'{"\\udfff":1}',
        b'"\xed\xa0\x80"',
        b'"\xff"',
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        b'"\x00"',
        b'"a\\u0000b"',
        b'{"a\\u0000":1}',
        b'[[{"k":["\\u0000"]}]]',
        b'"a\x01"',
        b"18446744073709551616",
        b"[-9223372036854775809]",
        b'{"n": 123456789012345678901234567890}',
        b"1" * 5_000,
        b"1e400",
        b"-1E+999999",
        b"1" * 400 + b".5",
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
        b"[" * 100_000 + b"]" * 100_000,
        b"[" * 100_000,
    ],
)
def test_refused(body: bytes) -> None:
    with pytest.raises(MalformedJson) as raised:
        parse_json(body)
    assert len(raised.value.detail) < 400


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b" {} \n", {}),
        (b"null", None),
        (b"18446744073709551615", 2**64 - 1),
        (b"-9223372036854775808", -(2**63)),
        (b'["18446744073709551616"]', ["18446744073709551616"]),
        (b"1234567890123456789012.5", 1234567890123456789012.5),
        (b"1e300", 1e300),
        (b'"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
        ('"\N{GRINNING FACE}"'.encode(), "\N{GRINNING FACE}"),
        (b'"\\\\u0000"', "\\u0000"),
        (b'{"a":{"a":1},"b":[{"a":1},{"a":2}]}', {"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]}),
        (b"[" + b"[]," * 200 + b"[]]", [[]] * 201),
    ],
)
def test_taken(body: bytes, value: object) -> None:
    assert parse_json(body) == value


def test_deepest_nesting_allowed_is_64() -> None:
    for opening, closing in ((b"[", b"]"), (b'{"a":[', b"]}")):
        times = MAX_DEPTH // opening.count(b"[") if opening == b"[" else MAX_DEPTH // 2
        parse_json(opening * times + closing * times)
    with pytest.raises(MalformedJson, match="64"):
        parse_json(b"[" * MAX_DEPTH + b"{}" + b"]" * MAX_DEPTH)


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=30,
)


@given(VALUES)
def test_whatever_json_can_say_comes_through(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json(orjson.dumps(value)) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_taken_or_refused(body: bytes) -> None:
    try:
        value = parse_json(body)
    except MalformedJson:
        return
    assert orjson.loads(orjson.dumps(value)) == value
