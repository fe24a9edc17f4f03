"""The Idempotency-Key header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhookd.api.answers import Answer
from webhookd.api.idempotency_key import fingerprint, freeze, parse_key, thaw
from webhookd.core.errors import Invalid


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (None, None),
        ("abc", "abc"),
        ('"abc"', "abc"),
        ("  abc ", "abc"),
        ('"a b"', "a b"),
        (r'"a\"b\\c"', r'a"b\c'),
        ("a" * 255, "a" * 255),
        ('"' + "a" * 255 + '"', "a" * 255),
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
    ],
)
def test_key_is_read_bare_or_quoted(header: str | None, key: str | None) -> None:
    assert parse_key([] if header is None else [header.encode()]) == key


@pytest.mark.parametrize("header", ["", "  ", '""', "a" * 256, '"abc', '"a"b"', "käse", "a\x00b", "a\x7f"])
def test_wrong_key_is_refused(header: str) -> None:
    with pytest.raises(Invalid):
        parse_key([header.encode()])


@pytest.mark.parametrize("sent", [[b"a", b"b"], [b"a", b"a"], [b'"a"', b""]])
def test_two_keys_are_none(sent: list[bytes]) -> None:
    with pytest.raises(Invalid, match="once"):
        parse_key(sent)


def test_fingerprint_is_of_the_parsed_body() -> None:
    first = fingerprint("POST", "/v1/tasks", {"a": 1, "b": {"c": 2, "d": 3}})
    assert first == fingerprint("POST", "/v1/tasks", {"b": {"d": 3, "c": 2}, "a": 1})
    assert first != fingerprint("POST", "/v1/tasks", {"a": 1, "b": {"c": 2, "d": 4}})
    assert first != fingerprint("POST", "/v1/tasks/batch", {"a": 1, "b": {"c": 2, "d": 3}})


@given(st.integers(200, 299), st.dictionaries(st.sampled_from(["Location", "ETag"]), st.text()), st.text())
def test_kept_answer_comes_back_whole(status: int, headers: dict[str, str], body: str) -> None:
    answer = Answer(status=status, headers=headers, body=body.encode(errors="replace"))
    assert thaw(freeze(answer), replayed=False) == answer
    assert thaw(freeze(answer), replayed=True).headers == {**headers, "Idempotency-Replayed": "true"}
