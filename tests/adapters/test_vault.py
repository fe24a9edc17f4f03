"""Secrets at rest."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhookd.adapters import vault as vault_module
from webhookd.adapters.vault import SealBroken, Vault, generate_key, key_id
from webhookd.core.errors import SettingsError

OLD = base64.b64encode(b"o" * 32).decode()
NEW = base64.b64encode(b"n" * 32).decode()
OLD_ID = hashlib.sha256(b"o" * 32).hexdigest()[:8]
NEW_ID = hashlib.sha256(b"n" * 32).hexdigest()[:8]
SECRET = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def sealed(vault: Vault) -> str:
    return vault.seal(SECRET, partner="prt_1", endpoint="ep_1", field="secret")


@given(plain=st.binary(), partner=st.text(), endpoint=st.none() | st.text(), field=st.text())
def test_what_was_sealed_opens_in_its_row(
    plain: bytes, partner: str, endpoint: str | None, field: str
) -> None:
    vault = Vault([NEW])
    text = vault.seal(plain, partner=partner, endpoint=endpoint, field=field)
    assert vault.open(text, partner=partner, endpoint=endpoint, field=field) == plain


@pytest.mark.parametrize(
    ("partner", "endpoint", "field"),
    [
        ("prt_2", "ep_1", "secret"),
        ("prt_1", "ep_2", "secret"),
        ("prt_1", None, "secret"),
        ("prt_1", "ep_1", "headers"),
        ("prt_1ep_1", "", "secret"),
    ],
)
def test_a_ciphertext_moved_to_another_row_does_not_open(
    partner: str, endpoint: str | None, field: str
) -> None:
    vault = Vault([NEW])
    with pytest.raises(SealBroken, match="another row"):
        vault.open(sealed(vault), partner=partner, endpoint=endpoint, field=field)


@pytest.mark.parametrize(
    ("partner", "endpoint", "field"),
    [("prt_2", "ep_1", "secret"), ("prt_1", "ep_2", "secret"), ("prt_1", "ep_1", "headers")],
)
def test_a_ciphertext_opened_before_in_its_own_row_still_opens_in_no_other(
    partner: str, endpoint: str, field: str
) -> None:
    vault = Vault([NEW])
    text = sealed(vault)
    for _ in range(2):
        assert vault.open(text, partner="prt_1", endpoint="ep_1", field="secret") == SECRET
        with pytest.raises(SealBroken, match="another row"):
            vault.open(text, partner=partner, endpoint=endpoint, field=field)


def test_what_was_opened_is_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault_module, "_MAX_OPENED", 3)
    vault = Vault([NEW])
    texts = {vault.seal(bytes([n]), partner="prt_1", endpoint=None, field="f"): bytes([n]) for n in range(8)}
    for text, plain in [*texts.items(), *texts.items()]:
        assert vault.open(text, partner="prt_1", endpoint=None, field="f") == plain
        assert len(vault._opened) <= 3


def test_a_partners_own_secret_is_not_one_of_an_endpoint_without_a_name() -> None:
    vault = Vault([NEW])
    own = vault.seal(SECRET, partner="prt_1", endpoint=None, field="secret")
    with pytest.raises(SealBroken):
        vault.open(own, partner="prt_1", endpoint="", field="secret")


@given(position=st.integers(0, len(SECRET) + 27), flip=st.integers(1, 255))
def test_a_changed_bit_anywhere_is_noticed(position: int, flip: int) -> None:
    vault = Vault([NEW])
    head, _, encoded = sealed(vault).rpartition(".")
    raw = bytearray(base64.b64decode(encoded))
    raw[position] ^= flip
    damaged = f"{head}.{base64.b64encode(raw).decode()}"
    with pytest.raises(SealBroken, match="damaged"):
        vault.open(damaged, partner="prt_1", endpoint="ep_1", field="secret")


def test_a_sealed_text_names_its_key_and_hides_the_secret() -> None:
    text = sealed(Vault([NEW, OLD]))
    assert text.startswith(f"v1.{NEW_ID}.")
    assert key_id(text) == Vault([NEW]).newest_id == NEW_ID
    assert "whsec" not in text
    assert SECRET not in base64.b64decode(text.rpartition(".")[2])


def test_the_same_secret_never_seals_to_the_same_text() -> None:
    vault = Vault([NEW])
    assert len({sealed(vault) for _ in range(100)}) == 100


def test_an_older_key_still_opens_and_the_newest_seals() -> None:
    before, during = Vault([OLD]), Vault([NEW, OLD])
    old_text = sealed(before)
    plain = during.open(old_text, partner="prt_1", endpoint="ep_1", field="secret")
    assert plain == SECRET
    assert key_id(sealed(during)) == during.newest_id == NEW_ID


def test_a_missing_key_names_the_setting_and_the_key() -> None:
    text = sealed(Vault([OLD]))
    with pytest.raises(SettingsError, match=f"WEBHOOKD_ENCRYPTION_KEYS lacks .*{OLD_ID}"):
        Vault([NEW]).open(text, partner="prt_1", endpoint="ep_1", field="secret")


def test_start_is_refused_while_a_key_in_use_is_missing() -> None:
    Vault([NEW, OLD]).require([OLD_ID, NEW_ID, OLD_ID])
    with pytest.raises(SettingsError, match=OLD_ID):
        Vault([NEW]).require([NEW_ID, OLD_ID])


@pytest.mark.parametrize(
    "text", ["", "v1", "v1..", f"v2.{NEW_ID}.{'A' * 80}", f"v1.{NEW_ID}.***", "whsec_x", f"v1.{NEW_ID}.AAAA"]
)
def test_what_the_vault_never_made_is_refused(text: str) -> None:
    with pytest.raises(SealBroken, match="not a text"):
        Vault([NEW]).open(text, partner="prt_1", endpoint="ep_1", field="secret")
    with pytest.raises(SealBroken, match="not a text"):
        key_id(text)


def test_a_text_cut_short_does_not_open() -> None:
    head, _, encoded = sealed(Vault([NEW])).rpartition(".")
    short = f"{head}.{base64.b64encode(base64.b64decode(encoded)[:20]).decode()}"
    with pytest.raises(SealBroken):
        Vault([NEW]).open(short, partner="prt_1", endpoint="ep_1", field="secret")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([], "at least one"),
        ([""], "key 1 is 0 bytes"),
        ([NEW, "no base64!"], "key 2 is not base64"),
        ([base64.b64encode(b"s" * 16).decode()], "key 1 is 16 bytes"),
        ([NEW, OLD, NEW], "twice"),
    ],
)
def test_wrong_keys_are_refused_by_place_and_never_quoted(keys: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=f"WEBHOOKD_ENCRYPTION_KEYS.*{message}") as refused:
        Vault(keys)
    assert not any(key and key in refused.value.detail for key in keys)


def test_space_around_a_key_does_not_matter() -> None:
    assert Vault([f" {NEW}\n"]).newest_id == NEW_ID


def test_a_generated_key_is_a_fresh_one() -> None:
    one, two = generate_key(), generate_key()
    assert one != two
    assert Vault([one, two]).newest_id == hashlib.sha256(base64.b64decode(one)).hexdigest()[:8]


def test_a_vault_does_not_show_its_keys() -> None:
    assert NEW not in repr(Vault([NEW]))
