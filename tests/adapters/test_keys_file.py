"""The keys kept in the data dir: read, noticed when they change, and what a vault makes of that."""

import os
from pathlib import Path

import pytest

from webhookd.adapters.keys_file import KeysFile
from webhookd.adapters.vault import Vault, generate_key, key_id
from webhookd.core.errors import SettingsError

OLD, NEW = generate_key(), generate_key()
OLD_ID, NEW_ID = Vault([OLD]).newest_id, Vault([NEW]).newest_id


def replace(path: Path, *keys: str) -> None:
    """As the command line does it: another file in its place."""
    draft = path.with_name("draft")
    draft.write_text("".join(f"{key}\n" for key in keys))
    draft.replace(path)


@pytest.fixture
def kept(tmp_path: Path) -> KeysFile:
    path = tmp_path / "encryption.keys"
    replace(path, OLD)
    return KeysFile(path)


def vault_on(kept: KeysFile) -> Vault:
    return Vault(kept.read(), changed=kept.changed)


def seal(vault: Vault) -> str:
    return vault.seal(b"x", partner="prt_1", endpoint=None, field="secret")


def opens(vault: Vault, text: str) -> bool:
    return vault.open(text, partner="prt_1", endpoint=None, field="secret") == b"x"


def test_keys_are_lines_and_blank_ones_do_not_count(kept: KeysFile) -> None:
    kept.path.write_text(f"{NEW}\n\n  {OLD}  \n")
    assert kept.read() == (NEW, OLD)


def test_no_file_is_no_keys_and_one_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert KeysFile(tmp_path / "missing").read() == ()
    with pytest.raises(SettingsError, match="WEBHOOKD_DATA_DIR"):
        KeysFile(tmp_path).read()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="binary"):
        KeysFile(tmp_path / "binary").read()


def test_change_is_noticed_once(kept: KeysFile) -> None:
    kept.read()
    assert kept.changed() is None
    replace(kept.path, NEW, OLD)
    assert kept.changed() == (NEW, OLD)
    assert kept.changed() is None
    kept.path.unlink()
    assert kept.changed() is None


def test_next_seal_after_a_change_is_the_new_keys(kept: KeysFile) -> None:
    vault = vault_on(kept)
    before = seal(vault)
    replace(kept.path, NEW, OLD)
    assert key_id(seal(vault)) == NEW_ID
    assert vault.key_ids == (NEW_ID, OLD_ID)
    assert opens(vault, before)


def test_what_another_process_has_sealed_with_a_new_key_opens(kept: KeysFile) -> None:
    vault = vault_on(kept)
    replace(kept.path, NEW, OLD)
    assert opens(vault, seal(Vault([NEW])))


def test_key_that_was_taken_out_still_opens_until_the_process_ends(kept: KeysFile) -> None:
    vault = vault_on(kept)
    before = seal(vault)
    replace(kept.path, NEW)
    assert key_id(seal(vault)) == NEW_ID
    assert opens(vault, before)
    with pytest.raises(SettingsError, match=OLD_ID):
        opens(vault_on(kept), before)


def test_change_that_makes_no_sense_leaves_the_keys_as_they_were(
    kept: KeysFile, caplog: pytest.LogCaptureFixture
) -> None:
    vault = vault_on(kept)
    replace(kept.path, "no base64!")
    assert key_id(seal(vault)) == OLD_ID
    assert "stay as they were" in caplog.text
    assert "no base64!" not in caplog.text
    replace(kept.path, NEW, OLD)
    assert key_id(seal(vault)) == NEW_ID


def test_file_that_becomes_readable_again_is_read(kept: KeysFile) -> None:
    vault = vault_on(kept)
    replace(kept.path, NEW, OLD)
    kept.path.chmod(0)
    if os.access(kept.path, os.R_OK):
        pytest.skip("this account may read everything")
    assert key_id(seal(vault)) == OLD_ID
    kept.path.chmod(0o600)
    assert key_id(seal(vault)) == NEW_ID
