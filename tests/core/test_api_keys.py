"""API keys as text and hash."""

import hashlib
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhookd.adapters import entropy
from webhookd.core import api_keys
from webhookd.core.errors import SettingsError

NOW_MS = 1_795_500_000_000

randoms = st.binary(min_size=api_keys.ENTROPY_BYTES, max_size=api_keys.ENTROPY_BYTES)
prefixes = st.sampled_from([api_keys.PARTNER_PREFIX, api_keys.ADMIN_PREFIX])


@given(prefix=prefixes, random=randoms)
def test_a_made_key_reads_back_as_itself(prefix: str, random: bytes) -> None:
    made = api_keys.make(prefix, now_ms=NOW_MS, entropy=random)
    presented = api_keys.parse(made.text)
    assert presented == api_keys.PresentedKey(id=made.id, prefix=prefix, hash=made.hash)
    assert re.fullmatch(rf"{prefix}_[0-9a-z]{{26}}_[0-9A-Za-z]{{43}}", made.text)
    assert made.id == f"key_{made.text.split('_')[1]}"


@given(one=randoms, other=randoms)
def test_different_entropy_makes_different_keys(one: bytes, other: bytes) -> None:
    first, second = (api_keys.make("whk", now_ms=NOW_MS, entropy=random) for random in (one, other))
    assert (first.text == second.text) == (one == other)


def test_the_secret_part_carries_all_32_bytes() -> None:
    made = api_keys.make("whk", now_ms=0, entropy=bytes(10) + b"\xff" * 32)
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number = 0
    for character in made.text.rpartition("_")[2]:
        number = number * 62 + alphabet.index(character)
    assert number == 2**256 - 1


def test_only_the_whole_key_matches_its_hash() -> None:
    made = entropy.new_api_key("whk", NOW_MS)
    stored = hashlib.sha256(made.text.encode()).digest()
    last = "A" if made.text[-1] != "A" else "B"
    as_admin = "wha" + made.text[3:]
    for text, expected in ((made.text, True), (made.text[:-1] + last, False), (as_admin, False)):
        presented = api_keys.parse(text)
        assert presented is not None
        assert presented.id == made.id
        assert (presented.hash == stored) is expected


@given(st.text() | st.text("whka_0123456789", max_size=80) | st.just("\ud800"))
def test_noise_is_no_key_but_can_always_be_hashed(text: str) -> None:
    assert api_keys.parse(text) is None
    assert len(api_keys.hash_text(text)) == 32


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "\n",
        lambda text: " " + text,
        lambda text: text.upper(),
        lambda text: text[:-1],
        lambda text: text + "0",
        lambda text: "key" + text[3:],
        lambda text: text[:4] + "u" + text[5:],
        lambda text: text[:-1] + "-",
        lambda text: text[:-1] + "é",
        lambda text: text[:-1] + "\ud800",
    ],
)
def test_a_key_is_read_strictly(change: Callable[[str], str]) -> None:
    made = entropy.new_api_key("wha", NOW_MS)
    assert api_keys.parse(made.text) is not None
    assert api_keys.parse(change(made.text)) is None


@pytest.mark.parametrize(("prefix", "length"), [("whk", 41), ("whk", 43), ("key", 42)])
def test_a_wrong_prefix_or_length_makes_no_key(prefix: str, length: int) -> None:
    with pytest.raises(ValueError, match="cannot be made"):
        api_keys.make(prefix, now_ms=NOW_MS, entropy=b"x" * length)


def test_a_new_key_does_not_show_its_text() -> None:
    made = entropy.new_api_key("whk", NOW_MS)
    assert made.text not in repr(made)


def test_an_operators_own_key_is_any_printable_text_of_sixteen_characters() -> None:
    text = "correct-horse-bat"
    assert api_keys.operator_key_hash(text) == api_keys.hash_text(text)


@pytest.mark.parametrize(
    "text", ["", "fifteen-letters", "with spaces in it all", "schlüssel-schlüssel", "tab\t" * 5]
)
def test_an_operators_key_that_is_short_or_cannot_travel_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="WEBHOOKD_ADMIN_KEY"):
        api_keys.operator_key_hash(text)
